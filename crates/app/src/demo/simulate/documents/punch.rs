//! The time clock.

use super::super::ids::ObjectId;
use super::{Employee, Moment};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

/// The document of a punch: its content is one level deeper, under `model` (data stream contract, "Envelope and
/// entities").
#[derive(Serialize)]
pub struct Punch<'a> {
    /// The shift as it stands after the punch.
    pub model: &'a Shift,
}

/// One person's shift; every punch saves it anew.
#[derive(Clone, Debug, Serialize)]
pub struct Shift {
    /// Identity.
    pub shift_id: ObjectId,
    employee: Employee,
    site_id: String,
    /// The day of the clock-in.
    pub business_date: Date,
    status: Status,
    clock_in: Moment,
    breaks: Vec<Break>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_out: Option<Moment>,
    /// Breaks are not paid.
    minutes_worked: i64,
    last_modified: Moment,
    #[serde(skip)]
    planned_end: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    ClockedIn,
    OnBreak,
    ClockedOut,
}

#[derive(Clone, Debug, Serialize)]
struct Break {
    start: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Moment>,
    paid: bool,
}

/// Shifts longer than this have a break in the middle.
const BREAK_AFTER_MS: i64 = 4 * 3_600_000;
const BREAK_MS: i64 = 30 * 60_000;

impl Shift {
    /// Somebody clocks in at `at` to stay until about `end`.
    pub fn begin(id: ObjectId, site: &str, who: &Employee, date: Date, at: Timestamp, end: Timestamp) -> Shift {
        Shift {
            shift_id: id,
            employee: who.clone(),
            site_id: site.to_owned(),
            business_date: date,
            status: Status::ClockedIn,
            clock_in: Moment(at),
            breaks: Vec::new(),
            clock_out: None,
            minutes_worked: 0,
            last_modified: Moment(at),
            planned_end: end,
        }
    }

    /// When the next punch is due; none after the last.
    pub fn next_punch(&self) -> Option<Timestamp> {
        let planned = self.planned_end.as_millisecond();
        let (from, left) = (self.last_modified.0.as_millisecond(), planned - self.clock_in.0.as_millisecond());
        let due = match self.status {
            Status::ClockedOut => return None,
            Status::OnBreak => from + BREAK_MS,
            Status::ClockedIn if self.breaks.is_empty() && left > BREAK_AFTER_MS => from + left / 2,
            Status::ClockedIn => planned.max(from + 1),
        };
        Timestamp::from_millisecond(due).ok()
    }

    /// The next punch: a break begins or ends, or the shift does.
    pub fn punch(&mut self, at: Timestamp) {
        let now = Moment(at);
        let break_due = self.breaks.is_empty() && at < self.planned_end;
        match (self.status, break_due) {
            (Status::OnBreak, _) => self.end_break(now),
            (_, true) => self.start_break(now),
            (_, false) => self.clock_out(now),
        }
        self.minutes_worked = self.minutes(at);
        self.last_modified = now;
    }

    fn start_break(&mut self, start: Moment) {
        self.status = Status::OnBreak;
        self.breaks.push(Break { start, end: None, paid: false });
    }

    fn end_break(&mut self, end: Moment) {
        self.status = Status::ClockedIn;
        if let Some(last) = self.breaks.last_mut() {
            last.end = Some(end);
        }
    }

    fn clock_out(&mut self, now: Moment) {
        self.status = Status::ClockedOut;
        self.clock_out = Some(now);
    }

    fn minutes(&self, now: Timestamp) -> i64 {
        let minutes = |from: Timestamp, to: Timestamp| (to.as_millisecond() - from.as_millisecond()) / 60_000;
        let breaks = self.breaks.iter().map(|b| minutes(b.start.0, b.end.map_or(now, |end| end.0)));
        minutes(self.clock_in.0, now) - breaks.sum::<i64>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::agenda::later;
    use super::super::super::dice::Dice;
    use super::*;

    fn shift(hours: i64) -> Shift {
        let (at, mut dice) = (Timestamp::UNIX_EPOCH, Dice::new(1, 0));
        let who = &super::super::staff("101", &mut dice)[0];
        let id = dice.object_id(at);
        Shift::begin(id, "101", who, Date::constant(1970, 1, 1), at, later(at, hours * 3_600_000))
    }

    fn punches(mut shift: Shift) -> (Vec<Status>, Shift) {
        let mut seen = vec![shift.status];
        while let Some(at) = shift.next_punch() {
            shift.punch(at);
            seen.push(shift.status);
        }
        (seen, shift)
    }

    #[test]
    fn a_long_shift_has_an_unpaid_break() {
        let (seen, shift) = punches(shift(8));
        assert_eq!(seen, [Status::ClockedIn, Status::OnBreak, Status::ClockedIn, Status::ClockedOut]);
        assert_eq!(shift.minutes_worked, 8 * 60 - 30);
    }

    #[test]
    fn a_short_shift_has_none() {
        let (seen, shift) = punches(shift(4));
        assert_eq!(seen, [Status::ClockedIn, Status::ClockedOut]);
        assert_eq!(shift.minutes_worked, 4 * 60);
    }
}
