//! Producers that post events with ids of their own and repeat them until they are answered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::{Answer, Api};

/// Entities of one producer; nobody else sends events of them.
pub const ENTITIES: usize = 6;
/// Most events in one request.
const LARGEST_BATCH: usize = 5;
/// Longest pause between two requests.
const LONGEST_PAUSE: Duration = Duration::from_millis(25);
/// Pause before a request is repeated.
const REPEAT_AFTER: Duration = Duration::from_millis(20);
/// One request in so many carries an event that must be refused.
const ONE_IN_REFUSED: u32 = 10;

/// The entity of events that must be refused.
pub const REFUSED_ENTITY: &str = "refused";

/// What all producers were told.
#[derive(Default)]
pub struct Told {
    /// Events that are kept: id, entity and version.
    pub accepted: Mutex<HashMap<String, (String, u64)>>,
    /// How often they were asked to come again later.
    pub later: AtomicU32,
}

/// One producer.
pub struct Producer {
    number: usize,
    dice: StdRng,
    versions: [u64; ENTITIES],
    hub: watch::Receiver<Api>,
    told: Arc<Told>,
}

impl Producer {
    /// A producer whose dice follow the seed, with a view on where the hub is.
    pub fn new(number: usize, seed: u64, hub: watch::Receiver<Api>, told: Arc<Told>) -> Self {
        let dice = StdRng::seed_from_u64(seed.wrapping_add(number as u64));
        Self { number, dice, versions: [0; ENTITIES], hub, told }
    }

    /// Posts until it is told to stop; the last request is still repeated until it is answered.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let events = self.batch();
            let body = if events.len() == 1 { events[0].clone() } else { json!(events) };
            let answer = self.until_answered(&body).await;
            self.note(&events, &answer);
            tokio::time::sleep(LONGEST_PAUSE.mul_f64(self.dice.random())).await;
        }
    }

    /// The next versions of some entities, several of one entity in order, sometimes with one that must be refused.
    fn batch(&mut self) -> Vec<Value> {
        let count = if self.dice.random() { 1 } else { self.dice.random_range(2..=LARGEST_BATCH) };
        let mut events: Vec<Value> = (0..count).map(|_| self.next()).collect();
        if self.dice.random_range(0..ONE_IN_REFUSED) == 0 {
            events.push(refused(&events[0]));
        }
        events
    }

    fn next(&mut self) -> Value {
        let which = self.dice.random_range(0..ENTITIES);
        self.versions[which] += 1;
        let (entity, version) = (format!("e-{}-{which}", self.number), self.versions[which]);
        let data = json!({"_id": entity, "version": version, "total": 10.5, "note": "chaos"});
        json!({"id": format!("{entity}:{version}"), "name": "order.saved", "site": "175", "data": data})
    }

    async fn until_answered(&mut self, body: &Value) -> Answer {
        loop {
            let api = self.hub.borrow_and_update().clone();
            match api.try_post("/v1/events", body).await {
                Ok(answer) if [429, 503].contains(&answer.status) => {
                    assert!(answer.headers.contains_key("retry-after"), "{} without Retry-After", answer.status);
                    self.told.later.fetch_add(1, Ordering::Relaxed);
                }
                Ok(answer) => return answer,
                Err(_) => {}
            }
            tokio::time::sleep(REPEAT_AFTER).await;
        }
    }

    fn note(&self, events: &[Value], answer: &Answer) {
        assert!([202, 207].contains(&answer.status), "{}: {}", answer.status, answer.text());
        let answer = answer.json();
        let mut accepted = self.told.accepted.lock().expect("no panic");
        for row in answer["accepted"].as_array().expect("accepted") {
            let event = &events[usize::try_from(row["index"].as_u64().expect("an index")).expect("small")];
            assert!(!is_refused(event), "accepted although it had to be refused: {event}");
            let (entity, version) =
                (event["data"]["_id"].as_str().unwrap().to_owned(), event["data"]["version"].as_u64().unwrap());
            let before = accepted.insert(row["id"].as_str().expect("an id").to_owned(), (entity.clone(), version));
            assert!(before.is_none_or(|b| b == (entity, version)), "one id for two events: {row}");
        }
        let refused = answer["rejected"].as_array().expect("rejected");
        assert!(refused.iter().all(|r| is_refused(&events[r["index"].as_u64().unwrap() as usize])), "{answer}");
    }
}

/// Other content under an id that is taken, about an entity that must never be seen.
fn refused(event: &Value) -> Value {
    let mut refused = event.clone();
    refused["data"] = json!({"_id": REFUSED_ENTITY, "version": 1});
    refused
}

fn is_refused(event: &Value) -> bool {
    event["data"]["_id"] == REFUSED_ENTITY
}
