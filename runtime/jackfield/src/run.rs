//! `jackfield run`.

use crate::cli::{LogFormat, RunArgs};
use crate::declared::{self, Declared};
use crate::exit::Exit;
use crate::start_error::StartError;
use crate::wiring::{self, Spec};
use crate::workshop::Workshop;
use crate::{check, operate, plugins, progress, published};
use indicatif::MultiProgress;
use jackfield_admin::{AdminConfig, AdminServer, ConnectorState};
use jackfield_config::Config;
use jackfield_pipeline::{Clock, Ending, Host, Pipelines, State, Target};
use jackfield_telemetry::{Telemetry, logging};
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
    start_logging(&args, &config, live.is_some())?;
    let mut signals = Signals::listen()?;
    for warning in &config.warnings.findings {
        tracing::warn!(path = %warning.path, message = %warning.message, "configuration");
    }

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

    let telemetry = Telemetry::new().map_err(|e| StartError::Telemetry(e.to_string()))?;
    let clock = Clock::start();
    let host = Host {
        cluster: open.cluster,
        log: open.log,
        assignments: open.assignments,
        subjects: open.subjects,
        registry: open.registry,
        telemetry: telemetry.clone(),
        clock,
    };
    let log = Arc::clone(&host.log);
    let pipelines = Pipelines::new(host);
    let admin = AdminConfig {
        listen: args.listen.unwrap_or(config.admin.listen),
        token: operate::token::of(&config).map_err(|e| StartError::Admin(e.to_string()))?,
    };
    let state_dir = config.state_dir.clone();
    let loader = operate::Loader::new(workshop, pipelines.clone(), config, args.grace);
    start(&loader, specs)?;
    let operator = operate::Running {
        loader: Arc::clone(&loader),
        pipelines: pipelines.clone(),
        runtime: tokio::runtime::Handle::current(),
        state_dir,
    };
    let shown = pipelines.clone();
    let told = move || states(&shown);
    let admin = AdminServer::start(admin, telemetry, told, Arc::new(operator))
        .map_err(|e| StartError::Admin(e.to_string()))?;
    let publishing = CancellationToken::new();
    let publish = open.published.map(|published| {
        let keeping = published::keep(log, published, pipelines.clone(), publishing.clone());
        tokio::spawn(keeping)
    });
    let watching = CancellationToken::new();
    let asked = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
    let watch = operate::watch::files(loader, args.file.clone(), asked, watching.clone());
    let watch = tokio::spawn(watch);
    tracing::info!(address = %admin.local_addr(), "metrics at /metrics, states at /readyz");
    if let Some(lines) = &live {
        // A line that can't be written is no reason to stop.
        let _shown = lines.println(format!("metrics    http://{}/metrics", admin.local_addr()));
    }

    let ending = until_stopped(
        &args,
        &pipelines,
        clock,
        live,
        &mut signals,
        watching,
        watch,
    )
    .await;
    publishing.cancel();
    if let Some(publish) = publish
        && let Err(error) = publish.await
    {
        tracing::warn!(%error, "states were not published to the end");
    }
    admin.stop();
    let exit = judge(&ending);
    logging::flush(FLUSH_MAX);
    Ok(exit)
}

fn start_logging(args: &RunArgs, config: &Config, live: bool) -> Result<(), StartError> {
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
        .map_err(|e| StartError::Telemetry(e.to_string()))
}

/// Starts all connectors of the file; sinks first, so that the first record finds its reader.
fn start(loader: &operate::Loader, specs: Vec<Spec>) -> Result<(), StartError> {
    let (sinks, sources): (Vec<_>, Vec<_>) = specs
        .into_iter()
        .partition(|spec| matches!(spec, Spec::Sink(_)));
    for spec in sinks.into_iter().chain(sources) {
        loader.add(spec, Target::Running)?;
    }
    Ok(())
}

async fn until_stopped(
    args: &RunArgs,
    pipelines: &Pipelines,
    clock: Clock,
    live: Option<MultiProgress>,
    signals: &mut Signals,
    watching: CancellationToken,
    watch: JoinHandle<()>,
) -> Ending {
    let shown = CancellationToken::new();
    let progress = progress::show(pipelines.clone(), clock, live, shown.clone());
    let progress = tokio::spawn(progress);
    tokio::select! {
        name = signals.next() => tracing::info!(signal = name, "stopping: draining"),
        () = idle(args, pipelines) => tracing::info!("idle, and all is committed: stopping"),
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
            running: report.state == State::Running,
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
