//! Dates that move, days that close, and how that is told.

use jiff::civil::{Date, date};
use proptest::prelude::*;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

use super::*;
use crate::relevance::Version;
use crate::{Seq, Time};

const PLACE: Place<'static> = Place { company_id: "acme", site_id: "175", store_number: Some("0175") };

fn day(n: i8) -> Date {
    date(2026, 11, n)
}

fn noon(day: i8) -> Time {
    format!("2026-11-{day:02}T12:00:00Z").parse().unwrap()
}

/// A site of terminals `0`, `1` …, all of which began on these days.
struct World {
    site: Site,
    terminals: BTreeMap<String, Terminal>,
}

impl World {
    fn of(starts: &[i8]) -> Self {
        let mut world = World { site: Site::default(), terminals: BTreeMap::new() };
        for (i, &start) in starts.iter().enumerate() {
            world.hear(i, start, start);
        }
        world
    }

    /// A terminal says a day when it is `today`.
    fn hear(&mut self, terminal: usize, said: i8, today: i8) -> Heard {
        let terminal = self.terminals.entry(terminal.to_string()).or_default();
        self.site.hear(terminal, Some(day(said)), day(today), noon(today))
    }

    fn pass(&mut self, today: i8) -> Option<std::ops::Range<Date>> {
        self.site.pass(self.terminals.values(), noon(today))
    }
}

fn days(step: Option<Move>) -> Option<(i8, i8, u32)> {
    step.map(|m| (m.from.day(), m.to.day(), m.resets))
}

#[test]
fn the_first_date_is_a_start_and_each_later_one_a_step() {
    let mut world = World::of(&[]);
    assert_eq!(world.hear(0, 10, 10), Heard { what: What::Start, terminal: None, site: None });
    assert_eq!(world.hear(0, 10, 10).what, What::Same);
    let heard = world.hear(0, 12, 11);
    assert_eq!((days(heard.terminal), days(heard.site)), (Some((10, 12, 0)), Some((10, 12, 0))));
    assert_eq!(world.hear(0, 11, 11).what, What::Back);
    assert_eq!(world.terminals["0"].date(), Some(day(12)));
}

#[test]
fn the_first_terminal_takes_the_site_with_it_and_the_others_follow_alone() {
    let mut world = World::of(&[10, 10]);
    assert_eq!(days(world.hear(0, 11, 11).site), Some((10, 11, 0)));
    let follower = world.hear(1, 11, 11);
    assert_eq!((days(follower.terminal), days(follower.site)), (Some((10, 11, 0)), None));
    assert_eq!(follower.terminal.map(|m| m.site_date), Some(day(11)));
}

#[test]
fn a_new_terminal_ahead_of_the_site_ends_the_sites_day_and_none_of_its_own() {
    let mut world = World::of(&[10]);
    let heard = world.hear(1, 11, 11);
    assert_eq!((heard.what, heard.terminal, days(heard.site)), (What::Start, None, Some((10, 11, 0))));
}

#[test]
fn a_wrong_clock_is_flagged_and_changes_nothing() {
    let mut world = World::of(&[10]);
    let before = world.site.clone();
    assert_eq!(world.hear(0, 13, 10).what, What::TooFar);
    assert_eq!(world.hear(1, 13, 10).what, What::TooFar);
    assert_eq!((world.site, world.terminals["0"].date()), (before, Some(day(10))));
}

#[test]
fn a_reset_goes_back_and_what_ends_again_is_another_step() {
    let mut world = World::of(&[10, 10]);
    world.hear(0, 12, 10);
    let mut reset = |id: &str, to| world.site.reset(&mut world.terminals, id, to);
    assert_eq!(reset("9", None), Err(NotReset::Unknown));
    assert_eq!(reset("0", Some(day(12))), Err(NotReset::NotBack));
    assert_eq!(reset("0", Some(day(10))), Ok(()));
    assert_eq!(world.site.date(), Some(day(10)));
    let heard = world.hear(0, 11, 11);
    assert_eq!((days(heard.terminal), days(heard.site)), (Some((10, 11, 1)), Some((10, 11, 1))));
    world.site.reset(&mut world.terminals, "0", None).unwrap();
    assert_eq!(world.hear(0, 11, 11).what, What::Start);
}

#[test]
fn a_day_is_passed_when_its_last_active_terminal_is_past_it() {
    let mut world = World::of(&[10, 10]);
    world.hear(0, 12, 11);
    assert_eq!(world.pass(11), None);
    world.hear(1, 11, 11);
    assert_eq!(world.pass(11), Some(day(10)..day(11)));
    assert_eq!(world.pass(11), None);
    assert!(world.site.has_passed(day(10)) && !world.site.has_passed(day(11)) && !world.site.has_passed(day(9)));
    world.hear(0, 12, 12);
    assert_eq!(world.pass(17), None, "terminal 1 was heard from six days ago");
    assert_eq!(world.pass(18), Some(day(11)..day(12)), "seven days ago");
    assert_eq!(world.pass(30), None, "the site's own date is passed by nobody");
}

#[test]
fn a_day_before_the_first_is_never_passed() {
    let mut world = World::of(&[10]);
    world.hear(0, 11, 11);
    assert_eq!(world.pass(11), Some(day(10)..day(11)));
    assert!(!world.site.has_passed(day(9)));
}

#[test]
fn silence_makes_inactive_at_its_limit() {
    let mut terminal = Terminal::default();
    Site::default().hear(&mut terminal, None, day(10), noon(10));
    let limit = noon(10) + INACTIVE_AFTER;
    assert!(terminal.is_active(Time::from_millis(limit.millis() - 1)) && !terminal.is_active(limit));
}

#[test]
fn rows_are_short_texts() {
    let mut world = World::of(&[10]);
    world.hear(0, 11, 11);
    world.pass(11);
    let text = serde_json::to_string(&(&world.site, &world.terminals["0"])).unwrap();
    insta::assert_snapshot!(text, @r#"[{"d":"2026-11-11","r":0,"s":"2026-11-10","p":"2026-11-11"},{"d":"2026-11-11","r":0,"h":"2026-11-11T12:00:00.000Z"}]"#);
    assert_eq!(serde_json::from_str::<(Site, Terminal)>(&text).unwrap(), (world.site, world.terminals["0"].clone()));
    let (site, terminal): (Site, Terminal) = serde_json::from_str("[{},{}]").unwrap();
    assert_eq!((site, terminal), Default::default());
}

#[test]
fn the_end_of_a_day_is_told_as_the_contract_says() {
    let mut world = World::of(&[10]);
    let heard = world.hear(0, 11, 11);
    let name = TerminalName { id: "0", name: Some("Bar"), number: None };
    let of_terminal = terminal_eod(PLACE, name, heard.terminal.unwrap(), noon(11));
    let of_site = site_eod(PLACE, heard.site.unwrap(), noon(11));
    insta::assert_snapshot!(of_terminal.data.get(), @r#"{"company_id":"acme","site_id":"175","store_number":"0175","store_business_date":"2026-11-11T00:00:00.000Z","notification_datetime":"2026-11-11T12:00:00.000Z","terminals":[{"terminal_id":"0","terminal_name":"Bar","terminal_number":null,"old_business_date":"2026-11-10T00:00:00.000Z","new_business_date":"2026-11-11T00:00:00.000Z"}]}"#);
    insta::assert_snapshot!(of_site.data.get(), @r#"{"company_id":"acme","site_id":"175","store_number":"0175","previous_business_date":"2026-11-10T00:00:00.000Z","new_business_date":"2026-11-11T00:00:00.000Z","notification_datetime":"2026-11-11T12:00:00.000Z"}"#);
    assert_eq!(
        (&*of_terminal.name, of_terminal.entity_id.as_deref()),
        ("terminal_eod.reached", Some("175:0:2026-11-10"))
    );
    assert_eq!((&*of_site.name, of_site.entity_id.as_deref()), ("site_eod.reached", Some("175:2026-11-10")));
    assert_eq!((of_site.site.as_deref(), of_terminal.terminal.as_deref()), (Some("175"), Some("0")));
    insta::assert_snapshot!(of_site.caller_id.unwrap(), @r#"hub/site_eod.reached/p6iy80G3jBCvFUoP6t9N5w/2026-11-10/0"#);
}

#[test]
fn ids_of_derived_events_tell_sites_and_terminals_apart_whatever_they_are_called() {
    let step = Move { from: day(10), to: day(11), resets: 0, site_date: day(11) };
    let id = |site_id: &str, id: &str, step: Move| {
        let name = TerminalName { id, name: None, number: None };
        terminal_eod(Place { site_id, ..PLACE }, name, step, noon(11)).caller_id.unwrap()
    };
    assert_ne!(id("1/2", "3", step), id("1", "2/3", step));
    assert_ne!(id("1:2", "3", step), id("1", "2:3", step));
    assert_ne!(id("1", "2", step), id("1", "2", Move { resets: 1, ..step }));
    let longest = "x".repeat(crate::incoming::MAX_ID);
    assert!(id(&longest, &longest, step).len() <= crate::incoming::MAX_CALLER_ID);
}

fn cents(n: i64) -> Decimal {
    Decimal::new(n, 2)
}

fn order(on: i8, version: Option<u32>, seq: Seq, gross: Option<i64>) -> Order {
    let amounts = gross.and_then(|g| Amounts::new(cents(g), cents(g - 1), cents(g / 5)));
    Order { date: day(on), version: version.and_then(|v| Version::new(&v.to_string())), seq, amounts }
}

#[test]
fn a_closed_day_is_told_with_its_manifest_and_amended_with_the_difference() {
    let (mut days, mut row) = (BTreeMap::from([(day(10), Day::default())]), None);
    order(10, Some(1), 5, Some(1_000)).count(&mut row, &mut days);
    let closed = days.get_mut(&day(10)).unwrap();
    closed.count("order");
    assert!(closed.tell(7, noon(11)) && !closed.tell(8, noon(11)));
    let event = told(PLACE, day(10), closed.told().unwrap());
    assert_eq!((&*event.name, event.entity_id.as_deref()), ("site.day_closed", Some("175:2026-11-10")));
    insta::assert_snapshot!(event.data.get(), @r#"{"company_id":"acme","site_id":"175","store_number":"0175","business_date":"2026-11-10","manifest":{"as_of_seq":7,"events":{"order":1},"orders":{"count":1,"without_figures":0,"gross":10.00,"net":9.99,"tax":2.00}}}"#);

    closed.count("drawer");
    assert!(!closed.tell(9, noon(12)), "the first is not known to be told");
    closed.appended(0);
    order(10, Some(2), 9, Some(900)).count(&mut row, &mut days);
    let closed = days.get_mut(&day(10)).unwrap();
    assert!(closed.tell(9, noon(12)));
    let event = told(PLACE, day(10), closed.told().unwrap());
    insta::assert_snapshot!(event.data.get(), @r#"{"company_id":"acme","site_id":"175","store_number":"0175","business_date":"2026-11-10","amendment":{"number":1,"difference":{"events":{"drawer":1},"orders":{"count":0,"without_figures":0,"gross":-1.00,"net":-1.00,"tax":-0.20}}},"manifest":{"as_of_seq":9,"events":{"drawer":1,"order":1},"orders":{"count":1,"without_figures":0,"gross":9.00,"net":8.99,"tax":1.80}}}"#);
    assert!(event.caller_id.unwrap().ends_with("/2026-11-10/1"));
    closed.appended(1);
    assert!(!closed.tell(10, noon(12)), "nothing came");
    let text = serde_json::to_string(&closed).unwrap();
    assert_eq!(serde_json::from_str::<Day>(&text).unwrap(), *closed);
}

#[test]
fn an_order_that_changes_its_day_leaves_the_other_days_totals() {
    let (mut days, mut row) = (BTreeMap::new(), None);
    order(10, Some(1), 1, Some(1_000)).count(&mut row, &mut days);
    order(11, Some(2), 2, Some(700)).count(&mut row, &mut days);
    assert_eq!(
        days[&day(10)].received().orders,
        Orders { gross: cents(0), net: cents(0), tax: cents(0), ..Orders::default() }
    );
    assert_eq!((days[&day(11)].received().orders.count, days[&day(11)].received().orders.gross), (1, cents(700)));
    let text = serde_json::to_string(&row).unwrap();
    assert_eq!(serde_json::from_str::<Option<Order>>(&text).unwrap(), row);
}

#[test]
fn amounts_are_exact_up_to_their_limits() {
    let takes = |amount: Decimal| Amounts::new(amount, Decimal::ZERO, Decimal::ZERO).is_some();
    let limit = Decimal::from(MAX_AMOUNT);
    assert!(takes(limit) && takes(-limit) && !takes(limit + Decimal::ONE) && !takes(-limit - Decimal::ONE));
    assert!(takes(Decimal::new(1, MAX_SCALE)) && !takes(Decimal::new(1, MAX_SCALE + 1)));
    assert!(takes(Decimal::new(10, MAX_SCALE + 1)), "a zero at the end says nothing");
}

#[test]
fn entities_are_counted_by_name_up_to_the_limit() {
    let mut tally = Tally::default();
    for n in 0..MAX_ENTITIES + 2 {
        tally.count(&format!("e{n}"));
    }
    tally.count("e0");
    assert_eq!((tally.events.len(), tally.events["e0"], tally.events[OTHER]), (MAX_ENTITIES + 1, 2, 2));
}

#[test]
fn a_days_row_is_kept_up_to_its_limit() {
    assert!(is_kept(day(1), day(1).saturating_add(jiff::Span::new().days(DAYS_KEPT))));
    assert!(!is_kept(day(1), day(1).saturating_add(jiff::Span::new().days(DAYS_KEPT + 1))));
}

/// Of each order its highest version, the last of equal ones, summed by day in whole cents.
fn naive(saves: &[(usize, i8, u32, Option<i64>)]) -> BTreeMap<i8, (i64, i64, i64)> {
    let mut totals = BTreeMap::new();
    for id in 0..4 {
        let mine = saves.iter().filter(|s| s.0 == id);
        if let Some((_, on, _, gross)) = mine.max_by_key(|s| s.2) {
            let total = totals.entry(*on).or_insert((0, 0, 0));
            *total = (total.0 + 1, total.1 + i64::from(gross.is_none()), total.2 + gross.unwrap_or(0));
        }
    }
    totals
}

proptest! {
    #[test]
    fn totals_are_those_of_the_highest_versions_in_whatever_order_they_come(
        saves in prop::collection::vec((0..4usize, 1..4i8, 0..5u32, prop::option::of(-9_999..9_999i64)), 0..40),
    ) {
        let (mut days, mut rows) = (BTreeMap::new(), vec![None; 4]);
        for (i, &(id, on, version, gross)) in saves.iter().enumerate() {
            order(on, Some(version), i as Seq + 1, gross).count(&mut rows[id], &mut days);
        }
        let found = days.iter().map(|(date, day)| (date.day(), day.received().orders));
        let found: BTreeMap<_, _> = found.filter(|(_, o)| o.count != 0).collect();
        for (on, (count, without_figures, gross)) in naive(&saves) {
            let orders = &found[&on];
            prop_assert_eq!((orders.count, orders.without_figures, orders.gross), (count, without_figures, cents(gross)));
        }
        prop_assert_eq!(found.values().map(|o| o.count).sum::<i64>(), rows.iter().flatten().count() as i64);
    }

    #[test]
    fn what_was_told_and_its_differences_add_up(received in prop::collection::vec((0..4usize, any::<bool>()), 0..30)) {
        let mut day = Day::default();
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for (seq, (entity, look)) in received.into_iter().enumerate() {
            day.count(["order", "drawer", "punch", "deposit"][entity]);
            if look && day.tell(seq as Seq, noon(1)) {
                let told = day.told().unwrap().clone();
                for (entity, n) in &told.difference.as_ref().unwrap_or(&told.manifest).events {
                    *sums.entry(entity.clone()).or_default() += n;
                }
                prop_assert_eq!(&sums, &told.manifest.events);
                day.appended(told.number);
            }
        }
    }
}
