//! Statistics: what happened to a company's events, by minute and by hour.

use std::ops::AddAssign;
use std::time::Duration;

use tillstream_model::{CompanyNo, IntegrationNo, Seq, Time};

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// A minute; kept a day.
    Minute,
    /// An hour; kept 35 days.
    Hour,
}

impl Resolution {
    /// Both.
    pub const ALL: [Resolution; 2] = [Resolution::Minute, Resolution::Hour];

    /// How long a bucket is, in seconds; also how it is stored.
    pub const fn seconds(self) -> u32 {
        match self {
            Resolution::Minute => 60,
            Resolution::Hour => 3_600,
        }
    }

    /// How long a bucket is kept.
    pub const fn kept(self) -> Duration {
        const HOUR: u64 = 3_600;
        match self {
            Resolution::Minute => Duration::from_secs(24 * HOUR),
            Resolution::Hour => Duration::from_secs(35 * 24 * HOUR),
        }
    }

    /// When the bucket begins that a moment falls into.
    pub const fn start(self, at: Time) -> Time {
        let length = self.seconds() as i64 * 1_000;
        Time::from_millis(at.millis() - at.millis().rem_euclid(length))
    }

    /// The last moment whose buckets are not kept any more.
    pub(crate) fn swept_to(self, now: Time) -> Time {
        let kept = i64::try_from(self.kept().as_millis()).unwrap_or(i64::MAX);
        Time::from_millis(now.millis().saturating_sub(kept))
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events accepted.
    pub accepted: u64,
    /// Deliveries that succeeded.
    pub delivered: u64,
    /// Deliveries rejected, expired ones not counted.
    pub rejected: u64,
    /// Deliveries that became too old.
    pub expired: u64,
    /// Attempts that failed.
    pub failures: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.delivered += more.delivered;
        self.rejected += more.rejected;
        self.expired += more.expired;
        self.failures += more.failures;
    }
}

/// What was counted of a company in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Whose.
    pub company: CompanyNo,
    /// How long it is.
    pub resolution: Resolution,
    /// When it begins.
    pub at: Time,
    /// What was counted in it.
    pub counts: Counts,
}

/// Where an integration stands by what is saved, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneSummary {
    /// The integration.
    pub no: IntegrationNo,
    /// Whether it is to deliver.
    pub running: bool,
    /// The saved cursor.
    pub cursor: Seq,
    /// How many events are parked.
    pub parked: u64,
    /// When the first of them was accepted.
    pub oldest_parked: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_falls_into_the_bucket_that_has_begun() {
        let at: Time = "2026-11-21T10:59:59.999Z".parse().unwrap();
        assert_eq!(Resolution::Minute.start(at).to_string(), "2026-11-21T10:59:00.000Z");
        assert_eq!(Resolution::Hour.start(at).to_string(), "2026-11-21T10:00:00.000Z");
        let full = "2026-11-21T10:00:00Z".parse().unwrap();
        assert_eq!((Resolution::Minute.start(full), Resolution::Hour.start(full)), (full, full));
    }
}
