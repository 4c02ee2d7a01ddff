//! One connector: what holds it, its supervisor, and how that is ended.

use crate::holding;
use crate::host::Host;
use crate::lever::{Lever, Target};
use crate::status::{Exit, State, Status};
use crate::swap::Desk;
use jackfield_core::Patience;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One connector, and what holds it.
pub(super) struct Member {
    pub(super) status: Arc<Status>,
    pub(super) lever: Arc<Lever>,
    pub(super) desk: Arc<Desk>,
    pub(super) stop: CancellationToken,
    /// Somebody asked for a restart, and the life that it ends has not ended yet.
    pub(super) again: Arc<AtomicBool>,
    /// Its supervisor; taken by whoever ends it.
    pub(super) supervisor: Option<JoinHandle<Exit>>,
}

impl Member {
    /// Has it begin again. The state is told before the lever is pulled, which may set the next
    /// one at once; one that rests is in the state that it goes on in.
    pub(super) fn restart(&self) {
        if self.lever.target() == Target::Running && !self.stop.is_cancelled() {
            self.again.store(true, Ordering::Release);
            match self.status.report().state {
                // Another worker may have it, whose word counts; or it says already that it
                // begins again, and what went wrong.
                State::Unassigned | State::Restarting { .. } => {}
                // Stopped is also a source that had come to its end, paused also one that is
                // about to go on.
                State::Running | State::Failed { .. } | State::Paused | State::Stopped => {
                    self.status.set_state(asked_for());
                }
            }
        }
        self.lever.restart();
    }
}

/// The state of a connector that is restarted because somebody wants it.
pub(super) fn asked_for() -> State {
    State::Restarting {
        trace: "restart asked for".to_owned(),
    }
}

/// Owns a connector from its first life to its last.
pub(super) async fn supervise<F: Future<Output = Exit> + Send + 'static>(
    host: Host,
    status: &Arc<Status>,
    desk: &Desk,
    patience: Patience,
    lever: &Lever,
    stop: CancellationToken,
    serve: impl Fn(CancellationToken) -> F + Send + Sync,
) -> Exit {
    loop {
        let obey = |until| lever.obey(status, until, &serve);
        let exit = holding::run(
            host.clone(),
            Arc::clone(status),
            desk,
            patience,
            stop.clone(),
            obey,
        )
        .await;
        if stop.is_cancelled() || !lever.again(&stop).await {
            return exit;
        }
    }
}

/// Waits for a supervisor that was told to stop, and kills it when it takes too long.
pub(super) async fn end(name: &str, mut supervisor: JoinHandle<Exit>, until: Instant) -> Exit {
    let joined = tokio::time::timeout_at(until, &mut supervisor).await;
    let exit = match joined {
        Ok(Ok(exit)) => exit,
        Ok(Err(panic)) => Exit::Failed {
            trace: format!("its supervisor panicked: {panic}"),
        },
        Err(_) => {
            supervisor.abort();
            // With it the life below is told to abort, and with that its slots or tasks: each ends at
            // its next wait, which is not waited for. Until then they are fenced by the log and the
            // targets from the next one of this name, as any second one is.
            let _aborted = supervisor.await;
            Exit::Killed
        }
    };
    match &exit {
        Exit::Drained => tracing::info!(connector = %name, "drained"),
        Exit::Failed { trace } => {
            tracing::error!(connector = %name, %trace, "FAILED: a person must act");
        }
        Exit::Killed => {
            tracing::error!(connector = %name, "killed: the grace time ended before it had drained");
        }
    }
    exit
}
