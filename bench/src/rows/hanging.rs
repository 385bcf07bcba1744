//! Isolation: p99 of healthy lanes while others never answer, against the same lanes and the same traffic
//! with every receiver answering. Every lane takes events of its own name. Each measurement has a hub of its
//! own, so that no backlog of one weighs on the next.

use anyhow::{Result, ensure};
use tokio::time::{Duration, timeout};

use crate::figure::{Bar, Figure, Unit, alternate};
use crate::harness::{Bench, SinkProcess, in_order};
use crate::hub::Hub;
use crate::load::{Load, Open};

/// How many lanes of each kind.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    /// Lanes that are measured.
    pub healthy: usize,
    /// Lanes whose receivers never answer in the subject.
    pub hanging: usize,
}

/// 20 of 200 hang.
pub const FEW: Lanes = Lanes { healthy: 180, hanging: 20 };
/// 1,000 of 1,200 hang.
pub const MOST: Lanes = Lanes { healthy: 200, hanging: 1_000 };
/// Events per second over all lanes.
pub const RATE: f64 = 1_000.0;
/// Connections that share them.
pub const CONNECTIONS: usize = 16;
/// Deliveries without which a p99 says nothing.
pub const LEAST_DELIVERIES: u64 = 200;

const BAR: Bar = Bar::RatioAtMost(1.2);
const SETUP_LIMIT: Duration = Duration::from_secs(300);

/// Measures the row.
pub async fn run(bench: &Bench, lanes: Lanes) -> Result<Vec<Figure>> {
    let pairs = alternate(
        bench.options.runs,
        async || p99_ms(bench, lanes, "status/200").await,
        async || p99_ms(bench, lanes, "hang").await,
    )
    .await?;
    let what = format!("p99 with {} of {} hanging", lanes.hanging, lanes.healthy + lanes.hanging);
    Ok(vec![Figure::versus(what, Unit::Ms, pairs, BAR)?.note("baseline: the same lanes, none hanging")])
}

async fn p99_ms(bench: &Bench, lanes: Lanes, other: &str) -> Result<f64> {
    let fresh = bench.hub().await?;
    let sink = bench.sink().await?;
    timeout(SETUP_LIMIT, create(&fresh.hub, &sink, lanes, other)).await??;
    let load = Load { names: rotation(lanes), ..bench.load(&fresh.hub, CONNECTIONS, 1) };
    let beat = Open { rate: RATE, duration: bench.options.warm_up() + bench.options.measure() };
    let (_, stats) = tokio::try_join!(load.open(beat), bench.window(&sink))?;
    ensure!(stats.from_sent.count >= LEAST_DELIVERIES, "only {} healthy deliveries", stats.from_sent.count);
    in_order(&stats)?;
    Ok(stats.from_sent.p99_ms)
}

async fn create(hub: &Hub, sink: &SinkProcess, lanes: Lanes, other: &str) -> Result<()> {
    for index in 0..lanes.healthy + lanes.hanging {
        let path = if index < lanes.healthy { "ok" } else { other };
        let id = format!("lane-{index:04}");
        let integration = sink.integration(&id, &format!("{path}/{id}"), Some(&name(index)));
        hub.api.create(&integration).await?;
    }
    Ok(())
}

/// Names in turn. Where most lanes hang, healthy ones come again so often that they have half of the traffic.
fn rotation(lanes: Lanes) -> Vec<String> {
    let turns = lanes.healthy.max(lanes.hanging);
    let healthy = (0..turns).map(|turn| name(turn % lanes.healthy));
    let hanging = (0..turns).map(|turn| (turn < lanes.hanging).then(|| name(lanes.healthy + turn)));
    healthy.zip(hanging).flat_map(|(healthy, hanging)| [Some(healthy), hanging]).flatten().collect()
}

fn name(index: usize) -> String {
    format!("lane.n{index:04}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy_share(lanes: Lanes) -> (usize, usize) {
        let names = rotation(lanes);
        (names.iter().filter(|each| **each < name(lanes.healthy)).count(), names.len())
    }

    #[test]
    fn every_lane_has_its_turn() {
        for lanes in [FEW, MOST] {
            let distinct: std::collections::HashSet<_> = rotation(lanes).into_iter().collect();
            assert_eq!(distinct.len(), lanes.healthy + lanes.hanging);
        }
    }

    #[test]
    fn healthy_lanes_have_at_least_half_of_the_traffic() {
        assert_eq!(healthy_share(FEW), (180, 200));
        assert_eq!(healthy_share(MOST), (1_000, 2_000));
    }
}
