//! The instance that makes pieces visible. It never gets `put`.

mod all_held;

use crate::failures::Failed;
use crate::host::Host;
use crate::meter;
use crate::retries::Retries;
use crate::spec::SinkSpec;
use crate::status::{State, Status};
use crate::swap::Version;
use all_held::AllHeld;
use jackfield_core::{Consequence, Next, after};
use jackfield_plugin::{
    CallError, Committed, Context, Holding, Interrupt, Piece, Role, Saved, SinkHost, SinkInstance,
    Span, Usage,
};
use std::sync::Arc;
use std::time::Duration;

/// Whoever asks for a longer wait than this on probation, and past its end, is taken back: the
/// host's own waits, for a target that is down, are no longer.
const ASKED_WAIT_MAX: Duration = Duration::from_secs(30);

/// The committer's instance; a new one is made when the old one died.
pub(crate) struct Committer {
    spec: Arc<SinkSpec>,
    host: Host,
    status: Arc<Status>,
    instance: Option<SinkInstance>,
    /// What the version before saved, for the first instance of this one.
    saved: Option<Saved>,
    usage: Arc<Usage>,
    /// Until when the version is on probation: where it is to blame, the one before does better.
    on_probation: Option<Duration>,
}

/// Instantiates a sink and opens it in `role`, with what the version before saved, if any.
pub(crate) async fn open(
    spec: &SinkSpec,
    host: &Host,
    role: Role,
    usage: Arc<Usage>,
    interrupt: Interrupt,
    saved: Option<Saved>,
) -> Result<SinkInstance, Failed> {
    let sink_host = SinkHost {
        connector: spec.connector.clone(),
        lake: spec.lake.clone(),
        schemas: host.registry.clone(),
        http: spec.http.clone(),
        interrupt,
        usage,
    };
    let mut instance = SinkInstance::new(&spec.plugged.plugin, sink_host, &spec.plugged.limits)
        .await
        .map_err(|e| Failed::call("instantiate", e))?;
    let context = Context {
        connector: spec.connector.clone(),
        delivery: spec.delivery,
        role,
        tasks: spec.tasks,
    };
    instance
        .open(context, spec.plugged.settings.clone(), saved)
        .await
        .map_err(|e| Failed::call("open", e))?;
    Ok(instance)
}

/// What an instance hands to the next version; none where it has nothing, or dies of being asked:
/// all the more it is to be replaced.
pub(crate) async fn saved_by(instance: &mut SinkInstance, spec: &SinkSpec) -> Option<Saved> {
    match instance.save().await {
        Ok(saved) => Some(saved).filter(|it| !it.bytes.is_empty()),
        Err(error) => {
            let failed = Failed::call("save", error);
            tracing::warn!(connector = %spec.connector, %failed, "goes on without saved state");
            None
        }
    }
}

/// What the targets say they hold, each name asked for once. A call that fails is not repeated.
pub(crate) async fn stored_by(
    instance: &mut SinkInstance,
    known: &[String],
) -> Result<Vec<Holding>, Failed> {
    let mut all = AllHeld::default();
    for names in all_held::parts(known) {
        let held = instance.stored(names.to_vec()).await;
        all.add(held.map_err(|e| Failed::call("stored", e))?)?;
    }
    Ok(all.into_held())
}

impl Committer {
    pub(crate) fn new(spec: &Arc<SinkSpec>, host: &Host, status: &Arc<Status>) -> Self {
        Self {
            spec: Arc::clone(spec),
            host: host.clone(),
            status: Arc::clone(status),
            instance: None,
            saved: None,
            usage: meter::usage(status.metrics()),
            on_probation: None,
        }
    }

    /// Another version commits from now on, and begins with what this one saves, if it reads it.
    pub(crate) async fn change(&mut self, spec: &Arc<SinkSpec>, to: &Version) {
        let saved = match &mut self.instance {
            Some(instance) => saved_by(instance, &self.spec).await,
            None => None,
        };
        self.saved = saved.and_then(|it| to.reads(it));
        self.spec = Arc::clone(spec);
        self.instance = None;
    }

    /// Until when the version is on probation, by the pipelines' clock; `None`: not any more.
    pub(crate) fn on_probation(&mut self, until: Option<Duration>) {
        self.on_probation = until;
    }

    /// What the committer's instances use.
    pub(crate) fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// What the targets say they hold, asked of some after the others. Repeated until it succeeds
    /// or patience ends; meanwhile the connector is RESTARTING. May be dropped while it waits.
    pub(crate) async fn stored(&mut self, known: &[String]) -> Result<Vec<Holding>, Failed> {
        let mut all = AllHeld::default();
        for names in all_held::parts(known) {
            all.add(self.stored_of(names).await?)?;
        }
        Ok(all.into_held())
    }

    async fn stored_of(&mut self, known: &[String]) -> Result<Vec<Holding>, Failed> {
        let mut retries = Retries::new(self.spec.patience, self.host.clock);
        loop {
            let failed = match self.instance().await {
                Ok(instance) => match instance.stored(known.to_vec()).await {
                    Ok(held) => return Ok(held),
                    Err(error) => self.failed("stored", error),
                },
                Err(failed) => failed,
            };
            match self.after(&failed) {
                Next::Fail | Next::Reopen => return Err(failed),
                Next::CallAgain | Next::CallAgainOnNewInstance => {}
            }
            let wait = retries.wait(&failed)?;
            self.status.set_state(State::Restarting {
                trace: failed.to_string(),
            });
            self.rest(&failed, wait).await?;
        }
    }

    /// Tries once to commit. After a retry, a trap or a time-out the same arguments are given again.
    pub(crate) async fn commit(
        &mut self,
        target: &str,
        pieces: &[Piece],
        spans: &[Span],
        id: &str,
    ) -> Result<Committed, Failed> {
        let instance = self.instance().await?;
        let committed = instance.commit(
            target.to_owned(),
            pieces.to_vec(),
            spans.to_vec(),
            id.to_owned(),
        );
        match committed.await {
            Ok(committed) => Ok(committed),
            Err(error) => Err(self.failed("commit", error)),
        }
    }

    /// What to do after a failed call.
    pub(crate) fn after(&mut self, failed: &Failed) -> Next {
        if self.on_probation.is_some() && failed.component {
            return Next::Reopen;
        }
        let next = after::committer(failed.consequence);
        // What ends the life is counted by its supervisor.
        if next != Next::Reopen {
            self.status.failed(failed);
        }
        if next == Next::CallAgainOnNewInstance {
            self.instance = None;
        }
        next
    }

    /// Before calls are made again.
    ///
    /// # Errors
    /// The component asks to wait past its probation.
    pub(crate) async fn rest(&mut self, failed: &Failed, wait: Duration) -> Result<(), Failed> {
        let past = |until: Duration| self.host.clock.now() + wait >= until;
        if failed.not_before > ASKED_WAIT_MAX && self.on_probation.is_some_and(past) {
            let why = format!("{} (and asks to wait past its probation)", failed.reason);
            return Err(Failed::new(failed.what, Consequence::Replace, why));
        }
        self.status.metrics().retries(1);
        tracing::warn!(connector = %self.spec.connector, %failed, wait_ms = wait.as_millis() as u64, "the committer tries again");
        tokio::time::sleep(wait).await;
        Ok(())
    }

    pub(crate) async fn close(mut self) -> Result<(), Failed> {
        match self.instance.take() {
            Some(mut instance) => instance.close().await.map_err(|e| Failed::call("close", e)),
            None => Ok(()),
        }
    }

    async fn instance(&mut self) -> Result<&mut SinkInstance, Failed> {
        if self.instance.is_none() {
            let opened = match self.saved.take() {
                Some(saved) => match self.open(Some(saved)).await {
                    Ok(opened) => opened,
                    // The state is a cache: opening without it must be right too.
                    Err(failed) => {
                        tracing::warn!(connector = %self.spec.connector, %failed, "the committer opens without saved state");
                        self.open(None).await?
                    }
                },
                None => self.open(None).await?,
            };
            self.instance = Some(opened);
        }
        self.instance.as_mut().ok_or_else(|| {
            Failed::for_good(
                "open",
                "the committer's instance is missing right after it was made",
            )
        })
    }

    async fn open(&mut self, saved: Option<Saved>) -> Result<SinkInstance, Failed> {
        let usage = Arc::clone(&self.usage);
        let (spec, host) = (&self.spec, &self.host);
        open(
            spec,
            host,
            Role::Committer,
            usage,
            Interrupt::default(),
            saved,
        )
        .await
    }

    fn failed(&mut self, what: &'static str, error: CallError) -> Failed {
        if matches!(error, CallError::Dead(_)) {
            self.instance = None;
        }
        Failed::call(what, error)
    }
}
