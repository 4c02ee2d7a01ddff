//! What a client of a registry is told.

use super::addresses::Addresses;
use secrecy::SecretString;

/// How to reach a registry.
#[derive(Debug, Clone)]
pub struct ConfluentSettings {
    /// Its URLs.
    pub addresses: Addresses,
    /// Who we are.
    pub auth: Auth,
    /// Whom we trust, and by which certificate we are known.
    pub tls: Tls,
    /// Whether schemas that a subject lacks are registered. Else a person registers them first.
    pub auto_register: bool,
}

/// Who we are to the registry. Sent with every request.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// Nobody, or whom the URL names.
    #[default]
    None,
    /// A user with a password, or an API key with its secret.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// Whoever holds this token.
    Bearer(SecretString),
}

/// TLS, for URLs with `https`. Certificates are PEM; server names are always checked.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Certificate authorities that are trusted instead of the machine's.
    pub authorities: Option<String>,
    /// Our certificate with those between it and the authority, and its private key, unencrypted.
    pub identity: Option<(String, SecretString)>,
}

/// No client can be made of the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// One of the URLs is none. It is not repeated here, since it may hold a password.
    #[error("URL {nth} of the schema registry: {reason}")]
    Url {
        /// Which one, from 1.
        nth: usize,
        /// What is wrong.
        reason: String,
    },
    /// The credentials can't be sent.
    #[error("the schema registry's credentials: {0}")]
    Auth(String),
    /// A certificate or key can't be used.
    #[error("the schema registry's TLS settings: {0}")]
    Tls(String),
}
