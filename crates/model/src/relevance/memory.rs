//! What an integration remembers of one record.

use serde::{Deserialize, Serialize};

use super::mark::Mark;
use crate::Seq;

/// Most versions that are kept to fall back on, the newest ones.
pub const MAX_BEHIND: usize = 8;

/// The newest version that was accepted for sending, the newest that arrived, and what to send should the accepted one
/// be rejected. Nearly always the accepted one has arrived and is all there is: about 80 bytes of JSON, at most
/// [`MAX_BEHIND`] + 2 times that much. A row of its integration by [`super::Identity`]; it may go when the log keeps
/// nothing from [`Memory::last_seq`] on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    delivered: Option<Mark>,
    /// Accepted, newer than `delivered`, and not settled.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pending: Option<Mark>,
    /// Older than `pending` and newer than `delivered`, the newest first: suppressed, or waiting to be when their turn
    /// comes. Empty without `pending`.
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    behind: Vec<Mark>,
    /// More would stand in `behind` than fits; until the next arrival.
    #[serde(rename = "f", default, skip_serializing_if = "std::ops::Not::not")]
    forgotten: bool,
}

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is the newest.
    Send {
        /// An older version is not settled: commit the memory before the attempt.
        overtakes: bool,
    },
    /// It is settled without being sent.
    Suppressed {
        /// Why.
        why: Why,
        /// The version that won.
        winner: Mark,
    },
}

/// Why an event is suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A newer version was accepted.
    Older,
    /// The same version with the same data was accepted.
    Duplicate,
}

/// What follows from a rejection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Nothing,
    /// This one is accepted now. Let it wait for an attempt, if it does not yet, in the commit of the rejection; it
    /// keeps the attempts it had. When it can't be sent any more (erased, expired), it is rejected in its turn.
    Send(Mark),
    /// None is known here, but there were more than [`MAX_BEHIND`]. Offer the record's suppressed events that the ledger
    /// lists, the newest version first: all of them, or [`MAX_BEHIND`] + 2.
    LookUp,
}

impl Memory {
    /// The newest version that was accepted for sending.
    pub fn accepted(&self) -> Option<&Mark> {
        self.pending.as_ref().or(self.delivered.as_ref())
    }

    /// The newest version that arrived, at the last position that says so.
    pub fn delivered(&self) -> Option<&Mark> {
        self.delivered.as_ref()
    }

    /// The last position that is remembered.
    pub fn last_seq(&self) -> Option<Seq> {
        self.delivered.iter().chain(&self.pending).chain(&self.behind).map(|m| m.seq).max()
    }

    /// What [`Memory::offer`] would say; changes nothing. For explaining, and for a replay of the newest only.
    pub fn decide(&self, mark: &Mark) -> Decision {
        let unsettled = self.pending.is_some() || self.forgotten;
        let Some(winner) = self.accepted() else { return Decision::Send { overtakes: unsettled } };
        let why = if winner.seq == mark.seq {
            // The same event once more: after a failed attempt, or read again after a crash.
            return Decision::Send { overtakes: false };
        } else if mark.repeats(winner) && !self.is_unsure() {
            Why::Duplicate
        } else if mark.is_older_than(winner) {
            Why::Older
        } else {
            return Decision::Send { overtakes: unsettled };
        };
        Decision::Suppressed { why, winner: winner.clone() }
    }

    /// An event is taken, or about to be attempted: whether it is sent. What is sent is remembered as accepted.
    pub fn offer(&mut self, mark: Mark) -> Decision {
        let decision = self.decide(&mark);
        match decision {
            Decision::Send { .. } if self.accepted().is_some_and(|a| a.seq == mark.seq) => {}
            Decision::Send { .. } => self.accept(mark),
            Decision::Suppressed { .. } if self.pending.is_some() => self.keep_behind(mark),
            // What says the same later stands for it, so that other data of this version in between is older.
            Decision::Suppressed { why: Why::Duplicate, .. } => self.arrived(mark),
            Decision::Suppressed { .. } => {}
        }
        decision
    }

    /// An event arrived.
    pub fn arrived(&mut self, mark: Mark) {
        if self.delivered.as_ref().is_none_or(|d| d.is_older_than(&mark)) {
            self.set_delivered(mark);
        }
    }

    /// An event is settled without having arrived: rejected, skipped, erased or expired.
    pub fn rejected(&mut self, seq: Seq) -> Next {
        if self.pending.take_if(|p| p.seq == seq).is_some() {
            return self.fall_back();
        }
        self.behind.retain(|m| m.seq != seq);
        Next::Nothing
    }

    fn accept(&mut self, mark: Mark) {
        self.behind.retain(|m| m.seq != mark.seq);
        if let Some(overtaken) = self.pending.replace(mark) {
            self.keep_behind(overtaken);
        }
    }

    fn keep_behind(&mut self, mark: Mark) {
        self.behind.retain(|m| m.seq != mark.seq);
        if self.delivered.as_ref().is_some_and(|d| !d.is_older_than(&mark)) {
            return;
        }
        // Kinds that are mixed have no order that a sort could rely on.
        let at = self.behind.iter().position(|m| m.is_older_than(&mark)).unwrap_or(self.behind.len());
        self.behind.insert(at, mark);
        self.forgotten |= self.behind.len() > MAX_BEHIND;
        self.behind.truncate(MAX_BEHIND);
    }

    fn set_delivered(&mut self, mark: Mark) {
        self.pending.take_if(|p| !mark.is_older_than(p));
        match self.pending {
            Some(_) => self.behind.retain(|m| mark.is_older_than(m)),
            None => self.forget_behind(),
        }
        self.delivered = Some(mark);
    }

    fn fall_back(&mut self) -> Next {
        if self.behind.is_empty() {
            return if self.forgotten { Next::LookUp } else { Next::Nothing };
        }
        let known = |d: &Mark| !self.forgotten && self.behind.iter().all(|m| m.repeats(d));
        let has_it = self.delivered.as_ref().is_some_and(known);
        let next = self.behind.remove(0);
        if has_it {
            self.set_delivered(next);
            return Next::Nothing;
        }
        // Also when it repeats what arrived: an attempt of one in between may have arrived unanswered.
        self.pending = Some(next.clone());
        Next::Send(next)
    }

    /// Something newer than what arrived was given up without being known here: an attempt of it may have arrived
    /// unanswered, so what repeats the last arrival is worth sending.
    fn is_unsure(&self) -> bool {
        self.pending.is_none() && self.forgotten
    }

    fn forget_behind(&mut self) {
        self.behind.clear();
        self.forgotten = false;
    }
}
