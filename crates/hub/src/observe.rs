//! Metrics: every name, its help text and its handle. Labels never name a company (`contracts/hub-api.md`).

use std::fmt;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::statistics::Statistics;

/// Bounds of the histograms of durations, in seconds.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// The hub's metrics: handles to count with and the text for a scraper. Each hub has its own, so that two in one
/// process don't mix. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    /// What is counted.
    pub meters: Meters,
}

impl Metrics {
    /// Makes a recorder and registers every metric with its help text.
    pub fn new() -> Self {
        let builder = PrometheusBuilder::new();
        // Only an empty list of bounds is refused.
        let builder = builder.set_buckets(&SECONDS).unwrap_or_default();
        let recorder = builder.build_recorder();
        let meters = metrics::with_local_recorder(&recorder, || {
            describe();
            Meters::register()
        });
        Self { handle: recorder.handle(), meters }
    }

    /// The text in Prometheus' format.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds recorded durations into their buckets; to be called every few seconds, or they pile up until a scrape.
    pub fn upkeep(&self) {
        if let Some(usage) = crate::machine::of_this_process() {
            self.meters.resident_bytes.set(usage.resident_bytes as f64);
            self.meters.cpu_seconds.set(usage.cpu_seconds);
        }
        self.handle.run_upkeep();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Handles of everything that is counted; using one costs an atomic operation.
#[derive(Clone)]
#[allow(missing_docs)] // the help texts in `describe` say it
pub struct Meters {
    pub events_accepted: Counter,
    pub events_refused: Counter,
    pub events_duplicate: Counter,
    pub append_seconds: Histogram,
    pub delivered: Counter,
    pub rejected: Counter,
    pub expired: Counter,
    pub failed_attempts: Counter,
    pub attempt_seconds: Histogram,
    pub in_flight: Gauge,
    pub lanes_awake: Gauge,
    pub buckets_held: Gauge,
    pub parked: Gauge,
    pub circuits_open: Gauge,
    pub commits: Counter,
    pub log_queue_bytes: Gauge,
    pub streams_open: Gauge,
    /// What is counted by company, for people; not part of the metrics.
    pub statistics: Statistics,
    pub lag_seconds: Gauge,
    pub notifications_sent: Counter,
    pub notifications_failed: Counter,
    pub resident_bytes: Gauge,
    pub cpu_seconds: Gauge,
}

const EVENTS: &str = "tillstream_events_total";
const APPEND: &str = "tillstream_append_seconds";
const DELIVERIES: &str = "tillstream_deliveries_total";
const FAILED_ATTEMPTS: &str = "tillstream_failed_attempts_total";
const ATTEMPT: &str = "tillstream_attempt_seconds";
const IN_FLIGHT: &str = "tillstream_attempts_in_flight";
const LANES_AWAKE: &str = "tillstream_lanes_awake";
const BUCKETS_HELD: &str = "tillstream_buckets_held";
const PARKED: &str = "tillstream_events_parked";
const CIRCUITS_OPEN: &str = "tillstream_circuits_open";
const COMMITS: &str = "tillstream_lane_commits_total";
const LOG_QUEUE: &str = "tillstream_log_queue_bytes";
const STREAMS_OPEN: &str = "tillstream_streams_open";
const LAG: &str = "tillstream_lag_seconds_max";
const NOTIFICATIONS: &str = "tillstream_notifications_total";
const RESIDENT: &str = "process_resident_memory_bytes";
const CPU: &str = "process_cpu_seconds_total";

impl Meters {
    fn register() -> Self {
        Self {
            events_accepted: counter!(EVENTS, "result" => "accepted"),
            events_refused: counter!(EVENTS, "result" => "refused"),
            events_duplicate: counter!(EVENTS, "result" => "duplicate"),
            append_seconds: histogram!(APPEND),
            delivered: counter!(DELIVERIES, "outcome" => "delivered"),
            rejected: counter!(DELIVERIES, "outcome" => "rejected"),
            expired: counter!(DELIVERIES, "outcome" => "expired"),
            failed_attempts: counter!(FAILED_ATTEMPTS),
            attempt_seconds: histogram!(ATTEMPT),
            in_flight: gauge!(IN_FLIGHT),
            lanes_awake: gauge!(LANES_AWAKE),
            buckets_held: gauge!(BUCKETS_HELD),
            parked: gauge!(PARKED),
            circuits_open: gauge!(CIRCUITS_OPEN),
            commits: counter!(COMMITS),
            log_queue_bytes: gauge!(LOG_QUEUE),
            streams_open: gauge!(STREAMS_OPEN),
            statistics: Statistics::default(),
            lag_seconds: gauge!(LAG),
            notifications_sent: counter!(NOTIFICATIONS, "result" => "sent"),
            notifications_failed: counter!(NOTIFICATIONS, "result" => "failed"),
            resident_bytes: gauge!(RESIDENT),
            cpu_seconds: gauge!(CPU),
        }
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meters")
    }
}

fn describe() {
    describe_counter!(EVENTS, "Events received, by result: accepted, refused, or duplicate (known already).");
    describe_histogram!(APPEND, Unit::Seconds, "From an unpacked request to its durable commit.");
    describe_counter!(
        DELIVERIES,
        "Events that integrations are done with, by outcome: delivered, rejected or expired."
    );
    describe_counter!(FAILED_ATTEMPTS, "Attempts to deliver that failed, probes included.");
    describe_histogram!(ATTEMPT, Unit::Seconds, "One whole exchange with a receiver.");
    describe_gauge!(IN_FLIGHT, "Attempts under way.");
    describe_gauge!(LANES_AWAKE, "Lanes with something to do.");
    describe_gauge!(BUCKETS_HELD, "Buckets of lanes, of 64, that this node runs.");
    describe_gauge!(PARKED, "Events that wait for their next attempt or behind one that does.");
    describe_gauge!(CIRCUITS_OPEN, "Lanes whose receiver is only probed.");
    describe_counter!(COMMITS, "Groups of outcomes committed by lanes.");
    describe_gauge!(STREAMS_OPEN, "Streams of events that somebody follows.");
    describe_gauge!(LOG_QUEUE, Unit::Bytes, "What waits to be written to the log.");
    describe_gauge!(LAG, Unit::Seconds, "How long the oldest event of the lane that is most behind has waited.");
    describe_counter!(NOTIFICATIONS, "Messages to contacts, by result: sent or failed.");
    describe_gauge!(RESIDENT, Unit::Bytes, "Memory that the process takes.");
    describe_gauge!(CPU, Unit::Seconds, "Time that the process has computed.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_shown_with_help_and_two_hubs_do_not_mix() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.meters.events_accepted.increment(3);
        one.meters.append_seconds.record(0.003);
        one.meters.attempt_seconds.record(0.2);
        let text = one.render();
        assert!(text.contains("tillstream_events_total{result=\"accepted\"} 3"), "{text}");
        assert!(other.render().contains("tillstream_events_total{result=\"accepted\"} 0"));
        for name in [
            EVENTS,
            APPEND,
            DELIVERIES,
            FAILED_ATTEMPTS,
            ATTEMPT,
            IN_FLIGHT,
            LANES_AWAKE,
            BUCKETS_HELD,
            PARKED,
            CIRCUITS_OPEN,
            COMMITS,
            LOG_QUEUE,
            STREAMS_OPEN,
            LAG,
            NOTIFICATIONS,
            RESIDENT,
            CPU,
        ] {
            assert!(text.contains(&format!("# HELP {name} ")), "{name} in {text}");
        }
        assert!(text.contains("tillstream_append_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(!text.contains("company"));
    }
}
