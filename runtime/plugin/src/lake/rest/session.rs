//! Requests to the server: its configuration, authorisation, limits.

use super::super::access::DOCUMENT_BYTES_MAX;
use super::super::config::{RestAuth, RestCatalogConfig};
use super::super::error::CatalogError;
use super::super::ident::Ident;
use super::answers::{Asked, refusal, texts, unheard};
use super::prefix;
use super::tokens::{Token, Tokens};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Instant;
use tokio::sync::OnceCell;
use url::Url;

/// Largest answer: a document and what is said beside it.
const ANSWER_BYTES_MAX: usize = DOCUMENT_BYTES_MAX + 1024 * 1024;
const DELEGATION: HeaderName = HeaderName::from_static("x-iceberg-access-delegation");

/// What the server says of itself, joined with what the configuration says.
#[derive(Debug)]
pub(crate) struct RestSettings {
    /// `v1/`, and the prefix.
    root: String,
    /// Between the levels of a namespace.
    separator: String,
}

impl RestSettings {
    pub(super) fn namespaces(&self) -> String {
        format!("{}namespaces", self.root)
    }

    pub(super) fn tables(&self, ident: &Ident) -> String {
        let namespace = ident.namespace().replace('.', &self.separator);
        format!("{}namespaces/{}/tables", self.root, encoded(&namespace))
    }

    pub(super) fn table(&self, ident: &Ident) -> String {
        format!("{}/{}", self.tables(ident), encoded(ident.name()))
    }
}

/// Good for one segment of a path.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// How to speak with one server.
pub(crate) struct Session {
    http: reqwest::Client,
    uri: Url,
    /// Of the server, for texts: no secrets.
    shown: String,
    warehouse: Option<String>,
    prefix: Option<String>,
    headers: HeaderMap,
    auth: RestAuth,
    vends: bool,
    settings: OnceCell<RestSettings>,
    tokens: Tokens,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("server", &self.shown)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "texts")]
    defaults: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "texts")]
    overrides: BTreeMap<String, String>,
}

impl Session {
    pub(super) fn new(config: &RestCatalogConfig, http: reqwest::Client) -> Result<Self, String> {
        let mut uri = config.uri.clone();
        // Joined paths replace what follows the last slash.
        if !uri.path().ends_with('/') {
            uri.set_path(&format!("{}/", uri.path()));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let name = HeaderName::try_from(name).map_err(|e| format!("its header {name}: {e}"))?;
            let mut value = HeaderValue::try_from(value.expose_secret())
                .map_err(|_| format!("its header {name} can't be sent"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let vends = config.vended_credentials;
        if vends {
            let wanted = HeaderValue::from_static("vended-credentials");
            headers.entry(DELEGATION).or_insert(wanted);
        }
        Ok(Self {
            http,
            shown: format!("the catalog at {}", config.uri),
            uri,
            warehouse: config.warehouse.clone(),
            prefix: config.prefix.clone(),
            headers,
            auth: config.auth.clone(),
            vends,
            settings: OnceCell::new(),
            tokens: Tokens::default(),
        })
    }

    pub(super) fn vends(&self) -> bool {
        self.vends
    }

    /// Asked for once: servers don't change it while they are used.
    pub(super) async fn settings(&self) -> Result<&RestSettings, CatalogError> {
        self.settings.get_or_try_init(|| self.configure()).await
    }

    async fn configure(&self) -> Result<RestSettings, CatalogError> {
        let path = match &self.warehouse {
            None => "v1/config".to_owned(),
            Some(warehouse) => format!("v1/config?warehouse={}", encoded(warehouse)),
        };
        let answer = self.ask(Method::GET, &path, None, Asked::Config).await?;
        let config: Config = serde_json::from_slice(&answer)
            .map_err(|e| CatalogError::Other(format!("{}, its configuration: {e}", self.shown)))?;
        let said = |key: &str| {
            let overridden = config.overrides.get(key).cloned();
            overridden
                .or_else(|| (key == "prefix").then(|| self.prefix.clone()).flatten())
                .or_else(|| config.defaults.get(key).cloned())
        };
        let root = match said("prefix") {
            None => "v1/".to_owned(),
            Some(prefix) => {
                let path = prefix::in_a_path(&prefix).ok_or_else(|| {
                    let why = "its prefix leads to other paths";
                    CatalogError::Other(format!("{}: {why}: {prefix:?}", self.shown))
                })?;
                format!("v1/{path}")
            }
        };
        let separator = match said("namespace-separator") {
            // Servers give it as it stands in a path.
            Some(given) => url::form_urlencoded::parse(format!("s={given}").as_bytes())
                .next()
                .map_or(given.clone(), |(_, value)| value.into_owned()),
            None => "\u{1f}".to_owned(),
        };
        Ok(RestSettings { root, separator })
    }

    /// One question; with a new token once more, where the server refuses the old one.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        asked: Asked,
    ) -> Result<Vec<u8>, CatalogError> {
        let url = self
            .uri
            .join(path)
            .map_err(|e| CatalogError::Other(format!("{}: {path}: {e}", self.shown)))?;
        let mut refused = None;
        loop {
            let mut request = self.http.request(method.clone(), url.clone());
            request = request.headers(self.headers.clone());
            let token = self.token(refused.as_ref()).await?;
            if let Some(token) = &token {
                request = request.header(AUTHORIZATION, self.bearer(token)?);
            }
            if let Some(body) = &body {
                request = request
                    .header(CONTENT_TYPE, "application/json")
                    .body(body.clone());
            }
            let (status, answer) = self.send(request, asked).await?;
            if status.is_success() {
                return Ok(answer);
            }
            // Refused for its token, a request has not been looked at.
            let stale = matches!(status.as_u16(), 401 | 419);
            if stale && refused.is_none() && matches!(self.auth, RestAuth::OAuth { .. }) {
                refused = token;
                continue;
            }
            return Err(refusal(asked, &self.shown, status, &answer));
        }
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        asked: Asked,
    ) -> Result<(StatusCode, Vec<u8>), CatalogError> {
        let failed = |e: reqwest::Error| unheard(asked, &self.shown, &e.without_url());
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
                let text = format!("{} answers more than {ANSWER_BYTES_MAX} bytes", self.shown);
                return Err(match asked.changes() {
                    true => CatalogError::Unknown(text),
                    false => CatalogError::Other(text),
                });
            }
            answer.extend_from_slice(&chunk);
        }
        Ok((status, answer))
    }

    /// What requests are let in by; where that is given out, another one than was refused.
    async fn token(
        &self,
        refused: Option<&SecretString>,
    ) -> Result<Option<SecretString>, CatalogError> {
        match &self.auth {
            RestAuth::None => Ok(None),
            RestAuth::Token(token) => Ok(Some(token.clone())),
            RestAuth::OAuth { .. } => self.tokens.get(refused, self.new_token()).await.map(Some),
        }
    }

    fn bearer(&self, token: &SecretString) -> Result<HeaderValue, CatalogError> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
            .map_err(|_| CatalogError::Other(format!("{}: a token can't be sent", self.shown)))?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn new_token(&self) -> Result<Token, CatalogError> {
        let RestAuth::OAuth {
            client_id,
            client_secret,
            uri,
            scope,
        } = &self.auth
        else {
            return Err(CatalogError::Other("no token is to be had".to_owned()));
        };
        let (url, is_own) = match uri {
            Some(uri) => (uri.clone(), uri.as_str().starts_with(self.uri.as_str())),
            None => {
                let own = self.uri.join("v1/oauth/tokens");
                let own = own.map_err(|e| CatalogError::Other(format!("{}: {e}", self.shown)))?;
                (own, true)
            }
        };
        // What the catalog is told is for nobody else.
        let mut headers = match is_own {
            true => self.headers.clone(),
            false => HeaderMap::new(),
        };
        headers.remove(AUTHORIZATION);
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form_type);
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", client_id)
            .append_pair("client_secret", client_secret.expose_secret())
            .append_pair("scope", scope)
            .finish();
        let request = self.http.post(url).headers(headers).body(form);
        let (status, answer) = self.send(request, Asked::Token).await?;
        if !status.is_success() {
            return Err(refusal(Asked::Token, &self.shown, status, &answer));
        }
        // The text of the answer may hold the token: what is wrong with it is not shown.
        Token::parse(&answer, Instant::now())
            .ok_or_else(|| CatalogError::Other(format!("{}: no token in its answer", self.shown)))
    }

    /// As if so much time had gone by for the token.
    #[cfg(test)]
    pub(super) fn age_token(&self, by: std::time::Duration) {
        self.tokens.age(by);
    }
}
