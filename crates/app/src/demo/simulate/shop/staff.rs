//! Shifts and the time clock.

use super::super::agenda::later;
use super::super::documents::{Punch, Shift};
use super::super::event::{Correlation, Event};
use super::{About, Plans, Shop, Task};
use jiff::Timestamp;

/// The terminal that serves as time clock.
const TIME_CLOCK: usize = 0;

impl Shop {
    /// The first half of the staff works until the handover, the others from then on.
    pub fn plan_shifts(&mut self, at: Timestamp, plans: &mut Plans) {
        let close = self.hours.next(at, self.hours.close);
        let next_handover = self.hours.next(at, self.hours.handover);
        let handover = if next_handover < close { Some(next_handover) } else { None };
        let half = self.staff.len() / 2;
        for number in 0..half {
            if let Some(end) = handover {
                self.plan_shift(number, at, end, plans);
            }
            self.plan_shift(half + number, handover.unwrap_or(at), close, plans);
        }
    }

    /// Somebody clocks in.
    pub fn clock_in(&mut self, number: usize, end: Timestamp, at: Timestamp, plans: &mut Plans) -> Event {
        let id = self.dice.object_id(at);
        let date = self.tills[TIME_CLOCK].business_date;
        let shift = Shift::begin(id, &self.site.id, &self.staff[number], date, at, end);
        self.save_shift(Box::new(shift), at, plans)
    }

    /// The next punch of a shift.
    pub fn punch(&mut self, mut shift: Box<Shift>, at: Timestamp, plans: &mut Plans) -> Event {
        shift.punch(at);
        self.save_shift(shift, at, plans)
    }

    fn plan_shift(&mut self, number: usize, from: Timestamp, end: Timestamp, plans: &mut Plans) {
        let begin = later(from, self.dice.seconds(10, 600));
        let end = later(end, self.dice.seconds(300, 1_500));
        plans.add(begin, Task::ClockIn(number, end));
    }

    fn save_shift(&mut self, shift: Box<Shift>, at: Timestamp, plans: &mut Plans) -> Event {
        let about = About {
            name: "punch.saved",
            till: Some(TIME_CLOCK),
            business_date: shift.business_date,
            entity_id: Some(shift.shift_id.to_string()),
            correlation: Correlation::default(),
        };
        let event = self.event(at, about, &Punch { model: &shift });
        if let Some(next) = shift.next_punch() {
            plans.add(next, Task::Punch(shift));
        }
        event
    }
}
