//! Whether the other side is there.

use super::*;
use futures::SinkExt;

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
