//! What a slot keeps of its connections, and how many and how much it may have.

use super::*;
use crate::testing::eventually;

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
