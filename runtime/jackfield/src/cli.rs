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
/// configuration or the command line is wrong; 3 the grace time ended before all was drained; 4 a
/// swap was rolled back; 5 a shadow or a replay differs from what it was compared with; 6 it failed
/// or did not keep up; 10 to 27 a swap was refused, see docs/HOT-SWAP.md.
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
    /// Change a connector of a running process to another component, or to other settings
    Swap(SwapArgs),
    /// Keep a copy of what a connector of a running process is given, for `plugin replay`
    Record(RecordArgs),
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

#[derive(Debug, clap::Args)]
pub(crate) struct SwapArgs {
    /// The connector, such as `trades-source`
    pub(crate) connector: String,
    /// The new component; without it the one of the file stays, and its settings change
    #[arg(required_unless_present = "settings")]
    pub(crate) file: Option<PathBuf>,
    /// A JSON file with the new settings; without it those of the YAML file
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// The SHA-256 that the component must have
    #[arg(long, value_name = "HEX")]
    pub(crate) sha256: Option<String>,
    /// How long the old version stays ready to take over again [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) probation: Option<Duration>,
    /// Only prepare, and say whether it could take over
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Run it for so long (such as 5m) on a copy of the input, compare it with the running one, and
    /// throw it away
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with_all = ["dry_run", "probation"])]
    pub(crate) shadow: Option<Duration>,
    /// Do not wait for the end of the probation
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Reports as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The YAML file that the process runs
    #[arg(long, short, value_name = "FILE", default_value = "connectors.yaml")]
    pub(crate) config: PathBuf,
    /// Where the process listens, instead of the file's `admin.listen`
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<SocketAddr>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RecordArgs {
    /// The connector, such as `trades-source`
    pub(crate) connector: String,
    /// For how long
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, default_value = "5m")]
    pub(crate) span: Duration,
    /// Where to; without it `CONNECTOR.jfrc`
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// At most so many bytes [default: 256 MiB]
    #[arg(long, value_name = "BYTES")]
    pub(crate) bytes_max: Option<u64>,
    /// The YAML file that the process runs
    #[arg(long, short, value_name = "FILE", default_value = "connectors.yaml")]
    pub(crate) config: PathBuf,
    /// Where the process listens, instead of the file's `admin.listen`
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<SocketAddr>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// The component, a source
    pub(crate) file: PathBuf,
    /// What `jackfield record` wrote
    pub(crate) recording: PathBuf,
    /// A JSON file with the settings; without it those that were recorded
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// Write the records to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Compare the records with those that an earlier replay wrote
    #[arg(long, value_name = "OUTPUT")]
    pub(crate) expect: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Run a source on a recording, as fast as it can and each time the same
    Replay(ReplayArgs),
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
