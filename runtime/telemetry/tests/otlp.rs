//! Metrics and traces are pushed; and whatever the receiver does, those who record don't notice.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::least_asleep;
use jackfield_telemetry::{
    Call, ConnectorLabels, ConnectorMetrics, Kind, Otlp, Part, Protocol, Step, Telemetry,
};
use jackfield_test_otlp::{Health, Receiver};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const INTERVAL: Duration = Duration::from_millis(200);
const ROUNDS: u64 = 100_000;

fn otlp(endpoint: String, protocol: Protocol) -> Otlp {
    Otlp {
        endpoint,
        protocol,
        headers: vec![("x-key".into(), "hunter2".into())],
        interval: INTERVAL,
        sample: NonZeroU32::new(100),
    }
}

fn connector(telemetry: &Telemetry) -> ConnectorMetrics {
    telemetry.connector(&ConnectorLabels {
        pipeline: "p".into(),
        connector: "p-s".into(),
        kind: Kind::Sink,
    })
}

fn part(first: i64, next: i64) -> Part<'static> {
    Part {
        topic: "t",
        topic_id: 7,
        partition: 0,
        first,
        next,
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn exports(telemetry: &Telemetry, signal: &str, outcome: &str) -> u64 {
    let page = telemetry.render().unwrap();
    let line = page.lines().find(|line| {
        line.starts_with("jackfield_telemetry_exports_total{")
            && line.contains(&format!("signal=\"{signal}\""))
            && line.contains(&format!("outcome=\"{outcome}\""))
    });
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_protocol_brings_metrics_and_traces() {
    for protocol in [Protocol::HttpProtobuf, Protocol::HttpJson, Protocol::Grpc] {
        let receiver = match protocol {
            Protocol::Grpc => Receiver::grpc().await,
            Protocol::HttpProtobuf | Protocol::HttpJson => Receiver::http().await,
        };
        let telemetry = Telemetry::pushing(&otlp(receiver.url(), protocol)).unwrap();
        let metrics = connector(&telemetry);
        metrics.records(10);
        metrics.call(Call::Put, Duration::from_millis(1));
        let now = Instant::now();
        metrics.trace(
            Step::Put,
            &part(150, 250),
            now - Duration::from_millis(5),
            now,
        );
        let named = |name: &str| receiver.metrics().contains(name);
        until("the metrics came", || {
            named("jackfield_records_total") && named("jackfield_call_duration_seconds")
        })
        .await;
        until("the span came", || !receiver.spans().is_empty()).await;
        let span = &receiver.spans()[0];
        assert_eq!(span.name, "put", "{protocol:?}");
        assert_eq!(span.attributes["jackfield.connector"], "p-s");
        assert_eq!(span.attributes["messaging.kafka.offset"], "200");
        assert_eq!(span.ended_ns - span.began_ns, 5_000_000);
        assert_eq!(receiver.headers()["x-key"], "hunter2");
        assert_eq!(
            receiver.services().into_iter().collect::<Vec<_>>(),
            ["jackfield"]
        );
        // Counted when the receiver's answer is there, which comes after what it received.
        for signal in ["metrics", "traces"] {
            until("it is counted", || {
                exports(&telemetry, signal, "arrived") > 0
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_metrics_are_pushed_at_the_end() {
    let receiver = Receiver::http().await;
    let settings = Otlp {
        interval: Duration::from_secs(3600),
        ..otlp(receiver.url(), Protocol::HttpProtobuf)
    };
    let telemetry = Telemetry::pushing(&settings).unwrap();
    let metrics = connector(&telemetry);
    metrics.records(10);
    let now = Instant::now();
    metrics.trace(Step::Put, &part(0, 1), now, now);
    let closed = tokio::task::spawn_blocking(move || telemetry.close(PATIENCE)).await;
    assert!(closed.unwrap());
    assert!(receiver.metrics().contains("jackfield_records_total"));
    assert_eq!(receiver.spans().len(), 1);
}

/// The receiver is down, refuses, stalls, answers rubbish, without an end, or breaks off: what is
/// recorded is all there, and who recorded it was never made to wait.
#[tokio::test(flavor = "multi_thread")]
async fn an_ill_receiver_holds_nobody_up() {
    let receiver = Receiver::http().await;
    let ills = [
        Some(Health::Status(503)),
        Some(Health::Status(400)),
        Some(Health::Stalls),
        Some(Health::Rubbish),
        Some(Health::Endless),
        Some(Health::Breaks),
        None,
    ];
    for health in ills {
        let endpoint = match health {
            Some(health) => {
                receiver.is(health);
                receiver.url()
            }
            // Nobody listens there.
            None => "http://127.0.0.1:9".to_owned(),
        };
        let telemetry = Telemetry::pushing(&otlp(endpoint, Protocol::HttpProtobuf)).unwrap();
        let metrics = connector(&telemetry);
        // Who says 200 and then nonsense has taken it, for all that anyone can tell.
        until("a push ended", || {
            exports(&telemetry, "metrics", "failed") + exports(&telemetry, "metrics", "arrived") > 0
        })
        .await;
        let before = Instant::now();
        let (asleep, wall, tries) = tokio::task::block_in_place(|| {
            least_asleep(|| {
                for number in 0..ROUNDS {
                    metrics.records(1);
                    let first = i64::try_from(number).unwrap() * 100;
                    metrics.trace(Step::Put, &part(first, first + 100), before, before);
                }
            })
        });
        let page = telemetry.render().unwrap();
        let rounds = tries * ROUNDS;
        let line = format!("connector=\"p-s\",kind=\"sink\",pipeline=\"p\"}} {rounds}\n");
        assert!(
            page.contains(&format!("jackfield_records_total{{{line}")),
            "{health:?}: {page}"
        );
        assert!(
            asleep < wall / 4,
            "{health:?}: recording slept {asleep:?} of {wall:?}"
        );
        // The end of the process is not held up either.
        let begun = Instant::now();
        let patience = Duration::from_millis(500);
        tokio::task::block_in_place(|| telemetry.close(patience));
        let took = begun.elapsed();
        assert!(took < PATIENCE / 10, "{health:?}: closing took {took:?}");
    }
}
