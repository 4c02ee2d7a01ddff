//! Answers of sinks.

use super::{Rejects, at_most, counts, failure, malformed, name, too_large};
use crate::bindings::sink::exports::jackfield::connector::sink as wit;
use crate::bindings::source::jackfield::connector::types::Failure as WitFailure;
use crate::error::CallError;
use crate::limits::{
    COMMIT_BYTES_MAX, COUNT_MAX, HELD_POSITIONS_MAX, HOLDINGS_MAX, PIECES_MAX, STAGED_BYTES_MAX,
};
use crate::types::{Committed, Holding, LogPosition, Piece, Span, Taken};

/// An answer that is only a failure or none.
pub(crate) fn nothing(answer: Result<(), WitFailure>) -> Result<(), CallError> {
    answer.map_err(|f| failure(f, Rejects::Never))
}

/// The answer to `put` of a batch of so many records.
pub(crate) fn taken(
    answer: Result<wit::Taken, WitFailure>,
    records: u32,
) -> Result<Taken, CallError> {
    let taken = answer.map_err(|f| failure(f, Rejects::Of(records)))?;
    let counts = counts(&taken.counts)?;
    for (what, count) in [
        ("records", counts.records),
        ("duplicates", counts.duplicates),
    ] {
        if count > u64::from(records) {
            return Err(malformed(format!(
                "counts {count} {what} of a batch of {records}"
            )));
        }
    }
    Ok(Taken {
        counts,
        stage_now: taken.stage_now,
    })
}

/// The answer to `stage` of a component whose pieces are of `version`.
pub(crate) fn pieces(
    answer: Result<Vec<wit::Piece>, WitFailure>,
    version: u32,
) -> Result<Vec<Piece>, CallError> {
    let pieces = answer.map_err(|f| failure(f, Rejects::Never))?;
    at_most("the list of pieces", pieces.len(), PIECES_MAX)?;
    let bytes: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
    at_most("all pieces of a stage", bytes, STAGED_BYTES_MAX)?;
    pieces
        .into_iter()
        .map(|piece| {
            name("a target", &piece.target)?;
            if piece.version != version {
                return Err(malformed(format!(
                    "staged a piece of version {}, and describes itself as staging version {version}",
                    piece.version
                )));
            }
            Ok(Piece {
                target: piece.target,
                version: piece.version,
                bytes: piece.bytes,
            })
        })
        .collect()
}

pub(crate) fn holdings(
    answer: Result<Vec<wit::Holding>, WitFailure>,
) -> Result<Vec<Holding>, CallError> {
    let holdings = answer.map_err(|f| failure(f, Rejects::Never))?;
    let positions: usize = holdings.iter().map(|holding| holding.positions.len()).sum();
    at_most("the list of targets", holdings.len(), HOLDINGS_MAX)?;
    at_most("what targets hold", positions, HELD_POSITIONS_MAX)?;
    holdings
        .into_iter()
        .map(|holding| {
            name("a target", &holding.target)?;
            let positions: Result<Vec<_>, _> =
                holding.positions.into_iter().map(position).collect();
            Ok(Holding {
                target: holding.target,
                positions: positions?,
            })
        })
        .collect()
}

fn position(p: wit::LogPosition) -> Result<LogPosition, CallError> {
    name("a topic", &p.topic)?;
    if p.partition < 0 || p.next_offset < 0 {
        return Err(malformed(format!(
            "a position at {}-{} offset {}",
            p.topic, p.partition, p.next_offset
        )));
    }
    Ok(LogPosition {
        topic: p.topic,
        topic_id: p.topic_id,
        partition: p.partition,
        next_offset: p.next_offset,
    })
}

pub(crate) fn committed(
    answer: Result<wit::Committed, WitFailure>,
) -> Result<Committed, CallError> {
    let committed = answer.map_err(|f| failure(f, Rejects::Never))?;
    if committed.rows > COUNT_MAX || committed.bytes > COUNT_MAX {
        return Err(malformed(format!(
            "committed {} rows, {} bytes",
            committed.rows, committed.bytes
        )));
    }
    Ok(Committed {
        rows: committed.rows,
        files: committed.files,
        bytes: committed.bytes,
    })
}

pub(crate) fn span(span: Span) -> wit::Span {
    wit::Span {
        topic: span.topic,
        topic_id: span.topic_id,
        partition: span.partition,
        first_offset: span.first_offset,
        next_offset: span.next_offset,
    }
}

pub(crate) fn into_spans(spans: Vec<Span>) -> Vec<wit::Span> {
    spans.into_iter().map(span).collect()
}

pub(crate) fn into_holdings(holdings: Vec<Holding>) -> Vec<wit::Holding> {
    holdings
        .into_iter()
        .map(|holding| wit::Holding {
            target: holding.target,
            positions: holding
                .positions
                .into_iter()
                .map(|p| wit::LogPosition {
                    topic: p.topic,
                    topic_id: p.topic_id,
                    partition: p.partition,
                    next_offset: p.next_offset,
                })
                .collect(),
        })
        .collect()
}

/// Pieces for `commit`; more than it may be given is the host's own mistake.
pub(crate) fn into_pieces(pieces: Vec<Piece>) -> Result<Vec<wit::Piece>, CallError> {
    let bytes: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
    if bytes > COMMIT_BYTES_MAX {
        return Err(too_large("all pieces of a commit", COMMIT_BYTES_MAX));
    }
    Ok(pieces
        .into_iter()
        .map(|piece| wit::Piece {
            target: piece.target,
            version: piece.version,
            bytes: piece.bytes,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many targets, each of which holds so many positions.
    fn answer(targets: usize, positions: i32) -> Vec<wit::Holding> {
        let position = |partition| wit::LogPosition {
            topic: "t".into(),
            topic_id: "i".into(),
            partition,
            next_offset: 7,
        };
        let holding = |target: usize| wit::Holding {
            target: target.to_string(),
            positions: (0..positions).map(position).collect(),
        };
        (0..targets).map(holding).collect()
    }

    #[test]
    fn targets_are_counted_by_themselves_and_so_are_their_positions() {
        let held = holdings(Ok(answer(1000, 200))).unwrap();
        assert_eq!((held.len(), held[999].positions.len()), (1000, 200));
        assert!(holdings(Ok(answer(HOLDINGS_MAX + 1, 0))).is_err());
        let many = i32::try_from(HELD_POSITIONS_MAX).unwrap() + 1;
        assert!(holdings(Ok(answer(1, many))).is_err());
    }
}
