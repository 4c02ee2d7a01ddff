//! One request to one URL, and what came of it.

use super::settings::Auth;
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use url::Url;

/// Largest answer: a schema generated for thousands of fields has 1 to 2 MB.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest message of a registry that is shown, characters: a list of some twenty differences.
const MESSAGE_CHARS_MAX: usize = 2000;
/// The API's own type of body; plain JSON for what lies between.
const TYPES: &str = "application/vnd.schemaregistry.v1+json, application/json";
const TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A request below a registry's URL.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) path: Vec<&'a str>,
    pub(super) query: Option<&'static str>,
    /// Sent by POST; without one it is a GET.
    pub(super) body: Option<String>,
}

impl Request<'_> {
    /// The whole URL; each part of the path is encoded, so that a subject may hold a slash.
    pub(super) fn url(&self, below: &Url) -> Url {
        let mut url = below.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&self.path);
        }
        url.set_query(self.query);
        url
    }

    pub(super) fn prepare(&self, http: &reqwest::Client, url: Url, auth: &Auth) -> RequestBuilder {
        let request = match &self.body {
            Some(body) => http.post(url).header(CONTENT_TYPE, TYPE).body(body.clone()),
            None => http.get(url),
        };
        auth.put_on(request.header(ACCEPT, TYPES))
    }
}

/// Why there is no answer to work with.
#[derive(Debug)]
pub(super) enum Failure {
    /// Asking again soon may do, but not before this has passed.
    Again(String, Duration),
    /// Asking again soon will not do: certificates, a wrong URL.
    Later(String),
    /// Credentials or rights: a person must act.
    Denied(String),
    /// The registry understood, and says no.
    Refused(Refusal),
}

/// The registry's own no.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Refusal {
    /// The status, or the status with two more digits.
    pub(super) error_code: u32,
    #[serde(default)]
    pub(super) message: String,
}

/// Sends it and reads the answer.
pub(super) async fn exchange<T: DeserializeOwned>(
    request: RequestBuilder,
    auth: &Auth,
) -> Result<T, Failure> {
    let response = request.send().await.map_err(|e| broken(&e))?;
    let status = response.status();
    let not_before = retry_after(&response);
    let body = read(response).await?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|e| {
            // Some proxies answer 200 with a page of theirs while what is behind them starts.
            Failure::Again(
                format!("its answer is not the registry's: {e}"),
                Duration::ZERO,
            )
        });
    }
    let refusal = serde_json::from_slice::<Refusal>(&body)
        .ok()
        .map(|said| Refusal {
            error_code: said.error_code,
            message: shown(&auth.hide_in(&said.message)),
        });
    let message = refusal.as_ref().map_or("", |said| said.message.as_str());
    let said = match message {
        "" => format!("it answers {status}"),
        message => format!("it answers {status}: {message}"),
    };
    Err(match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Failure::Again(said, not_before)
        }
        status if status.is_server_error() => Failure::Again(said, not_before),
        StatusCode::UNAUTHORIZED => Failure::Denied(format!("it refuses our credentials: {said}")),
        StatusCode::FORBIDDEN => Failure::Denied(format!("we lack the right: {said}")),
        status if status.is_client_error() => match refusal {
            Some(refusal) => Failure::Refused(refusal),
            None => Failure::Later(format!("no schema registry is there: {said}")),
        },
        _ => Failure::Later(format!("no schema registry is there: {said}")),
    })
}

/// Seconds; a date is not taken, since it would need the wall clock.
fn retry_after(response: &reqwest::Response) -> Duration {
    let value = response.headers().get(RETRY_AFTER);
    let seconds = value.and_then(|v| v.to_str().ok()?.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, Failure> {
    let too_large = || Failure::Later(format!("it answers more than {ANSWER_BYTES_MAX} bytes"));
    if response
        .content_length()
        .is_some_and(|n| n > ANSWER_BYTES_MAX as u64)
    {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| broken(&e))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost reason, without the URL.
fn broken(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Again("no answer in time".to_owned(), Duration::ZERO);
    }
    let mut reason = "the exchange failed".to_owned();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        reason = inner.to_string();
        if let Some(tls) = within(inner) {
            return Failure::Later(format!("TLS: {tls}"));
        }
        source = inner.source();
    }
    Failure::Again(reason, Duration::ZERO)
}

/// The TLS library's error, which lies in I/O errors that don't name it as their source.
fn within<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut error = error;
    loop {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        error = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    }
}

/// One line of bounded length.
fn shown(message: &str) -> String {
    let one_line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match one_line.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &one_line[..end]),
        None => one_line,
    }
}
