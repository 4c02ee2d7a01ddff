//! Whether a granted URL can be reached, step by step: for whoever looks for what is not running.
//!
//! The way is the one that connectors go: the same check of the address, the same root
//! certificates. Nothing of a grant's headers is sent.

use crate::network::{Network, resolve};
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderMap, header};
use tokio_tungstenite::tungstenite::{self, http};
use tokio_tungstenite::{Connector, client_async_tls_with_config};
use url::{Host, Url};

/// A server that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Where it is.
    pub address: SocketAddr,
    /// The HTTP status; 101 for a WebSocket that was opened, and closed again.
    pub status: u16,
    /// The `Date` that it sent with the answer.
    pub date: Option<String>,
}

/// The step at which the way ends; each has another remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// The name leads nowhere, or where it must not.
    #[error("the name {host} cannot be used: {reason}")]
    Name {
        /// The name.
        host: String,
        /// What the resolver says.
        reason: String,
    },
    /// Nobody takes a connection there.
    #[error("no connection to {address}: {reason}")]
    Connect {
        /// The address that was tried last.
        address: String,
        /// What the system says.
        reason: String,
        /// The machine is there and says that nothing listens.
        refused: bool,
    },
    /// The server's certificate is not good for this URL, or it speaks no TLS.
    #[error("TLS with {address}: {reason}")]
    Tls {
        /// The server's address.
        address: SocketAddr,
        /// What the TLS library says.
        reason: String,
    },
    /// It takes connections and does not answer as such a server does.
    #[error("{address} takes connections and does not answer: {reason}")]
    Answer {
        /// The server's address.
        address: SocketAddr,
        /// What is wrong.
        reason: String,
    },
}

/// Opens a connection to a `ws`, `wss`, `http` or `https` URL and asks once: for the WebSocket, or
/// by a GET. Any status is an answer. The wait is whoever's who calls.
///
/// # Errors
/// The step at which the way ends.
pub async fn probe(network: &Network, url: &Url) -> Result<Reached, Unreached> {
    let (stream, address) = connect(url).await?;
    let secure = matches!(url.scheme(), "https" | "wss");
    if secure {
        // A handshake of its own, so that its failure is told from that of the server behind it.
        let (again, _) = connect(url).await?;
        handshake(network, url, again, address).await?;
    }
    match url.scheme() {
        "ws" | "wss" => websocket(network, url, stream, address).await,
        _ => {
            drop(stream);
            get(network, url, address).await
        }
    }
}

async fn connect(url: &Url) -> Result<(TcpStream, SocketAddr), Unreached> {
    let port = url.port_or_known_default().unwrap_or_default();
    let addresses = match url.host() {
        Some(Host::Domain(host)) => resolve(host, port).await.map_err(|error| Unreached::Name {
            host: host.to_owned(),
            reason: error.to_string(),
        })?,
        Some(Host::Ipv4(address)) => vec![SocketAddr::from((address, port))],
        Some(Host::Ipv6(address)) => vec![SocketAddr::from((address, port))],
        None => Vec::new(),
    };
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => last = Some((address, error)),
        }
    }
    Err(match last {
        Some((address, error)) => Unreached::Connect {
            address: address.to_string(),
            reason: error.to_string(),
            refused: error.kind() == io::ErrorKind::ConnectionRefused,
        },
        None => Unreached::Name {
            host: url.host_str().unwrap_or_default().to_owned(),
            reason: "it leads to no address".to_owned(),
        },
    })
}

async fn handshake(
    network: &Network,
    url: &Url,
    stream: TcpStream,
    address: SocketAddr,
) -> Result<(), Unreached> {
    let failed = |reason: String| Unreached::Tls { address, reason };
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(|e| failed(e.to_string()))?;
    let connector = TlsConnector::from(network.tls());
    let shaken = connector.connect(name, stream).await;
    shaken.map(drop).map_err(|e| failed(e.to_string()))
}

async fn websocket(
    network: &Network,
    url: &Url,
    stream: TcpStream,
    address: SocketAddr,
) -> Result<Reached, Unreached> {
    let failed = |reason: String| Unreached::Answer { address, reason };
    let connector = match url.scheme() {
        "wss" => Connector::Rustls(network.tls()),
        _ => Connector::Plain,
    };
    let request = url.as_str().into_client_request();
    let request = request.map_err(|e| failed(e.to_string()))?;
    let opened = client_async_tls_with_config(request, stream, None, Some(connector)).await;
    let reached = |status: http::StatusCode, headers: &HeaderMap| Reached {
        address,
        status: status.as_u16(),
        date: date(headers),
    };
    match opened {
        Ok((_, response)) => Ok(reached(response.status(), response.headers())),
        Err(tungstenite::Error::Http(response)) => {
            Ok(reached(response.status(), response.headers()))
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

async fn get(network: &Network, url: &Url, address: SocketAddr) -> Result<Reached, Unreached> {
    match network.http().get(url.clone()).send().await {
        Ok(response) => Ok(Reached {
            address,
            status: response.status().as_u16(),
            date: date(response.headers()),
        }),
        Err(error) => Err(Unreached::Answer {
            address,
            reason: innermost(&error),
        }),
    }
}

/// The reason below all the layers that only say that something failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut reason = error;
    while let Some(deeper) = reason.source() {
        reason = deeper;
    }
    reason.to_string()
}

fn date(headers: &HeaderMap) -> Option<String> {
    let date = headers.get(header::DATE)?;
    date.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A server that answers each connection's first bytes with a text, however silent others are.
    async fn answering(text: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut asked = [0; 1024];
                    if stream.read(&mut asked).await.is_ok_and(|read| read > 0) {
                        stream.write_all(text.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        address
    }

    async fn probed(scheme: &str, address: SocketAddr) -> Result<Reached, Unreached> {
        let url = Url::parse(&format!("{scheme}://{address}/")).unwrap();
        probe(&Network::new().unwrap(), &url).await
    }

    #[tokio::test]
    async fn any_status_is_an_answer() {
        let text = "HTTP/1.1 404 Not Found\r\nDate: Thu, 26 Nov 2026 22:00:00 GMT\r\nContent-Length: 0\r\n\r\n";
        let address = answering(text).await;
        for scheme in ["http", "ws"] {
            let reached = probed(scheme, address).await.unwrap();
            assert_eq!((reached.status, reached.address), (404, address));
            assert_eq!(
                reached.date.as_deref(),
                Some("Thu, 26 Nov 2026 22:00:00 GMT")
            );
        }
    }

    #[tokio::test]
    async fn each_step_fails_as_itself() {
        let nobody = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        for scheme in ["http", "https", "ws", "wss"] {
            let error = probed(scheme, nobody).await.unwrap_err();
            assert!(
                matches!(error, Unreached::Connect { refused: true, .. }),
                "{error}"
            );
        }
        let babbling = answering("no server of anything\r\n\r\n").await;
        for scheme in ["https", "wss"] {
            let error = probed(scheme, babbling).await.unwrap_err();
            assert!(matches!(error, Unreached::Tls { .. }), "{error}");
        }
        for scheme in ["http", "ws"] {
            let error = probed(scheme, babbling).await.unwrap_err();
            assert!(matches!(error, Unreached::Answer { .. }), "{error}");
        }
        // No name server is asked for a label of more than 63 characters.
        let url = Url::parse(&format!("http://{}/", "x".repeat(64))).unwrap();
        let error = probe(&Network::new().unwrap(), &url).await.unwrap_err();
        assert!(matches!(error, Unreached::Name { .. }), "{error}");
    }
}
