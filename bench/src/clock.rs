//! The only place where this crate reads a clock. A bench measures, so it may.
#![allow(clippy::disallowed_methods, reason = "measuring is reading the clock; nothing is decided by it")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A monotonic reading.
pub fn now() -> Instant {
    Instant::now()
}

/// Microseconds since 1970, the clock that sender, hub and sink on one machine share.
pub fn wall_us() -> u64 {
    since_1970_us(SystemTime::now())
}

/// Microseconds from 1970 to `at`; 0 for an earlier time.
pub fn since_1970_us(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Whole microseconds of `span`, at least one, so that a histogram can hold it.
pub fn span_us(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1)
}
