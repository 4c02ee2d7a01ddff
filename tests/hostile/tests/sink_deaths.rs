//! A sink that traps, loops, sleeps or eats memory in any of its functions is discarded, and new
//! instances work.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use jackfield_hostile_tests::{
    SinkBench, batch, brisk, committer, patient, sink_component, span, task, told,
};
use jackfield_plugin::{CallError, CallLimits, Death};
use std::time::{Duration, Instant};

const CALLS: [&str; 10] = [
    "check", "open", "assigned", "put", "stage", "discard", "stored", "commit", "save", "close",
];
const DEADLINE: Duration = Duration::from_millis(300);
/// A machine that is busy with other tests may be late, but it must not be stuck.
const LATE_MAX: Duration = Duration::from_secs(20);

/// Lets the component do the deed in the call, and returns how that ended.
async fn end_of(bench: &SinkBench, call: &str, deed: &str, limits: &CallLimits) -> CallError {
    let settings = told(call, deed);
    if call == "check" {
        return bench.plugin.check(&settings, limits).await.unwrap_err();
    }
    let mut instance = bench.instance(limits).await.unwrap();
    let context = match call {
        "stored" | "commit" => committer(),
        _ => task(),
    };
    let opened = instance.open(context, settings, None).await;
    let ended = match call {
        "open" => opened,
        "assigned" => instance.assigned(Vec::new()).await,
        "put" => instance.put(span(3), batch(3).into()).await.map(drop),
        "stage" => instance.stage().await.map(drop),
        "discard" => instance.discard().await,
        "stored" => instance.stored(vec!["lines".to_owned()]).await.map(drop),
        "commit" => {
            let commit = instance.commit("lines".into(), Vec::new(), vec![span(3)], "id".into());
            commit.await.map(drop)
        }
        "save" => instance.save().await.map(drop),
        "close" => instance.close().await,
        other => panic!("no such call: {other}"),
    };
    assert!(!instance.is_live(), "{call} {deed}");
    let again = instance.stage().await.unwrap_err();
    assert!(
        matches!(again, CallError::Dead(Death::Host(_))),
        "a dead instance is not called again: {again}"
    );
    ended.unwrap_err()
}

async fn dies(deed: &str, limits: impl Fn(&str) -> CallLimits, expected: impl Fn(&Death) -> bool) {
    let bench = SinkBench::new(&common::engine()).await;
    for call in CALLS {
        let started = Instant::now();
        let CallError::Dead(death) = end_of(&bench, call, deed, &limits(call)).await else {
            panic!("{call} {deed} must be a death");
        };
        assert!(expected(&death), "{call} {deed}: {death}");
        let took = started.elapsed();
        assert!(took < LATE_MAX, "{call} {deed} took {took:?}");
        bench.works().await;
    }
    let usage = bench.usage.snapshot();
    assert_eq!(
        (usage.deaths, usage.memory_bytes),
        (CALLS.len() as u64 - 1, 0),
        "each death but that of `check` is the connector's, and its memory is given back"
    );
}

fn traps_saying(what: &'static str) -> impl Fn(&Death) -> bool {
    move |death| matches!(death, Death::Trap { trace } if trace.contains(what))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_traps_says_why_and_where() {
    dies("panic", |_| patient(), traps_saying("as told")).await;
    dies("divide", |_| patient(), traps_saying("divide by zero")).await;
    dies("recurse", |_| patient(), traps_saying("wasm backtrace")).await;
    dies("wild", |_| patient(), traps_saying("out of bounds")).await;
    dies("exit", |_| patient(), traps_saying("")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_without_end_of_memory_ends_at_its_limit() {
    let limits = |_: &str| CallLimits {
        memory_bytes_max: 32 << 20,
        ..patient()
    };
    dies(
        "eat",
        limits,
        |death| matches!(death, Death::Memory { bytes_max, .. } if *bytes_max == 32 << 20),
    )
    .await;
}

fn too_late(death: &Death) -> bool {
    matches!(death, Death::Deadline { after, .. } if *after == DEADLINE)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_does_not_return_ends_at_its_deadline() {
    for deed in ["loop", "sleep", "call-the-host"] {
        dies(deed, |call| brisk(call, DEADLINE), too_late).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_a_dead_sink_are_bounded_and_go_with_it() {
    let bench = SinkBench::new(&common::engine()).await;
    let root = bench.root();
    let settings = format!(r#"{{"in": "put", "do": "upload-without-end", "root": "{root}"}}"#);
    let mut instance = bench.opened(&settings, &patient()).await.unwrap();
    let CallError::Dead(death) = instance.put(span(3), batch(3).into()).await.unwrap_err() else {
        panic!("it panics");
    };
    assert!(traps_saying("with 512 uploads open")(&death), "{death}");
    let started = Instant::now();
    while bench.files() > 0 {
        assert!(started.elapsed() < LATE_MAX, "{} files stay", bench.files());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decent_sink_commits_once_whatever_is_repeated() {
    let bench = SinkBench::new(&common::engine()).await;
    let settings = format!(r#"{{"root": "{}"}}"#, bench.root());
    let mut sink = bench.opened(&settings, &patient()).await.unwrap();
    sink.put(span(5), batch(5).into()).await.unwrap();
    let pieces = sink.stage().await.unwrap();
    for rows in [5, 0] {
        let again = pieces.clone();
        let committed = sink.commit("lines".into(), again, vec![span(5)], "one".into());
        assert_eq!(committed.await.unwrap().rows, rows, "idempotent by its id");
    }
    let fenced = sink.commit("lines".into(), pieces, vec![span(5)], "two".into());
    let fenced = fenced.await.unwrap_err();
    assert!(fenced.to_string().contains("stands at 5"), "{fenced}");
    let held = sink.stored(Vec::new()).await.unwrap();
    assert_eq!(held[0].positions[0].next_offset, 5);
    assert!(sink_component().exists());
}
