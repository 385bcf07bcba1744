//! Ingest and delivery at once: one integration, saturated, ordered, signed; against a bare client on the
//! same sink at the same concurrency. Both share the processors here, so the sum of both is at work.

use std::cell::Cell;

use anyhow::Result;

use super::ingest::CONNECTIONS;
use crate::figure::{Bar, Figure, Unit, alternate};
use crate::harness::{Bench, SinkProcess, in_order};
use crate::hub::Hub;

const BAR: Bar = Bar::RatioAtLeast(0.3);

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let fresh = bench.hub().await?;
    let sink = bench.sink().await?;
    let turn = Cell::new(0);
    let mut accepted = Vec::new();
    let pairs = alternate(
        bench.options.runs,
        async || bench.bare_client(&sink).await,
        async || {
            turn.set(turn.get() + 1);
            let (ingested, delivered) = both(bench, &fresh.hub, &sink, turn.get()).await?;
            accepted.push(ingested);
            Ok(delivered)
        },
    )
    .await?;
    let delivered = Figure::versus("deliveries while ingesting", Unit::PerSecond, pairs, BAR)?;
    Ok(vec![
        delivered.note("baseline: bare client"),
        Figure::alone("ingest meanwhile", Unit::PerSecond, accepted, Bar::None)?,
    ])
}

/// A lane of its own for each measurement: what one leaves behind is not the next one's work.
pub(super) async fn both(bench: &Bench, hub: &Hub, sink: &SinkProcess, turn: usize) -> Result<(f64, f64)> {
    let lane = format!("through-{turn}");
    hub.api.create(&sink.integration(&lane, &format!("ok/{lane}"), None)).await?;
    let load = bench.load(hub, CONNECTIONS, 1);
    let (outcome, stats) = tokio::try_join!(load.closed(bench.usual()), bench.window(sink))?;
    hub.api.delete(&lane).await?;
    in_order(&stats)?;
    Ok((outcome.rate()?, stats.rate()))
}
