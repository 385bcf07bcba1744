//! Guests come, order, change their minds, pay and go.

use super::super::MAX_OPEN_ORDERS_PER_TERMINAL;
use super::super::agenda::later;
use super::super::curve::{self, Wait};
use super::super::documents::{CashMove, Desk, Movement, Order, Origin};
use super::super::event::{Correlation, Event};
use super::super::money::Cents;
use super::{About, Plans, Shop, Task};
use jiff::Timestamp;

/// How many closed orders a store remembers for refunds.
pub const MAX_RETURNABLE: usize = 8;

/// How many in a thousand guests bring something back.
const REFUNDS_PER_MILLE: u32 = 30;

impl Shop {
    /// Plans the next guest; never an event by itself.
    pub fn await_guest(&mut self, at: Timestamp, plans: &mut Plans) -> Option<Event> {
        let busy = u64::from(curve::intensity(self.hours.minute_of_day(at)));
        let hundredths_per_hour = u64::from(self.peak) * busy * u64::from(self.intensity) / 1_000;
        match curve::wait(&mut self.dice, hundredths_per_hour) {
            Wait::Arrival(gap) => plans.add(later(at, gap), Task::Arrive),
            Wait::Nobody => plans.add(later(at, curve::MAX_GAP_MS), Task::Look),
        }
        None
    }

    /// A guest is here: an order or a refund begins, unless the terminal is full.
    pub fn arrive(&mut self, at: Timestamp, plans: &mut Plans) -> Option<Event> {
        self.await_guest(at, plans);
        let till = self.choose_till(at)?;
        let order = self.take(till, at);
        self.tills[till].open_orders += 1;
        Some(self.save(order, at, plans))
    }

    /// The next version of an order.
    pub fn serve(&mut self, mut order: Box<Order>, at: Timestamp, plans: &mut Plans) -> Event {
        let till = &self.tills[order.till];
        let takes_cash = till.takes_cash();
        let mut desk = Desk { dice: &mut self.dice, tax: self.tax, at, takes_cash };
        let cash = order.advance(&mut desk);
        if let Some(movement) = movement(cash, &order) {
            plans.add(at, Task::Move(order.till, movement));
        }
        self.save(order, at, plans)
    }

    /// Events about the order, and its next change or its end.
    fn save(&mut self, order: Box<Order>, at: Timestamp, plans: &mut Plans) -> Event {
        let (id, customer) = order.ids();
        let about = About {
            name: "order.saved",
            till: Some(order.till),
            business_date: order.document.origin.business_date,
            entity_id: Some(id.to_string()),
            correlation: Correlation {
                order_id: Some(id.to_string()),
                customer_id: customer.map(|customer| customer.to_string()),
            },
        };
        let event = self.event(at, about, &order.document);
        match order.next_change(&mut self.dice) {
            Some(delay) => plans.add(later(at, delay), Task::Serve(order)),
            None => self.finish(*order),
        }
        event
    }

    fn finish(&mut self, order: Order) {
        self.tills[order.till].open_orders -= 1;
        if !order.document.is_returnable() {
            return;
        }
        if self.returnable.len() == MAX_RETURNABLE {
            self.returnable.pop_front();
        }
        self.returnable.push_back(order.document);
    }

    fn take(&mut self, till: usize, at: Timestamp) -> Box<Order> {
        let origin = self.origin(till, at);
        self.tills[till].orders_taken += 1;
        let number = self.tills[till].orders_taken;
        let brings_back = self.dice.chance(REFUNDS_PER_MILLE);
        let past = if brings_back { self.returnable.pop_front() } else { None };
        let takes_cash = self.tills[till].takes_cash();
        let desk = &mut Desk { dice: &mut self.dice, tax: self.tax, at, takes_cash };
        Box::new(match past {
            Some(past) => Order::refund(desk, till, number, origin, &past),
            None => Order::take(desk, till, number, origin),
        })
    }

    fn origin(&mut self, till: usize, at: Timestamp) -> Origin {
        let employee_id = self.clerk(till, at).id.clone();
        let terminal = &self.site.terminals[till];
        Origin {
            channel_type: terminal.kind.channel(&mut self.dice),
            site_id: self.site.id.clone(),
            store_number: self.site.store_number.clone(),
            terminal_id: terminal.id.clone(),
            employee_id,
            business_date: self.tills[till].business_date,
            currency: "USD",
        }
    }

    /// Any terminal by day, one that serves at night after hours; none when the guest finds it full.
    fn choose_till(&mut self, at: Timestamp) -> Option<usize> {
        let open = self.hours.is_open(at);
        let serving = |till: &usize| open || self.site.terminals[*till].kind.serves_at_night();
        let choices: Vec<usize> = (0..self.tills.len()).filter(serving).collect();
        let till = *self.dice.pick(&choices);
        (self.tills[till].open_orders < MAX_OPEN_ORDERS_PER_TERMINAL).then_some(till)
    }
}

fn movement(cash: CashMove, order: &Order) -> Option<Movement> {
    let (id, _) = order.ids();
    match cash {
        Cents::ZERO => None,
        cash if cash > Cents::ZERO => Some(Movement::Sale(cash, id)),
        cash => Some(Movement::Refund(-cash, id)),
    }
}
