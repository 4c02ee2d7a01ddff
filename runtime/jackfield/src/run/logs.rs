//! Log lines, as the command line and the file want them.

use crate::cli::{LogFormat, RunArgs};
use crate::start_error::StartError;
use jackfield_config::Config;
use jackfield_telemetry::logging::{self, Levels};
use std::io::IsTerminal;

/// `live`: progress is shown on a terminal.
pub(super) fn start(args: &RunArgs, config: &Config, live: bool) -> Result<Levels, StartError> {
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
