//! What a receiver has seen.

use std::collections::VecDeque;

use http::HeaderMap;
use serde::Deserialize;
use tillstream_model::Time;

use super::order::{OrderCheck, position};
use crate::signature::Finding;

/// Deliveries whose latency counts: the newest.
const LATENCIES: usize = 2_000;

/// Counts of one receiver.
#[derive(Default)]
pub struct Record {
    counts: Counts,
    order: OrderCheck,
    latencies_ms: VecDeque<u32>,
}

/// What people look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries answered with success.
    pub delivered: u64,
    /// Deliveries answered with a failure or left hanging.
    pub failed: u64,
    /// Signatures that were right.
    pub verified: u64,
    /// Signatures that were not.
    pub unverified: u64,
    /// Events that came after a later one of their entity.
    pub out_of_order: u64,
}

/// What a delivery says about itself, in the `tillstream` format.
#[derive(Deserialize)]
struct Body {
    entity: String,
    entity_id: Option<String>,
    accepted_at: Time,
}

impl Record {
    /// Notes a delivery that came at `now`. An attempt that will be failed counts for order and signature too.
    pub fn came(&mut self, headers: &HeaderMap, body: &[u8], signature: Finding, now: Time) {
        match signature {
            Finding::Valid => self.counts.verified += 1,
            _ => self.counts.unverified += 1,
        }
        let seq = headers.get("tillstream-seq").and_then(|v| v.to_str().ok()).and_then(position);
        let Some((seq, body)) = seq.zip(serde_json::from_slice::<Body>(body).ok()) else { return };
        let in_order = body.entity_id.is_none_or(|id| self.order.saw(&body.entity, &id, seq));
        self.counts.out_of_order += u64::from(!in_order);
        if self.latencies_ms.len() == LATENCIES {
            self.latencies_ms.pop_front();
        }
        let latency = now.since(body.accepted_at).as_millis();
        self.latencies_ms.push_back(u32::try_from(latency).unwrap_or(u32::MAX));
    }

    /// Notes the answer to a delivery.
    pub fn answered(&mut self, success: bool) {
        if success {
            self.counts.delivered += 1;
        } else {
            self.counts.failed += 1;
        }
    }

    /// The counts.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The latency, in milliseconds, that this part (0 to 1) of the newest deliveries stayed within.
    pub fn latency_ms(&self, part: f64) -> Option<u32> {
        let mut sorted: Vec<u32> = self.latencies_ms.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() as f64 * part).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(record: &mut Record, entity_id: &str, seq: u64, latency_ms: i64, signature: Finding) {
        let mut headers = HeaderMap::new();
        headers.insert("tillstream-seq", format!("1-{seq}").parse().unwrap());
        let body = format!(
            r#"{{"entity":"order","entity_id":"{entity_id}","accepted_at":"1970-01-01T00:00:00Z","data":{{}}}}"#
        );
        record.came(&headers, body.as_bytes(), signature, Time::from_millis(latency_ms));
    }

    #[test]
    fn what_is_out_of_order_or_badly_signed_is_counted() {
        let mut record = Record::default();
        came(&mut record, "a", 2, 1, Finding::Valid);
        came(&mut record, "a", 1, 1, Finding::Valid);
        came(&mut record, "b", 1, 1, Finding::Wrong);
        record.answered(true);
        record.answered(false);
        let expected = Counts { delivered: 1, failed: 1, verified: 2, unverified: 1, out_of_order: 1 };
        assert_eq!(record.counts(), expected);
    }

    #[test]
    fn latencies_are_those_of_the_newest_deliveries() {
        let mut record = Record::default();
        assert_eq!(record.latency_ms(0.5), None);
        for n in 1..=100 {
            came(&mut record, "a", n, n as i64, Finding::Valid);
        }
        assert_eq!(
            (record.latency_ms(0.5), record.latency_ms(0.99), record.latency_ms(1.0)),
            (Some(50), Some(99), Some(100))
        );
        for n in 0..LATENCIES as u64 {
            came(&mut record, "a", 101 + n, 7, Finding::Valid);
        }
        assert_eq!((record.latency_ms(0.0), record.latency_ms(1.0)), (Some(7), Some(7)));
    }
}
