//! Who may see and change connectors.
//!
//! A token alone is not enough for a server on this machine's own address: a page in a browser can
//! be made to send requests there, under a host name of its maker's. So the `Host` must be one of
//! the server's own, and whatever names another `Origin`, or comes from another site, is refused.

use crate::operator::Objection;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What a browser says of where a request comes from (Fetch Metadata).
const SITE: &str = "sec-fetch-site";
/// Asks a browser for the token: as the password, with any name.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"jackfield\"");

/// What a request must carry.
#[derive(Clone)]
pub(crate) struct Guard {
    /// None: nobody is asked.
    pub(crate) token: Option<Arc<str>>,
    pub(crate) listen: SocketAddr,
    /// Names beside the addresses, in lower case.
    pub(crate) hosts: Arc<[String]>,
    pub(crate) tls: bool,
}

impl Guard {
    fn objection(&self, headers: &HeaderMap) -> Option<Objection> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(host) = text(HOST.as_str()).filter(|host| self.is_own(host)) else {
            let why = "the Host is none of this server's: name it by its address, or by one of `admin.hosts`";
            return Some(objection(421, "wrong-host", why));
        };
        let scheme = if self.tls { "https" } else { "http" };
        let other = headers.contains_key(ORIGIN)
            && text(ORIGIN.as_str()) != Some(&*format!("{scheme}://{host}"));
        if other || matches!(text(SITE), Some("cross-site" | "same-site")) {
            let why = "requests of other sites' pages are refused";
            return Some(objection(403, "other-site", why));
        }
        let token = self.token.as_deref()?;
        let given = text(AUTHORIZATION.as_str()).and_then(given);
        if given.is_some_and(|given| same(given.as_bytes(), token.as_bytes())) {
            return None;
        }
        let why = "the token is needed, as a bearer token or as the password of basic authentication: `admin.token` of the file, or `admin-token` in the state folder";
        Some(objection(401, "unauthorized", why))
    }

    /// Addresses can't be given another meaning by a name server, and `localhost` is not asked for.
    fn is_own(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            Some(_) | None => host,
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        if self.hosts.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return true;
        }
        match name.parse::<IpAddr>() {
            Ok(address) => {
                address == self.listen.ip()
                    || self.listen.ip().is_unspecified()
                    || address.is_loopback() && self.listen.ip().is_loopback()
            }
            Err(_) => name.eq_ignore_ascii_case("localhost") && self.listen.ip().is_loopback(),
        }
    }
}

fn objection(status: u16, code: &'static str, message: &str) -> Objection {
    Objection {
        status,
        code,
        message: message.to_owned(),
    }
}

/// The token that an `Authorization` carries.
fn given(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    Some(text.split_once(':')?.1.to_owned())
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
        Some(objection) => {
            let unknown = objection.status == 401;
            let mut response = objection.into_response();
            if unknown {
                response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
            }
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(listen: &str, headers: &[(&'static str, &str)]) -> Option<u16> {
        let guard = guard(listen);
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        guard.objection(&headers).map(|it| it.status)
    }

    fn guard(listen: &str) -> Guard {
        Guard {
            token: Some("secret".into()),
            listen: listen.parse().unwrap(),
            hosts: Arc::new(["admin.example".to_owned()]),
            tls: listen.ends_with(":443"),
        }
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

    #[test]
    fn basic_authentication_carries_the_token_as_its_password() {
        const OWN: &str = "127.0.0.1:8083";
        let with = |text: &str| {
            let value = format!("Basic {}", STANDARD.encode(text));
            status(OWN, &[("host", OWN), ("authorization", &value)])
        };
        assert_eq!(with("anyone:secret"), None);
        assert_eq!(with(":secret"), None);
        assert_eq!(with("secret"), Some(401));
        assert_eq!(with("secret:"), Some(401));
        assert_eq!(with("anyone:secret:"), Some(401));
        let garbage = ("authorization", "Basic ***");
        assert_eq!(status(OWN, &[("host", OWN), garbage]), Some(401));
    }

    #[test]
    fn further_hosts_are_named_in_the_file() {
        let token = ("authorization", "bearer secret");
        assert_eq!(
            status("10.0.0.7:443", &[("host", "Admin.example:443"), token]),
            None
        );
        assert_eq!(
            status("10.0.0.7:443", &[("host", "example:443"), token]),
            Some(421)
        );
        assert_eq!(
            status("10.0.0.7:443", &[("host", "localhost"), token]),
            Some(421)
        );
        let here = ("origin", "https://admin.example:443");
        assert_eq!(
            status(
                "10.0.0.7:443",
                &[("host", "admin.example:443"), token, here]
            ),
            None
        );
        let plain = ("origin", "http://admin.example:443");
        assert_eq!(
            status(
                "10.0.0.7:443",
                &[("host", "admin.example:443"), token, plain]
            ),
            Some(403)
        );
    }

    #[test]
    fn without_a_token_other_sites_are_refused_still() {
        const OWN: &str = "127.0.0.1:8083";
        let open = Guard {
            token: None,
            ..guard(OWN)
        };
        let status = |headers: &[(&'static str, &str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            open.objection(&headers).map(|it| it.status)
        };
        assert_eq!(status(&[("host", OWN)]), None);
        assert_eq!(status(&[("host", OWN), (SITE, "same-origin")]), None);
        assert_eq!(status(&[("host", OWN), (SITE, "none")]), None);
        assert_eq!(status(&[("host", OWN), (SITE, "cross-site")]), Some(403));
        assert_eq!(status(&[("host", OWN), ("origin", "null")]), Some(403));
        assert_eq!(status(&[("host", "evil.example:8083")]), Some(421));
    }
}
