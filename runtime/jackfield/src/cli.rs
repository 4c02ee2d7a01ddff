//! The command line.

use crate::client::{
    At, LogsCommand, NamesArgs, OffsetsCommand, RestartArgs, StatusArgs, TailArgs, TopicsArgs,
};
use crate::exit;
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Release and commit.
pub(crate) const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("JACKFIELD_COMMIT"),
    ")"
);

/// Connectors as WebAssembly components, wired through a log.
#[derive(Debug, Parser)]
#[command(name = "jackfield", version = VERSION, about, after_help = exit::help())]
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
    /// Look at each thing that a file's pipelines need, and tell which service is not running
    Doctor(DoctorArgs),
    /// What the connectors of a running process do
    Status(StatusArgs),
    /// Have connectors rest: their tasks stay, and take nothing
    Pause(NamesArgs),
    /// Have paused or stopped connectors go on
    Resume(NamesArgs),
    /// Start connectors anew, FAILED ones above all
    Restart(RestartArgs),
    /// End the tasks of connectors: their offsets can be changed then
    Stop(NamesArgs),
    /// How far a connector has come, and having it go on elsewhere
    #[command(subcommand)]
    Offsets(OffsetsCommand),
    /// What the log of a running process holds
    Topics(TopicsArgs),
    /// Records of a topic, decoded, a line of JSON each
    ///
    /// Each has partition, offset, timestamp (ms since the epoch), key, value and headers. What can't
    /// be decoded is {"base64": …, "reason": …}. Records of one partition come in their order, those
    /// of several as they are read.
    Tail(TailArgs),
    /// Which lines a running process logs
    #[command(subcommand)]
    Logs(LogsCommand),
    /// Change a connector of a running process to another component, or to other settings
    Swap(SwapArgs),
    /// Ask a running process whether it is alive, or ready
    Health(HealthArgs),
    /// Copy what a stopped process has on this machine into a new folder
    Backup(BackupArgs),
    /// Put a backup back, where nothing is yet
    Restore(BackupArgs),
    /// Keep a copy of what a connector of a running process is given, for `plugin replay`
    Record(RecordArgs),
    /// Look at plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write one for each command
    Man {
        /// The folder to write jackfield.1, jackfield-run.1 and so on into
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
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
    /// How log lines look, instead of the file's `telemetry.logs.format`
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
pub(crate) struct DoctorArgs {
    /// The YAML file
    #[arg(default_value = "connectors.yaml")]
    pub(crate) file: PathBuf,
    /// How long each check may take; all are made at the same time. Compiling a component that never
    /// was may take longer
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub(crate) timeout: Duration,
    /// Also write: an object below each warehouse, which is read back and removed; and the tables of
    /// SQL catalogs that have none yet. Without it nothing is changed anywhere
    #[arg(long)]
    pub(crate) write: bool,
    /// The report as JSON
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
    #[arg(required_unless_present_any = ["settings", "named", "history"])]
    pub(crate) file: Option<PathBuf>,
    /// The new component by its name in the process's `admin.components`, instead of uploading one
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub(crate) named: Option<String>,
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
    /// Change nothing, and show the last swaps of the connector since the process started
    #[arg(long, conflicts_with_all = ["file", "named", "settings", "sha256", "probation", "dry_run", "shadow", "no_wait"])]
    pub(crate) history: bool,
    /// Where the process listens, instead of the file's `admin.listen`, by HTTPS if the file says so
    #[arg(long, value_name = "ADDRESS", conflicts_with = "url")]
    pub(crate) address: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HealthArgs {
    /// The YAML file that the process runs
    #[arg(default_value = "connectors.yaml")]
    pub(crate) file: PathBuf,
    /// Where the process listens, by plain HTTP; the file is not read then
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<SocketAddr>,
    /// Where the process listens, such as `https://127.0.0.1:8083`; the file is not read then. Any
    /// certificate is believed: nothing secret is sent
    #[arg(long, value_name = "URL", conflicts_with = "address")]
    pub(crate) url: Option<String>,
    /// Ask whether no connector has failed or is about to begin, not merely whether the process
    /// answers. One that is paused, stopped or another worker's counts as ready
    #[arg(long)]
    pub(crate) ready: bool,
    /// Ask again until it is so, but no longer than that (such as 30s)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) within: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// The YAML file: its log, its state, and its lakes' folders and SQLite catalogs
    pub(crate) file: PathBuf,
    /// The folder of the backup
    pub(crate) backup: PathBuf,
    /// Leave the lakes alone
    #[arg(long)]
    pub(crate) without_lakes: bool,
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
    /// Where the process listens, instead of the file's `admin.listen`, by HTTPS if the file says so
    #[arg(long, value_name = "ADDRESS", conflicts_with = "url")]
    pub(crate) address: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) at: At,
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
    /// Compile components ahead, so that the first run starts at once
    Compile {
        /// The components
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The state folder that `run` will use
        #[arg(long, default_value = "data/state")]
        state: PathBuf,
        /// A folder of compiled code for every CPU of this architecture, with a list of digests,
        /// instead of the state folder. `run` uses the one that JACKFIELD_COMPILED names, if
        /// only root can write to it
        #[arg(long, value_name = "DIR", conflicts_with = "state")]
        into: Option<PathBuf>,
    },
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    jackfield_config::parse_duration(text)
}
