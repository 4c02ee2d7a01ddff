//! What tells the process to end.

use crate::start_error::StartError;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT: the first drains, as the second would be too late to help.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    heard: Option<&'static str>,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, StartError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(StartError::Signals)?,
            interrupt: signal(SignalKind::interrupt()).map_err(StartError::Signals)?,
            heard: None,
        })
    }

    /// The first one, when it has come: whoever asks after that is told at once.
    pub(super) async fn first(&mut self) -> &'static str {
        if let Some(name) = self.heard {
            return name;
        }
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        self.heard = Some(name);
        name
    }
}
