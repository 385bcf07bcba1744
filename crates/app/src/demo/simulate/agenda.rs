//! What is due when: a queue in the order of simulated time.

use jiff::{SignedDuration, Timestamp};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Work ordered by its time; what is due at the same moment comes in the order in which it was planned.
pub struct Agenda<T> {
    entries: BinaryHeap<Entry<T>>,
    planned: u64,
}

impl<T> Agenda<T> {
    /// An empty agenda.
    pub fn new() -> Agenda<T> {
        Agenda { entries: BinaryHeap::new(), planned: 0 }
    }

    /// Plans `work` for `at`.
    pub fn plan(&mut self, at: Timestamp, work: T) {
        self.entries.push(Entry { at, turn: self.planned, work });
        self.planned += 1;
    }

    /// Takes what is due first.
    pub fn pop(&mut self) -> Option<(Timestamp, T)> {
        self.entries.pop().map(|entry| (entry.at, entry.work))
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

/// `at` plus some milliseconds; stands still at the end of representable time.
pub fn later(at: Timestamp, milliseconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_millis(milliseconds)).unwrap_or(Timestamp::MAX)
}

struct Entry<T> {
    at: Timestamp,
    turn: u64,
    work: T,
}

// Reversed, because the heap gives out its greatest entry and the earliest is wanted.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.turn).cmp(&(self.at, self.turn))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_first_comes_first_and_ties_keep_their_order() {
        let start = Timestamp::UNIX_EPOCH;
        let mut agenda = Agenda::new();
        agenda.plan(later(start, 20), "late");
        agenda.plan(later(start, 10), "first");
        agenda.plan(later(start, 10), "second");
        let order: Vec<_> = std::iter::from_fn(|| agenda.pop()).map(|(_, work)| work).collect();
        assert_eq!(order, ["first", "second", "late"]);
    }

    #[test]
    fn time_stands_still_at_its_end() {
        assert_eq!(later(Timestamp::MAX, 1), Timestamp::MAX);
    }
}
