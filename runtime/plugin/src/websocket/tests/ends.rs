//! Connections that never open, or end otherwise than by a goodbye.

use super::*;
use crate::testing::{acceptor, trusting};
use futures::SinkExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
