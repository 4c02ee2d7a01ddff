//! The sets of labels that metrics have, each a struct.

use jackfield_core::Consequence;
use opentelemetry::KeyValue;

/// Series are kept for so many connectors; what comes beyond is recorded as overflow. A process
/// that runs 1,000 is a target, and a series costs about 100 bytes, a histogram's 300.
pub const CONNECTORS_MAX: usize = 2000;

/// Series of a metric by topic, over all connectors: a pipeline has some topics, and lags are
/// looked at one by one only where there are few.
pub const TOPICS_MAX: usize = 2000;

/// A set of labels. Only the structs of this module are.
pub trait Labels: sealed::Sealed {
    /// The labels' names.
    const NAMES: &'static [&'static str];
    /// Most series of a metric with these labels.
    const SERIES_MAX: usize;

    #[doc(hidden)]
    fn pairs(&self) -> Vec<KeyValue>;
}

mod sealed {
    pub trait Sealed {}
}

/// No labels: one series, of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ProcessLabels;

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BuildLabels {
    /// The version, as in `jackfield --version`.
    pub version: &'static str,
}

/// A connector, as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConnectorLabels {
    /// The pipeline that it belongs to.
    pub pipeline: String,
    /// Its name.
    pub connector: String,
    /// Which end of the pipeline it is.
    pub kind: Kind,
}

/// A connector, and a call into its component.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallLabels {
    /// The connector.
    pub connector: ConnectorLabels,
    /// The call.
    pub call: Call,
}

/// A connector, and what a failure led to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ErrorLabels {
    /// The connector.
    pub connector: ConnectorLabels,
    /// What it led to.
    pub consequence: Consequence,
}

/// A connector, and a state that it may be in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StateLabels {
    /// The connector.
    pub connector: ConnectorLabels,
    /// The state.
    pub state: State,
}

/// A connector, and a topic that it writes or reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicLabels {
    /// The connector.
    pub connector: ConnectorLabels,
    /// The topic, as the configuration names it.
    pub topic: String,
}

/// A connector, and how a change of its version ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SwapLabels {
    /// The connector.
    pub connector: ConnectorLabels,
    /// How it ended.
    pub outcome: SwapOutcome,
}

/// What became of a changed configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReloadLabels {
    /// What became of it.
    pub outcome: ReloadOutcome,
}

/// What was pushed, and whether it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExportLabels {
    /// What was pushed.
    pub signal: Signal,
    /// Whether it arrived.
    pub outcome: ExportOutcome,
}

impl sealed::Sealed for ProcessLabels {}
impl Labels for ProcessLabels {
    const NAMES: &'static [&'static str] = &[];
    const SERIES_MAX: usize = 1;

    fn pairs(&self) -> Vec<KeyValue> {
        Vec::new()
    }
}

impl sealed::Sealed for BuildLabels {}
impl Labels for BuildLabels {
    const NAMES: &'static [&'static str] = &["version"];
    const SERIES_MAX: usize = 1;

    fn pairs(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("version", self.version)]
    }
}

impl sealed::Sealed for ConnectorLabels {}
impl Labels for ConnectorLabels {
    const NAMES: &'static [&'static str] = &["pipeline", "connector", "kind"];
    const SERIES_MAX: usize = CONNECTORS_MAX;

    fn pairs(&self) -> Vec<KeyValue> {
        vec![
            KeyValue::new("pipeline", self.pipeline.clone()),
            KeyValue::new("connector", self.connector.clone()),
            KeyValue::new("kind", self.kind.name()),
        ]
    }
}

impl sealed::Sealed for CallLabels {}
impl Labels for CallLabels {
    const NAMES: &'static [&'static str] = &["pipeline", "connector", "kind", "call"];
    const SERIES_MAX: usize = CONNECTORS_MAX * Call::ALL.len();

    fn pairs(&self) -> Vec<KeyValue> {
        with(&self.connector, "call", self.call.name())
    }
}

impl sealed::Sealed for ErrorLabels {}
impl Labels for ErrorLabels {
    const NAMES: &'static [&'static str] = &["pipeline", "connector", "kind", "consequence"];
    const SERIES_MAX: usize = CONNECTORS_MAX * CONSEQUENCES.len();

    fn pairs(&self) -> Vec<KeyValue> {
        with(&self.connector, "consequence", self.consequence.as_str())
    }
}

impl sealed::Sealed for StateLabels {}
impl Labels for StateLabels {
    const NAMES: &'static [&'static str] = &["pipeline", "connector", "kind", "state"];
    const SERIES_MAX: usize = CONNECTORS_MAX * State::ALL.len();

    fn pairs(&self) -> Vec<KeyValue> {
        with(&self.connector, "state", self.state.name())
    }
}

impl sealed::Sealed for TopicLabels {}
impl Labels for TopicLabels {
    const NAMES: &'static [&'static str] = &["pipeline", "connector", "kind", "topic"];
    const SERIES_MAX: usize = TOPICS_MAX;

    fn pairs(&self) -> Vec<KeyValue> {
        let mut pairs = self.connector.pairs();
        pairs.push(KeyValue::new("topic", self.topic.clone()));
        pairs
    }
}

impl sealed::Sealed for SwapLabels {}
impl Labels for SwapLabels {
    const NAMES: &'static [&'static str] = &["pipeline", "connector", "kind", "outcome"];
    const SERIES_MAX: usize = CONNECTORS_MAX * SwapOutcome::ALL.len();

    fn pairs(&self) -> Vec<KeyValue> {
        with(&self.connector, "outcome", self.outcome.name())
    }
}

impl sealed::Sealed for ReloadLabels {}
impl Labels for ReloadLabels {
    const NAMES: &'static [&'static str] = &["outcome"];
    const SERIES_MAX: usize = ReloadOutcome::ALL.len();

    fn pairs(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("outcome", self.outcome.name())]
    }
}

impl sealed::Sealed for ExportLabels {}
impl Labels for ExportLabels {
    const NAMES: &'static [&'static str] = &["signal", "outcome"];
    const SERIES_MAX: usize = Signal::ALL.len() * ExportOutcome::ALL.len();

    fn pairs(&self) -> Vec<KeyValue> {
        vec![
            KeyValue::new("signal", self.signal.name()),
            KeyValue::new("outcome", self.outcome.name()),
        ]
    }
}

fn with(connector: &ConnectorLabels, name: &'static str, value: &'static str) -> Vec<KeyValue> {
    let mut pairs = connector.pairs();
    pairs.push(KeyValue::new(name, value));
    pairs
}

/// Which end of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It produces.
    Source,
    /// It consumes.
    Sink,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
        }
    }
}

/// Gives an enum its values in order, and each value's name in labels.
macro_rules! named {
    ($(#[$doc:meta])* $Enum:ident { $($(#[$value_doc:meta])* $Value:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $Enum { $($(#[$value_doc])* $Value,)+ }

        impl $Enum {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$Value,)+];

            /// As it stands in labels.
            pub fn name(self) -> &'static str {
                match self { $(Self::$Value => $name,)+ }
            }
        }
    };
}

named! {
    /// A call into a component.
    Call {
        /// Making an instance.
        Instantiate = "instantiate",
        /// `plan`
        Plan = "plan",
        /// `open`
        Open = "open",
        /// `poll`
        Poll = "poll",
        /// `settled`
        Settled = "settled",
        /// `save`
        Save = "save",
        /// `assigned`
        Assigned = "assigned",
        /// `put`
        Put = "put",
        /// `stage`
        Stage = "stage",
        /// `discard`
        Discard = "discard",
        /// `stored`
        Stored = "stored",
        /// `commit`
        Commit = "commit",
        /// `close`
        Close = "close",
    }
}

named! {
    /// What a connector is doing, in Kafka Connect's words.
    State {
        /// Not started yet.
        Unassigned = "unassigned",
        /// At work.
        Running = "running",
        /// It failed and tries again after a wait.
        Restarting = "restarting",
        /// It gave up: a person must act.
        Failed = "failed",
        /// It rests and is ready to go on.
        Paused = "paused",
        /// It was asked to end, and has.
        Stopped = "stopped",
    }
}

named! {
    /// How a change of a connector's version ended.
    SwapOutcome {
        /// The new version stayed.
        Kept = "kept",
        /// It was no good: the one before runs again.
        RolledBack = "rolled-back",
        /// It did not take over: what ran was not touched.
        Refused = "refused",
    }
}

named! {
    /// What became of a changed configuration file.
    ReloadOutcome {
        /// The difference was applied.
        Applied = "applied",
        /// It is wrong: nothing was touched.
        Refused = "refused",
    }
}

named! {
    /// What is pushed by OTLP.
    Signal {
        /// Metrics.
        Metrics = "metrics",
        /// Spans of traces.
        Traces = "traces",
    }
}

named! {
    /// Whether a push arrived.
    ExportOutcome {
        /// The receiver said so.
        Arrived = "arrived",
        /// It refused, was not there, or took too long.
        Failed = "failed",
    }
}

pub(crate) const CONSEQUENCES: [Consequence; 6] = [
    Consequence::Retry,
    Consequence::Rewind,
    Consequence::Fenced,
    Consequence::Replace,
    Consequence::Unknown,
    Consequence::Fail,
];

/// Where a consequence stands in [`CONSEQUENCES`].
pub(crate) fn consequence_index(consequence: Consequence) -> usize {
    CONSEQUENCES
        .iter()
        .position(|c| *c == consequence)
        .expect("CONSEQUENCES has them all")
}

#[cfg(test)]
mod tests;
