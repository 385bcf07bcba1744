//! Which day an event is of.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::site::Terminal;
use crate::time::is_date;
use crate::{Content, Time, path};

/// A date this many days after the site's local day is still believed; a later one is a wrong clock's.
pub const MAX_DAYS_AHEAD: i64 = 2;

/// What a terminal says by itself of its date.
const ANNOUNCEMENT: &str = "terminal.business_date";

/// The day that an event is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayOf {
    /// The day.
    pub date: Date,
    /// Who says so.
    pub by: DatedBy,
}

/// Who says which day an event is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatedBy {
    /// The event itself.
    Event,
    /// The terminal it names, which was in that day.
    Terminal,
    /// The clock: it was that day at the site.
    LocalDay,
}

/// The id of the terminal that an event names.
pub fn terminal_of(content: &Content) -> Option<&str> {
    let announced = content.entity_id.as_deref().filter(|_| &*content.name == ANNOUNCEMENT);
    content.terminal.as_deref().or(announced)
}

/// The business date that an event says: of an announcement the one in its `data`, which may be written with a time
/// behind it; of others `business_date`.
pub fn said_by(content: &Content) -> Option<Date> {
    let announced = (&*content.name == ANNOUNCEMENT).then(|| path::text(content.data.get(), "business_date")).flatten();
    announced.and_then(|text| date(&text)).or_else(|| content.business_date.as_deref().and_then(date))
}

/// The day that it is at a site in this zone.
pub fn local_day(at: Time, zone: &TimeZone) -> Date {
    // Times outside of what a calendar holds are no acceptance times.
    Timestamp::from_millisecond(at.millis()).unwrap_or_default().to_zoned(zone.clone()).date()
}

/// Whether a date is too far ahead of the site's local day to be believed.
pub fn is_too_far(date: Date, today: Date) -> bool {
    date > today.saturating_add(MAX_DAYS_AHEAD.days())
}

/// The day of an event of which `said_by` says `said`, from `terminal`, accepted when it was `today` at the site.
pub fn day_of(said: Option<Date>, terminal: Option<&Terminal>, today: Date) -> DayOf {
    let said = said.filter(|date| !is_too_far(*date, today));
    let of_terminal = || Some(DayOf { date: terminal?.date()?, by: DatedBy::Terminal });
    let said = said.map(|date| DayOf { date, by: DatedBy::Event });
    said.or_else(of_terminal).unwrap_or(DayOf { date: today, by: DatedBy::LocalDay })
}

fn date(text: &str) -> Option<Date> {
    let (day, rest) = text.split_at_checked(10)?;
    let whole = rest.is_empty() || rest.starts_with('T');
    day.parse().ok().filter(|_| whole && is_date(day))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date as ymd;

    use super::*;
    use crate::event::tests::event;

    fn said(name: &str, field: Option<&str>, data: &str) -> Option<String> {
        let mut content = event(name, data).content;
        content.business_date = field.map(Into::into);
        said_by(&content).map(|d| d.to_string())
    }

    #[test]
    fn an_event_says_its_date_in_its_field_and_an_announcement_in_its_data() {
        let day = || Some("2026-11-21".to_owned());
        assert_eq!(said("order.saved", Some("2026-11-21"), r#"{"business_date":"2026-11-20"}"#), day());
        assert_eq!(said("order.saved", None, r#"{"business_date":"2026-11-20"}"#), None);
        assert_eq!(said(ANNOUNCEMENT, Some("2026-11-20"), r#"{"business_date":"2026-11-21"}"#), day());
        assert_eq!(said(ANNOUNCEMENT, None, r#"{"business_date":"2026-11-21T00:00:00.000Z"}"#), day());
        assert_eq!(said(ANNOUNCEMENT, Some("2026-11-21"), "{}"), day());
        for wrong in [r#""2026-11-31""#, r#""2026-11-2""#, r#""2026-11-21 1""#, "20261121", "null", r#""ééééééé""#]
        {
            assert_eq!(said(ANNOUNCEMENT, None, &format!(r#"{{"business_date":{wrong}}}"#)), None, "{wrong}");
        }
    }

    #[test]
    fn an_announcement_is_about_its_terminal_also_when_it_names_it_as_its_entity() {
        let mut content = event(ANNOUNCEMENT, "{}").content;
        assert_eq!(terminal_of(&content), Some("e1"));
        content.terminal = Some("2".into());
        assert_eq!(terminal_of(&content), Some("2"));
        assert_eq!(terminal_of(&event("order.saved", "{}").content), None);
    }

    #[test]
    fn the_local_day_is_that_of_the_zone_with_its_rules() {
        let day = |at: &str, zone: &str| local_day(at.parse().unwrap(), &TimeZone::get(zone).unwrap()).to_string();
        assert_eq!(day("2026-11-21T23:30:00Z", "Europe/Vienna"), "2026-11-22");
        assert_eq!(day("2026-07-21T22:30:00Z", "Europe/Vienna"), "2026-07-22", "summer time");
        assert_eq!(day("2026-11-21T22:30:00Z", "Europe/Vienna"), "2026-11-21");
        assert_eq!(day("2026-11-21T03:00:00Z", "America/Los_Angeles"), "2026-11-20");
    }

    #[test]
    fn a_date_is_believed_up_to_its_limit() {
        let today = ymd(2026, 12, 30);
        assert!(!is_too_far(ymd(2027, 1, 1), today) && is_too_far(ymd(2027, 1, 2), today));
        assert!(!is_too_far(Date::MAX, Date::MAX));
    }

    #[test]
    fn an_event_without_a_date_is_of_its_terminals_day_else_of_the_local_day() {
        let (today, yesterday) = (ymd(2026, 11, 21), ymd(2026, 11, 20));
        let (terminal, new) = (Terminal::at(yesterday), Terminal::default());
        let of = |said, terminal| day_of(said, terminal, today);
        assert_eq!(of(Some(yesterday), None), DayOf { date: yesterday, by: DatedBy::Event });
        assert_eq!(of(None, Some(&terminal)), DayOf { date: yesterday, by: DatedBy::Terminal });
        assert_eq!(of(None, Some(&new)), DayOf { date: today, by: DatedBy::LocalDay });
        assert_eq!(of(Some(ymd(2026, 11, 24)), None), DayOf { date: today, by: DatedBy::LocalDay }, "a wrong clock");
    }
}
