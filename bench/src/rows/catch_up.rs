//! Delivery alone: lanes that were stopped while the log was filled, started one after the other; against a
//! bare client on the same sink at the same concurrency.

use std::cell::Cell;

use anyhow::Result;

use crate::figure::{Bar, Figure, Unit, alternate};
use crate::harness::Bench;

const BAR: Bar = Bar::RatioAtLeast(0.5);

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let fresh = bench.hub().await?;
    let sink = bench.sink().await?;
    let lanes = bench.stopped_lanes(&fresh.hub, &sink, "catch-up", bench.options.runs).await?;
    let pending = bench.fill(&fresh.hub, bench.options.pending()).await?;
    let turn = Cell::new(0);
    let pairs = alternate(
        bench.options.runs,
        async || bench.bare_client(&sink).await,
        async || {
            let at = turn.replace(turn.get() + 1);
            let stats = bench.drain(&fresh.hub, &sink, &lanes[at..=at], pending).await?;
            Ok(stats.rate())
        },
    )
    .await?;
    let figure = Figure::versus(format!("deliveries, {pending} pending"), Unit::PerSecond, pairs, BAR)?;
    Ok(vec![figure.note("baseline: bare client")])
}
