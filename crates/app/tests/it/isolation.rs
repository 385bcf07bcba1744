//! A dead receiver hurts nobody.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;

use crate::support::{Reply, SOON, Stage, order};

/// Lanes in all.
const LANES: usize = 40;
/// Lanes whose receiver never answers.
const HANGING: usize = 4;
/// Events, one after the other; each goes to every lane.
const EVENTS: u64 = 60;
/// How much worse healthy lanes may be on a busy machine. The bench holds the strict bound.
const WORST_RATIO: f64 = 3.0;
/// Below this a difference is noise.
const NOISE: Duration = Duration::from_millis(60);

fn lane(n: usize) -> String {
    format!("lane-{n}")
}

/// 99th percentile of the time from before a post until its arrival at a healthy lane.
async fn healthy_p99(hanging: usize) -> Duration {
    let stage = Stage::new().await;
    for n in 0..LANES {
        if n < hanging {
            stage.receiver.behave(&format!("/{}", lane(n)), |_| Reply::Hang);
        }
        stage.integration(&lane(n), json!({})).await;
    }
    let mut posted = HashMap::new();
    for n in 0..EVENTS {
        let at = Instant::now();
        let id = stage.emit(order(&format!("o-{n}"), 1)).await.remove(0);
        posted.insert(id, at);
    }
    let mut latencies = Histogram::<u64>::new(3).expect("three digits");
    for n in hanging..LANES {
        for delivery in stage.receiver.wait_for(&format!("/{}", lane(n)), posted.len(), SOON).await {
            let latency = delivery.at.saturating_duration_since(posted[delivery.id()]);
            latencies.record(u64::try_from(latency.as_micros()).expect("short")).expect("in range");
        }
    }
    Duration::from_micros(latencies.value_at_quantile(0.99))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_with_healthy_receivers_do_not_feel_hanging_ones() {
    let alone = healthy_p99(0).await;
    let beside = healthy_p99(HANGING).await;
    assert!(beside <= alone.mul_f64(WORST_RATIO) + NOISE, "p99 {beside:?} beside hanging receivers, {alone:?} without");
}
