//! The binary: command line, wiring, signals.

mod backup;
mod check;
mod cli;
mod client;
mod declared;
mod doctor;
mod exit;
mod failing;
mod greeting;
mod health;
mod inspect;
mod kafka;
mod lakes;
mod observe;
mod operate;
mod pages;
mod plugins;
mod progress;
mod published;
mod record;
mod replay;
mod run;
mod schema;
mod shadow;
mod show;
mod start_error;
mod state;
mod swap;
mod wiring;
mod worker;
mod workshop;

use clap::Parser;
use cli::{Cli, Command, PluginCommand};
use client::{Change, LogsCommand};
use exit::Exit;
use start_error::StartError;
use std::process::ExitCode;
use std::time::Duration;

/// What still blocks when `run` has ended is left behind after so long, such as a compiler, or a
/// file system that does not answer. What is acknowledged is durable; `run` has waited for the log
/// where nobody was cut off.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("jackfield: the async runtime could not be started: {error}");
            return Exit::Failed.into();
        }
    };
    let runs = matches!(cli.command, Command::Run(_));
    let gives_up = matches!(cli.command, Command::Doctor(_));
    let code: ExitCode = match runtime.block_on(dispatch(cli.command)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("jackfield: {error}");
            error.exit().into()
        }
    };
    if gives_up {
        // What was given up on may still hang there.
        runtime.shutdown_background();
    } else if runs {
        runtime.shutdown_timeout(LEFT_BEHIND_AFTER);
    }
    code
}

async fn dispatch(command: Command) -> Result<Exit, StartError> {
    match command {
        Command::Run(args) => run::run(args).await,
        Command::Check(args) => check::check(args).await,
        Command::Schema(args) => schema::print(args).await,
        Command::Doctor(args) => doctor::doctor(args).await,
        Command::Status(args) => client::status(args).await,
        Command::Pause(args) => client::change(Change::Pause, args).await,
        Command::Resume(args) => client::change(Change::Resume, args).await,
        Command::Stop(args) => client::change(Change::Stop, args).await,
        Command::Restart(args) => client::restart(args).await,
        Command::Offsets(command) => client::offsets(command).await,
        Command::Topics(args) => client::topics(args).await,
        Command::Tail(args) => client::tail(args).await,
        Command::Logs(LogsCommand::Level(args)) => client::level(args).await,
        Command::Completions { shell } => Ok(pages::completions(shell)),
        Command::Man { dir } => pages::man(dir.as_deref()),
        Command::Swap(args) => swap::swap(args).await,
        Command::Health(args) => health::ask(args).await,
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Record(args) => record::record(args).await,
        Command::Plugin(PluginCommand::Replay(args)) => replay::replay(args).await,
        Command::Plugin(PluginCommand::Inspect { file, json }) => {
            inspect::inspect(&file, json).await
        }
        Command::Plugin(PluginCommand::Compile { files, state, into }) => match into {
            Some(into) => inspect::compile_into(&files, &into),
            None => inspect::compile(&files, &state).await,
        },
    }
}
