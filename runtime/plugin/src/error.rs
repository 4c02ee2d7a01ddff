//! What can go wrong, named by what the caller must do.

use crate::types::Rejection;
use std::path::PathBuf;
use std::time::Duration;

/// A plugin could not be loaded. Nothing that runs is affected.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file can't be read.
    #[error("cannot read {path}: {reason}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file is larger than any component should be.
    #[error("{path} has {bytes} bytes, at most {bytes_max} are loaded", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The file is not the one that the configuration names.
    #[error("{path} has sha256 {found}, the configuration asks for {expected}", path = path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// Asked for.
        expected: String,
        /// Found.
        found: String,
    },
    /// The file is not a component, or a damaged one.
    #[error("{path} is not a WASM component: {reason}", path = path.display())]
    NotAComponent {
        /// The file.
        path: PathBuf,
        /// What the compiler says.
        reason: String,
    },
    /// The component is not a connector, or not of a version that this host runs.
    #[error("{path} is not a connector that this host runs: {reason}", path = path.display())]
    WrongWorld {
        /// The file.
        path: PathBuf,
        /// What it exports or imports, and what was expected.
        reason: String,
    },
    /// The private cache of copied and compiled plugins can't be used.
    #[error("the plugin cache {path} cannot be used: {reason}", path = path.display())]
    Cache {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The engine can't be made on this machine.
    #[error("the WASM engine cannot be made: {0}")]
    Engine(String),
}

/// A call into a plugin failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The plugin's own, typed failure. The instance can be called again, unless it is broken.
    #[error("{0}")]
    Failure(Failure),
    /// The instance is gone, and its memory with it.
    #[error("{0}")]
    Dead(Death),
}

/// What the plugin wants done next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing of this call was taken: call again, no sooner than asked.
    #[error("call again in {after_ms} ms: {reason}")]
    Retry {
        /// Not sooner.
        after_ms: u32,
        /// Why.
        reason: String,
    },
    /// Go back to what is stored.
    #[error("rewind: {0}")]
    Rewind(String),
    /// Every bad record; nothing of the batch was taken.
    #[error("rejected {} records, the first: {}", .0.len(), .0.first().map_or("", |r| r.reason.as_str()))]
    Rejected(Vec<Rejection>),
    /// Settings or grants are wrong: a person must act.
    #[error("misconfigured: {0}")]
    Misconfigured(String),
    /// The stored position is not the expected one.
    #[error("fenced: {0}")]
    Fenced(String),
    /// A bug or a broken promise. The instance is discarded.
    #[error("broken: {0}")]
    Broken(String),
}

/// Why an instance is gone. A new one can be made at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Death {
    /// It trapped: a panic, a division by zero, a wild access, an exhausted stack.
    #[error("the plugin trapped: {trace}")]
    Trap {
        /// The reason, the wasm backtrace, and what it last said on stderr.
        trace: String,
    },
    /// It did not return in time.
    #[error("`{call}` did not return within {} ms", after.as_millis())]
    Deadline {
        /// The call.
        call: &'static str,
        /// Its deadline.
        after: Duration,
    },
    /// It asked for more memory than it may have, and could not go on without.
    #[error("the plugin needed more than its {bytes_max} bytes of memory: {trace}")]
    Memory {
        /// The limit.
        bytes_max: usize,
        /// As of a trap.
        trace: String,
    },
    /// Its answer breaks the contract.
    #[error("the plugin's answer is malformed: {0}")]
    Malformed(String),
    /// Its answer, or what it passed to an import, is larger than the contract allows.
    #[error("{what} of the plugin is larger than {max}")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The limit, in the unit of what.
        max: u64,
    },
    /// It is not the plugin's fault: the call was cancelled, or the instance is used after its
    /// death.
    #[error("the plugin could not be called: {0}")]
    Host(String),
}

impl From<Death> for CallError {
    fn from(death: Death) -> Self {
        Self::Dead(death)
    }
}
