//! Places in lists, as pages name them, and how much of a list one page looks at.

use std::collections::BTreeMap;

use tillstream_model::{Seq, Time};

use super::Cause;
use crate::state::{AttemptFilter, RejectedRow, Tried};

/// Rows that one page of attempts looks at; then it ends although it may not be full.
pub(crate) const LOOKED_ROWS: usize = 200_000;
/// What looking for an integration among the attempts of a day counts as, in rows.
pub(crate) const SEEK_ROWS: usize = 5;

/// A place in the list of attempts: time, seq, number and integration. Newer ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) at: i64,
    pub(crate) seq: i64,
    pub(crate) number: i64,
    pub(crate) integration: i64,
}

impl Place {
    /// Before everything at or after `at`.
    pub(crate) const fn start_of(at: i64) -> Self {
        Self { at, seq: 0, number: 0, integration: 0 }
    }

    /// Where a page begins: after another one's end, or with the newest that the filter wants.
    pub(crate) fn of_page(filter: &AttemptFilter, after: Option<&str>) -> Result<Self, Cause> {
        let end = Self::start_of(filter.to.map_or(i64::MAX, Time::millis));
        match after {
            Some(after) => Ok(Self::parse(after).ok_or(NO_PLACE)?.min(end)),
            None => Ok(end),
        }
    }

    /// Reads [`Place::text`].
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|p| p.parse().ok());
        let mut next = || parts.next().flatten();
        let place = Self { at: next()?, seq: next()?, number: next()?, integration: next()? };
        parts.next().is_none().then_some(place)
    }

    /// As pages name it.
    pub(crate) fn text(self) -> String {
        format!("{}.{}.{}.{}", self.at, self.seq, self.number, self.integration)
    }
}

const NO_PLACE: &str = "not a place in this list";

/// A place in a list by a number that grows. Newer ones are greater.
pub(crate) fn number(after: Option<&str>) -> Result<i64, Cause> {
    after.map_or(Ok(i64::MAX), str::parse).map_err(|_| NO_PLACE.into())
}

/// A place in the list of rejected events: time and id. Newer ones are greater.
pub(crate) fn rejected(after: Option<&str>) -> Result<(i64, i64), Cause> {
    let Some(after) = after else { return Ok((i64::MAX, i64::MAX)) };
    let parsed = after.split_once('.').and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
    parsed.ok_or_else(|| NO_PLACE.into())
}

/// The place after a rejected event, which [`rejected`] reads.
pub(crate) fn after_rejected(row: &RejectedRow) -> String {
    format!("{}.{}", row.rejected.at.millis(), row.id)
}

/// Adds what was tried on one more day.
pub(crate) fn add_tried(all: &mut BTreeMap<Seq, Tried>, day: Tried) {
    all.entry(day.seq)
        .and_modify(|t| {
            t.attempts += day.attempts;
            t.last_at = t.last_at.max(day.last_at);
            t.delivered_at = t.delivered_at.into_iter().chain(day.delivered_at).min();
        })
        .or_insert(day);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_place_reads_back_as_written(at: i64, seq: i64, number: i64, integration: i64) {
            let place = Place { at, seq, number, integration };
            prop_assert_eq!(Place::parse(&place.text()), Some(place));
        }

        #[test]
        fn any_text_is_a_place_or_refused(text: String) {
            let _ = Place::parse(&text);
        }
    }
}
