//! Connections against a local server that behaves and misbehaves.

mod ends;
mod frames;
mod limits;
mod pings;

use super::*;
use crate::network::Network;
use crate::testing::{distrusting, receive, receive_all};
use futures::StreamExt;
use std::future::Future;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

struct Slot {
    inbox: Arc<Inbox>,
    connections: Arc<Connections>,
    usage: Arc<Usage>,
    url: String,
}

/// Waits that are short, so that tests of them are too; but none is shorter than what a busy
/// machine needs for what must succeed.
fn brisk() -> Patience {
    Patience {
        connect: Duration::from_secs(20),
        ping_every: Duration::from_millis(100),
        pong_within: Duration::from_millis(400),
        send: Duration::from_secs(20),
        goodbye: Duration::from_millis(300),
    }
}

impl Slot {
    fn new(url: &str, network: &Network, inbox_bytes_max: usize, patience: Patience) -> Self {
        let (inbox, usage) = (Inbox::new(inbox_bytes_max), Arc::new(Usage::default()));
        let grants = WebSocketGrants::new(&[url], network).unwrap();
        let connections =
            Connections::with_patience(Arc::clone(&inbox), grants, Arc::clone(&usage), patience);
        Self {
            inbox,
            connections,
            usage,
            url: url.to_owned(),
        }
    }

    /// Open connections to a server that does this with each.
    async fn with<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let address = server(serve).await;
        Self::new(
            &format!("ws://{address}"),
            &distrusting(),
            1 << 20,
            Patience::default(),
        )
    }

    fn brisk(self) -> Self {
        Self::new(&self.url, &distrusting(), 1 << 20, brisk())
    }

    fn open(&self) -> u64 {
        self.connections.open("c", &self.url).unwrap()
    }

    /// Opens a connection that never lives; says why.
    async fn fails(&self) -> String {
        let id = self.open();
        let seen = receive(&self.inbox).await;
        let [closed] = &seen[..] else {
            panic!("{seen:?}")
        };
        assert_eq!(closed.id, id);
        let (code, reason) = closed.closed();
        assert_eq!(code, 0, "{reason}");
        reason
    }
}

async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> std::net::SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn upgraded(stream: TcpStream) -> WebSocketStream<TcpStream> {
    accept_async(stream).await.unwrap()
}

/// Accepts, and never says a word.
async fn silent(stream: TcpStream) {
    let _kept_open = stream;
    std::future::pending().await
}

/// Reads until the peer is gone.
async fn drain<S>(socket: &mut WebSocketStream<S>)
where
    WebSocketStream<S>:
        StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    while let Some(Ok(_)) = socket.next().await {}
}
