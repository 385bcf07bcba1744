//! Durable ingest, one event a request, against the same HTTP server with an empty handler.

use anyhow::Result;

use crate::child;
use crate::figure::{Bar, Figure, Unit, alternate};
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
    let figure = Figure::versus(format!("events, {CONNECTIONS} connections"), Unit::PerSecond, pairs, BAR)?;
    Ok(vec![figure.note("baseline: empty handler on the same HTTP stack")])
}
