//! Answers that break the contract, and failures where none may be.

use crate::bindings::exports::jackfield::connector::sink::{
    Committed, Failure, Holding, LogPosition, Piece, Taken,
};
use crate::bindings::jackfield::connector::types::{Counts, Rejection, Retry};
use hostile_deeds::forged;

/// A failure that any call may answer with.
fn failure(deed: &str) -> Option<Failure> {
    Some(match deed {
        "broken" => Failure::Broken("as told".into()),
        "misconfigured" => Failure::Misconfigured("x".repeat(1 << 20)),
        "rewind" => Failure::Rewind("as told".into()),
        "retry-for-ever" => Failure::Retry(Retry {
            after_ms: u32::MAX,
            reason: "as told".into(),
        }),
        "rejects-records" => Failure::Rejected(vec![rejection(0)]),
        "rejects-unknown" => Failure::Rejected(vec![rejection(1_000_000)]),
        "rejects-nothing" => Failure::Rejected(Vec::new()),
        "rejects-too-many" => Failure::Rejected((0..5000).map(rejection).collect()),
        _ => return None,
    })
}

/// The answer of a call that only says that all is well.
pub(crate) fn nothing(deed: &str) -> Result<(), Failure> {
    match failure(deed) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// The answer to `put`, if it is a bad one.
pub(crate) fn taken(deed: &str) -> Option<Result<Taken, Failure>> {
    if let Some(failure) = failure(deed) {
        return Some(Err(failure));
    }
    let records = match deed {
        "absurd-counts" => u64::MAX,
        "counts-too-much" => 1001,
        _ => return None,
    };
    Some(Ok(Taken {
        counts: counts(records),
        stage_now: false,
    }))
}

/// The answer to `stage`, if it is a bad one.
pub(crate) fn pieces(deed: &str) -> Option<Result<Vec<Piece>, Failure>> {
    if let Some(failure) = failure(deed) {
        return Some(Err(failure));
    }
    Some(Ok(match deed {
        "nothing" => Vec::new(),
        "giant-list" => vec![piece("t", vec![7; 200 << 20])],
        "forged-list" => aliases(100_000),
        "out-of-bounds" => vec![piece("t", forged(16, 0xffff_fff0))],
        "too-many-pieces" => (0..10_001).map(|_| piece("t", Vec::new())).collect(),
        "too-much" => vec![piece("t", vec![7; 17 << 20])],
        "nameless" => vec![piece("", Vec::new())],
        "long-name" => vec![piece(&"x".repeat(600), Vec::new())],
        "two-lines" => vec![piece("a\nb", Vec::new())],
        "unknown-version" => vec![Piece {
            version: 99,
            ..piece("t", Vec::new())
        }],
        _ => return None,
    }))
}

/// The answer to `stored`, if it is a bad one.
pub(crate) fn holdings(deed: &str) -> Option<Result<Vec<Holding>, Failure>> {
    if let Some(failure) = failure(deed) {
        return Some(Err(failure));
    }
    Some(Ok(match deed {
        "too-many" => (0..100_001).map(|_| holding("t", Vec::new())).collect(),
        "too-many-positions" => vec![holding("t", (0..1_000_001).map(position).collect())],
        "nameless" => vec![holding("", Vec::new())],
        "negative" => vec![holding("t", vec![position(-1)])],
        "forged-list" => forged(16, 1 << 24),
        _ => return None,
    }))
}

/// The answer to `commit`, if it is a bad one.
pub(crate) fn committed(deed: &str) -> Option<Result<Committed, Failure>> {
    if let Some(failure) = failure(deed) {
        return Some(Err(failure));
    }
    let (rows, bytes) = match deed {
        "absurd-rows" => (u64::MAX, 0),
        "absurd-bytes" => (0, u64::MAX),
        _ => return None,
    };
    Some(Ok(Committed {
        rows,
        files: 0,
        bytes,
    }))
}

/// So many pieces that are all the same mebibyte: gigabytes for a host that copies them.
fn aliases(count: usize) -> Vec<Piece> {
    let shared = vec![7u8; 1 << 20].leak();
    (0..count)
        .map(|_| piece("t", forged(shared.as_ptr() as usize, shared.len())))
        .collect()
}

fn piece(target: &str, bytes: Vec<u8>) -> Piece {
    Piece {
        target: target.into(),
        version: 1,
        bytes,
    }
}

fn holding(target: &str, positions: Vec<LogPosition>) -> Holding {
    Holding {
        target: target.into(),
        positions,
    }
}

fn position(next_offset: i64) -> LogPosition {
    LogPosition {
        topic: "t".into(),
        topic_id: "x".into(),
        partition: 0,
        next_offset,
    }
}

fn rejection(index: u32) -> Rejection {
    Rejection {
        index,
        reason: "as told".into(),
    }
}

fn counts(records: u64) -> Counts {
    Counts {
        records,
        duplicates: 0,
        missing: 0,
        recovered: 0,
        event_time_max_ms: None,
    }
}
