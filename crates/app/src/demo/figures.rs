//! What the view shows, put together from the feed, the receivers and the hub's API.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::feed::Sent;
use super::receivers::Receiver;
use super::record::Counts;
use super::simulate::Site;
use crate::api_client::Api;

/// How far back the rate of events looks.
const RATE_OVER: Duration = Duration::from_secs(3);
/// Rates that are kept for the curve.
const CURVE: usize = 240;

/// Everything at one moment.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// What was sent.
    pub sent: Sent,
    /// Accepted events a second, over the last seconds.
    pub rate: f64,
    /// Earlier rates, oldest first.
    pub curve: Vec<u64>,
    /// Healthy, slow, flaky.
    pub lanes: Vec<LaneFigures>,
    /// Stores and how many events of each were accepted.
    pub stores: Vec<(Site, u64)>,
}

/// One integration and its receiver.
#[derive(Clone, Debug, Default)]
pub struct LaneFigures {
    /// The integration's id.
    pub name: &'static str,
    /// What the receiver counted.
    pub counts: Counts,
    /// Events behind the cursor.
    pub waiting: u64,
    /// Events that wait for their next attempt, or behind one that does.
    pub retrying: u64,
    /// Events given up.
    pub rejected: u64,
    /// How it is, in words.
    pub state: String,
    /// Median from acceptance to receipt, in milliseconds.
    pub p50_ms: Option<u32>,
    /// 99th percentile of the same.
    pub p99_ms: Option<u32>,
}

/// Collects figures.
pub struct Collector {
    api: Api,
    sent: Arc<Mutex<Sent>>,
    receivers: Vec<Receiver>,
    sites: Vec<Site>,
    accepted: VecDeque<(Instant, u64)>,
    curve: VecDeque<u64>,
}

impl Collector {
    /// From these.
    pub fn new(api: Api, sent: Arc<Mutex<Sent>>, receivers: Vec<Receiver>, sites: Vec<Site>) -> Self {
        let accepted = VecDeque::from([(Instant::now(), 0)]);
        Self { api, sent, receivers, sites, accepted, curve: VecDeque::new() }
    }

    /// The figures now. A hub that does not answer shows in the lanes' state.
    pub async fn collect(&mut self) -> Figures {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let rate = self.rate(sent.accepted, Instant::now());
        let mut lanes = Vec::new();
        for receiver in &self.receivers {
            lanes.push(lane(&self.api, receiver).await);
        }
        let events = |site: &Site| sent.by_site.get(&site.id).copied().unwrap_or_default();
        let stores = self.sites.iter().map(|site| (site.clone(), events(site))).collect();
        Figures { rate, curve: self.curve.iter().copied().collect(), lanes, stores, sent }
    }

    fn rate(&mut self, accepted: u64, now: Instant) -> f64 {
        self.accepted.push_back((now, accepted));
        while self.accepted.len() > 2 && now - self.accepted[1].0 >= RATE_OVER {
            self.accepted.pop_front();
        }
        let (since, before) = self.accepted[0];
        let seconds = (now - since).as_secs_f64();
        let rate = if seconds > 0.0 { (accepted - before) as f64 / seconds } else { 0.0 };
        if self.curve.len() == CURVE {
            self.curve.pop_front();
        }
        self.curve.push_back(rate.round() as u64);
        rate
    }
}

impl Figures {
    /// Whether nothing arrived out of order or with a wrong signature.
    pub fn kept_every_promise(&self) -> bool {
        self.lanes.iter().all(|lane| lane.counts.out_of_order == 0 && lane.counts.unverified == 0)
    }

    /// Whether the first receiver, which never fails, has every accepted event.
    pub fn healthy_has_all(&self) -> bool {
        self.lanes.first().is_some_and(|lane| lane.counts.delivered >= self.sent.accepted)
    }
}

async fn lane(api: &Api, receiver: &Receiver) -> LaneFigures {
    let (p50_ms, p99_ms) = receiver.latencies_ms();
    let figures =
        LaneFigures { name: receiver.name(), counts: receiver.counts(), p50_ms, p99_ms, ..LaneFigures::default() };
    let path = format!("/integrations/{}", receiver.name());
    let stats_path = format!("{path}/stats");
    let (integration, stats) = match tokio::join!(api.get(&path), api.get(&stats_path)) {
        (Ok(integration), Ok(stats)) => (integration, stats),
        (Err(error), _) | (_, Err(error)) => return LaneFigures { state: error.to_string(), ..figures },
    };
    let cursor = &integration["cursor"];
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    LaneFigures {
        waiting: number(&cursor["lag_events"]),
        retrying: number(&cursor["parked"]),
        rejected: number(&stats["totals"]["rejected"]),
        state: in_words(&integration),
        ..figures
    }
}

fn in_words(integration: &Value) -> String {
    if integration["status"] != "running" {
        let reason = integration["status_reason"].as_str().unwrap_or("no reason given");
        return format!("stopped: {reason}");
    }
    match integration["cursor"]["circuit"].as_str() {
        Some("open") => "receiver is down, probing it",
        Some("braked") => "receiver refuses too much, braked",
        _ => "flowing",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_circuit_is_told_in_words() {
        let words = |circuit: &str| in_words(&json!({"status":"running","cursor":{"circuit":circuit}}));
        assert_eq!([words("closed"), words("open")], ["flowing", "receiver is down, probing it"]);
        assert_eq!(in_words(&json!({"status":"stopped","status_reason":"410"})), "stopped: 410");
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let api = Api::new("http://127.0.0.1:1", "tsk_x").unwrap();
        let mut collector = Collector::new(api, Arc::default(), Vec::new(), Vec::new());
        let start = Instant::now();
        for second in 1..=10 {
            let rate = collector.rate(second * 100, start + Duration::from_secs(second));
            assert_eq!(rate.round(), 100.0, "second {second}");
        }
        let quiet = (11..=20).map(|second| collector.rate(1_000, start + Duration::from_secs(second))).last();
        assert_eq!(quiet, Some(0.0));
    }

    #[test]
    fn the_curve_keeps_its_length() {
        let api = Api::new("http://127.0.0.1:1", "tsk_x").unwrap();
        let mut collector = Collector::new(api, Arc::default(), Vec::new(), Vec::new());
        let start = Instant::now();
        for n in 0..=CURVE as u64 {
            collector.rate(n, start + Duration::from_secs(n));
        }
        assert_eq!(collector.curve.len(), CURVE);
    }
}
