//! A store's local wall clock: when it opens and closes, and when its terminals start a new day.

use super::agenda::later;
use super::dice::Dice;
use super::site::Zone;
use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

/// Minutes in a day without a clock change.
const DAY_MINUTES: u32 = 1_440;

/// Minutes between two terminals of a store starting their new business date.
const ROLL_APART_MINUTES: u32 = 7;

/// Opening hours in local minutes of the day.
pub struct Hours {
    zone: TimeZone,
    /// Doors open, 5:30 to 6:30.
    pub open: u32,
    /// The evening shift takes over, 13:45 to 14:30.
    pub handover: u32,
    /// Doors close, 21:30 to 22:30: drawers and the deposit are done before midnight.
    pub close: u32,
    /// The first terminal starts its new business date, 0:20 to 1:00.
    roll: u32,
}

impl Hours {
    /// The hours of a store in `zone`.
    pub fn new(zone: Zone, dice: &mut Dice) -> Hours {
        Hours {
            zone: TimeZone::posix(zone.rule).unwrap_or(TimeZone::UTC),
            open: dice.between(330, 390),
            handover: dice.between(825, 870),
            close: dice.between(1_290, 1_350),
            roll: dice.between(20, 60),
        }
    }

    /// Minute of the local day, 0 to 1439.
    pub fn minute_of_day(&self, at: Timestamp) -> u32 {
        let local = self.zone.to_datetime(at);
        u32::from(local.hour().unsigned_abs()) * 60 + u32::from(local.minute().unsigned_abs())
    }

    /// Whether the doors are open.
    pub fn is_open(&self, at: Timestamp) -> bool {
        (self.open..self.close).contains(&self.minute_of_day(at))
    }

    /// The first moment after `after` at which the local clock shows `minute` of the day.
    pub fn next(&self, after: Timestamp, minute: u32) -> Timestamp {
        let mut date = self.date(after);
        for _ in 0..3 {
            match self.moment(date, minute) {
                Some(at) if at > after => return at,
                _ => date = date.tomorrow().unwrap_or(date),
            }
        }
        later(after, i64::from(DAY_MINUTES) * 60_000)
    }

    /// When the `terminal`th terminal starts its next business date.
    pub fn next_roll(&self, after: Timestamp, terminal: usize) -> Timestamp {
        self.next(after, self.roll_minute(terminal))
    }

    /// The business date of the `terminal`th terminal: it lasts until after midnight.
    pub fn business_date(&self, at: Timestamp, terminal: usize) -> Date {
        let date = self.date(at);
        if self.minute_of_day(at) >= self.roll_minute(terminal) {
            return date;
        }
        date.yesterday().unwrap_or(date)
    }

    fn date(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(at).date()
    }

    fn roll_minute(&self, terminal: usize) -> u32 {
        self.roll + ROLL_APART_MINUTES * u32::try_from(terminal).unwrap_or(0)
    }

    fn moment(&self, date: Date, minute: u32) -> Option<Timestamp> {
        let hour = i8::try_from(minute / 60).ok()?;
        let minute = i8::try_from(minute % 60).ok()?;
        let time = Time::new(hour, minute, 0, 0).ok()?;
        self.zone.to_timestamp(date.to_datetime(time)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::site::ZONES;
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn hours(zone: usize) -> Hours {
        Hours::new(ZONES[zone], &mut Dice::new(1, 0))
    }

    #[test]
    fn the_rules_give_each_zone_its_summer_and_winter_clock() {
        let noon = ["2026-01-15T12:00:00Z", "2026-07-15T12:00:00Z"];
        let local: Vec<_> = (0..3).map(|zone| noon.map(|text| hours(zone).minute_of_day(at(text)) / 60)).collect();
        assert_eq!(local, [[7, 8], [6, 7], [4, 5]]);
    }

    #[test]
    fn the_next_minute_is_today_or_tomorrow_and_never_now() {
        let hours = hours(0);
        let six = at("2026-01-15T11:00:00Z");
        assert_eq!(hours.next(at("2026-01-15T10:59:59.999Z"), 360), six);
        assert_eq!(hours.next(six, 360), at("2026-01-16T11:00:00Z"));
    }

    #[test]
    fn a_day_with_a_clock_change_is_an_hour_shorter() {
        let hours = hours(0);
        let saturday = hours.next(at("2026-03-07T15:00:00Z"), 720);
        assert_eq!(hours.next(saturday, 720), at("2026-03-08T16:00:00Z"));
    }

    #[test]
    fn the_business_date_lasts_until_the_terminal_starts_the_next_one() {
        let hours = hours(0);
        let roll = hours.next_roll(at("2026-01-15T20:00:00Z"), 1);
        let before = Timestamp::from_millisecond(roll.as_millisecond() - 1).unwrap();
        assert_eq!(hours.business_date(before, 1).to_string(), "2026-01-15");
        assert_eq!(hours.business_date(roll, 1).to_string(), "2026-01-16");
    }

    #[test]
    fn terminals_of_a_store_start_their_day_one_after_another() {
        let hours = hours(2);
        let noon = at("2026-01-15T20:00:00Z");
        assert!(hours.next_roll(noon, 0) < hours.next_roll(noon, 1));
    }
}
