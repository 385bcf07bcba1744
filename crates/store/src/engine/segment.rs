//! Segments: the events of one retention class and one UTC day of acceptance, dropped whole.

use tillstream_model::Time;
use tillstream_model::time::DAY_MS;

use crate::Retention;

/// Names a segment. Orders by day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SegmentId {
    /// Days since the Unix epoch.
    pub(crate) day: i64,
    /// How long it is kept.
    pub(crate) class: Retention,
}

impl SegmentId {
    /// `30d/2026-11-21`.
    pub(crate) fn name(self) -> String {
        format!("{}d/{}", self.class.days(), day_name(self.day))
    }

    /// Reads a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (class, day) = name.split_once("d/")?;
        Some(Self { day: parse_day(day)?, class: Retention::from_days(class.parse().ok()?)? })
    }

    /// Whether even its last event is older than its retention.
    pub(crate) fn is_due(self, now: Time) -> bool {
        now.millis() >= (self.day + 1 + self.class.days()) * DAY_MS
    }
}

/// `2026-11-21`, the name of a day's file.
pub(crate) fn day_name(day: i64) -> String {
    Time::from_millis(day * DAY_MS).to_string().chars().take("2026-11-21".len()).collect()
}

/// Reads [`day_name`].
pub(crate) fn parse_day(name: &str) -> Option<i64> {
    format!("{name}T00:00:00Z").parse().ok().map(Time::day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_reads_back_from_its_name_and_other_names_are_none() {
        let id = SegmentId { day: 20_413, class: Retention::Month };
        assert_eq!(id.name(), "30d/2025-11-21");
        assert_eq!(SegmentId::parse(&id.name()), Some(id));
        for wrong in ["", "30d", "31d/2025-11-21", "30d/2025-11-31", "30d/../../etc", "x/2025-11-21"] {
            assert_eq!(SegmentId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_segment_is_due_when_its_last_moment_is_older_than_its_retention() {
        let id = SegmentId { day: 100, class: Retention::Week };
        let end = Time::from_millis(108 * DAY_MS);
        assert!(id.is_due(end));
        assert!(!id.is_due(Time::from_millis(end.millis() - 1)));
    }
}
