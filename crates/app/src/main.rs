//! Tillstream: stores' events in, one durable log, signed webhooks out. One binary with everything in it.

mod api_client;
mod audit;
mod bootstrap;
mod cli;
mod commands;
mod config;
mod demo;
mod faults;
mod http;
mod logging;
mod output;
mod process;
mod progress;
mod server;
mod shutdown;
mod signature;
mod tls;
mod traces;
mod wire;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Thousands of small allocations a request go to and from several threads; this allocator is made for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A command that was used wrongly, as clap's own errors end.
const WRONG_USE: u8 = 2;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            output::complain(&error);
            if error.is::<config::Wrong>() { ExitCode::from(WRONG_USE) } else { ExitCode::FAILURE }
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(dispatch(command));
    // What was to be finished is finished. A thread that still waits for a keyboard or a pipe must not hold us up.
    runtime.shutdown_background();
    result
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => commands::serve::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Keys(args) => commands::keys::run(args).await.map(done),
        Command::Users(args) => commands::users::run(args).await.map(done),
        Command::Integrations(args) => commands::integrations::run(args).await.map(done),
        Command::Replay(args) => commands::replay::run(args).await.map(done),
        Command::Jobs(args) => commands::jobs::run(args).await.map(done),
        Command::Why(args) => commands::why::run(args).await.map(done),
        Command::Companies(args) => commands::companies::run(args).await.map(done),
        Command::Apply(args) => commands::apply::run(args).await.map(done),
        Command::Export(args) => commands::apply::export::run(args).await.map(done),
        Command::Emit(args) => commands::emit::run(args).await,
        Command::Listen(args) => commands::listen::run(args).await.map(done),
        Command::Backup(args) => commands::backup::run(args).await.map(done),
        Command::Restore(args) => commands::restore::run(args).await.map(done),
        Command::Migrate(args) => commands::migrate::run(args).await.map(done),
        Command::Doctor(args) => commands::doctor::run(args).await,
        Command::MasterKey(args) => commands::master_key::run(args).await.map(done),
        Command::Config(args) => commands::config::run(args).map(done),
        Command::Completions(args) => commands::completions::run(&args).map(done),
    }
}

fn done(_: ()) -> ExitCode {
    ExitCode::SUCCESS
}
