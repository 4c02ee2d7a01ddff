//! What an instance had in hand when it died is given to the next one.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use futures::{SinkExt, StreamExt};
use jackfield_hostile_tests::{Bench, POLL, patient, told, values};
use jackfield_plugin::{CallError, Death, PollLimits};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

const FRAMES: u64 = 3;
/// The opening is an event too.
const EVENTS: u64 = FRAMES + 1;

/// A slot whose one connection has brought all its frames.
async fn bench_with_events() -> Bench {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        for i in 0..FRAMES {
            socket
                .send(Message::text(format!("frame {i}")))
                .await
                .unwrap();
        }
        while let Some(Ok(_)) = socket.next().await {}
    });
    let bench = Bench::granted(&common::engine(), &[&url], &[]).await;
    bench.connections.open("c", &url).unwrap();
    while bench.inbox.last() < EVENTS {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn events_in_hand_at_a_trap_are_given_again_and_the_connection_lives_on() {
    let bench = bench_with_events().await;
    for _ in 0..3 {
        let mut dying = bench
            .opened(&told("poll", "take-and-panic"), &patient())
            .await
            .unwrap();
        let death = dying.poll(POLL).await.unwrap_err();
        assert!(
            matches!(death, CallError::Dead(Death::Trap { .. })),
            "{death}"
        );
        assert_eq!(bench.inbox.given(), EVENTS);
        bench.inbox.rewind(bench.inbox.settled());
    }
    let mut next = bench
        .opened(&told("poll", "take"), &patient())
        .await
        .unwrap();
    let polled = next.poll(POLL).await.unwrap();
    assert_eq!(
        (values(&polled), polled.done_through),
        (vec!["1 2 3 4".to_owned()], EVENTS)
    );
    bench.inbox.settle(2);
    bench.inbox.rewind(0);
    let polled = next.poll(POLL).await.unwrap();
    assert_eq!(values(&polled), ["3 4"], "only what is not durable");
    assert_eq!(bench.connections.list().len(), 1);
    assert_eq!(
        bench.usage.snapshot().connects,
        1,
        "no instance had to connect again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_inside_a_call_ends_when_the_host_wants_it_back() {
    let bench = Bench::new(&common::engine()).await;
    let mut instance = bench
        .opened(&told("poll", "take"), &patient())
        .await
        .unwrap();
    let started = Instant::now();
    let interrupting = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        bench.interrupt.raise();
    };
    let hour = PollLimits {
        wait_ms: 3_600_000,
        ..POLL
    };
    let (polled, ()) = tokio::join!(instance.poll(hour), interrupting);
    assert_eq!(polled.unwrap().done_through, 0);
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(instance.is_live(), "an interrupt is no death");
}
