//! Integrations whose receivers have moods, and the reckoning with them once everything is over.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::Api;
use crate::check::{Outcome, Promised};
use crate::receiver::Receiver;
use crate::sink::{Sink, is_refused_for_good};

/// Once the load has ended, something more must be settled within this each time, until everything is.
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at what is settled.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Attempts that an event has: the most there may be, so that a mood never rejects one.
const ATTEMPTS: usize = 20;

/// A receiver with a path, a memory and moods for each integration.
pub struct Receivers {
    receiver: Arc<Receiver>,
    /// The memory of each integration's.
    pub sinks: Vec<(&'static str, Arc<Sink>)>,
    /// The integration whose receiver also refuses some events for good.
    picky: &'static str,
}

impl Receivers {
    /// Moods that follow the seed, for the paths of these integrations.
    pub fn new(receiver: Arc<Receiver>, ids: &[&'static str], picky: &'static str, seed: u64) -> Self {
        let sink = |(n, id): (usize, &&'static str)| (*id, Arc::new(Sink::new(seed ^ n as u64, *id == picky)));
        let sinks: Vec<_> = ids.iter().enumerate().map(sink).collect();
        for (id, sink) in &sinks {
            let sink = sink.clone();
            receiver.behave(&format!("/{id}"), move |delivery| sink.take(delivery));
        }
        Self { receiver, sinks, picky }
    }

    /// Makes the integrations.
    pub async fn integrate(&self, api: &Api) {
        for (id, _) in &self.sinks {
            let delivery = json!({"retry": {"schedule_seconds": vec![0; ATTEMPTS]}, "timeout_seconds": 1});
            let target = json!({"kind": "http", "url": self.receiver.url(&format!("/{id}"))});
            let settings: Value = json!({"id": id, "name": id, "target": target, "delivery": delivery});
            api.try_post("/v1/integrations", &settings).await.expect("an answer").expect(201);
        }
    }

    /// Waits until no promised event is missing at any of them, for as long as something more is settled.
    pub async fn settle(&self, api: &Api, promised: &Promised) {
        let (mut fewest, mut deadline) = (usize::MAX, Instant::now() + SETTLE_DEADLINE);
        while Instant::now() < deadline {
            let missing: usize = self.outcomes(api).await.iter().map(|o| o.missing(promised).len()).sum();
            if missing == 0 {
                return;
            }
            if missing < fewest {
                (fewest, deadline) = (missing, Instant::now() + SETTLE_DEADLINE);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Fails unless the log has what was promised and all of it came in order, with at most so many duplicates each.
    pub async fn reckon(&self, api: &Api, promised: &Promised, most_duplicates: u32) {
        let stored = api.all("/v1/events").await.len();
        assert_eq!(stored, promised.len(), "the log has as many events as were promised");
        for outcome in self.outcomes(api).await {
            let integration = outcome.integration;
            if let Some(first) = outcome.missing(promised).first() {
                let told = api.get(&format!("/v1/events/{first}/explain")).await.text();
                let count = outcome.missing(promised).len();
                panic!("{integration}: {count} of {stored} are missing, such as {told}");
            }
            let deliveries = self.receiver.deliveries(&format!("/{integration}"));
            outcome.assert_only_promised_and_in_order(&deliveries, promised);
            self.assert_rejected_for_good_only(&outcome, promised);
            let duplicates = outcome.duplicates();
            assert!(
                duplicates <= most_duplicates,
                "{integration}: {duplicates} of at most {most_duplicates} duplicates"
            );
            eprintln!("{integration}: {stored} events, {duplicates} duplicates, {} rejected", outcome.rejected.len());
        }
    }

    async fn outcomes(&self, api: &Api) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for (integration, sink) in &self.sinks {
            let rejected = api.all(&format!("/v1/integrations/{integration}/rejected")).await;
            let rejected: HashSet<_> = rejected.iter().map(|r| r["id"].as_str().expect("an id").to_owned()).collect();
            outcomes.push(Outcome { integration, accepted: sink.accepted(), rejected });
        }
        outcomes
    }

    fn assert_rejected_for_good_only(&self, outcome: &Outcome, promised: &Promised) {
        for id in &outcome.rejected {
            let (entity, version) = &promised[id];
            let wanted = outcome.integration == self.picky && is_refused_for_good(entity, *version);
            assert!(wanted, "{}: {entity} {version} is rejected, and nobody refused it", outcome.integration);
        }
    }
}
