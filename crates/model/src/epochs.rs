//! Positions as they are handed out, and which of them mean what after a restore.
//!
//! A log that is restored from a backup begins a new *epoch*: its seqs go on from where the backup ended, so that the
//! same seq may stand for other events than before. A position therefore names the epoch it is of.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{CompanyNo, Seq, Time};

/// The epoch of a log that was never restored.
pub const FIRST_EPOCH: u32 = 1;
/// Most restores that are remembered; positions of older epochs are not known any more.
pub const MAX_PAST: usize = 100;

/// A position as it is handed out: `<epoch>-<seq>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Which life of the log it is of.
    pub epoch: u32,
    /// The seq in it.
    pub seq: Seq,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

/// The text is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPosition;

impl fmt::Display for NoPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position is <epoch>-<seq>, such as 1-4711")
    }
}

impl std::error::Error for NoPosition {}

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (epoch, seq) = text.split_once('-').ok_or(NoPosition)?;
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(epoch) || !digits(seq) {
            return Err(NoPosition);
        }
        Ok(Self { epoch: epoch.parse().map_err(|_| NoPosition)?, seq: seq.parse().map_err(|_| NoPosition)? })
    }
}

/// An epoch that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastEpoch {
    /// Its number.
    pub epoch: u32,
    /// Where each company's log stood in the backup that the next epoch began with; 0 for others.
    pub ends: BTreeMap<CompanyNo, Seq>,
}

/// The epochs of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epochs {
    /// The one that goes on.
    current: u32,
    /// Those before it, oldest first.
    past: Vec<PastEpoch>,
}

impl Default for Epochs {
    fn default() -> Self {
        Self { current: FIRST_EPOCH, past: Vec::new() }
    }
}

impl Epochs {
    /// The one that goes on: part of every position, and of every name that must not be used again after a restore.
    pub fn current(&self) -> u32 {
        self.current
    }

    /// A seq of now as it is handed out.
    pub fn position(&self, seq: Seq) -> Position {
        Position { epoch: self.current, seq }
    }

    /// Where to go on after a position that was handed out. One of an older epoch goes on where the backup ended, should
    /// it be newer than that. None: it is of a life of the log that is not this one's past, so that nobody knows which
    /// of its events are here.
    pub fn resolve(&self, company: CompanyNo, position: Position) -> Option<Seq> {
        if position.epoch == self.current {
            return Some(position.seq);
        }
        let from = self.past.iter().position(|past| past.epoch == position.epoch)?;
        let ends = self.past[from..].iter().map(|past| past.ends.get(&company).copied().unwrap_or_default());
        Some(ends.fold(position.seq, Seq::min))
    }

    /// Begins a new epoch where the companies' logs end now. Its number is the time in seconds, so that of two restores
    /// of the same backup neither goes on with the other's numbers; it is always higher than the one before.
    #[must_use]
    pub fn restored(mut self, at: Time, ends: BTreeMap<CompanyNo, Seq>) -> Self {
        let seconds = u32::try_from(at.millis() / 1_000).unwrap_or_default();
        self.past.push(PastEpoch { epoch: self.current, ends });
        let forgotten = self.past.len().saturating_sub(MAX_PAST);
        self.past.drain(..forgotten);
        self.current = seconds.max(self.current.saturating_add(1));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: CompanyNo = CompanyNo(1);
    const B: CompanyNo = CompanyNo(2);

    fn at(seconds: i64) -> Time {
        Time::from_millis(seconds * 1_000)
    }

    fn ends(a: Seq) -> BTreeMap<CompanyNo, Seq> {
        BTreeMap::from([(A, a)])
    }

    #[test]
    fn a_position_reads_back_and_other_texts_are_none() {
        let position = Position { epoch: 1_795_255_200, seq: 4_711 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for wrong in
            ["", "1", "-", "1-", "-1", "1-2-3", "+1-2", "1-+2", "4294967296-1", "1-18446744073709551616", " 1-2"]
        {
            assert_eq!(wrong.parse::<Position>(), Err(NoPosition), "{wrong}");
        }
    }

    #[test]
    fn a_position_of_an_older_epoch_goes_on_at_the_restore_point() {
        let epochs = Epochs::default().restored(at(1_000), ends(480)).restored(at(2_000), ends(600));
        let resolve = |company, epoch, seq| epochs.resolve(company, Position { epoch, seq });
        assert_eq!(resolve(A, 1, 500), Some(480));
        assert_eq!(resolve(A, 1, 470), Some(470));
        assert_eq!(resolve(A, 1_000, 700), Some(600));
        assert_eq!(resolve(A, 2_000, 700), Some(700));
        assert_eq!(resolve(B, 1, 3), Some(0), "the company had no events in the backup");
    }

    #[test]
    fn a_backup_that_was_older_than_an_earlier_restore_takes_positions_back_with_it() {
        let epochs = Epochs::default().restored(at(1_000), ends(480)).restored(at(2_000), ends(100));
        assert_eq!(epochs.resolve(A, Position { epoch: 1, seq: 470 }), Some(100));
    }

    #[test]
    fn a_position_of_another_life_is_not_known() {
        let backup = Epochs::default();
        let (one, other) = (backup.clone().restored(at(1_000), ends(5)), backup.restored(at(1_001), ends(5)));
        assert_eq!(other.resolve(A, one.position(7)), None);
        assert_ne!(one.current(), other.current());
    }

    #[test]
    fn an_epoch_is_higher_than_the_one_before_also_when_the_clock_went_back() {
        let epochs = Epochs::default().restored(at(1_000), ends(1)).restored(at(500), ends(1));
        assert_eq!(epochs.current(), 1_001);
    }

    #[test]
    fn the_oldest_epochs_are_forgotten() {
        let restore = |epochs: Epochs, n: usize| epochs.restored(at(1_000 + n as i64), ends(9));
        let epochs = (0..=MAX_PAST).fold(Epochs::default(), restore);
        assert_eq!(epochs.resolve(A, Position { epoch: 1, seq: 3 }), None);
        assert_eq!(epochs.resolve(A, Position { epoch: 1_000, seq: 3 }), Some(3));
    }
}
