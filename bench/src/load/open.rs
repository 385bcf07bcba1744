//! The open loop: one thread per connection, each with its share of the beat.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use super::tally::{Outcome, Span, Tally};
use super::{Load, MAX_ERRORS, Open, Source, wall_us_of};
use crate::clock;
use crate::wire::{BlockingConnection, EXCHANGE_LIMIT};

/// Time for all threads to connect before the first request is due.
const LEAD: Duration = Duration::from_millis(50);

/// The times at which one connection's requests are due.
#[derive(Clone, Copy, Debug)]
struct Beat {
    start: Instant,
    step: Duration,
    connections: u32,
    connection: u32,
    until: Instant,
}

impl Beat {
    fn due(&self, turn: u32) -> Option<Instant> {
        let at = self.start + self.step * (turn * self.connections + self.connection);
        (at < self.until).then_some(at)
    }
}

pub(super) async fn run(load: &Load, open: Open) -> Result<Outcome> {
    let start = clock::now() + LEAD;
    let until = start + open.duration;
    let connections = u32::try_from(load.connections)?;
    let step = Duration::from_secs_f64(1.0 / open.rate);
    let mut workers = JoinSet::new();
    for connection in 0..connections {
        let load = load.clone();
        let beat = Beat { start, step, connections, connection, until };
        workers.spawn_blocking(move || worker(&load, beat));
    }
    // Answers that come after the last beat count as well: leaving them out would hide a stall at the end.
    let mut total = Tally::new(span(start, until))?;
    while let Some(tally) = workers.join_next().await {
        total.add(tally.context("a connection of the load")??)?;
    }
    let mut outcome = total.finish(false);
    outcome.seconds = open.duration.as_secs_f64();
    Ok(outcome)
}

fn worker(load: &Load, beat: Beat) -> Result<Tally> {
    let mut tally = Tally::new(span(beat.start, beat.until))?;
    let mut source = Source::new(load, beat.connection as usize);
    let mut connection = BlockingConnection::open(load.addr)?;
    for turn in 0.. {
        let Some(due) = beat.due(turn) else { break };
        if clock::now() > beat.until + EXCHANGE_LIMIT {
            anyhow::bail!("the server is {EXCHANGE_LIMIT:?} behind the beat");
        }
        std::thread::sleep(due.saturating_duration_since(clock::now()));
        match connection.exchange(source.next(wall_us_of(due))) {
            Ok(answer) => _ = tally.answered(answer.status, load.batch, due),
            Err(error) if tally.broke() >= MAX_ERRORS => return Err(error),
            Err(_) => connection = BlockingConnection::open(load.addr)?,
        }
    }
    Ok(tally)
}

fn span(start: Instant, until: Instant) -> Span {
    Span { from: start, until: until + 2 * EXCHANGE_LIMIT }
}
