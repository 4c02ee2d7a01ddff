//! A component that traps, loops, sleeps or eats memory in any of its functions is discarded, and
//! a new instance works.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use jackfield_hostile_tests::{Bench, POLL, brisk, open, patient, told};
use jackfield_plugin::{CallError, CallLimits, Death};
use std::time::{Duration, Instant};

const CALLS: [&str; 7] = ["check", "plan", "open", "poll", "settled", "save", "close"];
const DEADLINE: Duration = Duration::from_millis(300);
/// A machine that is busy with other tests may be late, but it must not be stuck.
const LATE_MAX: Duration = Duration::from_secs(20);

/// Lets the component do the deed in the call, and returns how that ended.
async fn end_of(bench: &Bench, call: &str, deed: &str, limits: &CallLimits) -> CallError {
    let settings = told(call, deed);
    if call == "check" {
        return bench.plugin.check(&settings, limits).await.unwrap_err();
    }
    let mut instance = bench.instance(limits).await.unwrap();
    if call == "plan" {
        let error = instance.plan(settings, 1).await.unwrap_err();
        assert!(!instance.is_live());
        return error;
    }
    let opened = open(&mut instance, &settings).await;
    let ended = match call {
        "open" => opened.map(|_| ()),
        "poll" => instance.poll(POLL).await.map(|_| ()),
        "settled" => instance.settled(Vec::new()).await,
        "save" => instance.save().await.map(|_| ()),
        "close" => instance.close().await,
        other => panic!("no such call: {other}"),
    };
    assert!(!instance.is_live(), "{call} {deed}");
    let again = instance.poll(POLL).await.unwrap_err();
    assert!(
        matches!(again, CallError::Dead(Death::Host(_))),
        "a dead instance is not called again: {again}"
    );
    ended.unwrap_err()
}

async fn dies(deed: &str, limits: impl Fn(&str) -> CallLimits, expected: impl Fn(&Death) -> bool) {
    let bench = Bench::new(&common::engine()).await;
    for call in CALLS {
        let started = Instant::now();
        let CallError::Dead(death) = end_of(&bench, call, deed, &limits(call)).await else {
            panic!("{call} {deed} must be a death");
        };
        assert!(expected(&death), "{call} {deed}: {death}");
        assert!(
            started.elapsed() < LATE_MAX,
            "{call} {deed} took {:?}",
            started.elapsed()
        );
        println!("{call} {deed}: {:?}", started.elapsed());
        bench.works().await;
    }
    let usage = bench.usage.snapshot();
    assert_eq!(
        usage.deaths,
        CALLS.len() as u64 - 1,
        "each death but that of `check` is the slot's"
    );
    assert_eq!(
        usage.memory_bytes, 0,
        "the memory of dead instances is given back"
    );
}

fn traps_saying(what: &'static str) -> impl Fn(&Death) -> bool {
    move |death| matches!(death, Death::Trap { trace } if trace.contains(what))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_trap_that_says_why_and_where() {
    dies(
        "panic",
        |_| patient(),
        |death| traps_saying("as told")(death) && traps_saying("wasm backtrace")(death),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_division_by_zero_is_a_trap() {
    dies("divide", |_| patient(), traps_saying("divide by zero")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_stack_is_a_trap() {
    dies(
        "recurse",
        |_| patient(),
        |death| matches!(death, Death::Trap { .. }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wild_write_is_a_trap() {
    dies("wild", |_| patient(), traps_saying("out of bounds")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_ends_the_instance_and_not_the_process() {
    dies(
        "exit",
        |_| patient(),
        |death| matches!(death, Death::Trap { .. }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_without_end_ends_at_its_limit() {
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
async fn a_loop_ends_at_its_deadline() {
    dies("loop", |call| brisk(call, DEADLINE), too_late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_over_host_calls_ends_at_its_deadline() {
    dies("call-the-host", |call| brisk(call, DEADLINE), too_late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleep_ends_at_its_deadline() {
    dies("sleep", |call| brisk(call, DEADLINE), too_late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receive_that_waits_too_long_ends_at_its_deadline() {
    let bench = Bench::new(&common::engine()).await;
    for call in ["plan", "open", "poll", "settled", "save", "close"] {
        let limits = brisk(call, DEADLINE);
        let CallError::Dead(death) = end_of(&bench, call, "receive", &limits).await else {
            panic!("{call} must be a death");
        };
        assert!(too_late(&death), "{call}: {death}");
        bench.works().await;
    }
}

#[tokio::test]
async fn a_loop_on_a_single_thread_lets_others_run() {
    const TURNS: u32 = 3;
    let bench = Bench::new(&common::engine()).await;
    let mut looping = bench
        .opened(&told("poll", "loop"), &patient())
        .await
        .unwrap();
    let mut turns = 0;
    let others = async {
        while turns < TURNS {
            tokio::time::sleep(Duration::from_millis(1)).await;
            turns += 1;
        }
    };
    // The loop has the thread first, and gives it up again and again.
    tokio::select! {
        biased;
        ended = looping.poll(POLL) => panic!("it loops for ever: {ended:?}"),
        () = others => {}
    }
    assert_eq!(turns, TURNS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_dropped_takes_its_instance_along() {
    let bench = Bench::new(&common::engine()).await;
    let mut instance = bench
        .opened(&told("poll", "receive"), &patient())
        .await
        .unwrap();
    let dropped = tokio::time::timeout(Duration::from_millis(50), instance.poll(POLL)).await;
    assert!(dropped.is_err());
    assert!(!instance.is_live());
    assert!(matches!(
        instance.poll(POLL).await,
        Err(CallError::Dead(Death::Host(_)))
    ));
    bench.works().await;
}
