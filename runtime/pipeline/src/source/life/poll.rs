//! What a slot polls and appends.

use super::{Life, LifeEnd, settle};
use crate::clock::now_ms;
use crate::dead_letters::Reporter;
use crate::failures::Failed;
use crate::source::append::{self, Tally};
use crate::source::gathered::Waiting;
use crate::source::slot::INBOX_BYTES_MAX;
use crate::source::way::PollTimes;
use jackfield_core::{Next, after};
use jackfield_log::{Append, InboxMark};
use jackfield_plugin::{PollLimits, Polled};
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait inside one `poll` for the first event: bounds how stale a slot's view of its own
/// timers gets. A stop ends the wait early.
const POLL_WAIT: Duration = Duration::from_millis(250);
/// Records and bytes of one poll, as the batch format allows.
const POLL_LIMITS: PollLimits = PollLimits {
    batch_bytes_max: jackfield_batch::BATCH_BYTES_MAX as u32,
    batch_records_max: jackfield_batch::RECORDS_MAX,
    wait_ms: POLL_WAIT.as_millis() as u32,
};

impl Life<'_> {
    pub(super) async fn poll_once(&mut self) -> Result<Option<LifeEnd>, Failed> {
        let began = Instant::now();
        let (polled, poll) = match self.poll_while_appending().await {
            Ok(polled) => {
                self.health.polled();
                let ended = Instant::now();
                (polled, PollTimes { began, ended })
            }
            Err(failed) if after::source(failed.consequence) == Next::CallAgain => {
                self.retry_wait(&failed).await?;
                return Ok(None);
            }
            Err(failed) => return Err(failed),
        };
        if self.log_failure.is_some() {
            return Ok(None);
        }
        self.store(polled, poll).await
    }

    /// One `poll`, with outcomes of earlier appends taken in the meantime. The call is never
    /// dropped half-way: when the log fails, waits inside it end early and it is seen through.
    async fn poll_while_appending(&mut self) -> Result<Polled, Failed> {
        let Life {
            shared,
            instance,
            task,
            gathered,
            way,
            durable,
            log_failure,
            health,
            serving,
            asked,
            ..
        } = self;
        let (mut stopping, mut due) = (false, false);
        let mut poll = pin!(instance.poll(POLL_LIMITS));
        let polled = loop {
            tokio::select! {
                biased;
                Some((since, outcome)) = way.oldest(shared.status.metrics()) => {
                    settle(shared, task, durable, log_failure, health, since, outcome);
                    if log_failure.is_some() {
                        shared.interrupt.raise();
                    }
                }
                polled = &mut poll => break polled,
                // They go once the call is back: while the log keeps them waiting nobody would see to
                // the call, whose time runs on.
                () = gathered.due(), if !due => {
                    due = true;
                    shared.interrupt.raise();
                }
                Some(command) = serving.commands.recv(), if asked.is_none() => {
                    *asked = Some(command);
                    shared.interrupt.raise();
                }
                () = shared.stop.cancelled(), if !stopping => {
                    stopping = true;
                    shared.interrupt.raise();
                }
            }
        };
        if !stopping && log_failure.is_none() {
            shared.interrupt.clear();
        }
        polled.map_err(|e| Failed::call("poll", e))
    }

    async fn store(
        &mut self,
        mut polled: Polled,
        poll: PollTimes,
    ) -> Result<Option<LifeEnd>, Failed> {
        self.durable.check()?;
        self.hear(&mut polled).await?;
        let (append, tally) = self.append_of(&mut polled)?;
        let batches = self.way.made();
        let needs_append = !append.outputs.is_empty() || !append.positions.is_empty();
        let positions = std::mem::take(&mut polled.positions);
        let settled = self.task.polled(
            polled.done_through,
            self.shared.inbox.last(),
            positions,
            needs_append,
            polled.ended,
        )?;
        self.count(&polled, &tally);
        if needs_append {
            let waiting = Waiting {
                poll,
                append,
                batches,
            };
            self.gathered.add(waiting, tally.records, Instant::now());
        } else if let Some(settled) = settled {
            self.take_settled(settled);
        }
        self.send().await;
        self.behind = polled.behind;
        let appends = self.way.len() + self.gathered.len();
        self.shared.count_open(appends, self.behind);
        Ok(match (polled.ended, polled.replan) {
            (true, _) => Some(LifeEnd::Ended),
            (false, true) => Some(LifeEnd::Replan),
            (false, false) => None,
        })
    }

    /// Lets the twin know, and takes up the feeds that were told.
    async fn hear(&mut self, polled: &mut Polled) -> Result<(), Failed> {
        let shared = self.shared;
        if let Some(twin) = &self.twin
            && !twin.tell(polled, shared.inbox.given())
        {
            self.twin = None;
        }
        let feeds = std::mem::take(&mut polled.feeds);
        self.feeds.extend(feeds.iter().cloned());
        self.routes
            .extend(
                feeds,
                &shared.spec.topics,
                &shared.host,
                shared.status.metrics(),
            )
            .await
    }

    fn append_of(&mut self, polled: &mut Polled) -> Result<(Append, Tally), Failed> {
        let shared = self.shared;
        let mark = InboxMark {
            epoch: shared.inbox.epoch(),
            done_through: self.task.done_through(polled.done_through),
        };
        let description = &self.serving.version.description;
        let by = Reporter {
            connector: &shared.spec.connector,
            task: shared.number,
            component: (&description.name, &description.version),
        };
        let traces = shared.status.metrics().traces();
        append::of(
            polled,
            &mut self.routes,
            &shared.spec.on_bad_record,
            by,
            mark,
            now_ms(),
            traces.then(|| self.way.next_batches()),
        )
    }

    fn count(&self, polled: &Polled, tally: &Tally) {
        let shared = self.shared;
        let metrics = shared.status.metrics();
        metrics.counts(
            polled.counts.duplicates,
            polled.counts.missing,
            polled.counts.recovered,
            polled.counts.event_time_max_ms,
        );
        shared.status.rejected(tally.rejected);
        metrics.dead_letters(tally.dead_letters);
        if tally.records > 0 {
            metrics.records(tally.records);
            metrics.bytes(tally.bytes);
            metrics.batches(tally.batches);
            shared.status.took(tally.records, shared.host.clock.now());
            for (topic, records) in &tally.by_topic {
                shared.status.took_of(topic, *records);
            }
        }
    }

    /// Lets go what has waited long enough, or is enough.
    async fn send(&mut self) {
        // While they wait the inbox keeps what they were made of.
        let filled = self.shared.inbox.bytes() >= INBOX_BYTES_MAX / 2;
        if filled || self.gathered.is_due(Instant::now()) {
            self.release().await;
        }
    }
}
