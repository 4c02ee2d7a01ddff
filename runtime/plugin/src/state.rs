//! What a store holds: an instance's limits and what it was given.

use crate::bindings::source::jackfield::connector::{http_types, log, types};
use crate::host_calls::HostCalls;
use crate::inbox::Inbox;
use crate::interrupt::Interrupt;
use crate::limits::{
    CORE_INSTANCES_MAX, MEMORIES_MAX, RANDOM_BYTES_MAX, RESOURCES_MAX, SINK_CROSSING_BYTES_MAX,
    SOURCE_CROSSING_BYTES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX,
};
use crate::log_lines::{Level, LogLines};
use crate::requests::Requests;
use crate::shadow::{Stage, Timeline};
use crate::sink_host::{Patience, SinkGiven};
use crate::stderr::Stderr;
use crate::usage::Usage;
use crate::websocket::Connections;
use sha2::{Digest, Sha256};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{Deterministic, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// The capabilities of an instance.
pub(crate) enum Given {
    /// `describe` and `check`: the log only.
    Nothing,
    Source(SourceGiven),
    /// A source that runs on a copy.
    Staged(StagedGiven),
    Sink(SinkGiven),
}

pub(crate) struct SourceGiven {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) interrupt: Interrupt,
    /// Versions of notes that the component reads.
    pub(crate) saved_versions: RangeInclusive<u32>,
}

pub(crate) struct StagedGiven {
    pub(crate) stage: Arc<Stage>,
    pub(crate) interrupt: Interrupt,
    /// Versions of notes that the component reads.
    pub(crate) saved_versions: RangeInclusive<u32>,
}

/// The data of a store.
pub(crate) struct State {
    pub(crate) given: Given,
    pub(crate) usage: Arc<Usage>,
    pub(crate) lines: Arc<LogLines>,
    pub(crate) host_calls: HostCalls,
    pub(crate) table: ResourceTable,
    wasi: WasiCtx,
    /// A call that computes beyond this is interrupted.
    pub(crate) deadline: Instant,
    /// How long the store may keep it waiting.
    pub(crate) patience: Patience,
    /// Most bytes that may cross out of the instance at once.
    pub(crate) crossing_bytes_max: usize,
    memory_bytes_max: usize,
    memory_bytes: usize,
    table_elements: usize,
    /// Memory was asked for and denied since the last look.
    memory_denied: bool,
}

impl State {
    pub(crate) fn new(
        given: Given,
        connector: &str,
        usage: Arc<Usage>,
        memory_bytes_max: usize,
    ) -> Self {
        let lines = LogLines::new(connector, Arc::clone(&usage));
        let wasi = wasi(&given, &lines);
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        Self {
            crossing_bytes_max: crossing_bytes_max(&given),
            given,
            usage,
            lines,
            host_calls: HostCalls::new(Instant::now()),
            table,
            wasi,
            deadline: Instant::now(),
            patience: Patience::default(),
            memory_bytes_max,
            memory_bytes: 0,
            table_elements: 0,
            memory_denied: false,
        }
    }

    /// A call of a host function that counts as so many.
    pub(crate) fn called(&self, calls: u64) {
        self.usage.host_call();
        self.host_calls.count(calls);
    }

    /// Whether memory was denied since the last look; and the limit.
    pub(crate) fn take_memory_denied(&mut self) -> Option<usize> {
        std::mem::take(&mut self.memory_denied).then_some(self.memory_bytes_max)
    }
}

/// Random bytes of a replay, over and over: the same in each.
const REPLAYED_RANDOM_BYTES: usize = 4096;

fn wasi(given: &Given, lines: &Arc<LogLines>) -> WasiCtx {
    let mut wasi = WasiCtxBuilder::new();
    wasi.stderr(Stderr::new(Arc::clone(lines)))
        .max_random_size(RANDOM_BYTES_MAX);
    let replayed = match given {
        Given::Staged(staged) => staged.stage.replayed_clock(),
        Given::Nothing | Given::Source(_) | Given::Sink(_) => None,
    };
    if let Some(clock) = replayed {
        replay(&mut wasi, &clock);
    }
    wasi.build()
}

/// Nothing that a guest can ask of the host differs from one replay to the next.
fn replay(wasi: &mut WasiCtxBuilder, clock: &Timeline) {
    let mut bytes = Vec::with_capacity(REPLAYED_RANDOM_BYTES);
    for block in 0u32.. {
        if bytes.len() >= REPLAYED_RANDOM_BYTES {
            break;
        }
        bytes.extend_from_slice(&Sha256::digest(block.to_le_bytes()));
    }
    wasi.wall_clock(clock.clone())
        .monotonic_clock(clock.clone())
        .secure_random(Deterministic::new(bytes.clone()))
        .insecure_random(Deterministic::new(bytes))
        .insecure_random_seed(0);
}

/// The largest transfer that the instance's world needs.
fn crossing_bytes_max(given: &Given) -> usize {
    match given {
        Given::Nothing | Given::Source(_) | Given::Staged(_) => SOURCE_CROSSING_BYTES_MAX,
        Given::Sink(_) => SINK_CROSSING_BYTES_MAX,
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.usage.memory_freed(self.memory_bytes);
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if self.memory_bytes.saturating_add(more) > self.memory_bytes_max {
            self.memory_denied = true;
            return Ok(false);
        }
        self.memory_bytes += more;
        self.usage.memory_grew(more);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // The instance is told by the failed growth itself, as with a limit.
        tracing::debug!(%error, "memory of a plugin could not grow");
        self.memory_denied = true;
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if self.table_elements.saturating_add(more) > TABLE_ELEMENTS_MAX {
            return Ok(false);
        }
        self.table_elements += more;
        Ok(true)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

// Interfaces that only define types.
impl types::Host for State {}
impl http_types::Host for State {}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) {
        self.called(1);
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.lines.write(level, &message);
    }
}
