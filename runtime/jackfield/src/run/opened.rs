//! All that connectors need, before the first of them begins.

use super::signals::Signals;
use crate::cli::RunArgs;
use crate::declared::{self, Declared};
use crate::operate::herd::{Herd, Pens, Shepherd};
use crate::operate::{self, Loader};
use crate::published::Published;
use crate::start_error::StartError;
use crate::wiring::{self, Spec};
use crate::workshop::Workshop;
use crate::{check, observe, plugins, state};
use jackfield_admin::{AdminConfig, Connect};
use jackfield_config::Config;
use jackfield_log::Log;
use jackfield_log_embedded::EmbeddedLog;
use jackfield_pipeline::{Clock, Host, Pipelines, Target};
use jackfield_telemetry::Telemetry;
use jackfield_telemetry::logging::Levels;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic;
use std::sync::Arc;
use std::time::Duration;

/// Longest that what was broken off may take to close what it had opened. Nothing was written that
/// needs closing: a compiler, or a disk that is slow, is left behind.
const BROKEN_OFF_WITHIN: Duration = Duration::from_secs(1);

/// The connectors of the file, built, and what they and those who operate them work with.
pub(super) struct Opened {
    pub(super) loader: Arc<Loader>,
    pub(super) herd: Arc<Herd>,
    pub(super) specs: Vec<Spec>,
    /// What each connector was last asked to do.
    pub(super) targets: BTreeMap<String, Target>,
    pub(super) log: Arc<dyn Log>,
    pub(super) embedded: Option<Arc<EmbeddedLog>>,
    pub(super) published: Option<Published>,
    pub(super) telemetry: Telemetry,
    /// Whether the metrics are pushed to somebody.
    pub(super) pushes: bool,
    pub(super) clock: Clock,
    pub(super) admin: AdminConfig,
    pub(super) operator: operate::Running,
    pub(super) connect: Connect,
}

impl Opened {
    /// None: a signal came first. It may take minutes where components are compiled.
    pub(super) async fn unless_stopped(
        signals: &mut Signals,
        args: &RunArgs,
        config: Config,
        levels: Levels,
    ) -> Result<Option<Self>, StartError> {
        // By a task of its own: opening a log may block, and a signal is heard all the same.
        let mut opening = tokio::spawn(Self::of(config, levels, args.listen, args.grace));
        let opened = tokio::select! {
            signal = signals.first() => Err(signal),
            opened = &mut opening => Ok(opened),
        };
        match opened {
            Ok(Ok(opened)) => opened.map(Some),
            // Nobody has aborted it.
            Ok(Err(broken)) => panic::resume_unwind(broken.into_panic()),
            Err(signal) => {
                tracing::info!(signal, "stopping: no connector has begun yet");
                opening.abort();
                // What it had opened closes when it is dropped.
                drop(tokio::time::timeout(BROKEN_OFF_WITHIN, opening).await);
                Ok(None)
            }
        }
    }

    /// Dropping it half-way leaves nothing that the next start would miss.
    async fn of(
        config: Config,
        levels: Levels,
        listen: Option<SocketAddr>,
        grace: Duration,
    ) -> Result<Self, StartError> {
        state::open(&config.state_dir)?;
        state::sweep(&config.state_dir);
        let findings = check::log(&config);
        if findings.has_errors() {
            return Err(StartError::Findings(findings));
        }
        let workshop = Workshop::new(plugins::engine(&config.state_dir)?)?;
        let all = declared::all(&config);
        let connectors: Vec<&Declared> = all.values().collect();
        let file = &config.warnings.file;
        let specs = workshop.build(file, &connectors).await?;
        let open = wiring::open_log(&config).await?;

        let telemetry = observe::telemetry(&config)?;
        let (clock, started_ms) = (Clock::start(), operate::now_ms());
        let (cluster, log) = (open.cluster, open.log);
        let kept = operate::Kept::new(Arc::clone(&log), Arc::clone(&open.registry));
        let pipelines = Pipelines::new(Host {
            cluster: cluster.clone(),
            log: Arc::clone(&log),
            assignments: open.assignments,
            subjects: open.subjects,
            registry: open.registry,
            telemetry: telemetry.clone(),
            clock,
        });
        let admin = operate::admin::of(&config, listen)?;
        let (state_dir, components) = (config.state_dir.clone(), config.admin.components.clone());
        let pushes = config.telemetry.otlp.is_some();
        let loader = Loader::new(workshop, pipelines.clone(), config, grace);
        let herd = Herd::new(Pens {
            loader: Arc::clone(&loader),
            log: Arc::clone(&log),
            cluster: &cluster,
            published: open.published.as_ref(),
            levels: levels.clone(),
        });
        let targets = herd.targets().await;
        let operator = operate::Running {
            loader: Arc::clone(&loader),
            pipelines,
            runtime: tokio::runtime::Handle::current(),
            state_dir,
            components,
            started_ms,
            kept,
        };
        let connect = Connect {
            herder: Arc::new(Shepherd(Arc::clone(&herd))),
            levels,
            commit: env!("JACKFIELD_COMMIT").into(),
        };
        Ok(Self {
            loader,
            herd,
            specs,
            targets,
            log,
            embedded: open.embedded,
            published: open.published,
            telemetry,
            pushes,
            clock,
            admin,
            operator,
            connect,
        })
    }
}
