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
    /// A swap was made and taken back.
    RolledBack,
    /// A shadow or a replay differs from what it was compared with.
    Differs,
    /// A shadow or a replay failed, or a shadow did not keep up.
    ShadowFailed,
    /// A swap was refused, with the code of its reason.
    Refused(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Clean => 0,
            Exit::Failed => 1,
            Exit::Invalid => 2,
            Exit::Forced => 3,
            Exit::RolledBack => 4,
            Exit::Differs => 5,
            Exit::ShadowFailed => 6,
            Exit::Refused(code) => code,
        })
    }
}
