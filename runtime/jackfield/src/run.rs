//! `jackfield run`.

mod logs;
mod opened;
mod over;
mod served;
mod signals;

use crate::cli::RunArgs;
use crate::exit::Exit;
use crate::progress;
use crate::start_error::StartError;
use indicatif::MultiProgress;
use jackfield_admin::ConnectorState;
use jackfield_config::Config;
use jackfield_pipeline::{Ending, Pipelines};
use jackfield_telemetry::logging;
use opened::Opened;
use served::Served;
use signals::Signals;
use std::io::IsTerminal;
use std::time::Duration;

/// Longest wait for the last log lines: whoever reads them may be gone.
const FLUSH_MAX: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: RunArgs) -> Result<Exit, StartError> {
    let config = Config::load(&args.file)?;
    let live = std::io::stderr().is_terminal().then(MultiProgress::new);
    let levels = logs::start(&args, &config, live.is_some())?;
    let mut signals = Signals::listen()?;
    for warning in &config.warnings.findings {
        tracing::warn!(path = %warning.path, message = %warning.message, "configuration");
    }

    let exit = match Opened::unless_stopped(&mut signals, &args, config, levels).await? {
        Some(opened) => {
            let served = Served::begin(&mut signals, opened, args.file, live).await?;
            let signal = tokio::select! {
                name = signals.first() => Some(name),
                () = served.until_idle(args.until_idle) => None,
            };
            judge(&served.end(signal, args.grace).await)
        }
        None => Exit::Clean,
    };
    logging::flush(FLUSH_MAX);
    Ok(exit)
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
