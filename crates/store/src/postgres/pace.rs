//! How much one transaction of a purge removes, measured: some milliseconds of work, whatever the server and the rows.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// What a transaction's statements should take at most …
const SLICE: Duration = Duration::from_millis(5);
/// … and how many rows it removes at least and at first, and at most. Rows that are removed are in nobody's way here, and
/// a database at some distance needs longer than that for a single one.
const LEAST_ROWS: i64 = 256;
const MOST_ROWS: i64 = 4_096;

/// Rows for the next transaction.
pub(super) struct Pace(AtomicI64);

impl Pace {
    /// Nothing is measured yet.
    pub(super) fn new() -> Self {
        Self(AtomicI64::new(LEAST_ROWS))
    }

    /// How many rows to remove at once.
    pub(super) fn rows(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Removing that many took so long: half as many the next time, or twice as many when there was much time left.
    pub(super) fn took(&self, time: Duration) {
        let rows = self.rows();
        let next = match time {
            _ if time > SLICE => rows / 2,
            _ if time < SLICE / 3 => rows * 2,
            _ => rows,
        };
        self.0.store(next.clamp(LEAST_ROWS, MOST_ROWS), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_grows_while_there_is_time_and_shrinks_when_it_took_too_long() {
        let pace = Pace::new();
        (0..20).for_each(|_| pace.took(Duration::from_millis(1)));
        assert_eq!(pace.rows(), MOST_ROWS);
        pace.took(SLICE);
        assert_eq!(pace.rows(), MOST_ROWS);
        pace.took(SLICE + Duration::from_millis(1));
        assert_eq!(pace.rows(), MOST_ROWS / 2);
        (0..20).for_each(|_| pace.took(Duration::from_secs(1)));
        assert_eq!(pace.rows(), LEAST_ROWS);
    }
}
