//! Sets of positions as ranges.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Seq;

/// A set of positions, kept as disjoint, not touching, inclusive ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(Seq, Seq)>", into = "Vec<(Seq, Seq)>")]
pub struct Ranges(BTreeMap<Seq, Seq>);

impl Ranges {
    /// Adds one position.
    pub fn insert(&mut self, seq: Seq) {
        self.insert_range(seq, seq);
    }

    /// Adds all positions from `first` to `last`, both included.
    pub fn insert_range(&mut self, first: Seq, last: Seq) {
        let (mut first, mut last) = (first, last);
        while let Some((&a, &b)) = self.0.range(..=last.saturating_add(1)).next_back() {
            if b.saturating_add(1) < first {
                break;
            }
            first = first.min(a);
            last = last.max(b);
            self.0.remove(&a);
        }
        self.0.insert(first, last);
    }

    /// Whether the position is in the set.
    pub fn contains(&self, seq: Seq) -> bool {
        self.0.range(..=seq).next_back().is_some_and(|(_, &last)| seq <= last)
    }

    /// Takes out the range that starts right after `seq`, if there is one, and gives its last position.
    pub fn take_after(&mut self, seq: Seq) -> Option<Seq> {
        self.0.remove(&seq.saturating_add(1))
    }

    /// The range that holds `seq`: its last position.
    pub fn end_of(&self, seq: Seq) -> Option<Seq> {
        self.0.range(..=seq).next_back().map(|(_, &last)| last).filter(|&last| seq <= last)
    }

    /// Takes out every position up to `seq`.
    pub fn remove_through(&mut self, seq: Seq) {
        let above = self.0.split_off(&seq.saturating_add(1));
        let cut = self.0.values().next_back().copied().filter(|&last| last > seq);
        self.0 = above;
        self.0.extend(cut.map(|last| (seq + 1, last)));
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (Seq, Seq)> + '_ {
        self.0.iter().map(|(&a, &b)| (a, b))
    }
}

impl From<Vec<(Seq, Seq)>> for Ranges {
    fn from(list: Vec<(Seq, Seq)>) -> Self {
        let mut ranges = Ranges::default();
        for (first, last) in list {
            if first <= last {
                ranges.insert_range(first, last);
            }
        }
        ranges
    }
}

impl From<Ranges> for Vec<(Seq, Seq)> {
    fn from(r: Ranges) -> Self {
        r.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_hold_exactly_what_a_plain_set_holds(list in prop::collection::vec((0u64..60, 0u64..6), 0..40)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (first, more) in list {
                ranges.insert_range(first, first + more);
                set.extend(first..=first + more);
            }
            for seq in 0..70 {
                prop_assert_eq!(ranges.contains(seq), set.contains(&seq));
            }
            let pairs: Vec<_> = ranges.iter().collect();
            prop_assert!(pairs.windows(2).all(|w| w[0].1 + 1 < w[1].0), "touching ranges: {:?}", pairs);
            prop_assert_eq!(Ranges::from(pairs), ranges);
        }
    }

    #[test]
    fn everything_up_to_a_position_can_be_taken_out() {
        let left = |seq| {
            let mut r = Ranges::from(vec![(5, 9), (20, 20)]);
            r.remove_through(seq);
            r.iter().collect::<Vec<_>>()
        };
        assert_eq!(left(4), [(5, 9), (20, 20)]);
        assert_eq!(left(7), [(8, 9), (20, 20)]);
        assert_eq!(left(9), [(20, 20)]);
        assert_eq!(left(20), []);
    }

    #[test]
    fn the_range_after_a_position_can_be_taken() {
        let mut r = Ranges::from(vec![(5, 9), (20, 20)]);
        assert_eq!(r.take_after(3), None);
        assert_eq!(r.take_after(4), Some(9));
        assert_eq!(r.end_of(20), Some(20));
        assert_eq!(r.len(), 1);
    }
}
