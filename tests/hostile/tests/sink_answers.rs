//! Answers of a sink that break the contract are refused, whatever they claim.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use jackfield_hostile_tests::{SinkBench, batch, patient, span, told};
use jackfield_plugin::{COMMIT_BYTES_MAX, CallError, Death, Failure, Piece};

/// How the call ended, and whether the instance can be called again.
async fn end_of(call: &str, deed: &str) -> (CallError, bool) {
    let bench = SinkBench::new(&common::engine()).await;
    let mut sink = bench.opened(&told(call, deed), &patient()).await;
    let ended = match (&mut sink, call) {
        (Err(error), _) => Err(error.clone()),
        (Ok(sink), "put") => sink.put(span(3), batch(3).into()).await.map(drop),
        (Ok(sink), "assigned") => sink.assigned(Vec::new()).await,
        (Ok(sink), "stage") => sink.stage().await.map(drop),
        (Ok(sink), "stored") => sink.stored(Vec::new()).await.map(drop),
        (Ok(sink), "commit") => {
            let commit = sink.commit("lines".into(), Vec::new(), Vec::new(), "id".into());
            commit.await.map(drop)
        }
        (Ok(sink), "save") => sink.save().await.map(drop),
        (Ok(_), other) => panic!("no such call: {other}"),
    };
    bench.works().await;
    let live = sink.is_ok_and(|it| it.is_live());
    (ended.expect_err(deed), live)
}

async fn malformed(call: &str, deed: &str, why: &str) {
    let (error, live) = end_of(call, deed).await;
    match error {
        CallError::Dead(Death::Malformed(reason)) => {
            assert!(reason.contains(why), "{call} {deed}: {reason}");
        }
        other => panic!("{call} {deed}: {other:?}"),
    }
    assert!(!live, "{call} {deed}");
}

async fn too_large(call: &str, deed: &str) {
    let (error, live) = end_of(call, deed).await;
    assert!(
        matches!(error, CallError::Dead(Death::TooLarge { .. })),
        "{call} {deed}: {error:?}"
    );
    assert!(!live, "{call} {deed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_that_claim_too_much_are_refused() {
    for deed in [
        "giant-list",
        "forged-list",
        "too-many-pieces",
        "too-much",
        "long-name",
    ] {
        too_large("stage", deed).await;
    }
    let (error, _) = end_of("stage", "out-of-bounds").await;
    assert!(matches!(error, CallError::Dead(_)), "{error:?}");
    malformed("stage", "nameless", "a target").await;
    malformed("stage", "two-lines", "a target").await;
    malformed("stage", "unknown-version", "version 99").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_that_can_not_be_are_refused() {
    too_large("stored", "too-many").await;
    too_large("stored", "too-many-positions").await;
    malformed("stored", "nameless", "a target").await;
    malformed("stored", "negative", "offset -1").await;
    let (error, live) = end_of("stored", "forged-list").await;
    assert!(matches!(error, CallError::Dead(_)) && !live, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_a_sink_that_can_not_be_are_refused() {
    malformed("put", "absurd-counts", "records in one call").await;
    malformed("put", "counts-too-much", "of a batch of 3").await;
    malformed("commit", "absurd-rows", "rows").await;
    malformed("commit", "absurd-bytes", "bytes").await;
    too_large("save", "too-much").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_put_can_be_rejected() {
    malformed("put", "rejects-unknown", "record 1000000").await;
    malformed("put", "rejects-nothing", "without naming").await;
    too_large("put", "rejects-too-many").await;
    for call in ["open", "assigned", "stage", "stored", "commit"] {
        malformed(call, "rejects-records", "rejected records").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_sink_is_not_called_again_and_waits_are_bounded() {
    for call in ["open", "assigned", "put", "stage", "stored", "commit"] {
        let (error, live) = end_of(call, "broken").await;
        let broken = CallError::Failure(Failure::Broken("as told".to_owned()));
        assert_eq!((error, live), (broken, false), "{call}");
    }
    let (error, live) = end_of("put", "retry-for-ever").await;
    let CallError::Failure(Failure::Retry { after_ms, .. }) = error else {
        panic!("{error:?}");
    };
    assert!(live && after_ms <= 15 * 60 * 1000, "{after_ms}");
    let (error, live) = end_of("commit", "misconfigured").await;
    let CallError::Failure(Failure::Misconfigured(reason)) = error else {
        panic!("{error:?}");
    };
    assert!(live && reason.len() <= 8 * 1024, "reasons are cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_that_are_not_its_own_or_too_many_are_not_committed() {
    let bench = SinkBench::new(&common::engine()).await;
    let mut sink = bench.opened("{}", &patient()).await.unwrap();
    let piece = |version, bytes| Piece {
        target: "lines".into(),
        version,
        bytes,
    };
    let too_many = vec![piece(1, vec![0; COMMIT_BYTES_MAX]), piece(1, vec![0])];
    let refused = sink.commit("lines".into(), too_many, Vec::new(), "a".into());
    let refused = refused.await.unwrap_err();
    assert!(
        matches!(refused, CallError::Dead(Death::TooLarge { .. })) && sink.is_live(),
        "it was never asked: {refused}"
    );
    let foreign = vec![piece(7, Vec::new())];
    let broken = sink.commit("lines".into(), foreign, Vec::new(), "b".into());
    let broken = broken.await.unwrap_err();
    assert!(
        matches!(broken, CallError::Failure(Failure::Broken(_))) && !sink.is_live(),
        "{broken}"
    );
}
