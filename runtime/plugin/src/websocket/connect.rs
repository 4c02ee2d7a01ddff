//! From a granted URL to an open WebSocket.

use crate::network::{Network, resolve};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, http};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use url::{Host, Url};

/// Largest message, in one frame or many: an exchange's table of all tickers has about 1 MiB.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Read at once from a socket; some hundred trades.
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Outgoing bytes that are gathered before a write.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// Outgoing bytes that may wait for a slow peer.
const WRITE_BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// An idle connection is probed by TCP after this time, a backstop to the WebSocket's own pings.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Between such probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens it; the error says what failed, for people.
pub(super) async fn open(
    url: &Url,
    network: &Network,
    patience: Duration,
) -> Result<Socket, String> {
    match tokio::time::timeout(patience, connect(url, network)).await {
        Ok(opened) => opened,
        Err(_) => Err(format!("not open within {} ms", patience.as_millis())),
    }
}

async fn connect(url: &Url, network: &Network) -> Result<Socket, String> {
    let port = url.port_or_known_default().ok_or("the URL has no port")?;
    let addresses = match url.host() {
        Some(Host::Domain(name)) => resolve(name, port)
            .await
            .map_err(|e| format!("the name {name} cannot be used: {e}"))?,
        Some(Host::Ipv4(address)) => vec![SocketAddr::from((address, port))],
        Some(Host::Ipv6(address)) => vec![SocketAddr::from((address, port))],
        None => return Err("the URL has no host".to_owned()),
    };
    let stream = reach(&addresses).await?;
    let connector = match url.scheme() {
        "wss" => Connector::Rustls(network.tls()),
        _ => Connector::Plain,
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let request = url
        .as_str()
        .into_client_request()
        .map_err(|e| e.to_string())?;
    let opened = client_async_tls_with_config(request, stream, Some(config), Some(connector)).await;
    opened
        .map(|(socket, _)| socket)
        .map_err(|error| refusal(&error))
}

/// The first address that answers.
async fn reach(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut reason = "the name leads to no address".to_owned();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                prepare(&stream).map_err(|e| format!("{address}: {e}"))?;
                return Ok(stream);
            }
            Err(error) => reason = format!("{address}: {error}"),
        }
    }
    Err(reason)
}

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// A server that refuses says why in the status, such as 429.
fn refusal(error: &Error) -> String {
    match error {
        Error::Http(response) => {
            let retry_after = response
                .headers()
                .get(http::header::RETRY_AFTER)
                .and_then(|v| v.to_str().ok())
                .map_or(String::new(), |v| format!(", retry after {v}"));
            format!("the server answered {}{retry_after}", response.status())
        }
        other => other.to_string(),
    }
}
