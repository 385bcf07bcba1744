//! The scale-out engine against the embedded one: the same loads, the same machine. The database server shares the
//! processors with the hub, so this is what its work costs.

use std::cell::Cell;

use anyhow::{Context, Result};

use super::ingest::CONNECTIONS;
use super::through::both;
use crate::figure::{Bar, Figure, Unit, alternate};
use crate::harness::Bench;
use crate::hub::Hub;

const BAR: Bar = Bar::RatioAtLeast(0.3);

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let embedded = bench.hub().await?;
    let shared = bench.hubs_on_database(1).await?.pop().context("one hub")?;
    let sink = bench.sink().await?;
    let turn = Cell::new(0);
    let ingest = async |hub: &Hub| bench.load(hub, CONNECTIONS, 1).closed(bench.usual()).await?.rate();
    let through = async |hub: &Hub| {
        turn.set(turn.get() + 1);
        anyhow::Ok(both(bench, hub, &sink, turn.get()).await?.1)
    };
    let runs = bench.options.runs;
    let ingested = alternate(runs, async || ingest(&embedded.hub).await, async || ingest(&shared.hub).await).await?;
    let delivered = alternate(runs, async || through(&embedded.hub).await, async || through(&shared.hub).await).await?;
    Ok(vec![
        Figure::versus("events through PostgreSQL", Unit::PerSecond, ingested, BAR)?.note("baseline: embedded"),
        Figure::versus("deliveries while ingesting through PostgreSQL", Unit::PerSecond, delivered, BAR)?
            .note("baseline: embedded"),
    ])
}
