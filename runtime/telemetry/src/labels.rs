//! The sets of labels that metrics have, each a struct.

use jackfield_core::Consequence;
use opentelemetry::KeyValue;

/// Series are kept for so many connectors; what comes beyond is recorded as overflow. A process
/// that runs 1,000 is a target, and a series costs about 100 bytes, a histogram's 300.
pub const CONNECTORS_MAX: usize = 2000;

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
        with(
            &self.connector,
            "consequence",
            consequence_name(self.consequence),
        )
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
        /// `describe`
        Describe = "describe",
        /// `check`
        Check = "check",
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
        /// `apply`
        Apply = "apply",
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

pub(crate) const CONSEQUENCES: [Consequence; 6] = [
    Consequence::Retry,
    Consequence::Rewind,
    Consequence::Fenced,
    Consequence::Replace,
    Consequence::Unknown,
    Consequence::Fail,
];

fn consequence_name(consequence: Consequence) -> &'static str {
    match consequence {
        Consequence::Retry => "retry",
        Consequence::Rewind => "rewind",
        Consequence::Fenced => "fenced",
        Consequence::Replace => "replace",
        Consequence::Unknown => "unknown",
        Consequence::Fail => "fail",
    }
}

/// Where a consequence stands in [`CONSEQUENCES`].
pub(crate) fn consequence_index(consequence: Consequence) -> usize {
    CONSEQUENCES
        .iter()
        .position(|c| *c == consequence)
        .expect("CONSEQUENCES has them all")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_pairs_agree() {
        fn check(labels: &impl Labels) {
            fn names<L: Labels>(_: &L) -> &'static [&'static str] {
                L::NAMES
            }
            let pairs = labels.pairs();
            let keys: Vec<&str> = pairs.iter().map(|pair| pair.key.as_str()).collect();
            assert_eq!(keys, names(labels));
        }
        let connector = ConnectorLabels {
            pipeline: "p".into(),
            connector: "c".into(),
            kind: Kind::Sink,
        };
        check(&ProcessLabels);
        check(&BuildLabels { version: "1" });
        check(&connector);
        check(&CallLabels {
            connector: connector.clone(),
            call: Call::Put,
        });
        check(&ErrorLabels {
            connector: connector.clone(),
            consequence: Consequence::Fail,
        });
        check(&StateLabels {
            connector,
            state: State::Running,
        });
    }

    #[test]
    fn every_consequence_has_its_own_name_and_place() {
        for (i, consequence) in CONSEQUENCES.into_iter().enumerate() {
            assert_eq!(consequence_index(consequence), i);
            assert_eq!(
                CONSEQUENCES
                    .iter()
                    .filter(|c| consequence_name(**c) == consequence_name(consequence))
                    .count(),
                1
            );
        }
    }
}
