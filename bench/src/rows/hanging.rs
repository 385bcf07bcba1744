//! Isolation: p99 of healthy lanes while others never answer, against the same lanes and the same traffic
//! with every receiver answering. Every lane takes events of its own name. Each measurement has a hub of its
//! own, so that no backlog of one weighs on the next, and starts when the other lanes have their hands full.

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use tokio::time::{Duration, timeout};

use crate::api::Api;
use crate::figure::{Bar, Figure, Unit, alternate};
use crate::harness::{Bench, FILL_BATCH, FILL_LIMIT, SinkProcess, in_order};
use crate::load::{Closed, Load, Open};

/// How many lanes of each kind a company has.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    /// Companies; one has at most 1,000 integrations.
    pub companies: usize,
    /// Lanes that are measured.
    pub healthy: usize,
    /// Lanes whose receivers never answer in the subject.
    pub hanging: usize,
}

/// 20 of 200 hang.
pub const FEW: Lanes = Lanes { companies: 1, healthy: 180, hanging: 20 };
/// 1,000 of 1,200 hang.
pub const MOST: Lanes = Lanes { companies: 2, healthy: 100, hanging: 500 };
/// Events per second over all lanes.
pub const RATE: f64 = 1_000.0;
/// Connections that share them.
pub const CONNECTIONS: usize = 16;
/// Events that each hanging lane has before the measurement: more than its window lets it try.
pub const BACKLOG: usize = 10;
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
    let (hanging, all) = (lanes.companies * lanes.hanging, lanes.companies * (lanes.hanging + lanes.healthy));
    let what = format!("p99 with {hanging} of {all} hanging");
    Ok(vec![Figure::versus(what, Unit::Ms, pairs, BAR)?.note("baseline: the same lanes, none hanging")])
}

async fn p99_ms(bench: &Bench, lanes: Lanes, other: &str) -> Result<f64> {
    let fresh = bench.hub_of_companies(lanes.companies).await?;
    let sink = bench.sink().await?;
    let companies = fresh.hub.companies(lanes.companies).await?;
    let created = try_join_all(companies.iter().map(|company| create(company, &sink, lanes, other)));
    timeout(SETUP_LIMIT, created).await??;
    try_join_all(companies.iter().map(|company| occupy(bench, company, lanes))).await?;
    let duration = bench.options.warm_up() + bench.options.measure();
    let beat = Open { rate: RATE / lanes.companies as f64, duration };
    let loads: Vec<Load> = companies.iter().map(|company| traffic(bench, company, lanes)).collect();
    let (_, stats) = tokio::try_join!(try_join_all(loads.iter().map(|load| load.open(beat))), bench.window(&sink))?;
    ensure!(stats.from_sent.count >= LEAST_DELIVERIES, "only {} healthy deliveries", stats.from_sent.count);
    in_order(&stats)?;
    Ok(stats.from_sent.p99_ms)
}

async fn create(company: &Api, sink: &SinkProcess, lanes: Lanes, other: &str) -> Result<()> {
    for index in 0..lanes.healthy + lanes.hanging {
        let path = if index < lanes.healthy { "ok" } else { other };
        let id = format!("lane-{index:04}");
        let integration = sink.integration(&id, &format!("{path}/{id}"), Some(&name(index)));
        company.create(&integration).await?;
    }
    Ok(())
}

/// Gives every hanging lane its backlog.
async fn occupy(bench: &Bench, company: &Api, lanes: Lanes) -> Result<()> {
    let names = (lanes.healthy..lanes.healthy + lanes.hanging).map(name).collect();
    let load = Load { names, ..bench.load_of(company, 1, FILL_BATCH) };
    let requests = Some((lanes.hanging * BACKLOG).div_ceil(FILL_BATCH) as u64);
    load.closed(Closed { requests, warm_up: Duration::ZERO, measure: FILL_LIMIT }).await?.rate().map(drop)
}

fn traffic(bench: &Bench, company: &Api, lanes: Lanes) -> Load {
    Load { names: rotation(lanes), ..bench.load_of(company, CONNECTIONS / lanes.companies, 1) }
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
        assert_eq!(healthy_share(MOST), (500, 1_000));
    }
}
