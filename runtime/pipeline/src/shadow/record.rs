//! Keeping a copy of what a connector is given.

use super::listen::{SinkItem, SinkItems};
use super::run::listen;
use super::watch::{SinkWatch, SlotWatch, SourceWatch, Watched};
use crate::clock::now_ms;
use crate::swap::{Controls, Refused, Version};
use bytes::Bytes;
use jackfield_batch::{Batch, Limits};
use jackfield_plugin::recording::{
    self, Opening, RecordedSchema, Secrets, SlotOpening, SlotWriter,
};
use jackfield_plugin::{Delivery, TapEnd};
use jackfield_schema::{Registry, SchemaKind};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Bytes of a recording that nobody bounded otherwise: some minutes of a busy exchange.
pub const RECORDING_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How often what was heard is written.
const WRITE_EVERY: Duration = Duration::from_millis(50);
/// After so long without a chunk what there is is passed on, and if that is nothing, that is said: a
/// connection on which nothing moves is taken for dead.
const QUIET_MAX: Duration = Duration::from_secs(30);
/// Chunks that wait for whoever takes the recording.
const CHUNKS_MAX: usize = 16;
/// Longest wait for whoever takes the recording.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// A chunk is passed on from this size on.
const CHUNK_BYTES: usize = 256 * 1024;

/// How long and how much is to be recorded.
#[derive(Debug, Clone, Copy)]
pub struct RecordOptions {
    /// For how long.
    pub span: Duration,
    /// At most so many bytes.
    pub bytes_max: u64,
}

impl Controls {
    /// Records what a connector is given from now on: the chunks of a file as
    /// [`jackfield_plugin::recording`] has it, until it ends. Whoever drops the receiver ends it.
    ///
    /// # Errors
    /// Nothing was begun.
    pub async fn record(
        &self,
        connector: &str,
        options: RecordOptions,
    ) -> Result<mpsc::Receiver<Bytes>, Refused> {
        let desk = self.desk(connector)?;
        let watched = listen(&desk, false).await?;
        let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
        let out = Out {
            sender,
            chunk: Vec::new(),
            left: options.bytes_max,
            sent: Instant::now(),
        };
        let until = Instant::now() + options.span;
        tracing::info!(%connector, span_ms = options.span.as_millis() as u64, "a recording begins");
        // It ends by itself: in time, with its bytes, with the connector, or with its receiver.
        tokio::spawn(record(watched, out, until, connector.to_owned()));
        Ok(receiver)
    }
}

async fn record(watched: Watched, mut out: Out, until: Instant, connector: String) {
    let ended = match watched {
        Watched::Source(watch) => source(*watch, &mut out, until).await,
        Watched::Sink(watch) => sink(*watch, &mut out, until).await,
    };
    let reason = match ended {
        Ok(reason) => reason,
        Err(Full::Bytes) => "it has as many bytes as it may have",
        Err(Full::NotTaken) => "nobody takes it any more",
    };
    tracing::info!(%connector, %reason, "a recording has ended");
    out.chunk.extend(recording::end(reason));
    // Whoever is gone reads no end either.
    let _gone = out.flush().await;
}

/// Why nothing more is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    Bytes,
    NotTaken,
}

struct Out {
    sender: mpsc::Sender<Bytes>,
    chunk: Vec<u8>,
    left: u64,
    sent: Instant,
}

impl Out {
    /// When something must be passed on, whether there is much or not.
    fn quiet_at(&self) -> Instant {
        self.sent + QUIET_MAX
    }

    async fn flush(&mut self) -> Result<(), Full> {
        if self.chunk.is_empty() {
            if Instant::now() < self.quiet_at() {
                return Ok(());
            }
            self.chunk = recording::quiet();
        }
        self.sent = Instant::now();
        let chunk = Bytes::from(std::mem::take(&mut self.chunk));
        let sent = tokio::time::timeout(TAKEN_WITHIN, self.sender.send(chunk)).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Full::NotTaken),
        }
    }

    /// Adds whole sections, if there is room.
    async fn add(&mut self, sections: &[u8]) -> Result<(), Full> {
        let bytes = sections.len() as u64;
        if bytes > self.left {
            return Err(Full::Bytes);
        }
        self.left -= bytes;
        self.chunk.extend_from_slice(sections);
        if self.chunk.len() >= CHUNK_BYTES || Instant::now() >= self.quiet_at() {
            return self.flush().await;
        }
        Ok(())
    }
}

fn opening(
    connector: &str,
    kind: &str,
    version: &Version,
    delivery: Delivery,
    slots: u32,
) -> (Opening, Secrets) {
    let settings = serde_json::from_str(&version.plugged.settings).unwrap_or_default();
    let schema = version.description.settings_schema.as_str();
    let (settings, secrets) = recording::masked(&settings, Some(schema));
    let name = version.name();
    let opening = Opening {
        connector: connector.to_owned(),
        kind: kind.to_owned(),
        plugin: name.plugin,
        version: name.version,
        sha256: name.sha256,
        settings,
        masked: secrets.any(),
        exactly_once: delivery == Delivery::ExactlyOnce,
        slots,
        began_ms: now_ms(),
    };
    (opening, secrets)
}

async fn source(watch: SourceWatch, out: &mut Out, until: Instant) -> Result<&'static str, Full> {
    let taps: Vec<_> = watch.slots.iter().map(|it| Arc::clone(&it.tap)).collect();
    let written = write_source(watch, out, until).await;
    // However it ended: the slots need not tell any more.
    taps.iter().for_each(|tap| tap.close());
    written
}

async fn write_source(
    watch: SourceWatch,
    out: &mut Out,
    until: Instant,
) -> Result<&'static str, Full> {
    let (spec, version) = (&watch.spec, &watch.version);
    let count = u32::try_from(watch.slots.len()).unwrap_or(u32::MAX);
    let (mut head, mut secrets) = opening(&spec.connector, "source", version, spec.delivery, count);
    let slots = watch.slots.iter();
    let slots: Vec<_> = slots.map(|slot| slot_opening(slot, &mut secrets)).collect();
    head.masked = secrets.any();
    out.add(&recording::begin(&head)).await?;
    let mut writers = Vec::with_capacity(watch.slots.len());
    for (slot, opening) in watch.slots.iter().zip(slots) {
        let number = short(slot.number);
        out.add(&recording::slot_opening(number, &opening)).await?;
        writers.push(SlotWriter::new(number));
    }
    loop {
        let over = Instant::now() >= until;
        let mut end = over.then_some("its time was over");
        for (slot, writer) in watch.slots.iter().zip(&mut writers) {
            let mut sections = Vec::new();
            while let Some(item) = slot.tap.pop() {
                writer.push(item, &mut sections);
                if sections.len() >= CHUNK_BYTES {
                    out.add(&std::mem::take(&mut sections)).await?;
                }
            }
            writer.flush(&mut sections);
            out.add(&sections).await?;
            match slot.tap.end() {
                Some(TapEnd::TooSlow) => end = Some("it was not taken as fast as events came"),
                Some(TapEnd::Closed) => end = Some("the slot has ended"),
                None => {}
            }
        }
        out.flush().await?;
        if let Some(end) = end {
            return Ok(end);
        }
        let next = until.min(Instant::now() + WRITE_EVERY);
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = out.sender.closed() => return Err(Full::NotTaken),
        }
    }
}

fn slot_opening(watch: &SlotWatch, secrets: &mut Secrets) -> SlotOpening {
    SlotOpening::new(
        &watch.slot,
        watch.contained,
        &watch.positions,
        watch.saved.as_ref(),
        &watch.connections,
        secrets,
    )
}

/// Slots and tasks are far fewer.
fn short(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

async fn sink(watch: SinkWatch, out: &mut Out, until: Instant) -> Result<&'static str, Full> {
    let SinkWatch {
        spec,
        version,
        host,
        mut items,
        ..
    } = watch;
    let (head, _) = opening(&spec.connector, "sink", &version, spec.delivery, spec.tasks);
    out.add(&recording::begin(&head)).await?;
    let mut known = BTreeSet::new();
    loop {
        let next = match next(&mut items, out, until).await {
            Heard::Item(next) => next,
            Heard::Nothing => {
                out.flush().await?;
                continue;
            }
            Heard::Over => return Ok("its time was over"),
        };
        match next {
            None => return Ok("the sink began anew, changed, or was faster than it was taken"),
            Some(SinkItem::Put {
                task, span, batch, ..
            }) => {
                schemas(&*host.registry, &batch, &mut known, out).await?;
                out.add(&recording::sink_batch(short(task), &span, &batch))
                    .await?;
            }
            Some(SinkItem::Staged { task }) => {
                out.add(&recording::sink_staged(short(task))).await?;
            }
            // What was committed is the running version's doing, not its input.
            Some(SinkItem::Interval { .. }) => out.flush().await?,
        }
    }
}

/// What a wait for a sink brought.
enum Heard {
    /// Something happened; none: the sink tells no more.
    Item(Option<SinkItem>),
    /// Nothing, for a while.
    Nothing,
    /// The recording's time is over.
    Over,
}

async fn next(items: &mut SinkItems, out: &Out, until: Instant) -> Heard {
    let wake = until.min(out.quiet_at());
    tokio::select! {
        next = items.next() => Heard::Item(next),
        () = out.sender.closed() => Heard::Item(None),
        () = tokio::time::sleep_until(wake) => {
            if Instant::now() >= until { Heard::Over } else { Heard::Nothing }
        }
    }
}

/// The schemas that a batch carries and that were not written yet. One that the registry does not
/// give now is left out: the batch says its id.
async fn schemas(
    registry: &dyn Registry,
    batch: &Bytes,
    known: &mut BTreeSet<u32>,
    out: &mut Out,
) -> Result<(), Full> {
    let Ok(parsed) = Batch::parse(batch, &Limits::default()) else {
        return Ok(());
    };
    let ids: BTreeSet<u32> = parsed
        .runs()
        .flat_map(|run| [run.schemas.value, run.schemas.key])
        .collect();
    for id in ids {
        if id == 0 || !known.insert(id) {
            continue;
        }
        match registry.get(id).await {
            Ok(schema) => {
                let kind = match schema.kind {
                    SchemaKind::Avro => "avro",
                    SchemaKind::Json => "json",
                    SchemaKind::None => "none",
                };
                let section = recording::schema(&RecordedSchema {
                    id,
                    kind: kind.to_owned(),
                    text: schema.text,
                });
                out.add(&section).await?;
            }
            Err(error) => tracing::warn!(id, %error, "a schema is not in the recording"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
