//! Answers that claim gigabytes are refused before they are copied. In a binary of its own, and one
//! test after the other: what others hold meanwhile would count as the answer's.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "common/refused.rs"]
mod refused;

use jackfield_hostile_tests::Bench;
use jackfield_plugin::{CallError, Death};
use refused::{begin_told, poll_told, too_large};
use tokio::sync::{Mutex, MutexGuard};

/// What the process may grow by, bytes: an answer of 200 MiB lies in the instance's own memory, and
/// would lie there twice if it was copied.
const GROWTH_MAX: u64 = 400 << 20;
/// `/proc` counts in these.
const KIB_BYTES: u64 = 1024;

static ALONE: Mutex<()> = Mutex::const_new(());

/// What the process grows by from a moment on at which no other test runs.
struct Growth {
    before: u64,
    _alone: MutexGuard<'static, ()>,
}

impl Growth {
    async fn begin() -> Self {
        let alone = ALONE.lock().await;
        // What compiling the component takes is nobody's answer.
        Bench::new(&common::engine()).await.works().await;
        Self {
            before: peak_bytes(),
            _alone: alone,
        }
    }

    fn is_small(&self) {
        let grown = peak_bytes().saturating_sub(self.before);
        assert!(grown < GROWTH_MAX, "the host grew by {grown} bytes");
    }
}

/// The most that was resident so far: a copy that is given back at once counts too.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"));
    let kib = line.and_then(|it| it.split_whitespace().next());
    kib.unwrap().parse::<u64>().unwrap() * KIB_BYTES
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_claim_gigabytes_are_refused_before_they_are_copied() {
    let growth = Growth::begin().await;
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
    growth.is_small();
}

/// Of both: texts that claim gigabytes, and names that are none.
#[tokio::test(flavor = "multi_thread")]
async fn slots_and_feeds_that_claim_too_much_are_refused_before_they_are_copied() {
    let growth = Growth::begin().await;
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
    growth.is_small();
}
