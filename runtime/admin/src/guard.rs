//! Who may see and change connectors.
//!
//! A token alone is not enough for a server on this machine's own address: a page in a browser can
//! be made to send requests there, under a host name of its maker's. So the `Host` must be one of
//! the server's own, and whatever names another `Origin`, or comes from another site, is refused.
//!
//! What asks for no token (health, metrics, the page's files) is guarded the same way, but that a
//! server which others reach takes any `Host` there: probes and scrapers call it by the names of
//! pods and services, which nobody lists.

use crate::changes::is_written;
use crate::connections::Peer;
use crate::guesses::{self, Guesses};
use crate::operator::Objection;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// What a browser says of where a request comes from (Fetch Metadata).
const SITE: &str = "sec-fetch-site";
/// Asks a browser for the token: as the password, with any name.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"jackfield\"");

/// Where no address is known.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What a request must carry.
#[derive(Clone)]
pub(crate) struct Guard {
    /// None: nobody is asked.
    pub(crate) token: Option<Arc<str>>,
    pub(crate) listen: SocketAddr,
    /// Names beside the addresses, in lower case.
    pub(crate) hosts: Arc<[String]>,
    pub(crate) tls: bool,
    /// Wrong tokens that came.
    pub(crate) guesses: Guesses,
}

/// A refused change that is one more of many: the first of them is written down.
#[derive(Clone, Copy)]
pub(crate) struct Unwritten;

/// What a request says of the token.
enum Said {
    /// It is right, or nobody is asked for one.
    Right,
    Nothing,
    Wrong(String),
}

impl Guard {
    /// Whether a request is for another server, or of another site's page.
    fn foreign(&self, headers: &HeaderMap) -> Option<Objection> {
        let own = text(headers, HOST.as_str()).is_some_and(|host| self.is_own(host));
        if !own {
            let why = "the Host is none of this server's: name it by its address, or by one of `admin.hosts`";
            return Some(objection(421, "wrong-host", why));
        }
        self.other_site(headers)
    }

    /// The same of what asks for no token.
    fn foreign_in_the_open(&self, headers: &HeaderMap) -> Option<Objection> {
        match self.listen.ip().is_loopback() {
            true => self.foreign(headers),
            false => self.other_site(headers),
        }
    }

    fn other_site(&self, headers: &HeaderMap) -> Option<Objection> {
        let scheme = if self.tls { "https" } else { "http" };
        let host = text(headers, HOST.as_str()).unwrap_or_default();
        let other = headers.contains_key(ORIGIN)
            && text(headers, ORIGIN.as_str()) != Some(&*format!("{scheme}://{host}"));
        if other || matches!(text(headers, SITE), Some("cross-site" | "same-site")) {
            let why = "requests of other sites' pages are refused";
            return Some(objection(403, "other-site", why));
        }
        None
    }

    fn said(&self, headers: &HeaderMap) -> Said {
        let Some(token) = self.token.as_deref() else {
            return Said::Right;
        };
        match text(headers, AUTHORIZATION.as_str()).and_then(given) {
            None => Said::Nothing,
            Some(given) if same(given.as_bytes(), token.as_bytes()) => Said::Right,
            Some(given) => Said::Wrong(given),
        }
    }

    /// Why a request of this address is not let in.
    fn refusal(&self, headers: &HeaderMap, from: IpAddr) -> Option<Response> {
        if let Some(foreign) = self.foreign(headers) {
            return Some(foreign.into_response());
        }
        // Before any token is looked at.
        let asked = self.token.is_some() && headers.contains_key(AUTHORIZATION);
        if let Some(left) = self.guesses.held_off(from).filter(|_| asked) {
            let mut response = guesses::refusal(left);
            response.extensions_mut().insert(Unwritten);
            return Some(response);
        }
        match self.said(headers) {
            Said::Right => return None,
            Said::Nothing => {}
            Said::Wrong(token) => self.guesses.wrong(from, &token),
        }
        let mut response = unauthorized().into_response();
        let headers = response.headers_mut();
        headers.insert(WWW_AUTHENTICATE, CHALLENGE);
        Some(response)
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

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn unauthorized() -> Objection {
    let why = "the token is needed, as a bearer token or as the password of basic authentication: `admin.token` of the file, or `admin-token` in the state folder";
    objection(401, "unauthorized", why)
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

/// Lets in who has the token.
pub(crate) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    // One without an address is counted as everybody without one.
    let from = peer.map_or(NOBODY, |ConnectInfo(Peer(address))| address.ip());
    let Some(mut response) = guard.refusal(request.headers(), from) else {
        return next.run(request).await;
    };
    // Who is held off for guesses was written down for these.
    let held_off = response.status() == StatusCode::TOO_MANY_REQUESTS;
    if !held_off && is_written(&request) && !guard.guesses.is_news(from) {
        response.extensions_mut().insert(Unwritten);
    }
    response
}

/// Lets in whoever is here, and no page of another site.
pub(crate) async fn check_open(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Response {
    match guard.foreign_in_the_open(request.headers()) {
        None => next.run(request).await,
        Some(foreign) => foreign.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(listen: &str, headers: &[(&'static str, &str)]) -> Option<u16> {
        let guard = guard(listen);
        let refusal = guard.refusal(&map(headers), NOBODY);
        refusal.map(|it| it.status().as_u16())
    }

    fn map(headers: &[(&'static str, &str)]) -> HeaderMap {
        headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn guard(listen: &str) -> Guard {
        Guard {
            token: Some("secret".into()),
            listen: listen.parse().unwrap(),
            hosts: Arc::new(["admin.example".to_owned()]),
            tls: listen.ends_with(":443"),
            guesses: Guesses::default(),
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
            let refusal = open.refusal(&map(headers), NOBODY);
            refusal.map(|it| it.status().as_u16())
        };
        assert_eq!(status(&[("host", OWN)]), None);
        assert_eq!(status(&[("host", OWN), (SITE, "same-origin")]), None);
        assert_eq!(status(&[("host", OWN), (SITE, "none")]), None);
        assert_eq!(status(&[("host", OWN), (SITE, "cross-site")]), Some(403));
        assert_eq!(status(&[("host", OWN), ("origin", "null")]), Some(403));
        assert_eq!(status(&[("host", "evil.example:8083")]), Some(421));
    }

    #[test]
    fn what_asks_for_no_token_is_not_for_other_sites_pages_either() {
        let status = |listen: &str, headers: &[(&'static str, &str)]| {
            let objection = guard(listen).foreign_in_the_open(&map(headers));
            objection.map(|it| it.status)
        };
        const OWN: &str = "127.0.0.1:8083";
        assert_eq!(status(OWN, &[("host", OWN)]), None);
        assert_eq!(status(OWN, &[("host", "admin.example")]), None);
        assert_eq!(status(OWN, &[("host", "evil.example:8083")]), Some(421));
        assert_eq!(status(OWN, &[]), Some(421));
        // Others call it by names that it can't know; their pages are refused still.
        const ANY: &str = "0.0.0.0:8083";
        assert_eq!(status(ANY, &[("host", "jackfield.flows.svc")]), None);
        assert_eq!(status(ANY, &[]), None);
        for listen in [OWN, ANY] {
            let elsewhere = ("origin", "http://evil.example");
            assert_eq!(status(listen, &[("host", OWN), elsewhere]), Some(403));
            let browser = (SITE, "cross-site");
            assert_eq!(status(listen, &[("host", OWN), browser]), Some(403));
            assert_eq!(status(listen, &[("host", OWN), (SITE, "none")]), None);
        }
    }

    #[test]
    fn not_even_the_right_token_is_looked_at_after_many_wrong_ones() {
        const OWN: &str = "127.0.0.1:8083";
        let guard = guard(OWN);
        let status = |token: &str| {
            let value = format!("Bearer {token}");
            let headers = map(&[("host", OWN), ("authorization", &value)]);
            let refusal = guard.refusal(&headers, NOBODY);
            refusal.map(|it| it.status().as_u16())
        };
        assert_eq!(status("secret"), None);
        let answers: Vec<_> = (0..30).map(|guess| status(&guess.to_string())).collect();
        assert_eq!(answers.iter().filter(|it| **it == Some(401)).count(), 20);
        assert_eq!(answers.last(), Some(&Some(429)));
        assert_eq!(status("secret"), Some(429));
        // A browser is asked for the token, as before.
        let refusal = guard.refusal(&map(&[("host", OWN)]), NOBODY);
        assert_eq!(refusal.unwrap().status(), 401);
        let open = Guard {
            token: None,
            ..guard.clone()
        };
        let headers = map(&[("host", OWN), ("authorization", "Bearer any")]);
        assert!(open.refusal(&headers, NOBODY).is_none());
    }
}
