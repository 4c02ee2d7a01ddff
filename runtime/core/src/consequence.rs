//! What a failure means for the one who called.

/// A failure of a call, of the log or of an instance, by what it leads to.
///
/// The plugin host's and the log's errors are mapped onto this, each without `_`, so that a new
/// kind of failure can't be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consequence {
    /// Nothing was taken: the same call may be made again.
    Retry,
    /// What is not durable is given up; go on from what is stored.
    Rewind,
    /// Someone else moved the stored position: read it, then go on from there.
    Fenced,
    /// The instance is gone or must not be called again.
    Replace,
    /// It may or may not have happened: read back what is stored before anything else.
    Unknown,
    /// Only a person can mend this.
    Fail,
}

impl Consequence {
    /// The consequence in a word, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Consequence::Retry => "retry",
            Consequence::Rewind => "rewind",
            Consequence::Fenced => "fenced",
            Consequence::Replace => "replace",
            Consequence::Unknown => "unknown",
            Consequence::Fail => "fail",
        }
    }
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Make the same call on the same instance.
    CallAgain,
    /// Make the same call, with the same arguments, on a new instance.
    CallAgainOnNewInstance,
    /// Open a new instance (and, for a source, a new writer) at what is stored.
    Reopen,
    /// Stop, and show the reason.
    Fail,
}

/// Who made the call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Source,
    SinkTask,
    Committer,
}

/// The decision after a failure, for each kind of caller.
pub mod after {
    use super::{Caller, Consequence, Next, decide};

    /// A source's `open`, `poll`, `settled`, or an append to the log.
    pub fn source(consequence: Consequence) -> Next {
        decide(Caller::Source, consequence)
    }
    /// A sink task's `open`, `assigned`, `put`, `stage`.
    pub fn sink_task(consequence: Consequence) -> Next {
        decide(Caller::SinkTask, consequence)
    }
    /// The committer's `stored` and `commit`.
    pub fn committer(consequence: Consequence) -> Next {
        decide(Caller::Committer, consequence)
    }
}

fn decide(caller: Caller, consequence: Consequence) -> Next {
    match (caller, consequence) {
        (_, Consequence::Retry) => Next::CallAgain,
        (_, Consequence::Fail) => Next::Fail,
        // A commit is idempotent by its id: an unknown outcome, or a trap in the middle of one,
        // is settled by repeating the same arguments.
        (Caller::Committer, Consequence::Unknown) => Next::CallAgain,
        (Caller::Committer, Consequence::Replace) => Next::CallAgainOnNewInstance,
        (Caller::Committer, Consequence::Rewind | Consequence::Fenced) => Next::Reopen,
        (
            Caller::Source | Caller::SinkTask,
            Consequence::Rewind | Consequence::Fenced | Consequence::Replace | Consequence::Unknown,
        ) => Next::Reopen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Consequence; 6] = [
        Consequence::Retry,
        Consequence::Rewind,
        Consequence::Fenced,
        Consequence::Replace,
        Consequence::Unknown,
        Consequence::Fail,
    ];

    #[test]
    fn an_unknown_commit_is_repeated_and_never_given_up_as_lost() {
        assert_eq!(after::committer(Consequence::Unknown), Next::CallAgain);
        assert_eq!(
            after::committer(Consequence::Replace),
            Next::CallAgainOnNewInstance
        );
    }

    #[test]
    fn an_unknown_append_is_read_back_and_never_repeated() {
        assert_eq!(after::source(Consequence::Unknown), Next::Reopen);
    }

    #[test]
    fn only_fail_stops() {
        for c in ALL {
            for next in [after::source(c), after::sink_task(c), after::committer(c)] {
                assert_eq!(next == Next::Fail, c == Consequence::Fail, "{c:?}");
            }
        }
    }
}
