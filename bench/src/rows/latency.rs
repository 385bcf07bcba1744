//! Latency at 1,000 events/s, open loop, seen at the sink. Judged from the time an event was meant to be sent: that
//! is earlier than its acceptance, so the bars hold for "accepted to received" too. The hub's `accepted_at` is told
//! beside it; the hub writes whole milliseconds, cut off, so it makes latencies up to 1 ms too long. The moment the
//! sender saw the 202 is no start: a delivery can arrive before it.

use anyhow::{Result, ensure};

use crate::figure::{Bar, Figure, Unit};
use crate::harness::{Bench, SinkProcess, in_order};
use crate::hub::Hub;
use crate::load::Open;
use crate::sink::Stats;

/// Events per second.
pub const RATE: f64 = 1_000.0;
/// Connections that share them.
pub const CONNECTIONS: usize = 16;

const P50_BAR: Bar = Bar::AtMost(1.5);
const P99_BAR: Bar = Bar::AtMost(10.0);
/// Less than this share of the events at the sink means that the hub does not keep up.
const LEAST_RECEIVED: f64 = 0.95;

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let fresh = bench.hub().await?;
    let sink = bench.sink().await?;
    fresh.hub.api.create(&sink.integration("latency", "ok/latency", None)).await?;
    let mut seen = Vec::new();
    for _ in 0..bench.options.runs {
        seen.push(measure(bench, &fresh.hub, &sink).await?);
    }
    let figure =
        |what: &str, of: fn(&Stats) -> f64, bar| Figure::alone(what, Unit::Ms, seen.iter().map(of).collect(), bar);
    Ok(vec![
        figure("accepted_at to received, p50", |stats| stats.from_accepted.p50_ms, Bar::None)?,
        figure("accepted_at to received, p99", |stats| stats.from_accepted.p99_ms, Bar::None)?
            .note("up to 1 ms too long: accepted_at is written in whole milliseconds"),
        figure("meant to send to received, p50", |stats| stats.from_sent.p50_ms, P50_BAR)?,
        figure("meant to send to received, p99", |stats| stats.from_sent.p99_ms, P99_BAR)?
            .note("open loop: a stall counts for every event it held up; includes the way to the hub"),
    ])
}

async fn measure(bench: &Bench, hub: &Hub, sink: &SinkProcess) -> Result<Stats> {
    let load = bench.load(hub, CONNECTIONS, 1);
    let beat = Open { rate: RATE, duration: bench.options.warm_up() + bench.options.measure() };
    let (_, stats) = tokio::try_join!(load.open(beat), bench.window(sink))?;
    let least = RATE * bench.options.measure().as_secs_f64() * LEAST_RECEIVED;
    ensure!(stats.received as f64 >= least, "{} of {RATE}/s were delivered in time", stats.received);
    in_order(&stats)?;
    Ok(stats)
}
