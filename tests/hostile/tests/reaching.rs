//! A component that reaches for more than it was given, or floods what it was given.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use jackfield_hostile_tests::{Bench, POLL, SinkBench, batch, patient, span, told, told_with};
use jackfield_plugin::CallError;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_denied_and_counted() {
    let engine = common::engine();
    let bench = Bench::granted(
        &engine,
        &["ws://127.0.0.1:1/granted"],
        &["http://127.0.0.1:1/granted"],
    )
    .await;
    let elsewhere = [
        "ws://127.0.0.1:1/",
        "ws://127.0.0.1:2/granted",
        "ws://127.0.0.1:1/granted/..",
        "ws://example.org/granted",
    ];
    for url in elsewhere {
        let mut instance = bench
            .opened(&told_with("poll", "reach", url), &patient())
            .await
            .unwrap();
        let polled = instance.poll(POLL).await.unwrap();
        assert_eq!(
            polled.counts.missing, 2,
            "{url}: the component saw two denials"
        );
    }
    assert_eq!(bench.usage.snapshot().denials, 2 * elsewhere.len() as u64);
    assert_eq!(bench.inbox.last(), 0, "nothing was tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_log_is_given_to_check() {
    let bench = Bench::new(&common::engine()).await;
    // It would wait for an hour if there were an inbox.
    assert_eq!(
        bench
            .plugin
            .check(&told("check", "receive"), &patient())
            .await,
        Ok(Vec::new())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_files_no_environment_and_no_arguments() {
    let bench = Bench::new(&common::engine()).await;
    bench
        .opened(&told("open", "folders"), &patient())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_over_the_rate_are_dropped_and_counted() {
    let bench = Bench::new(&common::engine()).await;
    for deed in ["flood-the-log", "flood-stderr"] {
        let before = bench.usage.snapshot().log_lines_dropped;
        bench.opened(&told("open", deed), &patient()).await.unwrap();
        let dropped = bench.usage.snapshot().log_lines_dropped - before;
        assert!(
            (90_000..100_000).contains(&dropped),
            "{deed}: dropped {dropped}"
        );
    }
    bench
        .opened(&told("open", "one-giant-line"), &patient())
        .await
        .unwrap();
    bench.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_connections_without_end_is_refused() {
    let bench = Bench::granted(&common::engine(), &["ws://127.0.0.1:1/"], &[]).await;
    let mut instance = bench
        .opened(
            &told_with("poll", "hammer", "ws://127.0.0.1:1/x"),
            &patient(),
        )
        .await
        .unwrap();
    let polled = instance.poll(POLL).await.unwrap();
    // The events that nobody settles, and the connections at the time that have not made theirs yet.
    let opened = polled.counts.missing;
    assert!(opened <= 1024 + 64, "opened {opened}");
    bench.connections.close_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_slots_than_asked_for_are_refused() {
    let bench = Bench::new(&common::engine()).await;
    // A plan on a source is fine, but slots over the limit are not.
    let mut instance = bench.instance(&patient()).await.unwrap();
    assert!(matches!(
        instance.plan("{}".to_owned(), 0).await,
        Err(CallError::Dead(_))
    ));
}

fn with_root(deed: &str, bench: &SinkBench) -> String {
    let root = bench.root();
    format!(r#"{{"in": "put", "do": "{deed}", "root": "{root}"}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_reaches_nothing_but_its_lake() {
    let bench = SinkBench::new(&common::engine()).await;
    let settings = with_root("reach", &bench);
    let mut sink = bench.opened(&settings, &patient()).await.unwrap();
    sink.put(span(3), batch(3).into()).await.unwrap();
    let denials = bench.usage.snapshot().denials;
    assert!(denials >= 5, "{denials} denials were counted");
    assert_eq!(bench.files(), 0, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_puts_no_more_at_once_than_it_may() {
    let bench = SinkBench::new(&common::engine()).await;
    let settings = with_root("put-too-much", &bench);
    let mut sink = bench.opened(&settings, &patient()).await.unwrap();
    sink.put(span(3), batch(3).into()).await.unwrap();
    assert_eq!(bench.files(), 0, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_sink_are_limited_too() {
    let bench = SinkBench::new(&common::engine()).await;
    for deed in ["flood-the-log", "flood-stderr"] {
        let before = bench.usage.snapshot().log_lines_dropped;
        bench.opened(&told("open", deed), &patient()).await.unwrap();
        let dropped = bench.usage.snapshot().log_lines_dropped - before;
        assert!((90_000..100_000).contains(&dropped), "{deed}: {dropped}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_log_is_given_to_the_check_of_a_sink() {
    let bench = SinkBench::new(&common::engine()).await;
    // It stops at the first thing that is not denied.
    let settings = with_root("reach", &bench).replace("put", "check");
    let checked = bench.plugin.check(&settings, &patient()).await;
    assert_eq!(checked, Ok(Vec::new()));
}
