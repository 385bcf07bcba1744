//! One store: what it has planned and what comes of it.

mod cash;
mod days;
mod orders;
mod staff;

use super::agenda::Agenda;
use super::dice::Dice;
use super::documents::{self, Deposit, Drawer, Employee, Moment, Movement, Order, OrderDocument, Shift};
use super::event::{Correlation, Event};
use super::hours::Hours;
use super::money::{Cents, Rate};
use super::site::{self, Site};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::value::to_raw_value;
use std::collections::VecDeque;

/// Most characters of a run's label that count.
pub const MAX_LABEL_CHARS: usize = 64;

/// Limits of the intensity in per cent.
const INTENSITY: std::ops::RangeInclusive<u32> = 1..=10_000;

/// A store and its state. Memory is bounded: orders per terminal, one drawer per terminal, two shifts of staff, one
/// deposit, and a short list of orders that may be brought back.
pub struct Shop {
    site: Site,
    hours: Hours,
    dice: Dice,
    tax: Rate,
    staff: Vec<Employee>,
    tills: Vec<Till>,
    /// Orders an hour at the busiest time.
    peak: u32,
    /// Per cent of that which really come.
    intensity: u32,
    returnable: VecDeque<OrderDocument>,
    bag: Bag,
    run: String,
    sent: u64,
}

/// A terminal's state.
struct Till {
    business_date: Date,
    orders_taken: u64,
    open_orders: usize,
    drawer: Option<Drawer>,
}

/// Cash of the day's closed drawers.
#[derive(Default)]
struct Bag {
    amount: Cents,
    drawers: usize,
}

/// What a store can have planned.
pub enum Task {
    /// The terminal says which date it works on.
    Report(usize),
    /// The terminal starts its next business date.
    Roll(usize),
    /// A guest comes.
    Arrive,
    /// Nobody comes for now; see whether it got busier.
    Look,
    /// The next change of an order.
    Serve(Box<Order>),
    /// Doors open.
    OpenDay,
    /// Doors close.
    CloseDay,
    /// Something happens to the terminal's drawer.
    Move(usize, Movement),
    /// Something unplanned happens to the terminal's drawer.
    Surprise(usize),
    /// The numbered employee begins a shift that ends then.
    ClockIn(usize, Timestamp),
    /// The next punch of a shift.
    Punch(Box<Shift>),
    /// The deposit changes.
    Bank(Box<Deposit>),
}

/// Puts one store's tasks on the company's agenda.
pub struct Plans<'a> {
    agenda: &'a mut Agenda<(u16, Task)>,
    store: u16,
}

/// What an event is about, besides its document.
struct About {
    name: &'static str,
    till: Option<usize>,
    business_date: Date,
    entity_id: Option<String>,
    correlation: Correlation,
}

impl<'a> Plans<'a> {
    /// The plans of store number `store`.
    pub fn new(agenda: &'a mut Agenda<(u16, Task)>, store: u16) -> Plans<'a> {
        Plans { agenda, store }
    }

    fn add(&mut self, at: Timestamp, task: Task) {
        self.agenda.plan(at, (self.store, task));
    }
}

impl Shop {
    /// Store number `index` of the company of this seed.
    pub fn new(seed: u64, index: u16, start: Timestamp) -> Shop {
        let mut dice = Dice::new(seed, index);
        let site = Site::numbered(index);
        let hours = Hours::new(site::zone(index), &mut dice);
        let tills = (0..site.terminals.len()).map(|till| Till::new(hours.business_date(start, till))).collect();
        Shop {
            tax: site::sales_tax(&mut dice),
            staff: documents::staff(&site.id, &mut dice),
            peak: dice.between(40, 80),
            intensity: 100,
            returnable: VecDeque::new(),
            bag: Bag::default(),
            run: format!("{seed:x}-{:x}", start.as_millisecond()),
            sent: 0,
            site,
            hours,
            dice,
            tills,
        }
    }

    /// See [`super::Simulation::with_run_label`].
    pub fn label_run(&mut self, label: &str) {
        let allowed = |c: char| if c.is_ascii_alphanumeric() || "_:-".contains(c) { c } else { '-' };
        self.run = label.chars().take(MAX_LABEL_CHARS).map(allowed).collect();
    }

    /// See [`super::Simulation::with_intensity`].
    pub fn set_intensity(&mut self, percent: u32) {
        self.intensity = percent.clamp(*INTENSITY.start(), *INTENSITY.end());
    }

    /// What it is.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Orders that are not at their end.
    pub fn open_orders(&self) -> usize {
        self.tills.iter().map(|till| till.open_orders).sum()
    }

    /// Does what is due and plans what follows from it. Not everything makes an event.
    pub fn perform(&mut self, task: Task, at: Timestamp, plans: &mut Plans) -> Option<Event> {
        match task {
            Task::Report(till) => Some(self.report(till, at)),
            Task::Roll(till) => Some(self.roll(till, at, plans)),
            Task::Arrive => self.arrive(at, plans),
            Task::Look => self.await_guest(at, plans),
            Task::Serve(order) => Some(self.serve(order, at, plans)),
            Task::OpenDay => self.open_day(at, plans),
            Task::CloseDay => self.close_day(at, plans),
            Task::Move(till, movement) => self.move_drawer(till, movement, at, plans),
            Task::Surprise(till) => self.surprise(till, at, plans),
            Task::ClockIn(number, end) => Some(self.clock_in(number, end, at, plans)),
            Task::Punch(shift) => Some(self.punch(shift, at, plans)),
            Task::Bank(deposit) => Some(self.bank(deposit, at, plans)),
        }
    }

    fn event(&mut self, at: Timestamp, about: About, document: &impl Serialize) -> Event {
        self.sent += 1;
        Event {
            id: format!("sim:{}:{}:{}", self.run, self.site.id, self.sent),
            name: about.name,
            site: self.site.id.clone(),
            terminal: about.till.map(|till| self.site.terminals[till].id.clone()),
            entity_id: about.entity_id,
            occurred_at: Moment(at),
            business_date: about.business_date,
            correlation: about.correlation,
            data: to_raw_value(document).expect("documents have text keys and spelled numbers only"),
        }
    }

    /// Who works at the terminal at that time.
    fn clerk(&self, till: usize, at: Timestamp) -> &Employee {
        let half = self.staff.len() / 2;
        let evening = self.hours.minute_of_day(at) >= self.hours.handover;
        &self.staff[till % half + if evening { half } else { 0 }]
    }
}

impl Till {
    fn new(business_date: Date) -> Till {
        Till { business_date, orders_taken: 0, open_orders: 0, drawer: None }
    }

    fn takes_cash(&self) -> bool {
        self.drawer.as_ref().is_some_and(Drawer::is_open)
    }
}
