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
    /// No process answers where one was asked, or none that is known.
    Unreachable,
    /// The process that was asked refuses.
    Objected,
    /// A shadow or a replay differs from what it was compared with.
    Differs,
    /// A shadow or a replay failed, or a shadow did not keep up.
    ShadowFailed,
    /// A shadow ended early, with the version that it was compared with, and until then no
    /// difference was found.
    ShadowCut,
    /// A swap was refused, with the code of its reason.
    Refused(u8),
}

/// What docs/CLI.md says of them.
pub(crate) const EXITS: &[(Exit, &str)] = &[
    (Exit::Clean, "all went well"),
    (
        Exit::Failed,
        "a connector FAILED, a check of `doctor` failed, `health` was not told what it asked for, or something could not be started or done",
    ),
    (
        Exit::Invalid,
        "the configuration or the command line is wrong",
    ),
    (Exit::Forced, "the grace time ended before all was drained"),
    (Exit::RolledBack, "a swap was made and taken back"),
    (
        Exit::Unreachable,
        "no process answers at the admin address: is it running? But `health`: 1",
    ),
    (
        Exit::Objected,
        "the process refuses: no such connector or topic, a wrong token, one that is not STOPPED",
    ),
    (
        Exit::Differs,
        "a shadow or a replay differs from what it was compared with",
    ),
    (
        Exit::ShadowFailed,
        "a shadow or a replay failed, or a shadow did not keep up",
    ),
    (
        Exit::ShadowCut,
        "the running version ended, and the shadow with it; until then nothing differed",
    ),
];

/// The same below the help of every command.
pub(crate) fn help() -> String {
    let mut help = "Exit codes:".to_owned();
    for (exit, meaning) in EXITS {
        help += &format!("\n  {}  {meaning}", exit.code());
    }
    help + "\n  10 to 27  a swap was refused: docs/HOT-SWAP.md has each"
}

impl Exit {
    /// The process's exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Clean => 0,
            Exit::Failed => 1,
            Exit::Invalid => 2,
            Exit::Forced => 3,
            Exit::RolledBack => 4,
            Exit::Unreachable => 5,
            Exit::Objected => 6,
            Exit::Differs => 7,
            Exit::ShadowFailed => 8,
            Exit::ShadowCut => 9,
            Exit::Refused(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}
