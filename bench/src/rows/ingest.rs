//! Durable ingest, one event a request, against the same HTTP server with an empty handler. Beside it what the disk
//! allows: a connection waits for its sync, so no more events than connections share one, and SQLite alone with
//! commits of that size is the ceiling.

use anyhow::Result;

use crate::child;
use crate::figure::{Bar, Figure, Pairs, Unit, alternate};
use crate::harness::Bench;
use crate::load::Load;

/// Connections of the load.
pub const CONNECTIONS: usize = 64;

const BAR: Bar = Bar::RatioAtLeast(0.5);

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let fresh = bench.hub().await?;
    let empty = child::listen("empty-handler").await?;
    let load = || bench.load(&fresh.hub, CONNECTIONS, 1);
    let pairs = alternate(
        bench.options.runs,
        async || Load { addr: empty.addr, ..load() }.closed(bench.usual()).await?.rate(),
        async || load().closed(bench.usual()).await?.rate(),
    )
    .await?;
    let what = format!("events, {CONNECTIONS} connections");
    let ceiling = Pairs { baseline: ceiling(bench).await?, subject: pairs.subject.clone() };
    Ok(vec![
        Figure::versus(&what, Unit::PerSecond, pairs, BAR)?.note("baseline: empty handler on the same HTTP stack"),
        Figure::versus(what + ", of the disk's", Unit::PerSecond, ceiling, Bar::None)?
            .note(format!("baseline: SQLite alone, {CONNECTIONS} rows a commit")),
    ])
}

async fn ceiling(bench: &Bench) -> Result<Vec<f64>> {
    let mut rates = Vec::new();
    for _ in 0..bench.options.runs {
        rates.push(bench.sqlite(CONNECTIONS as u64).await?);
    }
    Ok(rates)
}
