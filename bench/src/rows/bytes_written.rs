//! Bytes written to disk per event that is accepted and delivered once: log, state and the lane's cursor, as
//! the kernel counts them for the hub's process, under saturated ingest (a commit carries many events).

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::ingest::CONNECTIONS;
use crate::clock;
use crate::figure::{Bar, Figure, Unit};
use crate::harness::{Bench, SinkProcess};
use crate::hub::Hub;
use crate::load::Closed;

/// Time for checkpoints after the last delivery; they are part of the cost.
pub const CHECKPOINT_PAUSE: Duration = Duration::from_secs(1);

const BAR: Bar = Bar::AtMost(4_096.0);
const LANE: &str = "bytes";
const DELIVERY_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let fresh = bench.hub().await?;
    let sink = bench.sink().await?;
    fresh.hub.api.create(&sink.integration(LANE, "ok/bytes", None)).await?;
    let mut samples = Vec::new();
    for _ in 0..bench.options.runs {
        samples.push(bytes_per_event(bench, &fresh.hub, &sink).await?);
    }
    Ok(vec![Figure::alone("bytes per event", Unit::Bytes, samples, BAR)?])
}

async fn bytes_per_event(bench: &Bench, hub: &Hub, sink: &SinkProcess) -> Result<f64> {
    sink.control.reset().await?;
    let before = hub.process()?.written_bytes()?;
    let stop = Closed { warm_up: Duration::ZERO, ..bench.usual() };
    bench.load(hub, CONNECTIONS, 1).closed(stop).await?.rate()?;
    until_delivered(hub).await?;
    sleep(CHECKPOINT_PAUSE).await;
    let written = hub.process()?.written_bytes()? - before;
    ensure!(written > 0, "the kernel counts no writes: --work has to lie on a real disk");
    Ok(written as f64 / sink.control.stats().await?.received as f64)
}

async fn until_delivered(hub: &Hub) -> Result<()> {
    let until = clock::now() + DELIVERY_LIMIT;
    while hub.api.lag(LANE).await? > 0 {
        ensure!(clock::now() < until, "not everything was delivered within {DELIVERY_LIMIT:?}");
        sleep(POLL).await;
    }
    Ok(())
}
