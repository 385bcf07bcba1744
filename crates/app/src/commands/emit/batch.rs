//! Events put together into requests, at the rate that was asked for.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::source::Source;

/// Most events of one request (`contracts/hub-api.md`, "Events in").
pub const MAX_BATCH_EVENTS: i64 = 1_000;
/// Bytes at which a request is sent although more events would fit: well below the hub's 10 MiB.
const FULL_BYTES: usize = 4 * 1024 * 1024;
/// With a rate, requests in a second: so that events come evenly and not once a second.
const REQUESTS_PER_SECOND: u32 = 20;

/// One request's events.
pub struct Batch {
    /// A JSON array.
    pub body: Bytes,
    /// How many events are in it.
    pub events: usize,
    /// Whether every event carries an id of its own, so that sending it twice does no harm.
    pub repeatable: bool,
}

/// How large batches are and when they go.
pub struct Shape {
    events: usize,
    rate: Option<u32>,
}

impl Shape {
    /// Batches of at most `events`, at most `rate` events a second.
    pub fn new(events: usize, rate: Option<u32>) -> Self {
        let even = rate.map(|rate| (rate / REQUESTS_PER_SECOND).max(1) as usize);
        Self { events: even.map_or(events, |even| even.min(events)), rate }
    }

    /// How long after the start event number `count` (from 0) is due.
    fn due(&self, count: u64) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(count as f64 / f64::from(rate)))
    }
}

/// Reads the source to its end and hands on batches; blocks while the connections are busy.
///
/// # Errors
/// When the source cannot be read. What was read before is sent.
pub fn feed(source: Source, shape: &Shape, batches: &mpsc::Sender<Batch>) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut sent = 0;
    let mut open = Open::default();
    let mut hand_on = |open: &mut Open| {
        let due = shape.due(sent);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        let batch = std::mem::take(open).close();
        sent += batch.events as u64;
        batches.blocking_send(batch).is_ok()
    };
    let read = source.each(&mut |event| {
        open.push(&event);
        !open.is_full(shape.events) || hand_on(&mut open)
    });
    if open.events > 0 {
        hand_on(&mut open);
    }
    read
}

/// A batch that is being filled.
struct Open {
    body: Vec<u8>,
    events: usize,
    repeatable: bool,
}

impl Default for Open {
    fn default() -> Self {
        Self { body: vec![b'['], events: 0, repeatable: true }
    }
}

impl Open {
    fn push(&mut self, event: &RawValue) {
        if self.events > 0 {
            self.body.push(b',');
        }
        self.body.extend_from_slice(event.get().as_bytes());
        self.events += 1;
        self.repeatable &= has_id(event);
    }

    fn is_full(&self, events: usize) -> bool {
        self.events >= events || self.body.len() >= FULL_BYTES
    }

    fn close(mut self) -> Batch {
        self.body.push(b']');
        Batch { body: self.body.into(), events: self.events, repeatable: self.repeatable }
    }
}

fn has_id(event: &RawValue) -> bool {
    #[derive(serde::Deserialize)]
    struct Id {
        id: Option<Value>,
    }
    serde_json::from_str::<Id>(event.get()).is_ok_and(|e| e.id.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn batches(text: &str, shape: &Shape) -> Vec<Batch> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let (sender, mut receiver) = mpsc::channel(100);
        feed(Source::open(file.path()).unwrap(), shape, &sender).unwrap();
        drop(sender);
        std::iter::from_fn(|| receiver.blocking_recv()).collect()
    }

    #[test]
    fn events_are_put_together_in_order_and_the_rest_goes_too() {
        let made = batches(r#"{"id":"a"} {"id":"b"} {"id":"c"}"#, &Shape::new(2, None));
        let bodies: Vec<&[u8]> = made.iter().map(|b| &b.body[..]).collect();
        assert_eq!(bodies, [&br#"[{"id":"a"},{"id":"b"}]"#[..], br#"[{"id":"c"}]"#]);
        assert_eq!(made.iter().map(|b| b.events).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn a_batch_is_repeatable_only_when_every_event_has_an_id() {
        let made = batches(r#"{"id":"a"} {"name":"x.y"} {"id":"b"} {"id":"c"}"#, &Shape::new(2, None));
        assert_eq!(made.iter().map(|b| b.repeatable).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_batch_that_is_heavy_goes_before_it_is_long() {
        let event = format!("{{\"x\":\"{}\"}}", "y".repeat(FULL_BYTES / 2));
        let made = batches(&event.repeat(3), &Shape::new(1_000, None));
        assert_eq!(made.iter().map(|b| b.events).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn a_rate_spreads_events_evenly_over_each_second() {
        let slow = Shape::new(100, Some(5));
        assert_eq!((slow.events, slow.due(5)), (1, Duration::from_secs(1)));
        assert_eq!(Shape::new(100, Some(1_000)).events, 50);
        assert_eq!(Shape::new(100, Some(1_000_000)).events, 100);
    }
}
