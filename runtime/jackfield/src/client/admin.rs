//! The running process: where it is, and asking it.

use super::args::At;
use super::door::{self, NoClient, OtherCertificate, Trust};
use crate::operate::token;
use crate::start_error::StartError;
use jackfield_config::Config;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// Longest wait for an answer: a component may have to be compiled there, on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);
/// Holds the token where no file shall be asked for it.
const TOKEN_VARIABLE: &str = "JACKFIELD_TOKEN";

/// Asking the running process failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Nobody answers there.
    #[error(
        "no process answers at {url}: {reason}: does `jackfield run` run, with this file? `jackfield doctor` tells what does not"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// Someone answers there, and may be anyone.
    #[error(
        "who answers at {url} has another certificate than {file}: was it renewed since the process started? Restart that; or name by `--cacert` who has signed for it"
    )]
    OtherCertificate {
        /// Where.
        url: String,
        /// The certificate that was expected.
        file: String,
    },
    /// The address is none.
    #[error("`{given}` is no URL such as http://127.0.0.1:8083: {reason}")]
    Url {
        /// What was given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file has no token, and the state folder neither.
    #[error("the admin token can't be read: {0}: it is made when `jackfield run` starts")]
    Token(std::io::Error),
    /// There is no client that would believe who answers.
    #[error("{0}")]
    NoClient(#[from] NoClient),
    /// A file that was named can't be read.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// What comes can't be kept.
    #[error("cannot write {path}: {reason}")]
    Unwritable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The file is no recording, or can't be replayed.
    #[error("{path}: {reason}")]
    Recording {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// It was understood, and not done.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The answer is none that this command knows.
    #[error("the process answered {status}: {body}")]
    Answer {
        /// The HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
    /// What was asked for does not come about.
    #[error("{0}")]
    Late(String),
}

/// A running process.
pub(crate) struct Admin {
    pub(crate) url: Url,
    pub(crate) http: Client,
    token: String,
}

impl Admin {
    /// By what a command was given: the file is read unless a URL and a token are.
    pub(crate) fn at(at: &At) -> Result<Self, StartError> {
        Self::near(at, None)
    }

    /// The same; without a URL `address` replaces the file's.
    pub(crate) fn near(at: &At, address: Option<SocketAddr>) -> Result<Self, StartError> {
        let token = match &at.token_file {
            Some(file) => Some(token_in(file)?),
            None => std::env::var(TOKEN_VARIABLE)
                .ok()
                .filter(|it| !it.is_empty()),
        };
        if let Some(given) = &at.url {
            return Self::elsewhere(url_of(given)?, token, at);
        }
        let config = Config::load(&at.config)?;
        let token = token.map_or_else(|| known(&config), Ok)?;
        let (url, trust) = door::of(&config, address);
        Ok(Self::new(url, trust, token)?)
    }

    /// At a URL. Without a token the file has it, and the certificate of whoever is given it. Without
    /// a file there is none: a process of `auth: none` asks for none, another says that it does.
    fn elsewhere(url: Url, token: Option<String>, at: &At) -> Result<Self, StartError> {
        let config = match token {
            // What can't be looked for is told when it is read.
            None if at.config.try_exists().unwrap_or(true) => Some(Config::load(&at.config)?),
            None | Some(_) => None,
        };
        let token = match (token, &config) {
            (Some(token), _) => token,
            (None, Some(config)) => known(config)?,
            (None, None) => String::new(),
        };
        let own = config.as_ref().and_then(|it| it.admin.tls.as_ref());
        let trust = match (url.scheme(), &at.cacert, own) {
            ("https", Some(file), _) => Trust::Authorities(file),
            ("https", None, Some(tls)) => Trust::Own(&tls.cert),
            ("https", None, None) => Trust::Machine,
            _ => Trust::Nobody,
        };
        Ok(Self::new(url, trust, token)?)
    }

    fn new(url: Url, trust: Trust<'_>, token: String) -> Result<Self, AskError> {
        let http = door::client(trust)?;
        Ok(Self { url, http, token })
    }

    /// The URL of a path; each part is encoded.
    pub(crate) fn path(&self, parts: &[&str]) -> Url {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .expect("an http URL has a path")
            .pop_if_empty()
            .extend(parts);
        url
    }

    /// Sends it with the token; the answer's end may come much later.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, AskError> {
        let sent = request.bearer_auth(&self.token).send().await;
        sent.map_err(|error| unreachable(&self.url, &error))
    }

    /// Asks, and reads an answer that has an end.
    pub(crate) async fn ask(&self, request: RequestBuilder) -> Result<Response, AskError> {
        self.send(request.timeout(ANSWER_WITHIN)).await
    }

    /// Asks, and takes a refusal as an error. Null where the answer has no body.
    pub(crate) async fn call(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<Value, AskError> {
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        answered(self.ask(request).await?).await
    }

    /// Asks for what is at a path.
    pub(crate) async fn get(&self, parts: &[&str]) -> Result<Value, AskError> {
        self.call(Method::GET, self.path(parts), None).await
    }
}

fn known(config: &Config) -> Result<String, AskError> {
    token::known(config).map_err(AskError::Token)
}

/// The URL that a person gave.
pub(crate) fn url_of(given: &str) -> Result<Url, AskError> {
    let bad = |reason: String| AskError::Url {
        given: given.to_owned(),
        reason,
    };
    // An address alone is one of plain HTTP.
    let whole = match given.contains("://") {
        true => given.to_owned(),
        false => format!("http://{given}"),
    };
    let url = Url::parse(&whole).map_err(|e| bad(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it must begin with http:// or https://".to_owned()));
    }
    Ok(url)
}

fn token_in(file: &Path) -> Result<String, AskError> {
    let unreadable = |reason: String| AskError::Unreadable {
        path: file.display().to_string(),
        reason,
    };
    let text = std::fs::read_to_string(file).map_err(|e| unreadable(e.to_string()))?;
    match text.trim() {
        "" => Err(unreadable("it is empty".to_owned())),
        token => Ok(token.to_owned()),
    }
}

fn unreachable(url: &Url, error: &reqwest::Error) -> AskError {
    if let Some(OtherCertificate { file }) = door::other_certificate(error) {
        return AskError::OtherCertificate {
            url: url.to_string(),
            file,
        };
    }
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(deeper) = source {
        reason = deeper.to_string();
        source = deeper.source();
    }
    AskError::Unreachable {
        url: url.to_string(),
        reason,
    }
}

/// The answer's status, and its JSON.
pub(crate) async fn read(response: Response) -> Result<(u16, Value), AskError> {
    let status = response.status().as_u16();
    let text = response.text().await.map_err(|error| AskError::Answer {
        status,
        body: error.to_string(),
    })?;
    if text.trim().is_empty() {
        return Ok((status, Value::Null));
    }
    let body = serde_json::from_str(&text);
    let body = body.map_err(|_| AskError::Answer { status, body: text })?;
    Ok((status, body))
}

/// The body of an answer that says yes.
pub(super) async fn answered(response: Response) -> Result<Value, AskError> {
    match read(response).await {
        Ok((200..300, body)) => Ok(body),
        Ok((status, body)) => Err(refusal(status, &body)),
        // The guard's own words are no JSON.
        Err(AskError::Answer {
            status: status @ 400..500,
            body,
        }) => Err(AskError::Refused {
            status,
            message: body.trim().to_owned(),
        }),
        Err(other) => Err(other),
    }
}

/// As Kafka Connect words a refusal.
fn refusal(status: u16, body: &Value) -> AskError {
    match body["message"].as_str() {
        Some(message) => AskError::Refused {
            status,
            message: message.to_owned(),
        },
        None => AskError::Answer {
            status,
            body: body.to_string(),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_alone_is_plain_http() {
        assert_eq!(
            url_of("127.0.0.1:1").unwrap().as_str(),
            "http://127.0.0.1:1/"
        );
        assert_eq!(url_of("https://h/x").unwrap().as_str(), "https://h/x");
        assert!(url_of("ftp://h").is_err());
        assert!(url_of("http://").is_err());
    }

    #[test]
    fn names_are_encoded() {
        let admin = Admin::new(
            url_of("http://h/below").unwrap(),
            Trust::Nobody,
            "t".to_owned(),
        )
        .unwrap();
        let url = admin.path(&["connectors", "a/b c", "pause"]);
        assert_eq!(url.as_str(), "http://h/below/connectors/a%2Fb%20c/pause");
    }

    #[test]
    fn a_refusal_is_told_in_its_own_words() {
        let body = serde_json::json!({ "error_code": 404, "message": "no connector x" });
        assert_eq!(refusal(404, &body).to_string(), "no connector x");
        let other = serde_json::json!({ "why": 1 });
        assert!(refusal(500, &other).to_string().contains("500"));
    }
}
