//! Fan-out: deliveries per second of 100 lanes that all want every event, against one lane. Both catch up
//! with what waited for them, so ingest is not part of it.

use std::cell::Cell;

use anyhow::Result;

use crate::figure::{Bar, Figure, Unit, alternate};
use crate::harness::{Bench, SinkProcess};
use crate::hub::Hub;

/// Lanes of the subject.
pub const LANES: usize = 100;
/// Events that wait for the single lane.
pub const EVENTS_FOR_ONE: u64 = 60_000;
/// Events that wait for each of many lanes.
pub const EVENTS_FOR_MANY: u64 = 2_000;

const BAR: Bar = Bar::RatioAtLeast(0.8);

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let fresh = bench.hub().await?;
    let sink = bench.sink().await?;
    let turn = Cell::new(0);
    let measure = async |lanes, events| {
        turn.set(turn.get() + 1);
        deliveries(bench, &fresh.hub, &sink, &format!("fan-{}", turn.get()), lanes, events).await
    };
    let pairs = alternate(
        bench.options.runs,
        async || measure(1, EVENTS_FOR_ONE).await,
        async || measure(LANES, EVENTS_FOR_MANY).await,
    )
    .await?;
    let figure = Figure::versus(format!("deliveries, {LANES} lanes"), Unit::PerSecond, pairs, BAR)?;
    Ok(vec![figure.note("baseline: the same hub with one lane")])
}

async fn deliveries(
    bench: &Bench,
    hub: &Hub,
    sink: &SinkProcess,
    prefix: &str,
    lanes: usize,
    events: u64,
) -> Result<f64> {
    let lanes = bench.stopped_lanes(hub, sink, prefix, lanes).await?;
    let pending = bench.fill(hub, events).await?;
    let stats = bench.drain(hub, sink, &lanes, pending * lanes.len() as u64).await?;
    bench.delete(hub, &lanes).await?;
    Ok(stats.rate())
}
