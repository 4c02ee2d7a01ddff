//! What the commands take that ask a running process.

use crate::cli::duration;
use jackfield_admin::Begin;
use std::path::PathBuf;
use std::time::Duration;

/// Where the running process is, and how the answer looks.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct At {
    /// The YAML file that the process runs: it says where the process listens, and its token
    #[arg(long, short, value_name = "FILE", default_value = "connectors.yaml")]
    pub(crate) config: PathBuf,
    /// Where the process listens, instead of the file's `admin.listen`
    #[arg(long, value_name = "URL", env = "JACKFIELD_URL")]
    pub(crate) url: Option<String>,
    /// Holds the bearer token, instead of the file's or the state folder's; so does the environment
    /// variable JACKFIELD_TOKEN. With a URL and a token the YAML file is not read, and with a URL it
    /// need not be there
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Authorities to believe, PEM, where the URL is one of HTTPS. Else only the certificate that the
    /// YAML file names is believed; where none is read, whom the machine's authorities signed for
    #[arg(long, value_name = "FILE", env = "JACKFIELD_CACERT")]
    pub(crate) cacert: Option<PathBuf>,
    /// JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Only this connector, such as `trades-source`
    pub(crate) connector: Option<String>,
    #[command(flatten)]
    pub(crate) at: At,
}

/// Which connectors to change, and whether to wait.
#[derive(Debug, clap::Args)]
pub(crate) struct NamesArgs {
    /// The connectors, such as `trades-source`
    #[arg(required_unless_present = "all", value_name = "CONNECTOR")]
    pub(crate) connectors: Vec<String>,
    /// All connectors that there are
    #[arg(long, conflicts_with = "connectors")]
    pub(crate) all: bool,
    /// Do not wait until it is so
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How long to wait until it is so
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RestartArgs {
    #[command(flatten)]
    pub(crate) names: NamesArgs,
    /// Only what has FAILED
    #[arg(long)]
    pub(crate) only_failed: bool,
    /// Only this task
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["all", "only_failed"])]
    pub(crate) task: Option<u32>,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum OffsetsCommand {
    /// How far a connector has come
    Get {
        /// The connector
        connector: String,
        #[command(flatten)]
        at: At,
    },
    /// Have a stopped connector go on elsewhere
    ///
    /// The file holds what `offsets get --json` prints: {"offsets": [{"partition": {…}, "offset":
    /// {…}}]}. Partitions that it does not name stay as they are; an offset of null is reset.
    Set {
        /// The connector, which must be STOPPED
        connector: String,
        /// A JSON file, or `-` for standard input
        #[arg(required_unless_present = "to")]
        file: Option<PathBuf>,
        /// Of a sink: go on in this partition of a topic at this offset, such as `trades:0=1200`
        #[arg(long, value_name = "TOPIC:PARTITION=OFFSET", conflicts_with = "file")]
        to: Vec<String>,
        #[command(flatten)]
        at: At,
    },
    /// Have a stopped connector begin anew
    Reset {
        /// The connector, which must be STOPPED
        connector: String,
        #[command(flatten)]
        at: At,
    },
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct TopicsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<TopicsCommand>,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum TopicsCommand {
    /// All topics, with their records and bytes; so does `topics` alone
    List {
        #[command(flatten)]
        at: At,
    },
    /// One topic, with its partitions
    Describe {
        /// The topic
        topic: String,
        #[command(flatten)]
        at: At,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct TailArgs {
    /// The topic
    pub(crate) topic: String,
    /// Go on with what is written from now on, until Ctrl-C
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Where to begin, in each partition: `beginning`, `end`, an offset, `-20` for the last 20
    /// records, a time such as `2026-11-26T22:00:00Z`, or `10m` for so long ago
    #[arg(long, value_name = "WHERE", default_value = "-10", allow_hyphen_values = true, value_parser = from)]
    pub(crate) from: Begin,
    /// Only this partition; may be given several times
    #[arg(long, short, value_name = "NUMBER")]
    pub(crate) partition: Vec<i32>,
    /// Stop after so many records
    #[arg(long, short = 'n', value_name = "RECORDS")]
    pub(crate) number: Option<u64>,
    #[command(flatten)]
    pub(crate) at: At,
}

/// As the server reads it, or so long ago.
fn from(text: &str) -> Result<Begin, String> {
    if let Ok(from) = text.parse() {
        return Ok(from);
    }
    if let Ok(ago) = duration(text) {
        let now = std::time::SystemTime::now();
        let then = now.checked_sub(ago).ok_or("that is before all time")?;
        return Ok(Begin::time(then));
    }
    Err(format!(
        "`{text}` is neither `beginning`, `end`, an offset, `-20`, a time such as 2026-11-26T22:00:00Z, nor `10m`"
    ))
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum LogsCommand {
    /// Which log lines are written: all loggers, one of them, or another level for one
    Level(LevelArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct LevelArgs {
    /// The logger: `root`, or a crate such as `jackfield_pipeline`
    pub(crate) logger: Option<String>,
    /// Its level from now on, until the process ends: ERROR, WARN, INFO, DEBUG or TRACE
    #[arg(requires = "logger")]
    pub(crate) level: Option<String>,
    #[command(flatten)]
    pub(crate) at: At,
}
