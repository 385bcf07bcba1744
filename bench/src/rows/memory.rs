//! Memory: a receiver that is dead while events pile up, then heals. The peak of resident memory over all of
//! it, and the rate at which the pile drains, against a bare client.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::figure::{Bar, Figure, Pairs, Unit};
use crate::harness::{Bench, in_order};

/// How long the pile may take to drain.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(600);

const MEMORY_BAR: Bar = Bar::AtMost(200.0);
const RATE_BAR: Bar = Bar::RatioAtLeast(0.5);
const LANE: &str = "memory";
const DEAD: &str = "status/503";

/// Measures the row, once: a peak is a peak.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let fresh = bench.hub().await?;
    let sink = bench.sink().await?;
    let hub = &fresh.hub;
    sink.control.switch(DEAD).await?;
    hub.api.create(&sink.integration(LANE, "switch/memory", None)).await?;
    let pending = bench.fill(hub, bench.options.pending()).await?;
    let baseline = vec![bench.bare_client(&sink).await?];
    sink.control.reset().await?;
    sink.control.switch("ok").await?;
    bench.first_delivery(&sink).await?;
    let stats = sink.control.wait_for(pending, DRAIN_LIMIT).await?;
    ensure!(stats.received >= pending, "{} of {pending} events came within {DRAIN_LIMIT:?}", stats.received);
    in_order(&stats)?;
    let peak = hub.process()?.peak_resident_mb()?;
    let pairs = Pairs { baseline, subject: vec![stats.rate()] };
    Ok(vec![
        Figure::alone(format!("peak with {pending} pending"), Unit::Mb, vec![peak], MEMORY_BAR)?,
        Figure::versus("deliveries after the receiver healed", Unit::PerSecond, pairs, RATE_BAR)?
            .note("from the first delivery on, while the window opens again; baseline: bare client"),
    ])
}
