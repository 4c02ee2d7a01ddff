//! How long a call may take, and how much may cross.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The epoch moves on this often: a guest that loops is looked at once in that time.
pub(crate) const EPOCH_TICK: Duration = Duration::from_millis(10);
/// The outer time-out comes so much after the deadline, so that a guest that computes is
/// interrupted by the epoch, and this one only sees those asleep in a host call.
pub(crate) const DEADLINE_GRACE: Duration = Duration::from_millis(50);

/// Elements of all tables of an instance: a table holds what is called indirectly, some thousands
/// in a large component.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 200_000;
/// Core instances in a component: modules and adapters, some ten.
pub(crate) const CORE_INSTANCES_MAX: usize = 64;
/// Tables of an instance.
pub(crate) const TABLES_MAX: usize = 64;
/// Linear memories of an instance.
pub(crate) const MEMORIES_MAX: usize = 16;
/// Host resources that an instance may hold: streams, timers, uploads.
pub(crate) const RESOURCES_MAX: usize = 4096;
/// Random bytes in one call.
pub(crate) const RANDOM_BYTES_MAX: u64 = 64 * KIB as u64;

/// Bytes of one crossing out of a source: the largest is saved state, with room for the rest of
/// a `poll`'s answer.
pub(crate) const SOURCE_CROSSING_BYTES_MAX: usize = 32 * MIB;
/// Bytes of one crossing out of a sink: the largest is a document of the catalog, 64 MiB.
pub(crate) const SINK_CROSSING_BYTES_MAX: usize = 68 * MIB;

/// Saved state.
pub(crate) const SAVED_BYTES_MAX: usize = 16 * MIB;
/// All pieces of a `stage`.
pub(crate) const STAGED_BYTES_MAX: usize = 16 * MIB;
/// Pieces of a `stage`: one a target, and a sink that fans out has hundreds.
pub(crate) const PIECES_MAX: usize = 10_000;
/// Bytes of all pieces of a `commit`; the host makes several commits of more.
pub const COMMIT_BYTES_MAX: usize = 64 * MIB;
/// A description's JSON Schema.
pub(crate) const SETTINGS_SCHEMA_BYTES_MAX: usize = MIB;
/// A schema of keys or values.
pub(crate) const SCHEMA_BYTES_MAX: usize = MIB;
/// A name: of a connector, a feed, a slot, a target.
pub(crate) const NAME_BYTES_MAX: usize = 512;
/// A reason or message; longer ones are cut.
pub(crate) const REASON_BYTES_MAX: usize = 8 * KIB;
/// Findings of a `check`; more help nobody.
pub(crate) const FINDINGS_MAX: usize = 1000;
/// A slot's settings.
pub(crate) const SLOT_SETTINGS_BYTES_MAX: usize = MIB;
/// Feeds of an instance.
pub(crate) const FEEDS_MAX: usize = 1000;
/// Batches of one `poll`: one a feed is usual.
pub(crate) const OUTPUTS_MAX: usize = 64;
/// Bytes of all batches of one `poll`: it becomes one transaction.
pub(crate) const OUTPUTS_BYTES_MAX: usize = 8 * MIB;
/// Positions of one `poll`: one a symbol, and an exchange has some thousands.
pub(crate) const POSITIONS_MAX: usize = 10_000;
/// A position's partition.
pub(crate) const PARTITION_BYTES_MAX: usize = 4 * KIB;
/// A position's offset.
pub(crate) const OFFSET_BYTES_MAX: usize = 64 * KIB;
/// Rejected events of one `poll`.
pub(crate) const REJECTED_EVENTS_MAX: usize = 10_000;
/// An excerpt of a rejected event; longer ones are cut.
pub(crate) const EXCERPT_BYTES_MAX: usize = 64 * KIB;
/// Targets in an answer to `stored`.
pub(crate) const HOLDINGS_MAX: usize = 100_000;
/// Positions in an answer to `stored`, and in all of them together: 10,000 tables of 100 partitions.
/// What crosses at once is bounded in bytes, too: some 500,000 positions.
pub const HELD_POSITIONS_MAX: usize = 1_000_000;
/// Largest figure in `counts`: no stream has lost or seen so much.
pub(crate) const COUNT_MAX: u64 = 1 << 48;
/// Longest wait that a `retry` may ask for.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(15 * 60);

/// Linear memory of an instance, unless the file says otherwise: it holds a source many times
/// over, and a sink with a few open partitions.
const MEMORY_BYTES: usize = 256 * MIB;
/// A call that only takes note, or says what is known.
const BRIEF: Duration = Duration::from_secs(5);
/// A call that works on what it was given, and may wait a little.
pub(crate) const USUAL: Duration = Duration::from_secs(30);
/// A call that may wait for an origin, a store or a catalog.
const LONG: Duration = Duration::from_secs(120);

/// What one instance may use.
#[derive(Debug, Clone)]
pub struct CallLimits {
    /// Linear memory of an instance.
    pub memory_bytes_max: usize,
    /// How long each call may take.
    pub deadlines: Deadlines,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: MEMORY_BYTES,
            deadlines: Deadlines::default(),
        }
    }
}

/// How long each exported function may take. After that the instance is discarded.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// Making an instance: runs a module's start functions only.
    pub instantiate: Duration,
    /// Says what the component is: constant.
    pub describe: Duration,
    /// Looks at settings, without any capability.
    pub check: Duration,
    /// May ask the origin what there is, also more than once.
    pub plan: Duration,
    /// May wait for the origin or the catalog.
    pub open: Duration,
    /// The host's `wait-ms` and the work on what arrived.
    pub poll: Duration,
    /// Only takes note.
    pub settled: Duration,
    /// Packs what is in memory.
    pub save: Duration,
    /// Only takes note; may read from the targets.
    pub assigned: Duration,
    /// Encodes a batch, and at times uploads a file that has become full.
    pub put: Duration,
    /// Closes and uploads files.
    pub stage: Duration,
    /// Forgets.
    pub discard: Duration,
    /// Reads many targets.
    pub stored: Duration,
    /// One atomic step in a catalog, with a few tries.
    pub commit: Duration,
    /// Says goodbye.
    pub close: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            instantiate: BRIEF,
            describe: BRIEF,
            check: BRIEF,
            plan: LONG,
            open: LONG,
            poll: USUAL,
            settled: BRIEF,
            save: BRIEF,
            assigned: USUAL,
            put: USUAL,
            stage: LONG,
            discard: BRIEF,
            stored: LONG,
            commit: LONG,
            close: BRIEF,
        }
    }
}

impl Deadlines {
    /// The same deadline for every call, for tests and for trying out a plugin.
    pub fn all(deadline: Duration) -> Self {
        Self {
            instantiate: deadline,
            describe: deadline,
            check: deadline,
            plan: deadline,
            open: deadline,
            poll: deadline,
            settled: deadline,
            save: deadline,
            assigned: deadline,
            put: deadline,
            stage: deadline,
            discard: deadline,
            stored: deadline,
            commit: deadline,
            close: deadline,
        }
    }

    /// These deadlines, but `poll` and `put` within `deadline`: what an operator allows a plugin
    /// for the calls that it is given again and again.
    pub fn with_call_time(self, deadline: Duration) -> Self {
        Self {
            poll: deadline,
            put: deadline,
            ..self
        }
    }

    pub(crate) fn of(&self, call: Call) -> Duration {
        match call {
            Call::Instantiate => self.instantiate,
            Call::Describe => self.describe,
            Call::Check => self.check,
            Call::Plan => self.plan,
            Call::Open => self.open,
            Call::Poll => self.poll,
            Call::Settled => self.settled,
            Call::Save => self.save,
            Call::Assigned => self.assigned,
            Call::Put => self.put,
            Call::Stage => self.stage,
            Call::Discard => self.discard,
            Call::Stored => self.stored,
            Call::Commit => self.commit,
            Call::Close => self.close,
        }
    }
}

/// The functions of a component that are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Making an instance.
    Instantiate,
    /// `describe`
    Describe,
    /// `check`
    Check,
    /// `plan`
    Plan,
    /// `open`
    Open,
    /// `poll`
    Poll,
    /// `settled`
    Settled,
    /// `save`
    Save,
    /// `assigned`
    Assigned,
    /// `put`
    Put,
    /// `stage`
    Stage,
    /// `discard`
    Discard,
    /// `stored`
    Stored,
    /// `commit`
    Commit,
    /// `close`
    Close,
}

impl Call {
    /// As the contract names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Instantiate => "instantiate",
            Self::Describe => "describe",
            Self::Check => "check",
            Self::Plan => "plan",
            Self::Open => "open",
            Self::Poll => "poll",
            Self::Settled => "settled",
            Self::Save => "save",
            Self::Assigned => "assigned",
            Self::Put => "put",
            Self::Stage => "stage",
            Self::Discard => "discard",
            Self::Stored => "stored",
            Self::Commit => "commit",
            Self::Close => "close",
        }
    }
}
