//! The course of a day: business dates, doors, shifts.

use super::super::agenda::later;
use super::super::documents::BusinessDate;
use super::super::event::{Correlation, Event};
use super::{About, Plans, Shop, Task};
use jiff::Timestamp;

/// Pause between two terminals reporting their date at the start, in milliseconds.
const REPORT_APART_MS: i64 = 150;

impl Shop {
    /// The simulation begins: terminals say where they stand, and a store whose doors should be open opens them.
    pub fn begin(&mut self, start: Timestamp, plans: &mut Plans) {
        let mut moment = start;
        for till in 0..self.tills.len() {
            moment = later(moment, REPORT_APART_MS + self.dice.seconds(0, 2));
            plans.add(moment, Task::Report(till));
            plans.add(self.hours.next_roll(start, till), Task::Roll(till));
        }
        let opening = if self.hours.is_open(start) { later(moment, 1) } else { self.next_opening(start) };
        plans.add(opening, Task::OpenDay);
        self.await_guest(start, plans);
    }

    /// The terminal says which date it works on.
    pub fn report(&mut self, till: usize, at: Timestamp) -> Event {
        let business_date = self.tills[till].business_date;
        let about = About {
            name: "terminal.business_date",
            till: Some(till),
            business_date,
            entity_id: None,
            correlation: Correlation::default(),
        };
        self.event(at, about, &BusinessDate { business_date })
    }

    /// The terminal starts its next business date and says so.
    pub fn roll(&mut self, till: usize, at: Timestamp, plans: &mut Plans) -> Event {
        self.tills[till].business_date = self.hours.business_date(at, till);
        plans.add(self.hours.next_roll(at, till), Task::Roll(till));
        self.report(till, at)
    }

    /// Doors open. A store that began a moment before closing time stays closed for the day.
    pub fn open_day(&mut self, at: Timestamp, plans: &mut Plans) -> Option<Event> {
        if !self.hours.is_open(at) {
            plans.add(self.next_opening(at), Task::OpenDay);
            return None;
        }
        self.open_drawers(at, plans);
        self.plan_shifts(at, plans);
        plans.add(self.hours.next(at, self.hours.close), Task::CloseDay);
        None
    }

    /// Doors close.
    pub fn close_day(&mut self, at: Timestamp, plans: &mut Plans) -> Option<Event> {
        self.close_drawers(at, plans);
        plans.add(self.next_opening(at), Task::OpenDay);
        None
    }

    fn next_opening(&self, at: Timestamp) -> Timestamp {
        self.hours.next(at, self.hours.open)
    }
}
