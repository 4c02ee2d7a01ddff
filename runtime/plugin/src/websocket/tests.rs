//! Connections against a local server that behaves and misbehaves.

use super::*;
use crate::network::Network;
use crate::testing::{Seen, acceptor, distrusting, eventually, receive, receive_all, trusting};
use futures::{SinkExt, StreamExt};
use std::future::Future;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};
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

fn kinds(seen: &[Seen]) -> Vec<Kind> {
    seen.iter().map(|e| e.kind).collect()
}

/// More than are taken in one turn are there at once.
#[tokio::test]
async fn a_burst_arrives_whole() {
    const FRAMES: usize = 4000;
    let slot = Slot::with(|stream| async {
        let mut socket = upgraded(stream).await;
        for number in 0..FRAMES {
            socket
                .feed(Message::text(number.to_string()))
                .await
                .unwrap();
        }
        socket.flush().await.unwrap();
        drain(&mut socket).await;
    })
    .await;
    slot.open();
    let seen = receive_all(&slot.inbox, FRAMES + 1).await;
    let numbers = seen[1..]
        .iter()
        .map(|event| String::from_utf8(event.body.clone()).unwrap());
    let sent = (0..FRAMES).map(|number| number.to_string());
    assert!(numbers.eq(sent), "each frame once, in order");
}

#[tokio::test]
async fn opening_frames_and_closing_arrive_in_order() {
    let slot = Slot::with(|stream| async {
        let mut socket = upgraded(stream).await;
        socket.send(Message::text("one")).await.unwrap();
        socket.send(Message::text("two")).await.unwrap();
        socket.send(Message::binary(vec![3])).await.unwrap();
        let bye = CloseFrame {
            code: CloseCode::Away,
            reason: "serverShutdown".into(),
        };
        socket.close(Some(bye)).await.unwrap();
        drain(&mut socket).await;
    })
    .await;
    let id = slot.open();
    let seen = receive_all(&slot.inbox, 5).await;
    assert_eq!(
        kinds(&seen),
        [
            Kind::Opened,
            Kind::Text,
            Kind::Text,
            Kind::Binary,
            Kind::Closed
        ]
    );
    assert!(seen.iter().all(|e| e.id == id));
    assert_eq!(
        seen.iter().map(|e| e.number).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );
    assert_eq!(
        (seen[1].text(), seen[2].text(), &seen[3].body[..]),
        ("one", "two", &[3][..])
    );
    assert_eq!(seen[4].closed(), (1001, "serverShutdown".to_owned()));
    let usage = slot.usage.snapshot();
    assert_eq!((usage.frames, usage.frame_bytes, usage.connects), (3, 7, 1));
}

#[tokio::test]
async fn pings_are_answered_while_nothing_is_received() {
    let slot = Slot::with(|stream| async {
        let mut socket = upgraded(stream).await;
        socket
            .send(Message::Ping("are you there".into()))
            .await
            .unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Pong(body) = message {
                socket
                    .send(Message::text(String::from_utf8(body.to_vec()).unwrap()))
                    .await
                    .unwrap();
            }
        }
    })
    .await;
    slot.open();
    let seen = receive_all(&slot.inbox, 2).await;
    assert_eq!(seen[1].text(), "are you there");
}

#[tokio::test]
async fn what_the_plugin_sends_arrives_and_a_closing_of_its_own_is_clean() {
    let slot = Slot::with(|stream| async {
        let mut socket = upgraded(stream).await;
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Text(text) = message {
                socket
                    .send(Message::text(format!("echo {text}")))
                    .await
                    .unwrap();
            }
        }
    })
    .await;
    let id = slot.open();
    slot.connections.send(id, "hello".to_owned()).unwrap();
    let seen = receive_all(&slot.inbox, 2).await;
    assert_eq!(seen[1].text(), "echo hello");
    slot.connections.close(id);
    let seen = receive_all(&slot.inbox, 1).await;
    assert_eq!(seen[0].closed().0, 1000);
    eventually("the end", || {
        slot.connections.list()[0].state == ConnectionState::Closed
    })
    .await;
    assert!(matches!(
        slot.connections.send(id, "late".to_owned()),
        Err(WebSocketError::Invalid(_))
    ));
    assert!(matches!(
        slot.connections.send(99, "never".to_owned()),
        Err(WebSocketError::Invalid(_))
    ));
}

#[tokio::test]
async fn a_half_open_socket_is_noticed() {
    let slot = Slot::with(|stream| async {
        let _never_read = upgraded(stream).await;
        std::future::pending::<()>().await;
    })
    .await
    .brisk();
    slot.open();
    let seen = receive_all(&slot.inbox, 2).await;
    let (code, reason) = seen[1].closed();
    assert!(
        code == 0 && reason.contains("nothing heard within 400 ms"),
        "{code} {reason}"
    );
}

#[tokio::test]
async fn a_silent_peer_that_answers_pings_stays_connected() {
    let slot = Slot::with(|stream| async {
        let mut socket = upgraded(stream).await;
        for _ in 0..8 {
            // Reading is what answers.
            let ping = socket.next().await.unwrap().unwrap();
            assert!(ping.is_ping());
        }
        socket.send(Message::text("still here")).await.unwrap();
        drain(&mut socket).await;
    })
    .await;
    let patience = Patience {
        ping_every: Duration::from_millis(20),
        pong_within: Duration::from_secs(20),
        ..brisk()
    };
    let slot = Slot::new(&slot.url, &distrusting(), 1 << 20, patience);
    slot.open();
    let seen = receive_all(&slot.inbox, 2).await;
    assert_eq!(seen[1].text(), "still here");
}

#[tokio::test]
async fn a_full_inbox_stops_reading_and_loses_nothing() {
    const FRAMES: usize = 5_000;
    const INBOX_BYTES_MAX: usize = 64 * 1024;
    let slot = Slot::with(|stream| async {
        let mut socket = upgraded(stream).await;
        for i in 0..FRAMES {
            let frame = format!("{i} {}", "x".repeat(2_000));
            if socket.send(Message::text(frame)).await.is_err() {
                return;
            }
        }
        socket.close(None).await.unwrap();
        drain(&mut socket).await;
    })
    .await;
    // With pings that are due all the time: not reading must not be taken for a dead peer.
    let patience = Patience {
        ping_every: Duration::from_millis(10),
        ..brisk()
    };
    let slot = Slot::new(&slot.url, &distrusting(), INBOX_BYTES_MAX, patience);
    slot.open();
    eventually("a full inbox", || {
        slot.inbox.bytes() > INBOX_BYTES_MAX - 3_000
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(
        slot.inbox.bytes() <= INBOX_BYTES_MAX + 1_000,
        "the bound holds: {}",
        slot.inbox.bytes()
    );
    let mut frames = 0;
    loop {
        let seen = receive(&slot.inbox).await;
        for event in &seen {
            match event.kind {
                Kind::Text => {
                    let number: usize = event.text().split(' ').next().unwrap().parse().unwrap();
                    assert_eq!(number, frames, "in order, none missing, none twice");
                    frames += 1;
                }
                Kind::Closed => {
                    assert_eq!((frames, event.closed().1.as_str()), (FRAMES, ""));
                    return;
                }
                _ => {}
            }
        }
        slot.inbox.settle(seen.last().unwrap().number);
    }
}

#[tokio::test]
async fn a_refusal_says_what_the_server_said() {
    let slot = Slot::with(|mut stream| async move {
        let mut request = [0; 2048];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let answer =
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let reason = slot.fails().await;
    assert!(
        reason.contains("429") && reason.contains("retry after 7"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_an_event_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let slot = Slot::new(&format!("ws://{address}"), &distrusting(), 1 << 20, brisk());
    let reason = slot.fails().await;
    assert!(reason.contains(&address.to_string()), "{reason}");
}

#[tokio::test]
async fn a_server_that_never_upgrades_is_given_up() {
    let slot = Slot::with(silent).await;
    let patience = Patience {
        connect: Duration::from_millis(200),
        ..brisk()
    };
    let slot = Slot::new(&slot.url, &distrusting(), 1 << 20, patience);
    let reason = slot.fails().await;
    assert!(reason.contains("not open within 200 ms"), "{reason}");
}

#[tokio::test]
async fn a_connection_that_is_cut_is_closed_without_a_code() {
    let slot = Slot::with(|stream| async {
        let mut socket = upgraded(stream).await;
        socket.send(Message::text("and then")).await.unwrap();
    })
    .await;
    slot.open();
    let seen = receive_all(&slot.inbox, 3).await;
    let (code, reason) = seen[2].closed();
    assert!(code == 0 && !reason.is_empty(), "{code} {reason}");
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_connection() {
    let slot = Slot::with(|stream| async {
        let mut socket = upgraded(stream).await;
        // The other side hangs up in the middle of it.
        let _refused = socket.send(Message::text("x".repeat(5 << 20))).await;
        drain(&mut socket).await;
    })
    .await;
    slot.open();
    let seen = receive_all(&slot.inbox, 2).await;
    let (code, reason) = seen[1].closed();
    assert!(
        code == 0 && reason.contains("Space limit exceeded"),
        "{code} {reason}"
    );
}

#[tokio::test]
async fn notes_and_ends_are_listed_until_they_are_settled() {
    let slot = Slot::with(|stream| async {
        let mut socket = upgraded(stream).await;
        drain(&mut socket).await;
    })
    .await;
    let first = slot.connections.open("trades", &slot.url).unwrap();
    let note = Saved {
        version: 3,
        bytes: vec![1, 2],
    };
    slot.connections.note(first, note.clone()).unwrap();
    receive_all(&slot.inbox, 1).await;
    let listed = slot.connections.list();
    assert_eq!(
        (listed.len(), listed[0].id, listed[0].state),
        (1, first, ConnectionState::Live)
    );
    assert_eq!(
        (listed[0].name.as_str(), listed[0].note.as_ref()),
        ("trades", Some(&note))
    );
    slot.connections.close(first);
    let closed = receive_all(&slot.inbox, 1).await;
    eventually("the end", || {
        slot.connections.list()[0].state == ConnectionState::Closed
    })
    .await;
    slot.inbox.settle(closed[0].number);
    assert_eq!(slot.connections.list(), []);
    let second = slot.connections.open("trades", &slot.url).unwrap();
    assert!(second > first, "ids are never reused");
    let usage = slot.usage.snapshot();
    assert_eq!((usage.connects, usage.reconnects), (2, 1));
    let too_long = Saved {
        version: 1,
        bytes: vec![0; NOTE_BYTES_MAX + 1],
    };
    assert!(matches!(
        slot.connections.note(second, too_long),
        Err(WebSocketError::Limit(_))
    ));
    assert!(matches!(
        slot.connections.note(first, note),
        Err(WebSocketError::Invalid(_))
    ));
}

#[tokio::test]
async fn a_send_queue_is_bounded() {
    let slot = Slot::with(silent).await;
    let id = slot.open();
    for _ in 0..SEND_QUEUE_MAX {
        slot.connections.send(id, "x".to_owned()).unwrap();
    }
    assert!(matches!(
        slot.connections.send(id, "x".to_owned()),
        Err(WebSocketError::Limit(_))
    ));
    let too_long = "x".repeat(SEND_BYTES_MAX + 1);
    assert!(matches!(
        slot.connections.send(id, too_long),
        Err(WebSocketError::Limit(_))
    ));
}

#[tokio::test]
async fn so_many_connections_and_no_more() {
    let slot = Slot::with(silent).await;
    for _ in 0..CONNECTIONS_MAX {
        slot.open();
    }
    assert!(matches!(
        slot.connections.open("x", &slot.url),
        Err(WebSocketError::Limit(_))
    ));
}

#[tokio::test]
async fn closing_all_ends_them_and_lets_none_begin() {
    let slot = Slot::with(|stream| async {
        let mut socket = upgraded(stream).await;
        drain(&mut socket).await;
    })
    .await;
    for _ in 0..3 {
        slot.open();
    }
    let opened = receive_all(&slot.inbox, 3).await;
    assert!(opened.iter().all(|e| e.kind == Kind::Opened));
    slot.connections.close_all().await;
    assert!(
        slot.connections
            .list()
            .iter()
            .all(|c| c.state == ConnectionState::Closed)
    );
    assert!(matches!(
        slot.connections.open("x", &slot.url),
        Err(WebSocketError::Limit(_))
    ));
}

#[tokio::test]
async fn tls_is_checked_against_the_roots() {
    let address = server(|stream| async {
        let Ok(stream) = acceptor().accept(stream).await else {
            return;
        };
        let mut socket = accept_async(stream).await.unwrap();
        socket.send(Message::text("sealed")).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
    let url = format!("wss://localhost:{}", address.port());
    let slot = Slot::new(&url, &trusting(), 1 << 20, brisk());
    slot.open();
    assert_eq!(receive_all(&slot.inbox, 2).await[1].text(), "sealed");
    let slot = Slot::new(&url, &distrusting(), 1 << 20, brisk());
    let reason = slot.fails().await;
    assert!(reason.contains("certificate"), "{reason}");
}
