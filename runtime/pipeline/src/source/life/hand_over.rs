//! How a slot comes to rest, lets another instance go on, and lets others listen.

use super::{Life, Turn, open_at};
use crate::failures::Failed;
use crate::shadow::{SlotWatch, TAP_BYTES_MAX, Twin};
use crate::source::feeds::Routes;
use crate::source::turn::{Fallback, Go, Rested, Successor};
use crate::swap::Version;
use jackfield_core::{Consequence, SourceTask};
use jackfield_plugin::{CallError, Feed, Saved, SourceInstance};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Longest time that a slot waits for its next version to open. Nothing is taken meanwhile: what
/// arrives fills the inbox, after which connections are not read and the origin may close them. A
/// start, which keeps nobody waiting, gives it longer.
const OPEN_SUCCESSOR_MAX: Duration = Duration::from_secs(10);

impl Life<'_> {
    /// Comes to rest, and lets another instance go on if all goes well.
    pub(super) async fn rest(
        &mut self,
        rested: oneshot::Sender<Rested>,
        go: oneshot::Receiver<Go>,
    ) -> Result<Turn, Failed> {
        let began = Instant::now();
        let inbox = &self.shared.inbox;
        let in_flight = inbox.given().saturating_sub(inbox.settled());
        while self.task.in_flight() > 0 {
            self.await_oldest().await;
            if let Some(error) = self.log_failure.take() {
                return Err(Failed::log("append", error));
            }
        }
        // One that can't even be asked for its state is all the more to be replaced.
        let (saved, died) = match self.save().await {
            Ok(saved) => (saved, None),
            Err(failed) => (None, Some(failed)),
        };
        self.shared.interrupt.clear();
        // Whoever asked may have given up: then nothing is sent by `go` either.
        let _gone = rested.send(Rested { in_flight });
        let goes_on = match go.await {
            Ok(Go::Swap(successor)) => self.hand_over(*successor, saved, began).await,
            Ok(Go::End) if died.is_some() => return Ok(Turn::EndDead),
            Ok(Go::End) => return Ok(Turn::End),
            Err(_) => false,
        };
        match died {
            Some(failed) if !goes_on => Err(failed),
            Some(_) | None => Ok(Turn::GoOn),
        }
    }

    async fn save(&mut self) -> Result<Option<Saved>, Failed> {
        match self.instance.save().await {
            Ok(saved) => Ok(Some(saved)),
            // The state is a cache: opening without it must be right too.
            Err(CallError::Failure(failure)) => {
                let failed = Failed::call("save", CallError::Failure(failure));
                tracing::warn!(connector = %self.shared.spec.connector, %failed, "goes on without saved state");
                Ok(None)
            }
            Err(dead @ CallError::Dead(_)) => Err(Failed::call("save", dead)),
        }
    }

    /// Lets someone listen from here on. What is on its way to the log counts as taken: nobody
    /// waits for it.
    pub(super) async fn watched(
        &mut self,
        outputs: bool,
        reply: oneshot::Sender<SlotWatch>,
    ) -> Result<Turn, Failed> {
        let saved = self.save().await?;
        let shared = self.shared;
        shared.interrupt.clear();
        let contained = self.task.last_done();
        let Some(tap) = shared.inbox.tap(contained, TAP_BYTES_MAX) else {
            // Too many listen already, which the dropped reply says.
            return Ok(Turn::GoOn);
        };
        let mut positions = self.durable.all.clone();
        for it in self.task.in_flight_positions() {
            match &it.offset {
                Some(_) => positions.insert(it.partition.clone(), it.clone()),
                None => positions.remove(&it.partition),
            };
        }
        let (twin, told) = Twin::new();
        let watch = SlotWatch {
            slot: shared.slot.clone(),
            number: shared.number,
            slots: shared.slots,
            contained,
            positions: positions.into_values().collect(),
            saved,
            connections: shared.connections.list(),
            feeds: self.feeds.clone(),
            tap,
            told,
        };
        // Who does not wait any more drops the tap, and with it all that it would have cost. Whoever
        // compares already goes on in any case.
        let waited_for = reply.send(watch).is_ok();
        if waited_for && outputs {
            self.twin = Some(twin);
        }
        Ok(Turn::GoOn)
    }

    /// Lets another instance go on; false: it can't.
    async fn hand_over(
        &mut self,
        successor: Successor,
        saved: Option<Saved>,
        began: Instant,
    ) -> bool {
        let Successor {
            version,
            instance,
            done,
        } = successor;
        let inbox = &self.shared.inbox;
        let (given, contained) = (inbox.given(), self.task.last_done());
        inbox.settle(contained);
        inbox.rewind(contained);
        let readable = saved.clone().and_then(|it| version.reads(it));
        let opening = self.open_successor(&version, instance, readable);
        let opened = tokio::time::timeout(OPEN_SUCCESSOR_MAX, opening).await;
        let opened = opened.unwrap_or_else(|_| {
            let within = OPEN_SUCCESSOR_MAX.as_secs();
            let reason = format!("it took longer than {within} s while nothing was taken");
            Err(Failed::new("open", Consequence::Replace, reason))
        });
        match opened {
            Ok((instance, routes, feeds)) => {
                // The old one is only dropped: what it would do in `close` is not its turn any more.
                self.instance = instance;
                self.routes = routes;
                self.feeds = feeds;
                // Another version is no longer what it was compared with.
                self.twin = None;
                self.task = SourceTask::new(contained);
                self.durable.to_tell.clear();
                self.behind = 0;
                let old = std::mem::replace(&mut self.serving.version, version);
                self.serving.fallback = Some(Fallback::To(old, saved));
                let _gone = done.send(Ok(began.elapsed()));
                true
            }
            Err(failed) => {
                // What the old one was given it still has.
                inbox.rewind(given);
                let _gone = done.send(Err(failed));
                false
            }
        }
    }

    async fn open_successor(
        &mut self,
        version: &Version,
        mut instance: SourceInstance,
        saved: Option<Saved>,
    ) -> Result<(SourceInstance, Routes, Vec<Feed>), Failed> {
        let shared = self.shared;
        let positions = self.durable.all.values().cloned().collect();
        let settings = version.plugged.settings.clone();
        let feeds = open_at(shared, &mut instance, settings, positions, saved)
            .await
            .map_err(|e| Failed::call("open", e))?;
        let mut routes = Routes::default();
        routes
            .extend(
                feeds.clone(),
                &shared.spec.topics,
                &shared.host,
                shared.status.metrics(),
            )
            .await?;
        Ok((instance, routes, feeds))
    }
}
