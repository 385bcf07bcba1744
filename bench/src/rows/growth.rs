//! Growth: ingest and delivery on a log of many stored events against one of few. The small log is made
//! anew for every measurement, or it would not stay small.

use std::cell::Cell;

use anyhow::Result;

use super::ingest::CONNECTIONS;
use crate::figure::{Bar, Figure, Unit, alternate};
use crate::fixture::{self, Prepared};
use crate::harness::{Bench, FreshHub, SinkProcess};
use crate::hub::Hub;

/// Stored events of the small log.
pub const SMALL: u64 = 10_000;
/// Events that wait for the lane whose delivery is measured.
pub const PENDING: u64 = 60_000;

const BAR: Bar = Bar::RatioAtLeast(0.9);

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let folder = fixture::ready(&bench.options, Prepared::Log).await?;
    let large = bench.hub_on_log(&folder).await?;
    let sink = bench.sink().await?;
    let stored = stored_events(bench, &large, &sink).await?;
    let turn = Cell::new(0);
    let deliver = async |hub: &Hub| {
        turn.set(turn.get() + 1);
        delivery(bench, hub, &sink, &format!("growth-{}", turn.get())).await
    };
    let ingest = alternate(
        bench.options.runs,
        async || ingest(bench, &small(bench).await?.hub).await,
        async || ingest(bench, &large).await,
    )
    .await?;
    let delivery =
        alternate(bench.options.runs, async || deliver(&small(bench).await?.hub).await, async || deliver(&large).await)
            .await?;
    large.stop().await?;
    let note = format!("baseline: the same hub with {SMALL} stored events");
    let at = format!("at {stored} stored");
    Ok(vec![
        Figure::versus(format!("ingest {at}"), Unit::PerSecond, ingest, BAR)?.note(note),
        Figure::versus(format!("delivery {at}"), Unit::PerSecond, delivery, BAR)?,
    ])
}

/// How many there really are: every run leaves some more.
async fn stored_events(bench: &Bench, hub: &Hub, sink: &SinkProcess) -> Result<u64> {
    let lanes = bench.stopped_lanes(hub, sink, "stored", 1).await?;
    let stored = hub.api.position(&lanes[0]).await?;
    bench.delete(hub, &lanes).await?;
    Ok(stored)
}

async fn small(bench: &Bench) -> Result<FreshHub> {
    let fresh = bench.hub().await?;
    bench.fill(&fresh.hub, SMALL).await?;
    Ok(fresh)
}

async fn ingest(bench: &Bench, hub: &Hub) -> Result<f64> {
    bench.load(hub, CONNECTIONS, 1).closed(bench.usual()).await?.rate()
}

async fn delivery(bench: &Bench, hub: &Hub, sink: &SinkProcess, prefix: &str) -> Result<f64> {
    let lanes = bench.stopped_lanes(hub, sink, prefix, 1).await?;
    let pending = bench.fill(hub, PENDING).await?;
    let stats = bench.drain(hub, sink, &lanes, pending).await?;
    bench.delete(hub, &lanes).await?;
    Ok(stats.rate())
}
