//! What is sent arrives: each frame once and in order, either way.

use super::*;
use crate::testing::{Seen, eventually};
use futures::SinkExt;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

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
