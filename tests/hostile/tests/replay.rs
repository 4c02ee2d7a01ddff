//! What an instance had in hand when it died is given to the next one.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use futures::{SinkExt, StreamExt};
use jackfield_hostile_tests::{Bench, POLL, open, patient, told, values};
use jackfield_plugin::{
    CallError, Death, HttpGrants, Network, PollLimits, SourceInstance, Stage, StageHost, TapEnd,
    WebSocketGrants,
};
use std::sync::Arc;
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

/// An instance beside the slot, and what it sees.
async fn beside(bench: &Bench, deed: &str, bytes_max: usize) -> (SourceInstance, Arc<Stage>) {
    let tap = bench.inbox.tap(0, bytes_max).unwrap();
    let network = Network::new().unwrap();
    let grants = (
        WebSocketGrants::new::<&str>(&[], &network).unwrap(),
        HttpGrants::new(Vec::new(), &network),
    );
    let stage = Stage::beside(tap, 0, bench.connections.list(), grants);
    let host = StageHost {
        connector: "shadow".to_owned(),
        stage: Arc::clone(&stage),
        interrupt: bench.interrupt.clone(),
        usage: Arc::default(),
    };
    let staged = SourceInstance::staged(&bench.plugin, host, &patient()).await;
    let mut instance = staged.unwrap();
    open(&mut instance, &told("poll", deed)).await.unwrap();
    (instance, stage)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_beside_a_slot_sees_its_events_and_takes_none_of_them() {
    let bench = bench_with_events().await;
    let (mut shadow, stage) = beside(&bench, "take", 1 << 20).await;
    let polled = shadow.poll(POLL).await.unwrap();
    assert_eq!(
        (values(&polled), polled.done_through),
        (vec!["1 2 3 4".to_owned()], EVENTS)
    );
    assert_eq!((stage.given(), bench.inbox.given()), (EVENTS, 0));
    let (mut dying, _) = beside(&bench, "take-and-panic", 1 << 20).await;
    dying.poll(POLL).await.unwrap_err();
    let mut running = bench
        .opened(&told("poll", "take"), &patient())
        .await
        .unwrap();
    let polled = running.poll(POLL).await.unwrap();
    assert_eq!(values(&polled), ["1 2 3 4"], "nothing is missing");
    assert_eq!(bench.connections.list().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_beside_a_slot_too_slowly_is_dropped_and_holds_nothing_back() {
    let bench = bench_with_events().await;
    let (mut shadow, stage) = beside(&bench, "take", 150).await;
    assert_eq!(stage.end(), Some(TapEnd::TooSlow));
    let polled = shadow.poll(POLL).await.unwrap();
    assert_eq!(polled.done_through, 0, "nothing is left for it");
    let mut running = bench
        .opened(&told("poll", "take"), &patient())
        .await
        .unwrap();
    let polled = running.poll(POLL).await.unwrap();
    assert_eq!(polled.done_through, EVENTS);
}
