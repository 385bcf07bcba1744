//! What the sink writes down about deliveries.

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::order::OrderChecker;
use crate::event::Stamp;
use crate::load::latencies;

const ACCEPTED_AT: &[u8] = b"\"accepted_at\":\"";
const MAX_TIME_BYTES: usize = 40;

/// A summary of latencies, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Half were at most this.
    pub p50_ms: f64,
    /// 99 of 100 were at most this.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// What the sink answers to `GET /_stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Deliveries answered 200.
    pub received: u64,
    /// Requests answered otherwise or not at all.
    pub refused: u64,
    /// Arrival of the first of `received`, microseconds since 1970; 0 before it.
    pub first_us: u64,
    /// Arrival of the last of `received`, microseconds since 1970.
    pub last_us: u64,
    /// Deliveries that took an entity backwards.
    pub backwards: u64,
    /// Deliveries that repeated an entity's newest event.
    pub repeats: u64,
    /// Deliveries whose order could not be checked.
    pub unchecked: u64,
    /// From the intended time of sending to here.
    pub from_sent: Latency,
    /// From the hub's `accepted_at` to here; as fine as the hub writes that time.
    pub from_accepted: Latency,
}

impl Stats {
    /// Deliveries per second between the first and the last, 0 with fewer than two.
    pub fn rate(&self) -> f64 {
        let span_us = self.last_us.saturating_sub(self.first_us);
        if span_us == 0 { 0.0 } else { (self.received - 1) as f64 * 1e6 / span_us as f64 }
    }
}

/// Counts, order and latencies since the last reset.
pub struct Book {
    stats: Stats,
    order: OrderChecker,
    from_sent: Histogram<u64>,
    from_accepted: Histogram<u64>,
}

impl Book {
    /// An empty book.
    pub fn new() -> Result<Self> {
        Ok(Self {
            stats: Stats::default(),
            order: OrderChecker::default(),
            from_sent: latencies()?,
            from_accepted: latencies()?,
        })
    }

    /// Forgets counts and latencies. What was seen of order stays: it holds across resets.
    pub fn reset(&mut self) {
        self.stats = Stats::default();
        self.from_sent.reset();
        self.from_accepted.reset();
    }

    /// Writes down a delivery that arrived at `now_us`.
    pub fn received(&mut self, path: &[u8], body: &[u8], now_us: u64) {
        self.stats.received += 1;
        self.stats.last_us = now_us;
        if self.stats.first_us == 0 {
            self.stats.first_us = now_us;
        }
        if let Some(stamp) = Stamp::find(body) {
            self.order.see(path, stamp);
            record(&mut self.from_sent, now_us, stamp.sent_us);
        }
        if let Some(accepted_us) = accepted_us(body) {
            record(&mut self.from_accepted, now_us, accepted_us);
        }
    }

    /// Writes down a request that was not answered 200.
    pub fn refused(&mut self) {
        self.stats.refused += 1;
    }

    /// Everything so far.
    pub fn stats(&self) -> Stats {
        let order = self.order.counts();
        Stats {
            backwards: order.backwards,
            repeats: order.repeats,
            unchecked: order.unchecked,
            from_sent: summary(&self.from_sent),
            from_accepted: summary(&self.from_accepted),
            ..self.stats
        }
    }
}

fn record(histogram: &mut Histogram<u64>, now_us: u64, then_us: u64) {
    histogram.saturating_record(now_us.saturating_sub(then_us).max(1));
}

fn accepted_us(body: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(body, ACCEPTED_AT)? + ACCEPTED_AT.len();
    let rest = &body[at..body.len().min(at + MAX_TIME_BYTES)];
    let text = std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()?;
    u64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_microsecond()).ok()
}

fn summary(histogram: &Histogram<u64>) -> Latency {
    let ms = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
    Latency { count: histogram.len(), p50_ms: ms(0.5), p99_ms: ms(0.99), max_ms: histogram.max() as f64 / 1_000.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::delivered_body;

    const ACCEPTED_US: u64 = 1_795_255_200_000_000; // 2026-11-21T10:00:00Z, as in `delivered_body`

    #[test]
    fn latency_counts_from_the_stamp_and_from_the_hub() {
        let mut book = Book::new().expect("a book");
        let body = delivered_body(Stamp { key: 1, number: 0, sent_us: ACCEPTED_US - 2_000 });
        book.received(b"/ok", &body, ACCEPTED_US + 3_000);
        let stats = book.stats();
        assert_eq!((stats.from_sent.max_ms.round(), stats.from_accepted.max_ms.round()), (5.0, 3.0));
    }

    #[test]
    fn a_rate_counts_between_first_and_last() {
        let mut book = Book::new().expect("a book");
        for turn in 0..=10 {
            book.received(b"/ok", b"{}", 1_000_000 + turn * 100_000);
        }
        assert_eq!(book.stats().rate(), 10.0);
    }

    #[test]
    fn order_holds_across_a_reset() {
        let mut book = Book::new().expect("a book");
        let body = |number| delivered_body(Stamp { key: 1, number, sent_us: 0 });
        book.received(b"/ok", &body(5), 1);
        book.reset();
        book.received(b"/ok", &body(4), 2);
        assert_eq!((book.stats().received, book.stats().backwards), (1, 1));
    }
}
