//! How a task changes to another version: what was put is staged by the old instance, and the new
//! one goes on from there.

use super::{Task, Tried};
use crate::failures::Failed;
use crate::sink::committer;
use crate::spec::SinkSpec;
use crate::swap::Version;
use jackfield_core::Consequence;
use jackfield_plugin::{Interrupt, Role, Saved, SinkInstance};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Longest time that a task begins with what the old instance saved. Nothing is put meanwhile, and the
/// state is a cache: reading it is not worth a longer pause.
const OPEN_WITH_SAVED_MAX: Duration = Duration::from_secs(5);

/// Calls of `stage` after the first one, of a component that asks for no wait: each stages more. The
/// connector waits for the swap meanwhile, or another member for the partitions.
const STAGES_AGAIN_MAX: u32 = 3;

/// How a task changes to another version. Once it has staged, a failure is the life's.
pub(crate) struct HandOver {
    /// The connector as it will be.
    pub(crate) spec: Arc<SinkSpec>,
    /// What takes over.
    pub(crate) version: Arc<Version>,
    /// The instance that goes on, open without saved state and told what the targets hold.
    pub(crate) instance: SinkInstance,
    /// As for [`Command::Stage`](super::Command::Stage); without pieces the old instance goes on.
    pub(crate) staged: oneshot::Sender<Tried>,
    /// For how long nothing was put.
    pub(crate) paused: oneshot::Sender<Duration>,
}

impl Task {
    pub(super) async fn hand_over(&mut self, hand_over: HandOver) -> Result<(), Failed> {
        let HandOver {
            spec,
            version,
            instance,
            staged,
            paused,
        } = hand_over;
        let began = Instant::now();
        let tried = self.stage_whole(None).await?;
        if !matches!(tried, Tried::Staged(_)) {
            let _gone = staged.send(tried);
            return Ok(());
        }
        // All that was put is staged: from here on the old one may die without any loss.
        let saved = committer::saved_by(&mut self.instance, &self.given.spec).await;
        // The old one is only dropped: what it would do in `close` is not its turn any more. It goes
        // before another one is made, so that there are never three.
        self.instance = instance;
        if let Some(saved) = saved.and_then(|it| version.reads(it)) {
            self.begin_with(&spec, saved).await;
        }
        if let Some((_, again)) = &mut self.again {
            again.offer.hand_over();
        }
        self.given.spec = spec;
        self.stage_from = None;
        // Who does not wait any more ends this life.
        let _gone = staged.send(tried);
        let _gone = paused.send(began.elapsed());
        Ok(())
    }

    /// Stages all that was put. There is no next interval for what a first call leaves. No further
    /// call begins after `until`.
    pub(super) async fn stage_whole(&mut self, until: Option<Instant>) -> Result<Tried, Failed> {
        let mut tried = self.try_to_stage().await?;
        for _ in 0..STAGES_AGAIN_MAX {
            let late = until.is_some_and(|until| Instant::now() >= until);
            if late || !matches!(tried, Tried::MoreLeft) {
                break;
            }
            // The pause is ours, and nothing is put meanwhile.
            self.stage_from = None;
            tried = self.try_to_stage().await?;
        }
        self.put_back_unstaged(&tried);
        Ok(tried)
    }

    /// Goes on with an instance that begins with what the old one saved; or with the one that was
    /// prepared without, where that fails or takes too long: opening without it must be right too.
    async fn begin_with(&mut self, spec: &SinkSpec, saved: Saved) {
        let opened = tokio::time::timeout(OPEN_WITH_SAVED_MAX, self.open_with(spec, saved)).await;
        let opened = opened.unwrap_or_else(|_| {
            let within = OPEN_WITH_SAVED_MAX.as_secs();
            let reason = format!("with saved state it took longer than {within} s");
            Err(Failed::new("open", Consequence::Replace, reason))
        });
        match opened {
            Ok(instance) => self.instance = instance,
            Err(failed) => {
                tracing::warn!(connector = %spec.connector, %failed, "goes on without saved state");
            }
        }
    }

    async fn open_with(&mut self, spec: &SinkSpec, saved: Saved) -> Result<SinkInstance, Failed> {
        let role = Role::Task(self.given.number);
        let usage = Arc::clone(&self.given.usage);
        let (host, interrupt) = (&self.given.host, Interrupt::default());
        let opened = committer::open(spec, host, role, usage, interrupt, Some(saved)).await;
        let mut instance = opened?;
        let held = self.given.books.held();
        let assigned = instance.assigned(held).await;
        assigned.map_err(|e| Failed::call("assigned", e))?;
        Ok(instance)
    }
}
