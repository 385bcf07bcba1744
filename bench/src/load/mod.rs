//! The load generator. Closed loop: every connection sends as soon as it was answered. Open loop: events
//! leave at fixed times whatever the answers do, and a latency counts from the time an event was *meant* to
//! leave, so that a stall is charged to every event it held up.

mod closed;
mod open;
mod tally;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

pub use tally::{Outcome, latencies};

use crate::clock;
use crate::event::Stamp;
use crate::request::EventRequest;

/// The most connections one load may open.
pub const MAX_CONNECTIONS: usize = 1_024;
/// The most events in one request (`contracts/hub-api.md`, "Events in").
pub const MAX_BATCH: usize = 1_000;
/// The most entities of one load: six digits of the key.
pub const MAX_ENTITIES: u64 = 1_000_000;
/// After this many failed exchanges a connection gives up.
pub const MAX_ERRORS: u64 = 20;
/// How long a connection waits after 429 or 503 before it sends again.
pub const BACK_OFF: Duration = Duration::from_millis(20);

/// What to send, and to whom.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the server listens.
    pub addr: SocketAddr,
    /// Bearer key; empty for a server without keys.
    pub token: String,
    /// Names that the events take in turn, all of one length.
    pub names: Vec<String>,
    /// Connections, each with entities of its own, so that an entity's events have one order.
    pub connections: usize,
    /// Events in one request.
    pub batch: usize,
    /// Entities over all connections; at least one per connection and at most [`MAX_ENTITIES`].
    pub entities: u64,
    /// Sets the entities of this load apart from those of every other one.
    pub generation: u64,
}

/// How long a closed loop runs.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    /// Stop when so many requests were accepted; `None` leaves it to the time.
    pub requests: Option<u64>,
    /// What is answered in this first time is not counted.
    pub warm_up: Duration,
    /// Time that is counted, at most.
    pub measure: Duration,
}

/// The beat of an open loop.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// Requests per second over all connections.
    pub rate: f64,
    /// How long requests leave.
    pub duration: Duration,
}

impl Load {
    /// Sends as fast as answers come. Errors: a connection that failed [`MAX_ERRORS`] times.
    pub async fn closed(&self, stop: Closed) -> Result<Outcome> {
        self.check()?;
        closed::run(self, stop).await
    }

    /// Sends at fixed times; latencies count from the intended time of sending. Errors as [`Load::closed`].
    pub async fn open(&self, beat: Open) -> Result<Outcome> {
        self.check()?;
        ensure!(beat.rate.is_finite() && beat.rate > 0.0, "a rate of {} is none", beat.rate);
        open::run(self, beat).await
    }

    fn check(&self) -> Result<()> {
        ensure!((1..=MAX_CONNECTIONS).contains(&self.connections), "1 to {MAX_CONNECTIONS} connections");
        ensure!((1..=MAX_BATCH).contains(&self.batch), "1 to {MAX_BATCH} events in a request");
        ensure!((self.connections as u64..=MAX_ENTITIES).contains(&self.entities), "{} entities", self.entities);
        let first = self.names.first().map_or(0, String::len);
        ensure!(first > 0 && self.names.iter().all(|name| name.len() == first), "names of one length");
        Ok(())
    }
}

/// What one connection sends, request after request.
struct Source<'a> {
    load: &'a Load,
    request: EventRequest,
    connection: u64,
    sent: u64,
}

impl<'a> Source<'a> {
    fn new(load: &'a Load, connection: usize) -> Self {
        let authorization = format!("authorization: Bearer {}\r\n", load.token);
        let headers = if load.token.is_empty() { "" } else { &authorization };
        let request = EventRequest::new(headers, &load.names[0], load.batch);
        Self { load, request, connection: connection as u64, sent: 0 }
    }

    /// The next request, its events stamped as meant to leave at `sent_us`.
    fn next(&mut self, sent_us: u64) -> &[u8] {
        for index in 0..self.request.batch() {
            let stamp = self.stamp(sent_us);
            self.request.stamp(index, stamp);
            self.name(index);
            self.sent += 1;
        }
        self.request.bytes()
    }

    fn stamp(&self, sent_us: u64) -> Stamp {
        let connections = self.load.connections as u64;
        let own = (self.load.entities / connections).max(1);
        let entity = self.sent % own * connections + self.connection;
        Stamp { key: self.load.generation * MAX_ENTITIES + entity, number: self.sent / own, sent_us }
    }

    fn name(&mut self, index: usize) {
        let names = &self.load.names;
        if names.len() > 1 {
            let turn = self.connection + self.sent * self.load.connections as u64;
            self.request.rename(index, &names[(turn % names.len() as u64) as usize]);
        }
    }
}

/// Microseconds since 1970 of the monotonic time `at`.
fn wall_us_of(at: std::time::Instant) -> u64 {
    let now = clock::now();
    match at.checked_duration_since(now) {
        Some(ahead) => clock::wall_us() + ahead.as_micros() as u64,
        None => clock::wall_us().saturating_sub((now - at).as_micros() as u64),
    }
}

#[cfg(test)]
mod tests;
