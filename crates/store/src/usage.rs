//! How much companies used, by UTC day.

use async_trait::async_trait;
use tillstream_model::CompanyNo;

use crate::{Result, Retention};

/// How long days are kept: as long as the events of the longest class are, which are counted by them.
pub const USAGE_DAYS: i64 = Retention::Year.days() + 2;

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events accepted, repeats not counted.
    pub events: u64,
    /// Their bytes ([`tillstream_model::Content::size`]).
    pub bytes: u64,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Deliveries given up.
    pub rejected: u64,
    /// Deliveries that became too old.
    pub expired: u64,
    /// Attempts.
    pub attempts: u64,
}

impl Counts {
    /// Adds others to them.
    pub fn add(&mut self, other: &Counts) {
        self.events += other.events;
        self.bytes += other.bytes;
        self.delivered += other.delivered;
        self.rejected += other.rejected;
        self.expired += other.expired;
        self.attempts += other.attempts;
    }
}

/// What a company used on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Who.
    pub company: CompanyNo,
    /// When, in days since the Unix epoch.
    pub day: i64,
    /// The class that the events fell into; None: what is of no class, such as deliveries.
    pub retention: Option<Retention>,
    /// How much.
    pub counts: Counts,
}

impl Used {
    /// Its bytes that are still in the log on this day.
    pub fn stored_bytes(&self, today: i64) -> u64 {
        let kept = self.retention.is_some_and(|class| today <= self.day + class.days());
        if kept { self.counts.bytes } else { 0 }
    }
}

/// How much companies used.
///
/// - **Added up.** What several processes add for the same day is kept together; nothing is ever set.
/// - **Bounded.** Days go after [`USAGE_DAYS`].
#[async_trait]
pub trait Usage: Send + Sync {
    /// Adds what was used.
    async fn add_usage(&self, used: Vec<Used>) -> Result<()>;

    /// What a company used from a day to another, both included, by day.
    async fn usage(&self, company: CompanyNo, from: i64, to: i64) -> Result<Vec<Used>>;
}
