//! One poll's outcome as one transaction of the log.

use super::feeds::{Route, Routes};
use super::way;
use crate::dead_letters::{self, Reporter};
use crate::failures::Failed;
use crate::spec::OnBadRecord;
use jackfield_batch::{Batch, Limits, stamp_schemas};
use jackfield_core::Consequence;
use jackfield_log::{Append, InboxMark, Output, Position};
use jackfield_plugin::{Output as Given, Polled};
use std::collections::VecDeque;
use std::sync::Arc;

/// What a poll brought, counted.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) batches: u64,
    pub(crate) rejected: u64,
    pub(crate) dead_letters: u64,
    /// Records by topic; a topic may come more than once.
    pub(crate) by_topic: Vec<(Arc<str>, u64)>,
}

/// The transaction for what was polled; without outputs and positions there is nothing to append.
/// Its batches are told to `way`, if anyone wants to know.
pub(crate) fn of(
    polled: &mut Polled,
    routes: &mut Routes,
    on_bad_record: &OnBadRecord,
    by: Reporter<'_>,
    mark: InboxMark,
    now_ms: i64,
    way: Option<&mut VecDeque<way::Batch>>,
) -> Result<(Append, Tally), Failed> {
    let mut tally = Tally::default();
    let given = std::mem::take(&mut polled.outputs);
    let mut outputs = routed(given, routes, &mut tally, way)?;
    outputs.extend(letters(polled, on_bad_record, by, &mut tally, now_ms)?);
    let positions = polled
        .positions
        .iter()
        .map(|p| Position {
            partition: p.partition.clone(),
            offset: p.offset.clone(),
        })
        .collect();
    Ok((
        Append {
            outputs,
            positions,
            mark: Some(mark),
        },
        tally,
    ))
}

/// Batches as they go to the partitions of their feeds' topics.
fn routed(
    given: Vec<Given>,
    routes: &mut Routes,
    tally: &mut Tally,
    mut way: Option<&mut VecDeque<way::Batch>>,
) -> Result<Vec<Output>, Failed> {
    let mut outputs = Vec::with_capacity(given.len());
    for output in given {
        let Some(route) = routes.get(output.feed) else {
            let reason = format!(
                "records of feed number {}, which was never told",
                output.feed
            );
            return Err(Failed::new("poll", Consequence::Replace, reason));
        };
        let mut bytes = output.records;
        let records = Batch::parse(&bytes, &Limits::default())
            .map_err(|e| {
                Failed::new(
                    "poll",
                    Consequence::Replace,
                    format!("malformed batch: {e}"),
                )
            })?
            .len();
        match route {
            Route::Dropped => {}
            Route::To {
                topic,
                id,
                ids,
                partitioner,
                counted,
            } => {
                tally.records += u64::from(records);
                tally.by_topic.push((Arc::clone(topic), u64::from(records)));
                tally.bytes += bytes.len() as u64;
                tally.batches += 1;
                counted.add(u64::from(records));
                stamp_schemas(&mut bytes, *ids);
                for (partition, batch) in partitioner.split(bytes)? {
                    if let Some(way) = &mut way {
                        let records = Batch::parse(&batch, &Limits::default());
                        way.push_back(way::Batch {
                            topic: Arc::clone(topic),
                            topic_id: *id,
                            partition,
                            records: records.map_or(0, |records| records.len()),
                        });
                    }
                    outputs.push(Output {
                        topic: Arc::clone(topic),
                        partition,
                        batch,
                    });
                }
            }
        }
    }
    Ok(outputs)
}

/// What becomes of the events that can never become records.
fn letters(
    polled: &Polled,
    on_bad_record: &OnBadRecord,
    by: Reporter<'_>,
    tally: &mut Tally,
    now_ms: i64,
) -> Result<Vec<Output>, Failed> {
    tally.rejected = polled.rejected.len() as u64;
    match (on_bad_record, polled.rejected.first()) {
        (_, None) | (OnBadRecord::Skip, Some(_)) => Ok(Vec::new()),
        (OnBadRecord::Stop, Some(event)) => Err(Failed::for_good(
            "poll",
            format!(
                "event {} of the inbox can never become a record: {}",
                event.event, event.reason
            ),
        )),
        (OnBadRecord::DeadLetter { topic }, Some(_)) => {
            tally.dead_letters = tally.rejected;
            dead_letters::of_events(topic, by, &polled.rejected, now_ms)
        }
    }
}
