//! What people want of a connector, and the task that makes it so while this worker has it.

use crate::status::{Exit, State, Status};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// What a connector is to do, in Kafka Connect's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Work.
    Running,
    /// Rest, ready to go on: it drains, closes its connections and stays with this worker. Its
    /// positions decide where it goes on.
    Paused,
    /// Rest, so that its positions may be changed.
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    target: Target,
    /// Each restart that somebody asked for.
    restarts: u64,
}

/// One connector's lever: it outlives the connector's lives.
#[derive(Debug)]
pub(crate) struct Lever {
    wanted: watch::Sender<Wanted>,
}

impl Lever {
    pub(crate) fn new(target: Target) -> Self {
        let wanted = Wanted {
            target,
            restarts: 0,
        };
        Self {
            wanted: watch::Sender::new(wanted),
        }
    }

    pub(crate) fn target(&self) -> Target {
        self.wanted.borrow().target
    }

    pub(crate) fn set(&self, target: Target) {
        self.wanted
            .send_if_modified(|wanted| std::mem::replace(&mut wanted.target, target) != target);
    }

    pub(crate) fn restart(&self) {
        self.wanted.send_modify(|wanted| wanted.restarts += 1);
    }

    /// Serves the connector whenever it is to work, until `until`. One that failed for good waits
    /// for a restart, a change of what it is to do, or `until`.
    pub(crate) async fn obey<F: Future<Output = Exit> + Send + 'static>(
        &self,
        status: &Status,
        until: CancellationToken,
        serve: &(impl Fn(CancellationToken) -> F + Sync),
    ) -> Exit {
        let mut wanted = self.wanted.subscribe();
        loop {
            let now = *wanted.borrow_and_update();
            let exit = match now.target {
                Target::Running => {
                    let exit = self.work(status, &until, &mut wanted, serve).await;
                    if until.is_cancelled() {
                        return exit;
                    }
                    exit
                }
                Target::Paused => rest(status, State::Paused),
                Target::Stopped => rest(status, State::Stopped),
            };
            // A receiver's sender lives in `self`: waiting ends with a change only.
            tokio::select! {
                () = until.cancelled() => return exit,
                _ = wanted.changed() => {}
            }
        }
    }

    async fn work<F: Future<Output = Exit> + Send + 'static>(
        &self,
        status: &Status,
        until: &CancellationToken,
        wanted: &mut watch::Receiver<Wanted>,
        serve: &(impl Fn(CancellationToken) -> F + Sync),
    ) -> Exit {
        let stop = until.child_token();
        // A task of its own, so that a panic in it is this connector's failure and no more.
        let serving = tokio::spawn(serve(stop.clone()).in_current_span());
        let mut serving = AbortOnDropHandle::new(serving);
        let joined = tokio::select! {
            joined = &mut serving => joined,
            _ = wanted.changed() => {
                // Seen, and to be looked at again.
                wanted.mark_changed();
                stop.cancel();
                serving.await
            }
        };
        joined.unwrap_or_else(|panic| {
            let trace = format!("its supervisor panicked: {panic}");
            status.set_state(State::Failed {
                trace: trace.clone(),
            });
            Exit::Failed { trace }
        })
    }

    /// Waits for a restart of a connector that this worker could not even hold. Whether there is
    /// to be another try.
    pub(crate) async fn again(&self, stop: &CancellationToken) -> bool {
        let mut wanted = self.wanted.subscribe();
        tokio::select! {
            () = stop.cancelled() => false,
            _ = wanted.changed() => true,
        }
    }
}

fn rest(status: &Status, state: State) -> Exit {
    status.set_state(state);
    Exit::Drained
}
