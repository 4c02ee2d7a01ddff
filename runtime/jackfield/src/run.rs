//! `jackfield run`.

use crate::cli::{LogFormat, RunArgs};
use crate::declared::{self, Declared};
use crate::exit::Exit;
use crate::operate::herd::{Herd, Pens, Shepherd};
use crate::start_error::StartError;
use crate::wiring::{self, Spec};
use crate::workshop::Workshop;
use crate::{check, greeting, observe, operate, plugins, progress, published, state};
use indicatif::MultiProgress;
use jackfield_admin::{AdminServer, Connect, ConnectorState};
use jackfield_config::Config;
use jackfield_pipeline::{Clock, Ending, Host, Pipelines, Target};
use jackfield_telemetry::logging::{self, Levels};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest wait for the last log lines: whoever reads them may be gone.
const FLUSH_MAX: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: RunArgs) -> Result<Exit, StartError> {
    let config = Config::load(&args.file)?;
    let live = std::io::stderr().is_terminal().then(MultiProgress::new);
    let levels = start_logging(&args, &config, live.is_some())?;
    let mut signals = Signals::listen()?;
    for warning in &config.warnings.findings {
        tracing::warn!(path = %warning.path, message = %warning.message, "configuration");
    }

    state::open(&config.state_dir)?;
    state::sweep(&config.state_dir);
    let findings = check::log(&config);
    if findings.has_errors() {
        return Err(StartError::Findings(findings));
    }
    let workshop = Workshop::new(plugins::engine(&config.state_dir)?)?;
    let all = declared::all(&config);
    let file = &config.warnings.file;
    let connectors: Vec<&Declared> = all.values().collect();
    let specs = workshop.build(file, &connectors).await?;
    let open = wiring::open_log(&config).await?;

    let telemetry = observe::telemetry(&config)?;
    let (clock, started_ms) = (Clock::start(), operate::now_ms());
    let cluster = open.cluster;
    let host = Host {
        cluster: cluster.clone(),
        log: open.log,
        assignments: open.assignments,
        subjects: open.subjects,
        registry: open.registry,
        telemetry: telemetry.clone(),
        clock,
    };
    let log = Arc::clone(&host.log);
    let kept = operate::Kept::new(Arc::clone(&host.log), Arc::clone(&host.registry));
    let pipelines = Pipelines::new(host);
    let admin = operate::admin::of(&config, args.listen)?;
    let (state_dir, components) = (config.state_dir.clone(), config.admin.components.clone());
    let pushes = config.telemetry.otlp.is_some();
    let loader = operate::Loader::new(workshop, pipelines.clone(), config, args.grace);
    let herd = Herd::new(Pens {
        loader: Arc::clone(&loader),
        log: Arc::clone(&log),
        cluster: &cluster,
        published: open.published.as_ref(),
        levels: levels.clone(),
    });
    let targets = herd.targets().await;
    start(&loader, specs, &targets)?;
    herd.begin().await;
    let operator = operate::Running {
        loader: Arc::clone(&loader),
        pipelines: pipelines.clone(),
        runtime: tokio::runtime::Handle::current(),
        state_dir,
        components,
        started_ms,
        kept,
    };
    let (token, tls) = (admin.token.clone(), admin.certificate.is_some());
    let shown = pipelines.clone();
    let told = move || states(&shown);
    let (disk_shown, closing) = (telemetry.clone(), telemetry.clone());
    let watched = telemetry.clone();
    let connect = Connect {
        herder: Arc::new(Shepherd(Arc::clone(&herd))),
        levels,
        commit: env!("JACKFIELD_COMMIT").into(),
    };
    let admin = AdminServer::start(admin, telemetry, told, Arc::new(operator), connect)
        .map_err(|e| StartError::Admin(e.to_string()))?;
    let publishing = CancellationToken::new();
    let publish = open.published.map(|published| {
        let keeping = published::keep(log, published, pipelines.clone(), publishing.clone());
        tokio::spawn(keeping)
    });
    let watching = CancellationToken::new();
    let reconciling = tokio::spawn(herd.reconcile(watching.clone()));
    let asked = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
    let files = Arc::clone(&loader);
    let watch = operate::watch::files(files, args.file.clone(), asked, watched, watching.clone());
    let watch = tokio::spawn(watch);
    let disk = open.embedded.map(|log| {
        let watching = watching.clone();
        tokio::spawn(observe::log_disk(log, disk_shown, watching))
    });
    tracing::info!(address = %admin.local_addr(), "metrics at /metrics, states at /readyz, a page for people at /");
    if let Some(lines) = &live {
        for line in greeting::lines(admin.local_addr(), tls, token.as_deref()) {
            // A line that can't be written is no reason to stop.
            let _shown = lines.println(line);
        }
    }

    let mut ending =
        until_stopped(&args, &loader, clock, live, &mut signals, watching, watch).await;
    publishing.cancel();
    if let Some(publish) = publish
        && let Err(error) = publish.await
    {
        tracing::warn!(%error, "states were not published to the end");
    }
    if let Some(disk) = disk
        && let Err(error) = disk.await
    {
        tracing::warn!(%error, "the log's disk was not watched to the end");
    }
    if let Err(error) = reconciling.await {
        tracing::warn!(%error, "connectors made over REST were not looked up to the end");
    }
    admin.stop();
    ending.exits.extend(loader.ended_with_process());
    // What pushes may hang as long as the receiver does; it is not waited for.
    if !closing.close(FLUSH_MAX) && pushes {
        tracing::warn!("the last metrics may not have been pushed");
    }
    let exit = judge(&ending);
    logging::flush(FLUSH_MAX);
    Ok(exit)
}

fn start_logging(args: &RunArgs, config: &Config, live: bool) -> Result<Levels, StartError> {
    let format = match (args.log_format, config.telemetry.format) {
        (Some(LogFormat::Json), _) | (None, jackfield_config::LogFormat::Json) => {
            logging::Format::Json
        }
        (Some(LogFormat::Text), _) | (None, jackfield_config::LogFormat::Text) => {
            logging::Format::Text
        }
        // Lines for a person at a terminal, objects for what collects them.
        (None, jackfield_config::LogFormat::Auto) if std::io::stderr().is_terminal() => {
            logging::Format::Text
        }
        (None, jackfield_config::LogFormat::Auto) => logging::Format::Json,
    };
    // On a terminal the live lines show progress: log lines are for what needs attention.
    let level = if live {
        "warn"
    } else {
        config.telemetry.level.as_str()
    };
    logging::init(format, args.log.as_deref().unwrap_or(level))
        .map_err(|e| StartError::Telemetry(e.to_string()))?;
    let levels = tracing::dispatcher::get_default(logging::levels);
    Ok(levels.expect("what was set up a line before has levels"))
}

/// Starts all connectors of the file; sinks first, so that the first record finds its reader.
fn start(
    loader: &operate::Loader,
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

async fn until_stopped(
    args: &RunArgs,
    loader: &operate::Loader,
    clock: Clock,
    live: Option<MultiProgress>,
    signals: &mut Signals,
    watching: CancellationToken,
    watch: JoinHandle<()>,
) -> Ending {
    let pipelines = &loader.pipelines;
    let shown = CancellationToken::new();
    let progress = progress::show(pipelines.clone(), clock, live, shown.clone());
    let progress = tokio::spawn(progress);
    let signal = tokio::select! {
        name = signals.next() => Some(name),
        () = idle(args, pipelines) => None,
    };
    // Whoever reads that it stops may take it that the end of every connector counts.
    loader.process_ends();
    match signal {
        Some(name) => tracing::info!(signal = name, "stopping: draining"),
        None => tracing::info!("idle, and all is committed: stopping"),
    }
    watching.cancel();
    let ending = pipelines.shut_down(args.grace).await;
    if let Err(error) = watch.await {
        tracing::warn!(%error, "the files were not watched to the end");
    }
    shown.cancel();
    if let Err(error) = progress.await {
        tracing::warn!(%error, "progress could not be shown");
    }
    ending
}

async fn idle(args: &RunArgs, pipelines: &Pipelines) {
    match args.until_idle {
        Some(quiet) => pipelines.until_idle(quiet).await,
        None => std::future::pending().await,
    }
}

fn states(pipelines: &Pipelines) -> Vec<ConnectorState> {
    let reports = pipelines.statuses().into_iter().map(|it| it.report());
    reports
        .map(|report| ConnectorState {
            ready: report.ready(),
            state: progress::word(&report.state).to_owned(),
            trace: report.state.trace().map(str::to_owned),
            connector: report.connector,
            pipeline: report.pipeline,
        })
        .collect()
}

fn judge(ending: &Ending) -> Exit {
    let mut exit = Exit::Clean;
    for (connector, end) in &ending.exits {
        match end {
            jackfield_pipeline::Exit::Drained => {}
            jackfield_pipeline::Exit::Failed { trace } => {
                eprintln!("{connector} FAILED: {trace}");
                exit = if exit == Exit::Forced {
                    exit
                } else {
                    Exit::Failed
                };
            }
            jackfield_pipeline::Exit::Killed => {
                eprintln!("{connector} was killed: the grace time ended before it had drained");
                exit = Exit::Forced;
            }
        }
    }
    exit
}

/// SIGTERM and SIGINT: the first drains, as the second would be too late to help.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, StartError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(StartError::Signals)?,
            interrupt: signal(SignalKind::interrupt()).map_err(StartError::Signals)?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
