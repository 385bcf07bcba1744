//! What sharing costs: the lanes of one company catch up with the same events, once run by one hub and once by three
//! on the same PostgreSQL. Counts the hubs' own processor time, not the server's.

use std::cell::Cell;

use anyhow::{Result, ensure};

use crate::figure::{Bar, Figure, Unit, alternate};
use crate::harness::{Bench, FreshHub, SinkProcess};

/// Lanes of the one company.
const LANES: usize = 24;
/// Events that wait for each of them.
const EVENTS: u64 = 2_000;
/// Hubs of the subject.
const HUBS: usize = 3;

const BAR: Bar = Bar::RatioAtMost(1.3);

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let (one, three) = (bench.hubs_on_database(1).await?, bench.hubs_on_database(HUBS).await?);
    let sink = bench.sink().await?;
    let turn = Cell::new(0);
    let measure = async |hubs: &[FreshHub]| {
        turn.set(turn.get() + 1);
        per_thousand(bench, hubs, &sink, &format!("nodes-{}", turn.get())).await
    };
    let pairs = alternate(bench.options.runs, async || measure(&one).await, async || measure(&three).await).await?;
    let figure = Figure::versus(format!("processor, {HUBS} hubs, 1,000 deliveries"), Unit::Ms, pairs, BAR)?;
    Ok(vec![figure.note("baseline: one hub on the same PostgreSQL; the server's own time is not counted")])
}

/// Milliseconds of processor time of all hubs for 1,000 deliveries.
async fn per_thousand(bench: &Bench, hubs: &[FreshHub], sink: &SinkProcess, prefix: &str) -> Result<f64> {
    let first = &hubs[0].hub;
    let lanes = bench.stopped_lanes(first, sink, prefix, LANES).await?;
    let pending = bench.fill(first, EVENTS).await?;
    let before = used(hubs)?;
    let stats = bench.drain(first, sink, &lanes, pending * LANES as u64).await?;
    let after = used(hubs)?;
    bench.delete(first, &lanes).await?;
    let deliveries = stats.received as f64;
    let spread = before.iter().zip(&after).filter(|(b, a)| *a - *b > 0.02).count();
    ensure!(spread == hubs.len(), "only {spread} of {} hubs had work", hubs.len());
    let seconds: f64 = after.iter().sum::<f64>() - before.iter().sum::<f64>();
    Ok(seconds * 1_000.0 / (deliveries / 1_000.0))
}

fn used(hubs: &[FreshHub]) -> Result<Vec<f64>> {
    hubs.iter().map(|fresh| fresh.hub.process()?.cpu_seconds()).collect()
}
