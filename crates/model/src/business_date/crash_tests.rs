//! Crashes at any moment, with what was derived already in the log: every step is told once.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::{Content, Time};

const PLACE: Place<'static> = Place { company_id: "acme", site_id: "175", store_number: None };
const HOUR_MS: i64 = 3_600_000;

/// An event: the terminal, the days that its clock is ahead (None: it says no date), the hours since the event before.
type Said = (usize, Option<i8>, i64);

#[derive(Clone, Debug)]
enum Step {
    Process(usize),
    Commit,
    Crash,
    /// A terminal, and the days to go back; None: to no date.
    Reset(usize, Option<i8>),
}

/// A step as it is told: terminal (None: the site), the date that ended, the one that began, resets before.
type Told = (Option<String>, Date, Date, u32);

#[derive(Clone, Default)]
struct Known {
    site: Site,
    terminals: BTreeMap<String, Terminal>,
    read: usize,
}

#[derive(Default)]
struct World {
    log: Vec<Said>,
    ram: Known,
    disk: String,
    disk_read: usize,
    ids: BTreeMap<String, String>,
    told: Vec<Told>,
    resets: Vec<(usize, usize, Option<Date>)>,
    /// How far the log was read in any life.
    furthest: usize,
}

fn at(log: &[Said], index: usize) -> Time {
    Time::from_millis(1_795_255_200_000 + log[..=index].iter().map(|e| e.2 * HOUR_MS).sum::<i64>())
}

fn dates(log: &[Said], index: usize) -> (Date, Option<Date>) {
    let today = local_day(at(log, index), &TimeZone::UTC);
    (today, log[index].1.map(|ahead| today.saturating_add(i64::from(ahead).days())))
}

impl World {
    fn commit(&mut self) {
        self.disk = serde_json::to_string(&(&self.ram.site, &self.ram.terminals)).unwrap();
        self.disk_read = self.ram.read;
    }

    fn crash(&mut self) {
        let (site, terminals) = serde_json::from_str(&self.disk).unwrap();
        self.ram = Known { site, terminals, read: self.disk_read };
    }

    fn process(&mut self) {
        let index = self.ram.read;
        let Some((terminal, ..)) = self.log.get(index) else { return };
        self.ram.read += 1;
        self.furthest = self.furthest.max(self.ram.read);
        let ((today, said), at, id) = (dates(&self.log, index), at(&self.log, index), terminal.to_string());
        let heard = self.ram.site.hear(self.ram.terminals.entry(id.clone()).or_default(), said, today, at);
        if let Some(step) = heard.terminal {
            let name = TerminalName { id: &id, name: None, number: None };
            self.append(terminal_eod(PLACE, name, step, at), (Some(id.clone()), step.from, step.to, step.resets));
        }
        if let Some(step) = heard.site {
            self.append(site_eod(PLACE, step, at), (None, step.from, step.to, step.resets));
        }
    }

    /// The log takes an id once; a repeat says the same.
    fn append(&mut self, event: Content, told: Told) {
        let (id, data) = (event.caller_id.unwrap().into_string(), event.data.get().to_owned());
        match self.ids.get(&id) {
            Some(before) => assert_eq!(*before, data),
            None => {
                self.ids.insert(id, data);
                self.told.push(told);
            }
        }
    }

    /// After a crash a reset waits until what was derived before it is behind.
    fn reset(&mut self, terminal: usize, back: Option<i8>) {
        if self.ram.read < self.furthest {
            return;
        }
        let date = self.ram.terminals.get(&terminal.to_string()).and_then(Terminal::date);
        let to = date.zip(back).map(|(date, back)| date.saturating_sub(i64::from(back).days()));
        if self.ram.site.reset(&mut self.ram.terminals, &terminal.to_string(), to).is_ok() {
            self.resets.push((self.ram.read, terminal, to));
            self.commit();
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Process(n) => (0..n).for_each(|_| self.process()),
            Step::Commit => self.commit(),
            Step::Crash => self.crash(),
            Step::Reset(terminal, back) => self.reset(terminal, back),
        }
    }
}

/// The same without rows: the dates of all terminals in a list, the site's looked for in it each time.
fn naive(log: &[Said], resets: &[(usize, usize, Option<Date>)]) -> Vec<Told> {
    let (mut list, mut told) = ([None::<Date>; 3], Vec::new());
    for index in 0..log.len() {
        for &(_, terminal, to) in resets.iter().filter(|r| r.0 == index) {
            list[terminal] = to;
        }
        let before = resets.iter().filter(|r| r.0 <= index);
        let (today, said) = dates(log, index);
        let (site, terminal) = (list.into_iter().flatten().max(), log[index].0);
        let Some(date) = said.filter(|d| (*d - today).get_days() <= 2) else { continue };
        if list[terminal].is_some_and(|old| old >= date) {
            continue;
        }
        let own = before.clone().filter(|r| r.1 == terminal).count() as u32;
        told.extend(list[terminal].map(|old| (Some(terminal.to_string()), old, date, own)));
        told.extend(site.filter(|s| *s < date).map(|s| (None, s, date, before.count() as u32)));
        list[terminal] = Some(date);
    }
    told
}

fn said() -> impl Strategy<Value = Said> {
    let ahead = prop_oneof![3 => Just(0), 1 => -3..5i8];
    (0..3usize, prop::option::weighted(0.8, ahead), 0..40i64)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..6usize).prop_map(Step::Process),
        2 => Just(Step::Commit),
        2 => Just(Step::Crash),
        1 => (0..3usize, prop::option::of(0..3i8)).prop_map(|(terminal, back)| Step::Reset(terminal, back)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn every_step_is_told_once_whatever_happens(
        log in prop::collection::vec(said(), 1..40),
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let mut world = World { log, ..World::default() };
        world.commit();
        steps.iter().for_each(|step| world.step(step));
        world.crash();
        while world.ram.read < world.log.len() {
            world.process();
        }
        prop_assert_eq!(&world.told, &naive(&world.log, &world.resets));
        prop_assert_eq!(world.told.iter().collect::<BTreeSet<_>>().len(), world.told.len());
    }
}
