//! Durable ingest in batches, against SQLite inserting the same rows in the same commits without HTTP.
//!
//! The hub groups waiting requests into one commit. How large its commits really are is read from its log after
//! a first, uncounted run; the baseline then commits as many rows at a time.

use anyhow::Result;

use crate::figure::{Bar, Figure, Unit, alternate};
use crate::fixture::Store;
use crate::harness::Bench;
use crate::hub::Hub;

/// Events in one request.
pub const BATCH: usize = 100;
/// Connections of the load.
pub const CONNECTIONS: usize = 8;

const BAR: Bar = Bar::RatioAtLeast(0.5);

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let rows_per_commit = rows_per_commit(bench).await?;
    let fresh = bench.hub().await?;
    let pairs = alternate(
        bench.options.runs,
        async || bench.sqlite(rows_per_commit).await,
        async || ingest(bench, &fresh.hub).await,
    )
    .await?;
    let what = format!("events, {CONNECTIONS} × {BATCH}");
    let note = format!("baseline: SQLite alone, {rows_per_commit} rows a commit as the hub committed");
    Ok(vec![Figure::versus(what, Unit::PerSecond, pairs, BAR)?.note(note)])
}

/// The mean size of the hub's commits under this load. Events of one commit have one time of acceptance; two commits
/// in one millisecond look like one, which favours the baseline.
async fn rows_per_commit(bench: &Bench) -> Result<u64> {
    let folder = bench.folder()?;
    let data = folder.path().join("data");
    let hub = bench.hub_on(&data).await?;
    ingest(bench, &hub).await?;
    hub.stop().await?;
    let store = Store::open(&data)?;
    let company = store.first_company().await?;
    let (events, commits) = (store.log.head(company.no).await?, store.distinct_times(company.no).await?);
    Ok(events.div_ceil(commits.max(1)).max(1))
}

async fn ingest(bench: &Bench, hub: &Hub) -> Result<f64> {
    bench.load(hub, CONNECTIONS, BATCH).closed(bench.usual()).await?.rate()
}
