//! What a load counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use crate::clock;

/// The longest latency that is told apart, microseconds; longer ones count as this.
pub const MAX_LATENCY_US: u64 = 120_000_000;
/// Significant digits of a latency.
pub const LATENCY_DIGITS: u8 = 3;

const ACCEPTED: u16 = 202;

/// An empty histogram of microseconds.
pub fn latencies() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, MAX_LATENCY_US, LATENCY_DIGITS)?)
}

/// The result of one load.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Events answered 202 in the counted time.
    pub accepted: u64,
    /// Counted answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Exchanges that broke.
    pub errors: u64,
    /// Length of the counted time, seconds.
    pub seconds: f64,
    /// Latencies of the counted answers, microseconds.
    pub latency: Histogram<u64>,
}

impl Outcome {
    /// Accepted events per second. Errors when nothing was accepted: a rate of zero is a broken run.
    pub fn rate(&self) -> Result<f64> {
        ensure!(self.accepted > 0, "nothing was accepted: {:?}, {} broken exchanges", self.statuses, self.errors);
        Ok(self.accepted as f64 / self.seconds)
    }
}

/// The time that is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub from: Instant,
    pub until: Instant,
}

/// What one connection counted.
pub(super) struct Tally {
    span: Span,
    last: Instant,
    outcome: Outcome,
}

impl Tally {
    pub fn new(span: Span) -> Result<Self> {
        let outcome =
            Outcome { accepted: 0, statuses: BTreeMap::new(), errors: 0, seconds: 0.0, latency: latencies()? };
        Ok(Self { span, last: span.from, outcome })
    }

    /// Counts an answer that came now to a request meant to leave at `intended`; true if it was accepted.
    pub fn answered(&mut self, status: u16, events: usize, intended: Instant) -> bool {
        let now = clock::now();
        if now >= self.span.from && now <= self.span.until {
            *self.outcome.statuses.entry(status).or_default() += 1;
            self.outcome.latency.saturating_record(clock::span_us(now - intended));
            self.outcome.accepted += if status == ACCEPTED { events as u64 } else { 0 };
            self.last = now;
        }
        status == ACCEPTED
    }

    /// Counts a broken exchange and tells how many there were.
    pub fn broke(&mut self) -> u64 {
        self.outcome.errors += 1;
        self.outcome.errors
    }

    /// Adds what another connection counted.
    pub fn add(&mut self, other: Tally) -> Result<()> {
        self.last = self.last.max(other.last);
        self.outcome.accepted += other.outcome.accepted;
        self.outcome.errors += other.outcome.errors;
        self.outcome.latency.add(&other.outcome.latency)?;
        for (status, count) in other.outcome.statuses {
            *self.outcome.statuses.entry(status).or_default() += count;
        }
        Ok(())
    }

    /// The result; `to_last_answer` counts the time to the last answer instead of the whole span.
    pub fn finish(mut self, to_last_answer: bool) -> Outcome {
        let until = if to_last_answer { self.last } else { self.span.until };
        self.outcome.seconds = (until - self.span.from).max(Duration::from_micros(1)).as_secs_f64();
        self.outcome
    }
}
