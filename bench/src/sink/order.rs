//! Checks that no entity goes backwards at a receiver except by repeating its newest event (`design.md`,
//! "A lane").

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::event::Stamp;

/// Entities that are remembered; those beyond are not checked and counted as such.
pub const MAX_ENTITIES: usize = 4_000_000;

/// What the checker has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderCounts {
    /// Deliveries whose number was below the entity's newest.
    pub backwards: u64,
    /// Deliveries that repeated the entity's newest.
    pub repeats: u64,
    /// Deliveries of entities beyond [`MAX_ENTITIES`].
    pub unchecked: u64,
}

/// Remembers the newest number of every entity of every receiver.
#[derive(Default)]
pub struct OrderChecker {
    newest: HashMap<(u64, u64), u64>,
    hasher: RandomState,
    counts: OrderCounts,
}

impl OrderChecker {
    /// Looks at one delivery to the receiver `path`.
    pub fn see(&mut self, path: &[u8], stamp: Stamp) {
        let key = (self.hasher.hash_one(path), stamp.key);
        let full = self.newest.len() >= MAX_ENTITIES;
        match self.newest.get_mut(&key) {
            Some(newest) if stamp.number < *newest => self.counts.backwards += 1,
            Some(newest) if stamp.number == *newest => self.counts.repeats += 1,
            Some(newest) => *newest = stamp.number,
            None if full => self.counts.unchecked += 1,
            None => _ = self.newest.insert(key, stamp.number),
        }
    }

    /// What was seen so far.
    pub fn counts(&self) -> OrderCounts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(seen: &[(&str, u64, u64)]) -> OrderCounts {
        let mut checker = OrderChecker::default();
        for &(path, key, number) in seen {
            checker.see(path.as_bytes(), Stamp { key, number, sent_us: 0 });
        }
        checker.counts()
    }

    #[test]
    fn a_swapped_pair_is_caught() {
        let swapped = counts(&[("/ok", 1, 0), ("/ok", 1, 2), ("/ok", 1, 1), ("/ok", 1, 3)]);
        assert_eq!(swapped, OrderCounts { backwards: 1, ..OrderCounts::default() });
    }

    #[test]
    fn repeating_the_newest_is_allowed_but_counted() {
        assert_eq!(counts(&[("/ok", 1, 0), ("/ok", 1, 0)]), OrderCounts { repeats: 1, ..OrderCounts::default() });
        assert_eq!(counts(&[("/ok", 1, 0), ("/ok", 1, 1), ("/ok", 1, 0)]).backwards, 1);
    }

    #[test]
    fn entities_and_receivers_do_not_mix() {
        let seen = counts(&[("/ok/a", 1, 5), ("/ok/a", 2, 1), ("/ok/b", 1, 1), ("/ok/a", 1, 6)]);
        assert_eq!(seen, OrderCounts::default());
    }
}
