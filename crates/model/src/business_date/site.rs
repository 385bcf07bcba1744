//! The dates of a site and its terminals, and when they move on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::dated::is_too_far;
use crate::Time;
use crate::time::DAY_MS;

/// A terminal that was silent for so long no longer keeps a day open.
pub const INACTIVE_AFTER: Duration = Duration::from_millis(7 * DAY_MS as u64);

/// A terminal's row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    date: Option<Date>,
    #[serde(rename = "r", default)]
    resets: u32,
    #[serde(rename = "h", default)]
    heard_at: Time,
}

/// A site's row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    date: Option<Date>,
    #[serde(rename = "r", default)]
    resets: u32,
    /// The first day that a terminal stood in; earlier ones are counted and never told as closed.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    since: Option<Date>,
    /// Every active terminal has passed the days before this one.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    passed: Option<Date>,
}

/// A step from one date to a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The date that ended. Between two resets each date ends once.
    pub from: Date,
    /// The date that began.
    pub to: Date,
    /// How often an operator had reset the terminal, or any terminal of the site, before.
    pub resets: u32,
    /// The site's date after the step.
    pub site_date: Date,
}

/// What an event says about dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What it is to its terminal.
    pub what: What,
    /// The terminal's step.
    pub terminal: Option<Move>,
    /// The site's, when the terminal is the first to pass its date.
    pub site: Option<Move>,
}

/// What the date of an event is to its terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// There is none.
    NoDate,
    /// The first ever, or the first after a reset to none: a start and no step.
    Start,
    /// The same.
    Same,
    /// A step forward.
    Forward,
    /// An earlier one, as of an order that came late: ignored.
    Back,
    /// Too far ahead of the site's local day: ignored, to be flagged.
    TooFar,
}

/// Why a terminal was not reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReset {
    /// The site has no terminal of that id.
    #[error("no such terminal")]
    Unknown,
    /// Forward is where terminals go by themselves, and where the end of a day is told.
    #[error("a reset goes back: the terminal is not past that date")]
    NotBack,
}

impl Terminal {
    /// Its business date.
    pub fn date(&self) -> Option<Date> {
        self.date
    }

    /// When the last event that names it was accepted.
    pub fn heard_at(&self) -> Time {
        self.heard_at
    }

    /// Whether it was heard from lately.
    pub fn is_active(&self, now: Time) -> bool {
        now.since(self.heard_at) < INACTIVE_AFTER
    }

    #[cfg(test)]
    pub(super) fn at(date: Date) -> Self {
        Self { date: Some(date), ..Self::default() }
    }
}

impl Site {
    /// Its business date: the highest of its terminals'.
    pub fn date(&self) -> Option<Date> {
        self.date
    }

    /// Takes an event that names a terminal, accepted `at` when it was `today` at the site.
    pub fn hear(&mut self, terminal: &mut Terminal, said: Option<Date>, today: Date, at: Time) -> Heard {
        terminal.heard_at = terminal.heard_at.max(at);
        let Some(date) = said else { return Heard::only(What::NoDate) };
        if is_too_far(date, today) {
            return Heard::only(What::TooFar);
        }
        match terminal.date {
            None => self.start(terminal, date),
            Some(old) if date > old => self.forward(terminal, old, date),
            Some(old) => Heard::only(if date == old { What::Same } else { What::Back }),
        }
    }

    /// An operator sets a terminal's date back, or to none: then its next date is a start. What ended already and ends
    /// once more is told once more, as another step.
    pub fn reset(
        &mut self,
        terminals: &mut BTreeMap<String, Terminal>,
        id: &str,
        to: Option<Date>,
    ) -> Result<(), NotReset> {
        let terminal = terminals.get_mut(id).ok_or(NotReset::Unknown)?;
        if to.is_some_and(|to| terminal.date.is_none_or(|date| to >= date)) {
            return Err(NotReset::NotBack);
        }
        terminal.date = to;
        terminal.resets = terminal.resets.saturating_add(1);
        self.resets = self.resets.saturating_add(1);
        self.date = terminals.values().filter_map(Terminal::date).max();
        self.since = self.since.into_iter().chain(to).min();
        Ok(())
    }

    /// The days that are passed since this was asked before: by every active terminal or, when none is active, by the
    /// site. Those of which something was received are to be told as closed. Ask when a terminal moved, and hourly.
    pub fn pass<'a>(&mut self, terminals: impl IntoIterator<Item = &'a Terminal>, now: Time) -> Option<Range<Date>> {
        let active = terminals.into_iter().filter(|t| t.is_active(now)).filter_map(Terminal::date);
        let to = active.min().or(self.date)?;
        let from = self.passed.or(self.since)?;
        if to <= from {
            return None;
        }
        self.passed = Some(to);
        Some(from..to)
    }

    /// Whether a day is one of those that [`Site::pass`] gave: what comes for it now comes late. A day of which nothing
    /// had come until then is told as closed when something does.
    pub fn has_passed(&self, date: Date) -> bool {
        self.since.is_some_and(|since| since <= date) && self.passed.is_some_and(|passed| date < passed)
    }

    fn start(&mut self, terminal: &mut Terminal, date: Date) -> Heard {
        terminal.date = Some(date);
        self.since = self.since.map_or(Some(date), |since| Some(since.min(date)));
        // No step of the terminal's, but the site's date may end with it like with any other's.
        Heard { site: self.raise(date), ..Heard::only(What::Start) }
    }

    fn forward(&mut self, terminal: &mut Terminal, from: Date, to: Date) -> Heard {
        terminal.date = Some(to);
        let site = self.raise(to);
        let site_date = self.date.unwrap_or(to);
        let step = Move { from, to, resets: terminal.resets, site_date };
        Heard { what: What::Forward, terminal: Some(step), site }
    }

    fn raise(&mut self, to: Date) -> Option<Move> {
        let from = self.date.replace(self.date.map_or(to, |date| date.max(to)))?;
        (to > from).then_some(Move { from, to, resets: self.resets, site_date: to })
    }
}

impl Heard {
    fn only(what: What) -> Self {
        Self { what, terminal: None, site: None }
    }
}
