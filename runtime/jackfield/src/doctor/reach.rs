//! Whether anyone listens, and what to do where nobody does.

use super::verdict::{Area, Line};
use jackfield_plugin::Unreached;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use url::Url;

/// Opens a connection and closes it: the first address that answers.
pub(super) async fn tcp(host: &str, port: u16) -> Result<SocketAddr, Unreached> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let unknown = |reason: String| Unreached::Name {
        host: bare.to_owned(),
        reason,
    };
    let addresses = tokio::net::lookup_host((bare, port))
        .await
        .map_err(|e| unknown(e.to_string()))?;
    let mut last = unknown("it leads to no address".to_owned());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(_) => return Ok(address),
            Err(error) => {
                last = Unreached::Connect {
                    address: address.to_string(),
                    reason: error.to_string(),
                    refused: error.kind() == io::ErrorKind::ConnectionRefused,
                };
            }
        }
    }
    Err(last)
}

/// What is looked for, for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service<'a> {
    pub(super) area: Area,
    /// Such as `the schema registry`.
    pub(super) what: &'a str,
    /// How it is shown: no credentials.
    pub(super) name: &'a str,
    /// Where it is said in the file.
    pub(super) key: &'a str,
}

impl Service<'_> {
    /// Why it is not reached, and what to do: each step has its own remedy.
    pub(super) fn unreached(&self, why: &Unreached) -> Line {
        let Self {
            area,
            what,
            name,
            key,
        } = *self;
        let service = format!("{what} ({name})");
        match why {
            Unreached::Name { host, reason } => Line::fail(
                area,
                name,
                format!("the name {host} leads nowhere: {reason}"),
                format!("mend `{key}`, or what this machine resolves names by"),
            ),
            Unreached::Connect {
                address,
                refused: true,
                ..
            } => Line::fail(
                area,
                name,
                format!("{what} is not running: nothing listens at {address}"),
                format!("start {what}, or mend `{key}`"),
            )
            .down(service),
            Unreached::Connect {
                address, reason, ..
            } => Line::fail(
                area,
                name,
                format!("no connection to {address}: {reason}"),
                format!("is that machine up, and does a firewall lie between? `{key}` names it"),
            )
            .down(service),
            Unreached::Tls { address, reason } => Line::fail(
                area,
                name,
                format!("TLS with {address} fails: {reason}"),
                format!(
                    "check the certificate of {what}, which of them this machine trusts, and whether `{key}` should begin with https or wss at all"
                ),
            ),
            Unreached::Answer { address, reason } => Line::fail(
                area,
                name,
                format!("{address} takes connections and does not answer as {what}: {reason}"),
                format!("is it {what} that listens there? `{key}` names it"),
            ),
        }
    }
}

/// A URL without user and password, and without its query, which may have a key.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Neither fails for a URL that has a host.
    let _no_user = url.set_username("");
    let _no_password = url.set_password(None);
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_listen_is_not_running() {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            assert!(tcp("127.0.0.1", port).await.is_ok());
            port
        };
        let why = tcp("[127.0.0.1]", port).await.unwrap_err();
        let line = Service {
            area: Area::Registry,
            what: "the schema registry",
            name: "http://127.0.0.1",
            key: "log.kafka.schema.registry.url",
        }
        .unreached(&why);
        assert!(line.message.contains("is not running"), "{}", line.message);
        let down = line.not_running.unwrap();
        assert_eq!(down, "the schema registry (http://127.0.0.1)");
    }

    #[test]
    fn credentials_are_not_shown() {
        let url = Url::parse("https://me:secret@host:8081/").unwrap();
        assert_eq!(shown(&url), "https://host:8081");
        let url = Url::parse("wss://host/stream?key=secret#secret").unwrap();
        assert_eq!(shown(&url), "wss://host/stream");
    }
}
