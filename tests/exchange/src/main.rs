//! `jackfield-exchange`: the exchange as a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use jackfield_exchange::{Exchange, Options, Recording, Speed, read_list};

/// Replays recorded Binance spot trades over WebSocket and REST.
#[derive(Parser)]
#[command(name = "jackfield-exchange", version)]
struct Cli {
    /// Where the WebSocket listens; REST listens on a free port of the same address.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where REST listens.
    #[arg(long)]
    listen_rest: Option<SocketAddr>,
    /// `60x` real time, `5000/s` trades a second, or `max`.
    #[arg(long, default_value = "1x")]
    speed: Speed,
    /// For all that is random.
    #[arg(long)]
    seed: Option<u64>,
    /// What goes wrong: `drop@5000,close:1008@9000,storm:20` …
    #[arg(long, default_value = "")]
    faults: String,
    /// Another recording: `<ns> <combined-stream JSON>` a line, gzipped or not.
    #[arg(long)]
    recording: Option<PathBuf>,
    /// Replays it so often, ids and times moved on each time.
    #[arg(long, default_value_t = 1)]
    laps: u32,
    /// Waits for `POST /control/start` instead of the first subscription.
    #[arg(long)]
    hold: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("jackfield-exchange: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jackfield-exchange: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options::spot()?;
    options.listen = cli.listen;
    options.listen_rest = cli
        .listen_rest
        .unwrap_or_else(|| SocketAddr::new(cli.listen.ip(), 0));
    if let Some(path) = &cli.recording {
        options.recording = Arc::new(Recording::open(path)?);
    }
    options.laps = cli.laps;
    options.speed = cli.speed;
    options.hold = cli.hold;
    options.seed = cli.seed.unwrap_or(options.seed);
    let total = options.recording.trades().len() as u64 * u64::from(cli.laps.max(1));
    options.faults = read_list(&cli.faults, options.seed, total)?;
    eprintln!("jackfield-exchange: seed {}", options.seed);
    let mut running = Exchange::start(options).await?;
    println!("ready {} {}", running.ws_url(), running.rest_url());
    tokio::select! {
        () = running.forever() => {}
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    running.stop().await;
    Ok(())
}
