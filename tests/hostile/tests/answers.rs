//! Answers that break the contract are refused, whatever they claim.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "common/refused.rs"]
mod refused;

use jackfield_hostile_tests::{Bench, POLL, patient, told, values};
use jackfield_plugin::{CallError, Death, Failure};
use refused::{begin_told, poll_told, too_large};

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
