//! Durable ingest in batches, against SQLite inserting the same rows in the same commits without HTTP.
//!
//! The hub groups waiting requests into one commit. How large its commits really are is read from its own
//! metric in a first, uncounted run; the baseline then commits as many rows at a time.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::child;
use crate::figure::{Bar, Figure, Unit, alternate};
use crate::harness::Bench;
use crate::hub::Hub;
use crate::load::Closed;

/// Events in one request.
pub const BATCH: usize = 100;
/// Connections of the load.
pub const CONNECTIONS: usize = 8;
/// The hub's counter of commits to the log.
pub const COMMITS_METRIC: &str = "tillstream_log_commits_total";

const BAR: Bar = Bar::RatioAtLeast(0.5);

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let fresh = bench.hub().await?;
    let rows_per_commit = rows_per_commit(bench, &fresh.hub).await?;
    let pairs = alternate(
        bench.options.runs,
        async || sqlite(bench, rows_per_commit.unwrap_or(BATCH as u64)).await,
        async || ingest(bench, &fresh.hub).await,
    )
    .await?;
    let what = format!("events, {CONNECTIONS} × {BATCH}");
    let note = match rows_per_commit {
        Some(rows) => format!("baseline: SQLite alone, {rows} rows a commit as the hub committed"),
        None => format!("baseline: SQLite alone, {BATCH} rows a commit; the hub does not tell its commits"),
    };
    Ok(vec![Figure::versus(what, Unit::PerSecond, pairs, BAR)?.note(note)])
}

async fn rows_per_commit(bench: &Bench, hub: &Hub) -> Result<Option<u64>> {
    let before = hub.metric(COMMITS_METRIC).await?.unwrap_or(0.0);
    let stop = Closed { warm_up: Duration::ZERO, ..bench.usual() };
    let accepted = bench.load(hub, CONNECTIONS, BATCH).closed(stop).await?.accepted;
    let Some(after) = hub.metric(COMMITS_METRIC).await? else { return Ok(None) };
    let mean = accepted as f64 / (after - before).max(1.0);
    Ok(Some((mean.round() as u64).max(1)))
}

async fn ingest(bench: &Bench, hub: &Hub) -> Result<f64> {
    bench.load(hub, CONNECTIONS, BATCH).closed(bench.usual()).await?.rate()
}

async fn sqlite(bench: &Bench, rows_per_commit: u64) -> Result<f64> {
    let folder = bench.folder()?;
    let time = bench.options.measure();
    let args = [
        "sqlite-insert",
        "--folder",
        folder.path().to_str().context("a folder whose name is no text")?,
        "--rows-per-commit",
        &rows_per_commit.to_string(),
        "--time-ms",
        &time.as_millis().to_string(),
    ];
    child::measure(&args.map(str::to_owned), time).await?.rate()
}
