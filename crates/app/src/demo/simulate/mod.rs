//! A company of simulated stores: the source of events for the demo and for generated events.
//!
//! Pure and deterministic: the caller gives the seed and the start, time is simulated, and nothing here reads a
//! clock, a file or the machine's time zone database. The same seed, stores, start and label give the same bytes
//! on every machine.
//!
//! | Part | Holds |
//! |---|---|
//! | `site`, `hours` | what a store is, and its local wall clock |
//! | `shop` | what one store does next: orders, cash, staff, days |
//! | `documents` | what the point of sale writes: orders, drawers, deposits, punches |
//! | `curve`, `pacer` | how busy an hour is, and how simulated time becomes waiting |
//! | `agenda`, `dice`, `ids`, `money` | order of time, chance, ids, exact amounts |

mod agenda;
mod curve;
mod dice;
mod documents;
mod event;
mod hours;
mod ids;
mod money;
mod pacer;
mod shop;
mod site;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod sum_tests;
#[cfg(test)]
mod tests;

use agenda::Agenda;
use jiff::Timestamp;
use shop::{Shop, Task};

pub use event::Event;
pub use pacer::Pacer;
pub use site::Site;

/// How many stores a simulation has when nobody asks for another number.
pub const DEFAULT_STORES: u16 = 12;

/// Most stores of one simulation; more are cut off.
pub const MAX_STORES: u16 = 1_000;

/// Most orders that wait on one terminal at a time. Guests who come to a full terminal leave again, so the memory
/// of a simulation has a bound however long and however busily it runs.
pub const MAX_OPEN_ORDERS_PER_TERMINAL: usize = 64;

/// An event and the simulated moment at which the store sends it.
#[derive(Clone, Debug)]
pub struct SimEvent {
    /// Simulated time; never decreases from one event to the next. Equals the event's `occurred_at`.
    pub at: Timestamp,
    /// The event, in the shape of "Events in" of the hub's API.
    pub event: Event,
}

/// The stores and what they have planned. An endless iterator over events in the order of simulated time.
pub struct Simulation {
    sites: Vec<Site>,
    shops: Vec<Shop>,
    agenda: Agenda<(u16, Task)>,
}

impl Simulation {
    /// A company of `stores` stores (1 to [`MAX_STORES`]) whose time begins at `start`, to the millisecond.
    ///
    /// A store depends on the seed and its own number only: more stores leave the events of the first ones as
    /// they were.
    pub fn new(seed: u64, stores: u16, start: Timestamp) -> Simulation {
        let start = Timestamp::from_millisecond(start.as_millisecond()).unwrap_or(start);
        let count = stores.clamp(1, MAX_STORES);
        let mut agenda = Agenda::new();
        let mut shops: Vec<Shop> = (0..count).map(|index| Shop::new(seed, index, start)).collect();
        for (index, shop) in (0..count).zip(&mut shops) {
            shop.begin(start, &mut shop::Plans::new(&mut agenda, index));
        }
        let sites = shops.iter().map(|shop| shop.site().clone()).collect();
        Simulation { sites, shops, agenda }
    }

    /// Names the run in every idempotency id (`sim:<label>:<site>:<number>`). Without a label it is made of seed
    /// and start, so that a repeated run is recognised as the same events. At most 64 characters count, and what
    /// an idempotency id may not hold becomes `-`.
    pub fn with_run_label(mut self, label: &str) -> Simulation {
        for shop in &mut self.shops {
            shop.label_run(label);
        }
        self
    }

    /// Makes the stores busier (over 100) or quieter (under 100) without changing how fast their time passes.
    /// `percent` is kept between 1 and 10,000.
    pub fn with_intensity(mut self, percent: u32) -> Simulation {
        for shop in &mut self.shops {
            shop.set_intensity(percent);
        }
        self
    }

    /// The stores, in order.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// How many orders are taken and neither closed, cancelled nor voided. At most
    /// [`MAX_OPEN_ORDERS_PER_TERMINAL`] for each terminal.
    pub fn open_orders(&self) -> usize {
        self.shops.iter().map(Shop::open_orders).sum()
    }

    /// The next event in simulated time.
    pub fn next_event(&mut self) -> SimEvent {
        loop {
            let (at, (index, task)) = self.agenda.pop().expect("every shop always has its next arrival on the agenda");
            let plans = &mut shop::Plans::new(&mut self.agenda, index);
            if let Some(event) = self.shops[usize::from(index)].perform(task, at, plans) {
                return SimEvent { at, event };
            }
        }
    }
}

impl Iterator for Simulation {
    type Item = SimEvent;

    /// Never `None`.
    fn next(&mut self) -> Option<SimEvent> {
        Some(self.next_event())
    }
}
