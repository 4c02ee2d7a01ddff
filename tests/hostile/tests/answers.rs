//! Answers that break the contract are refused, whatever they claim.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use jackfield_hostile_tests::{Bench, POLL, open, patient, told, values};
use jackfield_plugin::{CallError, Death, Failure};

async fn poll_told(deed: &str) -> (CallError, bool) {
    let bench = Bench::new(&common::engine()).await;
    let mut instance = bench.opened(&told("poll", deed), &patient()).await.unwrap();
    let error = instance.poll(POLL).await.expect_err(deed);
    let live = instance.is_live();
    bench.works().await;
    (error, live)
}

async fn malformed(deed: &str, why: &str) {
    let (error, live) = poll_told(deed).await;
    match error {
        CallError::Dead(Death::Malformed(reason)) => {
            assert!(reason.contains(why), "{deed}: {reason}")
        }
        other => panic!("{deed}: {other:?}"),
    }
    assert!(!live, "{deed}: who breaks one promise is not asked again");
}

async fn too_large(deed: &str) {
    let (error, live) = poll_told(deed).await;
    assert!(
        matches!(error, CallError::Dead(Death::TooLarge { .. })),
        "{deed}: {error:?}"
    );
    assert!(!live);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_none_are_refused() {
    malformed("malformed", "a batch").await;
    malformed("cut-off", "a batch").await;
    malformed("unknown-version", "version 254").await;
    malformed("oversized", "a batch").await;
    malformed("too-many-records", "1001 records").await;
    malformed("coordinates", "coordinates").await;
    malformed("unknown-feed", "feed 9").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_claim_gigabytes_are_refused_before_they_are_copied() {
    let before = resident_bytes();
    too_large("giant-list").await;
    too_large("forged-list").await;
    let (error, _) = poll_told("out-of-bounds").await;
    assert!(
        matches!(
            error,
            CallError::Dead(Death::Malformed(_) | Death::Trap { .. } | Death::TooLarge { .. })
        ),
        "{error:?}"
    );
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 400 << 20, "the host grew by {grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_of_anything_is_refused() {
    too_large("too-many-outputs").await;
    too_large("too-many-feeds").await;
    too_large("position-too-large").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_that_cannot_be_are_refused() {
    malformed("done-too-far", "event 1000000").await;
    malformed("rejects-unknown-event", "event 77").await;
    malformed("absurd-counts", "missing").await;
    malformed("rejects-records", "rejected records").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_that_are_no_objects_are_refused() {
    malformed("position-no-json", "not JSON").await;
    malformed("position-no-object", "not an object").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_instance_is_not_called_again_and_a_misconfigured_one_may_be() {
    let (error, live) = poll_told("broken").await;
    assert_eq!(
        (error, live),
        (
            CallError::Failure(Failure::Broken("as told".to_owned())),
            false
        )
    );
    let (error, live) = poll_told("misconfigured").await;
    let CallError::Failure(Failure::Misconfigured(reason)) = error else {
        panic!("{error:?}")
    };
    assert!(live && reason.len() <= 8 * 1024, "reasons are cut");
}

/// Slots that are asked for at most.
const SLOTS_MAX: u32 = 4;

/// How `plan` or `open` ended, and whether the instance can be called again.
async fn begin_told(call: &str, deed: &str) -> (CallError, bool) {
    let bench = Bench::new(&common::engine()).await;
    let mut instance = bench.instance(&patient()).await.unwrap();
    let settings = told(call, deed);
    let ended = match call {
        "plan" => instance.plan(settings, SLOTS_MAX).await.map(drop),
        _ => open(&mut instance, &settings).await.map(drop),
    };
    let error = ended.expect_err(deed);
    bench.works().await;
    (error, instance.is_live())
}

/// Of both: texts that claim gigabytes, and names that are none.
#[tokio::test(flavor = "multi_thread")]
async fn slots_and_feeds_that_claim_too_much_are_refused_before_they_are_copied() {
    let before = resident_bytes();
    for call in ["plan", "open"] {
        let long = match call {
            "plan" => "long-settings",
            _ => "long-schema",
        };
        for deed in ["giant-list", "forged-list", "too-many", "long-name", long] {
            let (error, live) = begin_told(call, deed).await;
            let too_large = matches!(error, CallError::Dead(Death::TooLarge { .. }));
            assert!(too_large && !live, "{call} {deed}: {error:?}");
        }
        let (error, live) = begin_told(call, "out-of-bounds").await;
        assert!(matches!(error, CallError::Dead(_)) && !live, "{error:?}");
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 400 << 20, "the host grew by {grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_and_feeds_that_can_not_be_are_refused() {
    for (call, deed, why) in [
        ("plan", "nameless", "a slot's id"),
        ("plan", "two-lines", "a slot's id"),
        ("plan", "twins", "two slots have the id"),
        ("plan", "rejects-records", "rejected records"),
        ("open", "nameless", "a feed's name"),
        ("open", "two-lines", "a feed's name"),
        ("open", "rejects-records", "rejected records"),
    ] {
        let (error, live) = begin_told(call, deed).await;
        let CallError::Dead(Death::Malformed(reason)) = &error else {
            panic!("{call} {deed}: {error:?}");
        };
        assert!(reason.contains(why) && !live, "{call} {deed}: {reason}");
    }
    for call in ["plan", "open"] {
        let (error, live) = begin_told(call, "broken").await;
        let broken = CallError::Failure(Failure::Broken("as told".to_owned()));
        assert_eq!((error, live), (broken, false), "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_state_over_its_limit_is_refused() {
    let bench = Bench::new(&common::engine()).await;
    let mut instance = bench
        .opened(&told("save", "too-much"), &patient())
        .await
        .unwrap();
    let error = instance.save().await.unwrap_err();
    assert!(
        matches!(error, CallError::Dead(Death::TooLarge { .. })),
        "{error:?}"
    );
    bench.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decent_instance_is_not_refused() {
    let bench = Bench::new(&common::engine()).await;
    let mut instance = bench.opened("{}", &patient()).await.unwrap();
    for expected in ["1", "2", "3"] {
        let polled = instance.poll(POLL).await.unwrap();
        assert_eq!(
            (values(&polled), polled.counts.records),
            (vec![expected.to_owned()], 1)
        );
    }
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 4096
}
