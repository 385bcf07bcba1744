//! Sends what the stores do to the hub, over HTTP, at the pace of the demo.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::simulate::{Pacer, SimEvent, Simulation};
use crate::api_client::{Api, refusal, retry_after};

/// Most events of one request.
const MAX_BATCH: usize = 200;
/// Wait after a failure when the hub names none.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// What was sent so far.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Events the hub has answered for.
    pub accepted: u64,
    /// Events the hub refused.
    pub refused: u64,
    /// Accepted events by site.
    pub by_site: BTreeMap<String, u64>,
    /// How far the stores' own time has come.
    pub simulated: Option<Timestamp>,
    /// Orders that are open in the stores.
    pub open_orders: usize,
    /// What keeps events from being sent.
    pub trouble: Option<String>,
}

/// A feed that runs.
pub struct Feed {
    sent: Arc<Mutex<Sent>>,
    task: JoinSet<()>,
}

impl Feed {
    /// Starts sending.
    pub fn start(api: Api, simulation: Simulation, pace: f64) -> Self {
        let sent = Arc::<Mutex<Sent>>::default();
        let stores = Stores { simulation, pacer: Pacer::new(pace), next: None };
        let mut task = JoinSet::new();
        task.spawn(run(api, stores, sent.clone()));
        Self { sent, task }
    }

    /// What was sent so far, kept up to date.
    pub fn sent(&self) -> Arc<Mutex<Sent>> {
        self.sent.clone()
    }

    /// Sends no more.
    pub async fn stop(&mut self) {
        self.task.shutdown().await;
    }
}

struct Stores {
    simulation: Simulation,
    pacer: Pacer,
    next: Option<(Duration, SimEvent)>,
}

impl Stores {
    /// Everything that is due so long after the start, at most [`MAX_BATCH`]; else when the next event is.
    fn due(&mut self, elapsed: Duration) -> Result<Vec<SimEvent>, Duration> {
        let mut batch = Vec::new();
        while batch.len() < MAX_BATCH {
            let (due, event) = self.next.take().unwrap_or_else(|| {
                let event = self.simulation.next_event();
                (self.pacer.due(event.at), event)
            });
            if due > elapsed {
                self.next = Some((due, event));
                return if batch.is_empty() { Err(due) } else { Ok(batch) };
            }
            batch.push(event);
        }
        Ok(batch)
    }
}

async fn run(api: Api, mut stores: Stores, sent: Arc<Mutex<Sent>>) {
    let started = Instant::now();
    loop {
        let batch = match stores.due(started.elapsed()) {
            Ok(batch) => batch,
            Err(due) => {
                tokio::time::sleep_until(started + due).await;
                continue;
            }
        };
        post(&api, &batch, &sent).await;
        let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.simulated = batch.last().map(|e| e.at);
        sent.open_orders = stores.simulation.open_orders();
    }
}

/// Sends a batch until the hub has answered for it. Every event has an id, so repeating one does no harm.
async fn post(api: &Api, batch: &[SimEvent], sent: &Mutex<Sent>) {
    let events: Vec<_> = batch.iter().map(|e| &e.event).collect();
    let body = Bytes::from(serde_json::to_vec(&events).unwrap_or_default());
    loop {
        let (trouble, wait) = match api.post_events(body.clone()).await {
            Ok(answer) if answer.status.is_success() => {
                let answer = serde_json::from_slice(&answer.body).unwrap_or_default();
                return sent.lock().unwrap_or_else(PoisonError::into_inner).count(batch, &answer);
            }
            Ok(answer) => (refusal(&answer), retry_after(&answer)),
            Err(error) => (error.to_string(), None),
        };
        sent.lock().unwrap_or_else(PoisonError::into_inner).trouble = Some(trouble);
        tokio::time::sleep(wait.unwrap_or(RETRY_WAIT)).await;
    }
}

impl Sent {
    fn count(&mut self, batch: &[SimEvent], answer: &Value) {
        for accepted in answer["accepted"].as_array().into_iter().flatten() {
            self.accepted += 1;
            let index = accepted["index"].as_u64().and_then(|i| usize::try_from(i).ok());
            if let Some(event) = index.and_then(|i| batch.get(i)) {
                *self.by_site.entry(event.event.site.clone()).or_default() += 1;
            }
        }
        let refused = answer["rejected"].as_array().map_or(0, Vec::len);
        self.refused += refused as u64;
        self.trouble = (refused > 0).then(|| answer["rejected"][0].to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stores(pace: f64) -> Stores {
        let start = "2026-03-14T17:00:00Z".parse().unwrap();
        Stores { simulation: Simulation::new(1, 12, start), pacer: Pacer::new(pace), next: None }
    }

    #[test]
    fn nothing_is_sent_before_it_is_due_and_nothing_is_lost() {
        let mut stores = stores(60.0);
        let mut plain = Simulation::new(1, 12, "2026-03-14T17:00:00Z".parse().unwrap());
        let mut elapsed = Duration::ZERO;
        let mut seen = 0;
        while seen < 500 {
            match stores.due(elapsed) {
                Err(due) => {
                    assert!(due > elapsed);
                    elapsed = due;
                }
                Ok(batch) => {
                    assert!(!batch.is_empty() && batch.len() <= MAX_BATCH);
                    for event in batch {
                        assert_eq!(event.event.id, plain.next_event().event.id);
                        seen += 1;
                    }
                }
            }
        }
    }

    #[test]
    fn a_feed_that_is_late_sends_no_more_than_the_limit_at_once() {
        assert_eq!(stores(60.0).due(Duration::from_secs(3_600)).unwrap().len(), MAX_BATCH);
    }

    #[test]
    fn accepted_events_are_counted_for_their_sites() {
        let batch = stores(60.0).due(Duration::from_secs(60)).unwrap();
        let mut sent = Sent::default();
        sent.count(&batch, &json!({"accepted":[{"index":0},{"index":1}],"rejected":[{"index":2,"problem":{}}]}));
        assert_eq!((sent.accepted, sent.refused, sent.by_site.values().sum::<u64>()), (2, 1, 2));
        assert!(sent.by_site.contains_key(&batch[0].event.site) && sent.trouble.is_some());
    }
}
