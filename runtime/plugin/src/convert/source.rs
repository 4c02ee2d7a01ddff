//! Answers of sources.

use super::{Rejects, at_most, counts, cut, failure, json, malformed, name, schema, too_large};
use crate::bindings::source::exports::jackfield::connector::source as wit;
use crate::bindings::source::jackfield::connector::types::Failure as WitFailure;
use crate::error::CallError;
use crate::limits::{
    EXCERPT_BYTES_MAX, FEEDS_MAX, OFFSET_BYTES_MAX, OUTPUTS_BYTES_MAX, OUTPUTS_MAX,
    PARTITION_BYTES_MAX, POSITIONS_MAX, REJECTED_EVENTS_MAX, SLOT_SETTINGS_BYTES_MAX,
};
use crate::types::{Feed, Output, PollLimits, Polled, Position, RejectedEvent, Slot};
use jackfield_batch::{BATCH_BYTES_MAX, Batch, Limits, RECORDS_MAX};
use std::collections::BTreeSet;

/// An answer that is only a failure or none.
pub(crate) fn nothing(answer: Result<(), WitFailure>) -> Result<(), CallError> {
    answer.map_err(|f| failure(f, Rejects::Never))
}

pub(crate) fn slots(
    answer: Result<Vec<wit::Slot>, WitFailure>,
    slots_max: u32,
) -> Result<Vec<Slot>, CallError> {
    let slots = answer.map_err(|f| failure(f, Rejects::Never))?;
    at_most("the list of slots", slots.len(), slots_max as usize)?;
    let mut ids = BTreeSet::new();
    for slot in &slots {
        name("a slot's id", &slot.id)?;
        at_most(
            "a slot's settings",
            slot.settings.len(),
            SLOT_SETTINGS_BYTES_MAX,
        )?;
        if !ids.insert(&slot.id) {
            return Err(malformed(format!("two slots have the id {:?}", slot.id)));
        }
    }
    Ok(slots
        .into_iter()
        .map(|slot| Slot {
            id: slot.id,
            settings: slot.settings,
        })
        .collect())
}

/// The feeds of `open`.
pub(crate) fn feeds(answer: Result<Vec<wit::Feed>, WitFailure>) -> Result<Vec<Feed>, CallError> {
    told(answer.map_err(|f| failure(f, Rejects::Never))?, 0)
}

fn told(feeds: Vec<wit::Feed>, known: u32) -> Result<Vec<Feed>, CallError> {
    at_most("the list of feeds", known as usize + feeds.len(), FEEDS_MAX)?;
    feeds
        .into_iter()
        .map(|feed| {
            name("a feed's name", &feed.name)?;
            Ok(Feed {
                name: feed.name,
                value: schema(feed.value)?,
                key: feed.key.map(schema).transpose()?,
            })
        })
        .collect()
}

/// What an answer of `poll` is checked against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PollContext {
    /// Asked for in the call.
    pub(crate) limits: PollLimits,
    /// Feeds told so far.
    pub(crate) feeds: u32,
    /// Highest event that is settled.
    pub(crate) settled: u64,
    /// Highest event that this or an earlier instance was given.
    pub(crate) given: u64,
}

pub(crate) fn polled(
    answer: Result<wit::Polled, WitFailure>,
    context: PollContext,
) -> Result<Polled, CallError> {
    let polled = answer.map_err(|f| failure(f, Rejects::Never))?;
    if polled.done_through > context.given {
        return Err(malformed(format!(
            "is done through event {}, but was given events up to {}",
            polled.done_through, context.given
        )));
    }
    let feeds = told(polled.feeds, context.feeds)?;
    // The list is bounded by FEEDS_MAX.
    let known = context.feeds + feeds.len() as u32;
    let (outputs, records) = outputs(polled.outputs, known, context.limits)?;
    let mut counts = counts(&polled.counts)?;
    counts.records = records;
    Ok(Polled {
        feeds,
        outputs,
        rejected: rejected(polled.rejected, context)?,
        positions: positions(polled.positions)?,
        done_through: polled.done_through,
        counts,
        behind: polled.behind,
        replan: polled.replan,
        ended: polled.ended,
    })
}

fn outputs(
    outputs: Vec<wit::Output>,
    feeds: u32,
    asked: PollLimits,
) -> Result<(Vec<Output>, u64), CallError> {
    at_most("the list of batches", outputs.len(), OUTPUTS_MAX)?;
    let limits = Limits {
        records_max: asked.batch_records_max.min(RECORDS_MAX),
        bytes_max: (asked.batch_bytes_max as usize).min(BATCH_BYTES_MAX),
    };
    let (mut kept, mut records, mut bytes) = (Vec::with_capacity(outputs.len()), 0, 0);
    for output in outputs {
        if output.feed >= feeds {
            return Err(malformed(format!(
                "records of feed {}, where {feeds} feeds were told",
                output.feed
            )));
        }
        bytes += output.records.len();
        if bytes > OUTPUTS_BYTES_MAX {
            return Err(too_large("all batches", OUTPUTS_BYTES_MAX));
        }
        let batch = Batch::parse(&output.records, &limits)
            .map_err(|e| malformed(format!("a batch: {e}")))?;
        if batch.first_offset().is_some() {
            return Err(malformed(
                "a batch with log coordinates, which only the log gives",
            ));
        }
        records += u64::from(batch.len());
        if !batch.is_empty() {
            kept.push(Output {
                feed: output.feed,
                records: output.records,
            });
        }
    }
    Ok((kept, records))
}

fn rejected(
    events: Vec<wit::RejectedEvent>,
    context: PollContext,
) -> Result<Vec<RejectedEvent>, CallError> {
    at_most(
        "the list of rejected events",
        events.len(),
        REJECTED_EVENTS_MAX,
    )?;
    events
        .into_iter()
        .map(|mut rejected| {
            if rejected.event <= context.settled || rejected.event > context.given {
                return Err(malformed(format!(
                    "rejects event {}, where {} to {} are open",
                    rejected.event,
                    context.settled + 1,
                    context.given
                )));
            }
            rejected.excerpt.truncate(EXCERPT_BYTES_MAX);
            Ok(RejectedEvent {
                event: rejected.event,
                reason: cut(rejected.reason),
                excerpt: rejected.excerpt,
            })
        })
        .collect()
}

fn positions(positions: Vec<wit::Position>) -> Result<Vec<Position>, CallError> {
    at_most("the list of positions", positions.len(), POSITIONS_MAX)?;
    positions
        .into_iter()
        .map(|position| {
            at_most(
                "a position's partition",
                position.partition.len(),
                PARTITION_BYTES_MAX,
            )?;
            let partition = json::canonical("a position's partition", &position.partition)?;
            let offset = match position.offset {
                Some(offset) => {
                    at_most("a position's offset", offset.len(), OFFSET_BYTES_MAX)?;
                    Some(json::canonical("a position's offset", &offset)?)
                }
                None => None,
            };
            Ok(Position { partition, offset })
        })
        .collect()
}

pub(crate) fn into_positions(positions: Vec<Position>) -> Vec<wit::Position> {
    positions
        .into_iter()
        .map(|p| wit::Position {
            partition: p.partition,
            offset: p.offset,
        })
        .collect()
}

pub(crate) fn into_slot(slot: Slot) -> wit::Slot {
    wit::Slot {
        id: slot.id,
        settings: slot.settings,
    }
}

pub(crate) fn into_limits(limits: PollLimits) -> wit::Limits {
    wit::Limits {
        batch_bytes_max: limits.batch_bytes_max,
        batch_records_max: limits.batch_records_max,
        wait_ms: limits.wait_ms,
    }
}
