//! Calls that are to end badly, and how they did.

use crate::common::engine;
use jackfield_hostile_tests::{Bench, POLL, open, patient, told};
use jackfield_plugin::{CallError, Death};

/// Slots that are asked for at most.
const SLOTS_MAX: u32 = 4;

/// How a poll ended, and whether the instance can be called again.
pub(crate) async fn poll_told(deed: &str) -> (CallError, bool) {
    let bench = Bench::new(&engine()).await;
    let mut instance = bench.opened(&told("poll", deed), &patient()).await.unwrap();
    let error = instance.poll(POLL).await.expect_err(deed);
    let live = instance.is_live();
    bench.works().await;
    (error, live)
}

pub(crate) async fn too_large(deed: &str) {
    let (error, live) = poll_told(deed).await;
    assert!(
        matches!(error, CallError::Dead(Death::TooLarge { .. })),
        "{deed}: {error:?}"
    );
    assert!(!live);
}

/// How `plan` or `open` ended, and whether the instance can be called again.
pub(crate) async fn begin_told(call: &str, deed: &str) -> (CallError, bool) {
    let bench = Bench::new(&engine()).await;
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
