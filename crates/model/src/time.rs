//! Instants in milliseconds, UTC.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant: milliseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 UTC with milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

/// One day in milliseconds; business days and log segments are cut at UTC midnight.
pub const DAY_MS: i64 = 86_400_000;

impl Time {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Days since the Unix epoch, UTC.
    pub const fn day(self) -> i64 {
        self.0.div_euclid(DAY_MS)
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Time;

    /// Saturates at the end of time.
    fn add(self, d: Duration) -> Time {
        let ms = i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        Time(self.0.saturating_add(ms))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an RFC 3339 instant with an offset.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is not an RFC 3339 time such as 2026-11-21T10:00:00Z")]
pub struct NotATime(String);

impl FromStr for Time {
    type Err = NotATime;

    /// Any RFC 3339 instant; finer than milliseconds is cut off.
    fn from_str(s: &str) -> Result<Self, NotATime> {
        s.parse::<jiff::Timestamp>()
            .map(|t| Time(t.as_millisecond()))
            .map_err(|_| NotATime(s.chars().take(64).collect()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether the text is a calendar date `YYYY-MM-DD` (a business date).
pub fn is_date(s: &str) -> bool {
    s.len() == 10 && s.parse::<jiff::civil::Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_rfc_3339_with_milliseconds() {
        let t: Time = "2026-11-21T11:00:00.5+01:00".parse().unwrap();
        assert_eq!(t.to_string(), "2026-11-21T10:00:00.500Z");
        assert_eq!(serde_json::to_string(&t).unwrap(), "\"2026-11-21T10:00:00.500Z\"");
    }

    #[test]
    fn adding_past_the_end_of_time_saturates() {
        assert_eq!(Time::from_millis(i64::MAX) + Duration::MAX, Time::from_millis(i64::MAX));
        assert_eq!(Time::from_millis(1).since(Time::from_millis(5)), Duration::ZERO);
    }

    #[test]
    fn a_date_is_ten_characters_and_exists() {
        assert!(is_date("2024-02-29"));
        for wrong in ["2023-02-29", "2024-2-9", "20240229", "2024-02-29T00:00:00Z", ""] {
            assert!(!is_date(wrong), "{wrong}");
        }
    }
}
