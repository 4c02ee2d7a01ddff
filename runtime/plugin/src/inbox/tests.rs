//! What an inbox gives, keeps and refuses.

use super::*;
use bytes::Bytes;
use jackfield_batch::event::{Events, Kind};

fn frame(text: &str) -> Arrival {
    Arrival::now(Kind::Text, 1, Bytes::copy_from_slice(text.as_bytes()))
}

fn numbers(packed: &[u8]) -> Vec<u64> {
    Events::parse(packed)
        .unwrap()
        .iter()
        .map(|e| e.number)
        .collect()
}

async fn receive(inbox: &Inbox, bytes_max: usize) -> Vec<u64> {
    numbers(
        &inbox
            .receive(bytes_max, Duration::ZERO, &Interrupt::default())
            .await,
    )
}

#[tokio::test]
async fn events_are_numbered_from_one_and_given_once() {
    let inbox = Inbox::new(10_000);
    for text in ["a", "b", "c"] {
        inbox.push(frame(text)).await.unwrap();
    }
    assert_eq!(receive(&inbox, 10_000).await, [1, 2, 3]);
    assert_eq!(receive(&inbox, 10_000).await, [0u64; 0]);
    inbox.push(frame("d")).await.unwrap();
    assert_eq!(receive(&inbox, 10_000).await, [4]);
}

#[tokio::test]
async fn a_tap_has_what_is_kept_and_what_comes_and_holds_nothing_back() {
    let inbox = Inbox::new(10_000);
    for text in ["a", "b", "c"] {
        inbox.push(frame(text)).await.unwrap();
    }
    inbox.settle(1);
    let (wide, narrow) = (inbox.tap(2, 1 << 20).unwrap(), inbox.tap(3, 150).unwrap());
    inbox.push(frame("d")).await.unwrap();
    inbox.tell(|| Item::Closed { id: 7 });
    inbox.settle(4);
    inbox.close();
    let mut seen = Vec::new();
    while let Some(item) = wide.pop() {
        seen.push(match item {
            Item::Event(heard) => heard.number,
            _ => 0,
        });
    }
    assert_eq!(seen, [3, 4, 0]);
    assert_eq!(wide.end(), Some(crate::shadow::TapEnd::Closed));
    assert_eq!(narrow.end(), Some(crate::shadow::TapEnd::TooSlow));
    assert!(inbox.tap(0, 1).is_none(), "the slot has ended");
}

#[tokio::test]
async fn a_tap_that_is_dropped_keeps_nothing_and_frees_its_place() {
    let inbox = Inbox::new(10_000);
    inbox.push(frame("a")).await.unwrap();
    for _ in 0..2 * TAPS_MAX {
        drop(inbox.tap(0, 1 << 20).unwrap());
    }
    let taps: Vec<_> = (0..TAPS_MAX).map(|_| inbox.tap(0, 1 << 20)).collect();
    assert!(taps.iter().all(Option::is_some));
    assert!(inbox.tap(0, 1 << 20).is_none(), "all places are taken");
    drop(taps);
    inbox.push(frame("b")).await.unwrap();
    assert!(!inbox.is_tapped(), "nobody is told any more");
    let tap = inbox.tap(0, 1 << 20).unwrap();
    inbox.push(frame("c")).await.unwrap();
    assert_eq!(std::iter::from_fn(|| tap.pop()).count(), 3);
}

#[tokio::test]
async fn what_is_not_settled_is_given_again_after_a_rewind() {
    let inbox = Inbox::new(10_000);
    for text in ["a", "b", "c", "d"] {
        inbox.push(frame(text)).await.unwrap();
    }
    assert_eq!(receive(&inbox, 10_000).await, [1, 2, 3, 4]);
    inbox.settle(2);
    inbox.rewind(0);
    assert_eq!(receive(&inbox, 10_000).await, [3, 4]);
    inbox.rewind(3);
    assert_eq!(receive(&inbox, 10_000).await, [4]);
    inbox.settle(99);
    assert_eq!((inbox.settled(), inbox.last(), inbox.bytes()), (4, 4, 0));
}

#[tokio::test]
async fn a_receive_holds_no_more_than_asked_for_but_at_least_one_event() {
    let inbox = Inbox::new(100_000);
    for _ in 0..3 {
        inbox.push(frame(&"x".repeat(500))).await.unwrap();
    }
    assert_eq!(receive(&inbox, 1_100).await, [1, 2]);
    assert_eq!(receive(&inbox, 1).await, [3]);
}

#[tokio::test]
async fn a_full_inbox_refuses_until_something_is_settled_and_loses_nothing() {
    let inbox = Inbox::new(400);
    for _ in 0..3 {
        inbox.push(frame(&"x".repeat(60))).await.unwrap();
    }
    let blocked = inbox.try_push(frame(&"y".repeat(60))).unwrap().unwrap_err();
    assert_eq!(blocked.body.len(), 60);
    let waiting = tokio::spawn({
        let inbox = Arc::clone(&inbox);
        async move { inbox.push(blocked).await }
    });
    assert_eq!(
        receive(&inbox, 10_000).await,
        [1, 2, 3],
        "receiving alone frees nothing"
    );
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    inbox.settle(1);
    assert_eq!(waiting.await.unwrap(), Ok(4));
}

#[tokio::test]
async fn responses_and_closings_pass_by_frames_that_wait() {
    let inbox = Inbox::new(100);
    inbox
        .push(frame("one frame that fills the inbox by itself"))
        .await
        .unwrap();
    assert!(inbox.try_push(frame("another")).unwrap().is_err());
    for kind in [Kind::Response, Kind::Closed, Kind::Opened] {
        assert!(
            inbox
                .try_push(Arrival::now(kind, 2, Bytes::new()))
                .unwrap()
                .is_ok(),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn an_event_larger_than_the_bound_is_taken_alone() {
    let inbox = Inbox::new(100);
    assert!(inbox.try_push(frame(&"x".repeat(1000))).unwrap().is_ok());
}

#[tokio::test]
async fn connections_are_refused_while_none_of_their_events_is_settled() {
    let inbox = Inbox::new(100);
    while inbox.takes_connections() {
        for kind in [Kind::Opened, Kind::Closed] {
            inbox
                .push(Arrival::now(kind, 2, Bytes::new()))
                .await
                .unwrap();
        }
        assert!(inbox.last() <= CONTROL_EVENTS_MAX as u64);
    }
    inbox.settle(2);
    assert!(inbox.takes_connections());
}

#[tokio::test(start_paused = true)]
async fn a_receive_waits_as_long_as_asked_and_no_longer_than_wanted() {
    let inbox = Inbox::new(1000);
    let interrupt = Interrupt::default();
    let started = tokio::time::Instant::now();
    let packed = inbox
        .receive(1000, Duration::from_secs(5), &interrupt)
        .await;
    assert_eq!(
        (numbers(&packed), started.elapsed()),
        (vec![], Duration::from_secs(5))
    );
    let (packed, ()) = tokio::join!(
        inbox.receive(1000, Duration::from_secs(5), &interrupt),
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            inbox.push(frame("a")).await.unwrap();
        }
    );
    assert_eq!(
        (numbers(&packed), started.elapsed()),
        (vec![1], Duration::from_secs(6))
    );
    let (packed, ()) = tokio::join!(
        inbox.receive(1000, Duration::from_secs(5), &interrupt),
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            interrupt.raise();
        }
    );
    assert_eq!(
        (numbers(&packed), started.elapsed()),
        (vec![], Duration::from_secs(7))
    );
    inbox.push(frame("b")).await.unwrap();
    let packed = inbox
        .receive(1000, Duration::from_secs(5), &interrupt)
        .await;
    assert_eq!(
        numbers(&packed),
        [2],
        "an interrupt ends waits, it hides nothing"
    );
}

#[tokio::test]
async fn closing_lets_go_of_everybody() {
    let inbox = Inbox::new(100);
    inbox
        .push(frame(
            "a frame that fills it, so that the next one has to wait",
        ))
        .await
        .unwrap();
    let waiting = tokio::spawn({
        let inbox = Arc::clone(&inbox);
        async move { inbox.push(frame(&"x".repeat(90))).await }
    });
    let receiving = tokio::spawn({
        let inbox = Arc::clone(&inbox);
        async move {
            inbox
                .receive(1000, Duration::from_secs(60), &Interrupt::default())
                .await;
            inbox
                .receive(1000, Duration::from_secs(60), &Interrupt::default())
                .await
        }
    });
    tokio::task::yield_now().await;
    inbox.close();
    assert_eq!(waiting.await.unwrap(), Err(Closed));
    assert_eq!(numbers(&receiving.await.unwrap()), [0u64; 0]);
    assert_eq!(inbox.push(frame("late")).await, Err(Closed));
}

#[test]
fn every_inbox_has_an_epoch_of_its_own_and_ids_are_never_reused() {
    let (a, b) = (Inbox::new(1), Inbox::new(1));
    assert_ne!(a.epoch(), b.epoch());
    assert_eq!((a.next_id(), a.next_id(), b.next_id()), (1, 2, 1));
}
