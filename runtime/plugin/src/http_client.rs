//! One HTTP exchange on behalf of a plugin: grants, limits, redirects.
//!
//! Used by both capabilities that send requests: for sources the outcome goes to the inbox, for
//! sinks the call waits.

use crate::grants::HttpGrants;
use crate::types::{HttpRequest, HttpResponse};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;
use url::Url;

/// Largest request body: what a connector asks for fits in a few KiB.
const REQUEST_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Largest response body: an exchange's list of all its symbols has some 15 MB.
pub(crate) const RESPONSE_BODY_BYTES_MAX: u64 = 24 * 1024 * 1024;
/// Most headers of a request.
const HEADERS_MAX: usize = 64;
/// Longest URL: servers refuse longer ones anyway.
pub(crate) const URL_BYTES_MAX: usize = 8 * 1024;
/// Longest wait that a plugin may ask for; a shorter one is its own choice.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Redirects followed before giving up.
const REDIRECTS_MAX: usize = 5;

/// Headers that describe the connection or the framing: the host's, not a plugin's.
const RESERVED_HEADERS: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "keep-alive",
];

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Not granted.
    #[error("denied: {0}")]
    Denied(String),
    /// The server can't be reached, or broke off.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// A body has more bytes than are taken.
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    /// No whole response in time.
    #[error("no response in time")]
    Timeout,
    /// The host wants the call back.
    #[error("interrupted")]
    Interrupted,
}

/// A request that was checked: nothing of it is denied, at least up to its first redirect.
#[derive(Debug)]
pub(crate) struct Checked {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    timeout: Duration,
}

/// Checks a request against grants and limits, without sending it.
pub(crate) fn check(
    grants: &HttpGrants,
    request: HttpRequest,
    timeout: Duration,
) -> Result<Checked, HttpError> {
    let denied = |why: String| Err(HttpError::Denied(why));
    if request.url.len() > URL_BYTES_MAX {
        return denied(format!("a URL of more than {URL_BYTES_MAX} bytes"));
    }
    if request.body.len() > REQUEST_BODY_BYTES_MAX {
        return Err(HttpError::TooLarge(REQUEST_BODY_BYTES_MAX as u64));
    }
    if request.headers.len() > HEADERS_MAX {
        return denied(format!("more than {HEADERS_MAX} headers"));
    }
    let Ok(method) = Method::from_bytes(request.method.as_bytes()) else {
        return denied(format!("`{}` is no method", request.method.escape_debug()));
    };
    if method == Method::CONNECT {
        return denied("CONNECT would open a tunnel".to_owned());
    }
    let url = match Url::parse(&request.url) {
        Ok(url) => url,
        Err(error) => return denied(format!("the URL is invalid: {error}")),
    };
    if grants.of(&url).is_none() {
        return denied(format!("no grant covers {}", without_query(&url)));
    }
    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for (name, value) in &request.headers {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            return denied(format!("`{}` is no header name", name.escape_debug()));
        };
        if RESERVED_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("proxy-") {
            return denied(format!("the header {name} is the host's"));
        }
        let Ok(value) = HeaderValue::from_str(value) else {
            return denied(format!("the value of the header {name} is none"));
        };
        headers.append(name, value);
    }
    Ok(Checked {
        method,
        url,
        headers,
        body: request.body,
        timeout: timeout.min(TIMEOUT_MAX),
    })
}

/// Sends a checked request and reads the whole response.
pub(crate) async fn send(grants: &HttpGrants, checked: Checked) -> Result<HttpResponse, HttpError> {
    let timeout = checked.timeout;
    tokio::time::timeout(timeout, follow(grants, checked))
        .await
        .unwrap_or(Err(HttpError::Timeout))
}

async fn follow(grants: &HttpGrants, mut checked: Checked) -> Result<HttpResponse, HttpError> {
    for _ in 0..=REDIRECTS_MAX {
        let response = exchange(grants, &checked).await?;
        let Some(next) = redirect(&checked, &response) else {
            return read(response).await;
        };
        if grants.of(&next).is_none() {
            return Err(HttpError::Denied(format!(
                "redirected to {}, which no grant covers",
                without_query(&next)
            )));
        }
        checked.url = next;
    }
    Err(HttpError::Unreachable(format!(
        "redirected more than {REDIRECTS_MAX} times"
    )))
}

async fn exchange(grants: &HttpGrants, checked: &Checked) -> Result<reqwest::Response, HttpError> {
    let mut headers = checked.headers.clone();
    let Some(grant) = grants.of(&checked.url) else {
        return Err(HttpError::Denied(format!(
            "no grant covers {}",
            without_query(&checked.url)
        )));
    };
    for (name, secret) in &grant.headers {
        let (name, value) = header(name, secret).map_err(HttpError::Denied)?;
        headers.insert(name, value);
    }
    grants
        .network()
        .http()
        .request(checked.method.clone(), checked.url.clone())
        .headers(headers)
        .body(checked.body.clone())
        .send()
        .await
        .map_err(|error| unreachable_because(&error))
}

/// Where a response sends the request on to. Only requests that change nothing are repeated.
fn redirect(checked: &Checked, response: &reqwest::Response) -> Option<Url> {
    let moved = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    if !moved || !matches!(checked.method, Method::GET | Method::HEAD) {
        return None;
    }
    checked
        .url
        .join(response.headers().get(LOCATION)?.to_str().ok()?)
        .ok()
}

async fn read(mut response: reqwest::Response) -> Result<HttpResponse, HttpError> {
    if response
        .content_length()
        .is_some_and(|n| n > RESPONSE_BODY_BYTES_MAX)
    {
        return Err(HttpError::TooLarge(RESPONSE_BODY_BYTES_MAX));
    }
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|e| unreachable_because(&e))?
    {
        if (body.len() + chunk.len()) as u64 > RESPONSE_BODY_BYTES_MAX {
            return Err(HttpError::TooLarge(RESPONSE_BODY_BYTES_MAX));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(HttpResponse {
        status,
        headers,
        body,
    })
}

/// The innermost reasons, without the URL: its query may hold what should not be logged.
fn unreachable_because(error: &reqwest::Error) -> HttpError {
    if error.is_timeout() {
        return HttpError::Timeout;
    }
    let mut reasons = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::PermissionDenied
        {
            return HttpError::Denied(io.to_string());
        }
        reasons.push(inner.to_string());
        source = inner.source();
    }
    match reasons.last() {
        Some(reason) => HttpError::Unreachable(reason.clone()),
        None => HttpError::Unreachable("the exchange failed".to_owned()),
    }
}

/// Queries may hold keys and signatures.
pub(crate) fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn header(name: &str, value: &SecretString) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|e| format!("`{name}`: {e}"))?;
    let mut value = HeaderValue::from_str(value.expose_secret())
        .map_err(|_| format!("the value of `{name}` can't be sent as a header"))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

/// Whether a grant's header can be sent at all.
pub(crate) fn check_header(name: &str, value: &SecretString) -> Result<(), String> {
    header(name, value).map(|_| ())
}
