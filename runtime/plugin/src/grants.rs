//! What a connector may reach. A grant is a line of YAML; asking beyond it is denied.

use crate::network::Network;
use secrecy::SecretString;
use std::fmt;
use std::sync::Arc;
use url::Url;

/// A grant that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the grant `{grant}` is not usable: {reason}")]
pub struct BadGrant {
    /// As it was given.
    pub grant: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A URL up to and including a path segment. It grants what has the same scheme, host and port,
/// and lies at or below its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPrefix {
    url: Url,
}

impl UrlPrefix {
    /// Parses a prefix with one of the given schemes.
    ///
    /// # Errors
    /// It is no URL of such a scheme, or has parts that grants don't have.
    pub fn parse(text: &str, schemes: &[&str]) -> Result<Self, BadGrant> {
        let bad = |reason: String| BadGrant {
            grant: text.to_owned(),
            reason,
        };
        let url = Url::parse(text).map_err(|e| bad(e.to_string()))?;
        if !schemes.contains(&url.scheme()) {
            return Err(bad(format!("its scheme must be {}", schemes.join(" or "))));
        }
        if url.host().is_none() {
            return Err(bad("it has no host".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad(
                "credentials belong into `headers`, where they are kept secret".to_owned(),
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad(
                "a query or fragment can't be granted, only a path".to_owned()
            ));
        }
        Ok(Self { url })
    }

    /// Whether `url` lies at or below this prefix.
    pub fn covers(&self, url: &Url) -> bool {
        self.url.scheme() == url.scheme()
            && self.url.host() == url.host()
            && self.url.port_or_known_default() == url.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none()
            && self.covers_path(url.path())
    }

    /// Dot segments are gone by parsing. An encoded slash is not: some servers decode it before
    /// they resolve dots, so below a path it is refused.
    fn covers_path(&self, path: &str) -> bool {
        let prefix = self.url.path().trim_end_matches('/');
        if prefix.is_empty() {
            return true;
        }
        let lower = path.to_ascii_lowercase();
        let hidden = ["%2f", "%5c", "%2e"]
            .iter()
            .any(|encoded| lower.contains(encoded));
        !hidden
            && path
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

/// Where a connector may open WebSocket connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WebSocketGrants {
    prefixes: Arc<[UrlPrefix]>,
    network: Network,
}

impl WebSocketGrants {
    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// Grants these URL prefixes; an empty list grants nothing.
    ///
    /// # Errors
    /// The first prefix that is not a ws or wss URL.
    pub fn new<S: AsRef<str>>(prefixes: &[S], network: &Network) -> Result<Self, BadGrant> {
        let prefixes: Result<Arc<[_]>, _> = prefixes
            .iter()
            .map(|p| UrlPrefix::parse(p.as_ref(), &["ws", "wss"]))
            .collect();
        Ok(Self {
            prefixes: prefixes?,
            network: network.clone(),
        })
    }

    /// Whether `url` may be connected to.
    pub fn covers(&self, url: &Url) -> bool {
        self.prefixes.iter().any(|prefix| prefix.covers(url))
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }
}

/// One place that may be requested, and what the host adds on the way out.
#[derive(Debug, Clone)]
pub struct HttpGrant {
    /// What is granted.
    pub prefix: UrlPrefix,
    /// Headers that a plugin never sees, such as keys. They replace a plugin's own of that name.
    pub headers: Vec<(String, SecretString)>,
}

impl HttpGrant {
    /// Grants a prefix, adding headers to each request.
    ///
    /// # Errors
    /// It is not an http or https URL, or a header is none.
    pub fn new(url: &str, headers: Vec<(String, SecretString)>) -> Result<Self, BadGrant> {
        let prefix = UrlPrefix::parse(url, &["http", "https"])?;
        for (name, value) in &headers {
            crate::http_client::check_header(name, value).map_err(|reason| BadGrant {
                grant: url.to_owned(),
                reason,
            })?;
        }
        Ok(Self { prefix, headers })
    }
}

/// Where a connector may send HTTP requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpGrants {
    grants: Arc<[HttpGrant]>,
    network: Network,
}

impl HttpGrants {
    /// Grants these; an empty list grants nothing.
    pub fn new(grants: Vec<HttpGrant>, network: &Network) -> Self {
        Self {
            grants: grants.into(),
            network: network.clone(),
        }
    }

    /// The same network, and nothing granted.
    #[must_use]
    pub fn nothing(&self) -> Self {
        Self {
            grants: Arc::new([]),
            network: self.network.clone(),
        }
    }

    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }

    /// The grant that covers `url`: the longest, so that one path of a host can have keys of its
    /// own.
    pub fn of(&self, url: &Url) -> Option<&HttpGrant> {
        self.grants
            .iter()
            .filter(|grant| grant.prefix.covers(url))
            .max_by_key(|grant| grant.prefix.url.path().len())
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(grant: &str, url: &str) -> bool {
        UrlPrefix::parse(grant, &["ws", "wss", "http", "https"])
            .unwrap()
            .covers(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_grant_covers_its_host_and_what_lies_below_its_path() {
        assert!(covers(
            "wss://a.example",
            "wss://a.example/stream?streams=btcusdt@trade"
        ));
        assert!(covers("wss://a.example:443", "wss://A.EXAMPLE/x"));
        assert!(covers(
            "https://a.example/api/v3",
            "https://a.example/api/v3/trades?x=1"
        ));
        assert!(covers(
            "https://a.example/api/v3/",
            "https://a.example/api/v3"
        ));
    }

    #[test]
    fn a_grant_covers_nothing_that_only_looks_alike() {
        for (grant, url) in [
            ("wss://a.example", "ws://a.example/"),
            ("wss://a.example", "wss://a.example.evil.org/"),
            ("wss://a.example", "wss://a.example:8443/"),
            ("wss://a.example", "wss://a.example@evil.org/"),
            ("wss://a.example", "wss://user:secret@a.example/"),
            ("wss://a.example", "wss://xa.example/"),
            ("https://a.example/api/v3", "https://a.example/api/v30"),
            (
                "https://a.example/api/v3",
                "https://a.example/api/v3/../admin",
            ),
            (
                "https://a.example/api/v3",
                "https://a.example/api/v3/%2e%2e/admin",
            ),
            (
                "https://a.example/api/v3",
                "https://a.example/api/v3/..%2fadmin",
            ),
            (
                "https://a.example/api/v3",
                "https://a.example/api/v3\\..\\admin",
            ),
            ("http://127.0.0.1:80", "http://127.0.0.1.evil.org/"),
        ] {
            assert!(!covers(grant, url), "{grant} must not cover {url}");
        }
    }

    #[test]
    fn numbers_that_are_the_same_address_are_the_same_host() {
        assert!(covers("http://127.0.0.1:8080", "http://0x7f.1:8080/"));
        assert!(!covers("http://127.0.0.1:8080", "http://0x7f.2:8080/"));
    }

    #[test]
    fn grants_that_make_no_sense_are_refused() {
        for bad in [
            "a.example",
            "ftp://a.example",
            "https://u:p@a.example",
            "https://a.example/?q",
            "https://a.example/#f",
        ] {
            assert!(UrlPrefix::parse(bad, &["http", "https"]).is_err(), "{bad}");
        }
    }
}
