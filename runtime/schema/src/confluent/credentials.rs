//! Credentials as they are sent, and as they are not shown.

use super::settings::{Auth, SettingsError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::RequestBuilder;
use reqwest::header::HeaderValue;
use secrecy::ExposeSecret;

/// Shorter secrets are left alone in messages: they would be found in any word.
const HIDDEN_BYTES_MIN: usize = 4;
/// What stands in a secret's place.
const HIDDEN: &str = "[secret]";

impl Auth {
    /// Refuses what can't be a header's value.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        match self {
            Self::None => Ok(()),
            Self::Basic { user, .. } if user.contains(':') => Err(SettingsError::Auth(
                "a user's name can't hold a colon".to_owned(),
            )),
            Self::Basic { .. } => Ok(()),
            Self::Bearer(token) if token.expose_secret().is_empty() => {
                Err(SettingsError::Auth("the token is empty".to_owned()))
            }
            Self::Bearer(token) => HeaderValue::from_str(token.expose_secret())
                .map(drop)
                .map_err(|_| {
                    SettingsError::Auth("the token has characters that can't be sent".to_owned())
                }),
        }
    }

    pub(super) fn put_on(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::None => request,
            Self::Basic { user, password } => {
                request.basic_auth(user, Some(password.expose_secret()))
            }
            Self::Bearer(token) => request.bearer_auth(token.expose_secret()),
        }
    }

    /// A server's message, from which our secret is taken if the server repeats it, also as it was
    /// sent.
    pub(super) fn hide_in(&self, message: &str) -> String {
        let (secret, sent) = match self {
            Self::None => return message.to_owned(),
            Self::Basic { user, password } => {
                let password = password.expose_secret();
                (password, STANDARD.encode(format!("{user}:{password}")))
            }
            Self::Bearer(token) => (token.expose_secret(), token.expose_secret().to_owned()),
        };
        let message = message.replace(&sent, HIDDEN);
        if secret.len() < HIDDEN_BYTES_MIN {
            return message;
        }
        message.replace(secret, HIDDEN)
    }
}
