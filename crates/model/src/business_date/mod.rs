//! Business dates of terminals and sites, and the end of their days (`contracts/data-stream.md`, "Business date and end
//! of day").
//!
//! - [`said_by`], [`local_day`] and [`day_of`] say which day an event is of;
//! - [`Site::hear`] takes the events of a site in the order of the log and says when a terminal or the site moved on;
//!   [`terminal_eod`] and [`site_eod`] are the events that tell it;
//! - [`Day`] counts what was received of a day, is told as closed once the last active terminal has passed it
//!   ([`Site::pass`]), and as amended when something comes later ([`Told`]).
//!
//! All state is rows: one of a [`Site`], one of each [`Terminal`], one of each [`Day`] for [`DAYS_KEPT`] days, one of
//! each [`Order`] for as long as its day. What the caller owes:
//!
//! - rows are committed together with the cursor, after the end-of-day events were appended: made from the same events
//!   and rows again after a crash, they have the same ids;
//! - a reset is committed by itself, with the rows and the cursor as they are then, and after a start only once the
//!   cursor has reached what was the end of the log: before, steps that were told already would be derived differently;
//! - what a day tells depends on when it was looked at, so it is committed first and appended then ([`Day::tell`]).

mod dated;
mod day;
mod eod;
mod order;
mod site;
mod tally;
mod told;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;

pub use dated::{DatedBy, DayOf, MAX_DAYS_AHEAD, day_of, is_too_far, local_day, said_by, terminal_of};
pub use day::{DAYS_KEPT, Day, Told, is_kept};
pub use eod::{Place, TerminalName, site_eod, terminal_eod};
pub use order::{Amounts, MAX_AMOUNT, MAX_SCALE, Order};
pub use site::{Heard, INACTIVE_AFTER, Move, NotReset, Site, Terminal, What};
pub use tally::{MAX_ENTITIES, OTHER, Orders, Tally};
pub use told::told;
