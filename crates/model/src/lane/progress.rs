//! How far a lane has come.

use crate::{Ranges, Seq};

/// The cursor, what is settled ahead of it, and how far the lane has read. Each position up to `read_to` is either
/// settled or open; the cursor stands right before the lowest open one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    cursor: Seq,
    settled: Ranges,
    read_to: Seq,
}

impl Progress {
    /// As it was saved; reading goes on after the cursor.
    pub fn new(cursor: Seq, settled: Ranges) -> Self {
        let mut progress = Self { cursor, settled, read_to: cursor };
        progress.settled.remove_through(cursor);
        progress.advance();
        progress
    }

    /// Everything up to here is settled or parked.
    pub fn cursor(&self) -> Seq {
        self.cursor
    }

    /// The last position that was offered to the lane.
    pub fn read_to(&self) -> Seq {
        self.read_to
    }

    /// What is settled ahead of the cursor.
    pub fn settled(&self) -> &Ranges {
        &self.settled
    }

    /// Notes that the lane has seen the position; whether it is news (not settled before a restart).
    pub fn read(&mut self, seq: Seq) -> bool {
        self.read_to = self.read_to.max(seq);
        seq > self.cursor && !self.settled.contains(seq)
    }

    /// Settles a position; the cursor moves on when it was the lowest open one.
    pub fn settle(&mut self, seq: Seq) {
        if seq > self.cursor {
            self.settled.insert(seq);
            self.advance();
        }
    }

    /// Settles every position up to `seq` that was not read yet; open ones stay open.
    pub fn skip_to(&mut self, seq: Seq) {
        if seq > self.read_to {
            self.settled.insert_range(self.read_to + 1, seq);
            self.read_to = seq;
            self.advance();
        }
    }

    fn advance(&mut self) {
        while let Some(last) = self.settled.take_after(self.cursor) {
            self.cursor = last;
        }
        self.read_to = self.read_to.max(self.cursor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stands_before_the_lowest_open_position() {
        let mut p = Progress::new(10, Ranges::default());
        for seq in 11..=14 {
            assert!(p.read(seq));
        }
        p.settle(12);
        p.settle(13);
        assert_eq!((p.cursor(), p.read_to()), (10, 14));
        p.settle(11);
        assert_eq!(p.cursor(), 13);
        assert!(p.settled().is_empty());
    }

    #[test]
    fn skipping_leaves_open_positions_open() {
        let mut p = Progress::new(10, Ranges::default());
        p.read(11);
        p.skip_to(20);
        assert_eq!((p.cursor(), p.read_to()), (10, 20));
        p.settle(11);
        assert_eq!(p.cursor(), 20);
    }

    #[test]
    fn what_was_settled_before_a_restart_is_no_news() {
        let mut p = Progress::new(10, Ranges::from(vec![(12, 13)]));
        assert_eq!([11, 12, 13, 14].map(|s| p.read(s)), [true, false, false, true]);
        p.settle(11);
        assert_eq!(p.cursor(), 13);
    }
}
