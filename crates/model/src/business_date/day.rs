//! A day of a site: what was received of it, and what was told.

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::tally::{Orders, Tally};
use crate::{Seq, Time};

/// How long a day's row is kept; events of older days are not counted.
pub const DAYS_KEPT: i64 = 400;

/// The row of a site's day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    #[serde(rename = "n", default)]
    now: Tally,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    told: Option<Told>,
}

/// What was told of a closed day last. The event is made of this alone ([`super::told()`]), so that it is the same
/// whenever it is appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// 0: the day was closed; from 1: it was amended, and how often.
    #[serde(rename = "n")]
    pub number: u32,
    /// Events up to this position are counted.
    #[serde(rename = "s")]
    pub as_of_seq: Seq,
    /// When it was found to be so.
    #[serde(rename = "a")]
    pub at: Time,
    /// The numbers.
    #[serde(rename = "m")]
    pub manifest: Tally,
    /// What is different from what was told before.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Tally>,
    /// It is not known to be in the log.
    #[serde(rename = "o", default, skip_serializing_if = "std::ops::Not::not")]
    pub owed: bool,
}

impl Day {
    /// Counts an event of this day. Orders are counted by [`super::Order::count`] too.
    pub fn count(&mut self, entity: &str) {
        self.now.count(entity);
    }

    /// What was received until now.
    pub fn received(&self) -> &Tally {
        &self.now
    }

    /// What was told last; None while the day is open.
    pub fn told(&self) -> Option<&Told> {
        self.told.as_ref()
    }

    /// For a day that the site has passed: closes it or, when it is closed and something came since, amends it. True
    /// when there is something to tell: commit the row, append the event of [`Day::told`], then call
    /// [`Day::appended`]. Nothing new is told while something is owed; at a start, append what is.
    pub fn tell(&mut self, as_of_seq: Seq, at: Time) -> bool {
        let (number, difference) = match &self.told {
            None => (0, None),
            Some(told) if told.owed || told.manifest == self.now => return false,
            Some(told) => (told.number.saturating_add(1), Some(self.now.since(&told.manifest))),
        };
        self.told = Some(Told { number, as_of_seq, at, manifest: self.now.clone(), difference, owed: true });
        true
    }

    /// The event of this number is in the log.
    pub fn appended(&mut self, number: u32) {
        if let Some(told) = self.told.as_mut().filter(|told| told.number == number) {
            told.owed = false;
        }
    }

    pub(super) fn orders_mut(&mut self) -> &mut Orders {
        &mut self.now.orders
    }
}

/// Whether the row of a day is kept when it is `today` at the site.
pub fn is_kept(date: Date, today: Date) -> bool {
    date >= today.saturating_sub(DAYS_KEPT.days())
}
