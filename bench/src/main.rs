//! Measures a hub against its baselines on this machine: load generator, sink and baselines in one program
//! that prints ratios. Everything talks to 127.0.0.1 only and every loop ends by count or time.

mod api;
mod baseline;
mod child;
mod clock;
mod compare;
mod database;
mod event;
mod figure;
mod fixture;
mod harness;
mod hub;
mod load;
mod options;
mod proc;
mod request;
mod rows;
mod sink;
mod table;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::harness::Bench;
use crate::options::{Cli, Listen, Options, Part};
use crate::rows::Row;
use crate::table::{Outcome, RowResult};

/// Threads still at work when the program ends are given this long.
const SHUTDOWN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match start(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tillstream-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> Result<ExitCode> {
    // One thread for the sink: it must leave the other core to what is measured.
    let mut builder = match cli.part {
        Some(Part::Sink(_)) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build()?;
    let code = runtime.block_on(async {
        tokio::select! {
            code = run(cli) => code,
            stopped = stop_signal() => stopped.map(|()| ExitCode::FAILURE),
        }
    });
    runtime.shutdown_timeout(SHUTDOWN);
    code
}

/// Returning drops the rows, and with them every child process.
async fn stop_signal() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

async fn run(cli: Cli) -> Result<ExitCode> {
    raise_file_limit()?;
    match cli.part {
        None => return measure(cli.options).await,
        Some(Part::Sink(listen)) => run_sink(&listen).await?,
        Some(Part::EmptyHandler(listen)) => {
            baseline::empty_handler::run(listen.loopback()?, listen.until_stdin_closes).await?;
        }
        Some(Part::SqliteInsert { folder, rows_per_commit, time_ms }) => {
            baseline::sqlite_insert::run(&folder, rows_per_commit, Duration::from_millis(time_ms))?.print()?;
        }
        Some(Part::BareClient { sink, concurrency, time_ms }) => {
            let time = Duration::from_millis(time_ms);
            baseline::bare_client::run(sink, concurrency, time).await?.print()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_sink(listen: &Listen) -> Result<()> {
    let sink = sink::Sink::bind(listen.loopback()?).await?;
    child::announce(sink.addr()?);
    tokio::select! {
        () = sink.serve() => {}
        () = child::parent_gone(listen.until_stdin_closes) => {}
    }
    Ok(())
}

async fn measure(options: Options) -> Result<ExitCode> {
    if options.list {
        for row in rows::ALL {
            println!("{:<14} {}", row.name, row.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = rows::chosen(&options.names)?;
    let bench = Bench::new(options)?;
    let mut results = Vec::new();
    for row in chosen {
        bench.say(&format!("{}: {}", row.name, row.what));
        results.push(RowResult { name: row.name, outcome: outcome(&bench, row).await });
    }
    println!("{}", table::render(&results));
    if let Some(path) = &bench.options.json {
        table::write_json(path, &results)?;
    }
    let failed = results.iter().any(|result| matches!(result.outcome, Outcome::Failed(_)));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn outcome(bench: &Bench, row: &Row) -> Outcome {
    let figures = match &bench.options.against {
        Some(other) => compare::run(&bench.options, other, row.name).await,
        None => (row.run)(bench).await,
    };
    match figures {
        Ok(figures) => Outcome::Figures(figures),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

/// Rows with many lanes need more files than the usual 1,024; children inherit the limit.
fn raise_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("raising the limit of open files")?;
    ensure!(limit.maximum.is_none_or(|most| most >= 1_024), "fewer than 1,024 open files are allowed");
    Ok(())
}
