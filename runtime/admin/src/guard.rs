//! Who may see and change connectors.
//!
//! A token alone is not enough for a server on this machine's own address: a page in a browser can
//! be made to send requests there, under a host name of its maker's. So the `Host` must be one of
//! the server's own, and whatever names another `Origin` is refused.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What a request must carry.
#[derive(Clone)]
pub(crate) struct Guard {
    token: Arc<str>,
    listen: SocketAddr,
}

impl Guard {
    pub(crate) fn new(token: &str, listen: SocketAddr) -> Self {
        Self {
            token: token.into(),
            listen,
        }
    }

    fn objection(&self, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(host) = text(HOST).filter(|host| self.is_own(host)) else {
            let why = "the Host is none of this server's: name it by its address";
            return Some((StatusCode::MISDIRECTED_REQUEST, why));
        };
        if headers.contains_key(ORIGIN) && text(ORIGIN) != Some(&*format!("http://{host}")) {
            let why = "requests of other sites' pages are refused";
            return Some((StatusCode::FORBIDDEN, why));
        }
        let given = text(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        if given.is_some_and(|given| same(given.as_bytes(), self.token.as_bytes())) {
            return None;
        }
        let why = "a bearer token is needed: `admin.token` of the file, or `admin-token` in the state folder";
        Some((StatusCode::UNAUTHORIZED, why))
    }

    /// Addresses can't be given another meaning by a name server, and `localhost` is not asked for.
    fn is_own(&self, host: &str) -> bool {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        match name.parse::<IpAddr>() {
            Ok(address) => {
                address == self.listen.ip()
                    || self.listen.ip().is_unspecified()
                    || address.is_loopback() && self.listen.ip().is_loopback()
            }
            Err(_) => name == "localhost" && self.listen.ip().is_loopback(),
        }
    }
}

/// Compares without telling by its time how much is right.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    let differs = given
        .iter()
        .zip(wanted)
        .fold(0, |all, (a, b)| all | (a ^ b));
    given.len() == wanted.len() && differs == 0
}

pub(crate) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.objection(request.headers()) {
        None => next.run(request).await,
        Some((status, why)) => (status, format!("{why}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(listen: &str, headers: &[(&'static str, &str)]) -> Option<u16> {
        let guard = Guard::new("secret", listen.parse().unwrap());
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        guard.objection(&headers).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn token_host_and_origin_are_checked() {
        const OWN: &str = "127.0.0.1:8083";
        let token = ("authorization", "Bearer secret");
        assert_eq!(status(OWN, &[("host", OWN), token]), None);
        assert_eq!(status(OWN, &[("host", "localhost:8083"), token]), None);
        assert_eq!(status(OWN, &[("host", "[::1]:8083"), token]), None);
        assert_eq!(status("10.0.0.7:80", &[("host", "10.0.0.7"), token]), None);
        assert_eq!(status(OWN, &[("host", OWN)]), Some(401));
        let wrong = ("authorization", "Bearer secreT");
        assert_eq!(status(OWN, &[("host", OWN), wrong]), Some(401));
        let longer = ("authorization", "Bearer secrets");
        assert_eq!(status(OWN, &[("host", OWN), longer]), Some(401));
        assert_eq!(
            status(OWN, &[("host", "evil.example:8083"), token]),
            Some(421)
        );
        assert_eq!(status(OWN, &[token]), Some(421));
        let elsewhere = ("origin", "http://evil.example");
        assert_eq!(status(OWN, &[("host", OWN), token, elsewhere]), Some(403));
        let here = ("origin", "http://127.0.0.1:8083");
        assert_eq!(status(OWN, &[("host", OWN), token, here]), None);
    }
}
