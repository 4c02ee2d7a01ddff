//! The command line.

use clap::{Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Release and commit.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("JACKFIELD_COMMIT"),
    ")"
);

/// Connectors as WebAssembly components, wired through a log.
///
/// Exit codes: 0 all went well; 1 a connector FAILED, or something could not be started; 2 the
/// configuration or the command line is wrong; 3 the grace time ended before all was drained.
#[derive(Debug, Parser)]
#[command(name = "jackfield", version = VERSION, about, long_about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the pipelines of a file until SIGTERM or Ctrl-C
    Run(RunArgs),
    /// Check a file, its plugins and their settings, and run nothing
    Check(CheckArgs),
    /// Print the JSON Schema of the whole file, with the settings of its plugins
    Schema(SchemaArgs),
    /// Look at plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The YAML file
    pub(crate) file: PathBuf,
    /// Stop cleanly when nothing has arrived for so long and all is committed (such as 10s)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) until_idle: Option<Duration>,
    /// How long a stop may take before it is forced
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub(crate) grace: Duration,
    /// Where /metrics, /livez and /readyz answer, instead of the file's `admin.listen`
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// How log lines look, instead of the file's `telemetry.format`
    #[arg(long, value_enum)]
    pub(crate) log_format: Option<LogFormat>,
    /// Which log lines are kept, such as `info` or `warn,jackfield_pipeline=debug`
    #[arg(long, value_name = "FILTER", env = "JACKFIELD_LOG")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The YAML file
    pub(crate) file: PathBuf,
    /// Findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SchemaArgs {
    /// A YAML file whose plugins' settings the schema describes too
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// What a component says of itself
    Inspect {
        /// The component
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Compile a component into the cache, so that the first run starts at once
    Compile {
        /// The component
        file: PathBuf,
        /// The state folder that `run` will use
        #[arg(long, default_value = "data/state")]
        state: PathBuf,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    jackfield_config::parse_duration(text)
}
