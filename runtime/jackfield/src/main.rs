//! The binary: command line, wiring, signals.

mod check;
mod cli;
mod declared;
mod exit;
mod failing;
mod greeting;
mod inspect;
mod kafka;
mod lakes;
mod observe;
mod operate;
mod plugins;
mod progress;
mod published;
mod run;
mod schema;
mod start_error;
mod swap;
mod wiring;
mod worker;
mod workshop;

use clap::Parser;
use cli::{Cli, Command, PluginCommand};
use exit::Exit;
use start_error::StartError;
use std::process::ExitCode;

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
    match runtime.block_on(dispatch(cli.command)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("jackfield: {error}");
            error.exit().into()
        }
    }
}

async fn dispatch(command: Command) -> Result<Exit, StartError> {
    match command {
        Command::Run(args) => run::run(args).await,
        Command::Check(args) => check::check(args).await,
        Command::Schema(args) => schema::print(args).await,
        Command::Swap(args) => swap::swap(args).await,
        Command::Plugin(PluginCommand::Inspect { file, json }) => {
            inspect::inspect(&file, json).await
        }
        Command::Plugin(PluginCommand::Compile { file, state }) => {
            inspect::compile(&file, &state).await
        }
    }
}
