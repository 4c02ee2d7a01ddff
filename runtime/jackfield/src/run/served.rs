//! Connectors that run, and all that watches, shows and changes them.

use super::opened::Opened;
use super::over::over;
use super::signals::Signals;
use super::{FLUSH_MAX, states};
use crate::operate::Loader;
use crate::operate::watch;
use crate::start_error::StartError;
use crate::wiring::Spec;
use crate::{greeting, observe, progress, published};
use indicatif::MultiProgress;
use jackfield_admin::AdminServer;
use jackfield_log::Log;
use jackfield_pipeline::{Ending, Target};
use jackfield_telemetry::Telemetry;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Longest from the end of the grace time, or from the word to end, until what goes on is cut off.
const CUT_OFF_WITHIN: Duration = Duration::from_secs(1);
/// How long states may be published after all connectors have ended: the last ones have 5 s, once
/// the look before them has ended.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(6);
/// How long the log may take to close. All that was acknowledged is on the disk before: the next
/// start reads back what a log that is cut off had not sorted yet.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);

/// What runs.
pub(super) struct Served {
    loader: Arc<Loader>,
    log: Arc<dyn Log>,
    telemetry: Telemetry,
    pushes: bool,
    admin: AdminServer,
    /// Ends those who change what runs, and the look at the disk.
    watching: CancellationToken,
    watch: JoinHandle<()>,
    reconciling: JoinHandle<()>,
    disk: Option<JoinHandle<()>>,
    shown: CancellationToken,
    progress: JoinHandle<()>,
    publishing: CancellationToken,
    publish: Option<JoinHandle<()>>,
}

impl Served {
    /// Starts the connectors of the file, those made over REST, and all beside them. After a signal
    /// it does not wait for those made over REST.
    pub(super) async fn begin(
        signals: &mut Signals,
        opened: Opened,
        file: PathBuf,
        live: Option<MultiProgress>,
    ) -> Result<Self, StartError> {
        let Opened {
            loader,
            herd,
            specs,
            targets,
            log,
            embedded,
            published,
            telemetry,
            pushes,
            clock,
            admin,
            operator,
            connect,
        } = opened;
        start(&loader, specs, &targets)?;
        tokio::select! {
            // Whoever waits for the end hears of it too.
            _signal = signals.first() => {}
            () = herd.begin() => {}
        }
        let (token, tls) = (admin.token.clone(), admin.certificate.is_some());
        let shown = loader.pipelines.clone();
        let told = move || states(&shown);
        let operator = Arc::new(operator);
        let admin = AdminServer::start(admin, telemetry.clone(), told, operator, connect)
            .map_err(|e| StartError::Admin(e.to_string()))?;
        let publishing = CancellationToken::new();
        let publish = published.map(|published| {
            let (log, pipelines) = (Arc::clone(&log), loader.pipelines.clone());
            let keeping = published::keep(log, published, pipelines, publishing.clone());
            tokio::spawn(keeping)
        });
        let watching = CancellationToken::new();
        let reconciling = tokio::spawn(herd.reconcile(watching.clone()));
        let asked = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
        let (files, watched) = (Arc::clone(&loader), telemetry.clone());
        let watch = watch::files(files, file, asked, watched, watching.clone());
        let disk = embedded.map(|log| {
            let (telemetry, watching) = (telemetry.clone(), watching.clone());
            tokio::spawn(observe::log_disk(log, telemetry, watching))
        });
        tracing::info!(address = %admin.local_addr(), "metrics at /metrics, states at /readyz, a page for people at /");
        if let Some(lines) = &live {
            for line in greeting::lines(admin.local_addr(), tls, token.as_deref()) {
                // A line that can't be written is no reason to stop.
                let _shown = lines.println(line);
            }
        }
        let shown = CancellationToken::new();
        let progress = progress::show(loader.pipelines.clone(), clock, live, shown.clone());
        Ok(Self {
            loader,
            log,
            telemetry,
            pushes,
            admin,
            watching,
            watch: tokio::spawn(watch),
            reconciling,
            disk,
            shown,
            progress: tokio::spawn(progress),
            publishing,
            publish,
        })
    }

    /// Waits until nothing has arrived for so long and all is committed; without a time for ever.
    pub(super) async fn until_idle(&self, quiet: Option<Duration>) {
        match quiet {
            Some(quiet) => self.loader.pipelines.until_idle(quiet).await,
            None => std::future::pending().await,
        }
    }

    /// Drains the connectors within `grace` and ends all beside them, each within a limit. None:
    /// no signal asked for it.
    pub(super) async fn end(self, signal: Option<&'static str>, grace: Duration) -> Ending {
        // Whoever reads that it stops may take it that the end of every connector counts.
        self.loader.process_ends();
        match signal {
            Some(name) => tracing::info!(signal = name, "stopping: draining"),
            None => tracing::info!("idle, and all is committed: stopping"),
        }
        self.watching.cancel();
        let until = Instant::now() + grace + CUT_OFF_WITHIN;
        let mut ending = self.loader.pipelines.shut_down(grace).await;
        // A connector that the changed file has taken away may drain as long as the others.
        over("the watch over the files", self.watch, until).await;
        self.shown.cancel();
        over("the progress", self.progress, soon()).await;
        self.publishing.cancel();
        if let Some(publish) = self.publish {
            let until = Instant::now() + PUBLISHED_WITHIN;
            over("publishing states", publish, until).await;
        }
        if let Some(disk) = self.disk {
            over("the look at the log's disk", disk, soon()).await;
        }
        // It keeps to the same limit by itself, and says whom it cuts off: that comes first.
        let until = until + CUT_OFF_WITHIN;
        over("what was made over REST", self.reconciling, until).await;
        self.admin.stop();
        ending.exits.extend(self.loader.ended_with_process());
        // What pushes may hang as long as the receiver does; it is not waited for.
        if !self.telemetry.close(FLUSH_MAX) && self.pushes {
            tracing::warn!("the last metrics may not have been pushed");
        }
        // The log's threads end with the last who holds it, who waits for them.
        let held = (self.loader, self.log);
        let closing = tokio::task::spawn_blocking(move || drop(held));
        over("closing the log", closing, Instant::now() + CLOSED_WITHIN).await;
        ending
    }
}

fn soon() -> Instant {
    Instant::now() + CUT_OFF_WITHIN
}

/// Starts all connectors of the file; sinks first, so that the first record finds its reader.
fn start(
    loader: &Loader,
    specs: Vec<Spec>,
    targets: &BTreeMap<String, Target>,
) -> Result<(), StartError> {
    let (sinks, sources): (Vec<_>, Vec<_>) = specs
        .into_iter()
        .partition(|spec| matches!(spec, Spec::Sink(_)));
    for spec in sinks.into_iter().chain(sources) {
        let target = targets.get(spec.connector()).copied();
        loader.add(spec, target.unwrap_or(Target::Running))?;
    }
    Ok(())
}
