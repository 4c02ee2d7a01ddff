//! The instance that makes pieces visible. It never gets `put`.

use crate::failures::Failed;
use crate::host::Host;
use crate::retries::Retries;
use crate::spec::SinkSpec;
use crate::status::Status;
use jackfield_core::{Next, after};
use jackfield_plugin::{
    CallError, Committed, Context, Holding, Interrupt, Piece, Role, SinkHost, SinkInstance, Span,
    Usage,
};
use std::sync::Arc;
use std::time::Duration;

/// The committer's instance; a new one is made when the old one died.
pub(crate) struct Committer {
    spec: Arc<SinkSpec>,
    host: Host,
    status: Arc<Status>,
    instance: Option<SinkInstance>,
    usage: Arc<Usage>,
    /// The version is on probation: where it is to blame, the one before does better.
    on_probation: bool,
}

/// Instantiates a sink and opens it in `role`.
pub(crate) async fn open(
    spec: &SinkSpec,
    host: &Host,
    role: Role,
    usage: Arc<Usage>,
    interrupt: Interrupt,
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
        .open(context, spec.plugged.settings.clone(), None)
        .await
        .map_err(|e| Failed::call("open", e))?;
    Ok(instance)
}

impl Committer {
    pub(crate) fn new(spec: &Arc<SinkSpec>, host: &Host, status: &Arc<Status>) -> Self {
        Self {
            spec: Arc::clone(spec),
            host: host.clone(),
            status: Arc::clone(status),
            instance: None,
            usage: Arc::default(),
            on_probation: false,
        }
    }

    /// Another version commits from now on.
    pub(crate) fn change(&mut self, spec: &Arc<SinkSpec>) {
        self.spec = Arc::clone(spec);
        self.instance = None;
        self.on_probation = true;
    }

    /// The version is on probation, or not any more.
    pub(crate) fn on_probation(&mut self, on_probation: bool) {
        self.on_probation = on_probation;
    }

    /// What the committer's instances use.
    pub(crate) fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// What the targets say they hold. Repeated until it succeeds or patience ends.
    pub(crate) async fn stored(&mut self, known: &[String]) -> Result<Vec<Holding>, Failed> {
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
            self.rest(&failed, wait).await;
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
        self.status.failed(failed);
        if self.on_probation && failed.component {
            return Next::Reopen;
        }
        let next = after::committer(failed.consequence);
        if next == Next::CallAgainOnNewInstance {
            self.instance = None;
        }
        next
    }

    /// Before calls are made again.
    pub(crate) async fn rest(&mut self, failed: &Failed, wait: Duration) {
        self.status.metrics().retries(1);
        tracing::warn!(connector = %self.spec.connector, %failed, wait_ms = wait.as_millis() as u64, "the committer tries again");
        tokio::time::sleep(wait).await;
    }

    pub(crate) async fn close(mut self) -> Result<(), Failed> {
        match self.instance.take() {
            Some(mut instance) => instance.close().await.map_err(|e| Failed::call("close", e)),
            None => Ok(()),
        }
    }

    async fn instance(&mut self) -> Result<&mut SinkInstance, Failed> {
        if self.instance.is_none() {
            let usage = Arc::clone(&self.usage);
            let opened = open(
                &self.spec,
                &self.host,
                Role::Committer,
                usage,
                Interrupt::default(),
            )
            .await?;
            self.instance = Some(opened);
        }
        self.instance.as_mut().ok_or_else(|| {
            Failed::for_good(
                "open",
                "the committer's instance is missing right after it was made",
            )
        })
    }

    fn failed(&mut self, what: &'static str, error: CallError) -> Failed {
        if matches!(error, CallError::Dead(_)) {
            self.instance = None;
        }
        Failed::call(what, error)
    }
}
