//! How the process ends.

use std::process::ExitCode;

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well.
    Clean,
    /// A connector FAILED, or something could not be started.
    Failed,
    /// The configuration or the command line is wrong.
    Invalid,
    /// The grace time ended before all was drained.
    Forced,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Clean => 0,
            Exit::Failed => 1,
            Exit::Invalid => 2,
            Exit::Forced => 3,
        })
    }
}
