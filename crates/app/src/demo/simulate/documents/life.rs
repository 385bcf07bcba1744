//! The life of an order: what happens to it from version to version.

use super::super::dice::Dice;
use super::super::ids::ObjectId;
use super::super::money::{Cents, Rate};
use super::line::{Discount, ItemType, Line};
use super::order::{OrderDocument, OrderType, Origin, State};
use super::payment::PaymentInfo;
use super::{Customer, Moment};
use jiff::Timestamp;
use std::collections::VecDeque;

/// Most lines of an order: documents stay within a few kilobytes.
pub const MAX_LINES: usize = 5;

/// Most versions of an order.
pub const MAX_VERSIONS: usize = 7;

/// Fewest versions of an order.
pub const MIN_VERSIONS: usize = 3;

/// An order and what is still going to happen to it.
pub struct Order {
    /// Index of the terminal within the store.
    pub till: usize,
    /// The order as last saved.
    pub document: OrderDocument,
    plan: VecDeque<Step>,
}

/// Where the order lies at this moment: what a change of it depends on.
pub struct Desk<'a> {
    pub dice: &'a mut Dice,
    pub tax: Rate,
    pub at: Timestamp,
    /// Whether the terminal's drawer is open.
    pub takes_cash: bool,
}

/// Cash that a change of the order moves into the drawer (positive) or out of it.
pub type CashMove = Cents;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    AddItem,
    Double,
    Discount,
    Commit,
    DelayCommit,
    CheckIn,
    Pay,
    Close,
    Cancel,
    Void,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Sale,
    Cancelled,
    Voided,
    Waste,
}

const ORDER_DISCOUNTS: [(&str, Rate); 2] = [("Neighbourhood 5", Rate(500)), ("Coupon 10", Rate(1_000))];

impl Order {
    /// A new order of a guest, or something thrown away.
    pub fn take(desk: &mut Desk, till: usize, number: u64, origin: Origin) -> Order {
        let fate = fate(desk.dice);
        let online = matches!(origin.channel_type, "online" | "delivery");
        let order_type = if fate == Fate::Waste { OrderType::Waste } else { OrderType::Order };
        let id = desk.dice.object_id(desk.at);
        let mut document = OrderDocument::new(id, number, order_type, origin, desk.at);
        if fate != Fate::Waste && desk.dice.chance(if online { 500 } else { 150 }) {
            document.customer = Some(Customer::any(desk.dice));
        }
        document.items = first_lines(desk, document.origin.channel_type);
        if fate == Fate::Waste {
            document.discounts.push(percent("Waste", Rate(10_000)));
        }
        document.add_up(desk.tax);
        let plan = plan(desk.dice, fate, online);
        debug_assert!((MIN_VERSIONS..=MAX_VERSIONS).contains(&(1 + plan.len())));
        Order { till, document, plan }
    }

    /// Takes back some or all dishes of a closed order.
    pub fn refund(desk: &mut Desk, till: usize, number: u64, origin: Origin, past: &OrderDocument) -> Order {
        let id = desk.dice.object_id(desk.at);
        let mut document = OrderDocument::new(id, number, OrderType::Refund, origin, desk.at);
        let dishes: Vec<&Line> = past.items.iter().filter(|line| line.item_type == ItemType::Regular).collect();
        let count = desk.dice.between(1, dishes.len().max(1) as u32) as usize;
        document.original_order_id = Some(past.id);
        document.customer = past.customer.clone();
        document.items = dishes.into_iter().take(count).map(|line| line.returned(desk.tax)).collect();
        document.discounts = past.discounts.clone();
        document.add_up(desk.tax);
        Order { till, document, plan: [Step::Pay, Step::Close].into() }
    }

    /// How long until the next change, in milliseconds; none when nothing is left to happen.
    pub fn next_change(&self, dice: &mut Dice) -> Option<i64> {
        self.plan.front().map(|step| step.delay(dice))
    }

    /// The next change: a new version of the document, and the cash that it moves.
    pub fn advance(&mut self, desk: &mut Desk) -> CashMove {
        let before = self.document.payment_info.cash();
        if let Some(step) = self.plan.pop_front() {
            self.apply(step, desk);
        }
        self.document.time.last_modified = Moment(desk.at);
        self.document.add_up(desk.tax);
        self.document.payment_info.cash() - before
    }

    /// Ids that the order's events are found by: the order, and the guest where known.
    pub fn ids(&self) -> (ObjectId, Option<ObjectId>) {
        (self.document.id, self.document.customer.as_ref().map(|customer| customer.id))
    }

    fn apply(&mut self, step: Step, desk: &mut Desk) {
        match step {
            Step::AddItem => self.add_item(desk),
            Step::Double => self.double(desk.tax),
            Step::Discount => self.discount(desk.dice),
            Step::Pay => self.pay(desk),
            Step::Void => self.document.payment_info.void(),
            Step::Commit | Step::DelayCommit | Step::CheckIn | Step::Close | Step::Cancel => {}
        }
        if let Some(state) = step.leads_to() {
            self.document.enter(state, desk.at);
        }
    }

    fn add_item(&mut self, desk: &mut Desk) {
        if self.document.items.len() < MAX_LINES {
            let line = Line::dish(desk.dice, desk.at, desk.tax);
            self.document.items.push(line);
        }
    }

    fn double(&mut self, tax: Rate) {
        let dish = self.document.items.iter_mut().rfind(|line| line.item_type == ItemType::Regular);
        if let Some(line) = dish {
            line.double(tax);
        }
    }

    fn discount(&mut self, dice: &mut Dice) {
        if self.document.discounts.is_empty() {
            let (name, rate) = *dice.pick(&ORDER_DISCOUNTS);
            self.document.discounts.push(percent(name, rate));
        }
    }

    fn pay(&mut self, desk: &mut Desk) {
        let total = self.document.totals.total;
        self.document.payment_info = PaymentInfo::settle(desk.dice, desk.at, total, desk.takes_cash);
    }
}

impl Step {
    fn leads_to(self) -> Option<State> {
        match self {
            Step::AddItem | Step::Double | Step::Discount => None,
            Step::Commit => Some(State::Committed),
            Step::DelayCommit => Some(State::CommitDelayed),
            Step::CheckIn => Some(State::CheckedIn),
            Step::Pay => Some(State::Paid),
            Step::Close => Some(State::Closed),
            Step::Cancel => Some(State::Cancelled),
            Step::Void => Some(State::Voided),
        }
    }

    /// Milliseconds that pass before the step, at least a second.
    fn delay(self, dice: &mut Dice) -> i64 {
        match self {
            Step::AddItem | Step::Double | Step::Discount => dice.seconds(8, 120),
            Step::Commit | Step::DelayCommit => dice.seconds(20, 180),
            Step::CheckIn => dice.seconds(120, 600),
            Step::Pay | Step::Cancel => dice.seconds(30, 420),
            Step::Close | Step::Void => dice.seconds(20, 300),
        }
    }
}

fn fate(dice: &mut Dice) -> Fate {
    match dice.below(1_000) {
        0..35 => Fate::Cancelled,
        35..55 => Fate::Voided,
        55..65 => Fate::Waste,
        _ => Fate::Sale,
    }
}

fn first_lines(desk: &mut Desk, channel: &str) -> Vec<Line> {
    let dishes = desk.dice.between(1, 3);
    let mut lines: Vec<Line> = (0..dishes).map(|_| Line::dish(desk.dice, desk.at, desk.tax)).collect();
    if channel == "delivery" {
        lines.push(Line::delivery_fee(desk.dice, desk.at));
    } else if channel == "store" && desk.dice.chance(25) {
        lines.push(Line::gift_card(desk.dice, desk.at));
    } else if desk.dice.chance(80) {
        lines.push(Line::comment(desk.dice, desk.at));
    }
    lines
}

fn percent(name: &'static str, rate: Rate) -> Discount {
    Discount { name, kind: "percent", rate, amount: Cents::ZERO }
}

/// What follows the first version: at least two steps and at most six.
fn plan(dice: &mut Dice, fate: Fate, online: bool) -> VecDeque<Step> {
    match fate {
        Fate::Waste => [Step::AddItem, Step::Close].into(),
        Fate::Cancelled => changes(dice, 1, 3).chain([Step::Cancel]).collect(),
        Fate::Voided => changes(dice, 0, 2).chain([Step::Pay, Step::Void]).collect(),
        Fate::Sale if online => ahead(dice).chain([Step::Pay, Step::Close]).collect(),
        Fate::Sale => changes(dice, 0, 3).chain([Step::Pay, Step::Close]).collect(),
    }
}

fn changes(dice: &mut Dice, least: u32, most: u32) -> impl Iterator<Item = Step> + use<> {
    let count = dice.between(least, most);
    let steps: Vec<Step> = (0..count).map(|_| change(dice)).collect();
    steps.into_iter()
}

fn change(dice: &mut Dice) -> Step {
    match dice.below(10) {
        0..6 => Step::AddItem,
        6..8 => Step::Double,
        _ => Step::Discount,
    }
}

/// An order made ahead: perhaps changed or held back, then committed, and often checked in on arrival.
fn ahead(dice: &mut Dice) -> impl Iterator<Item = Step> + use<> {
    let before: Vec<Step> = changes(dice, 0, 1).collect();
    let held = dice.chance(200).then_some(Step::DelayCommit);
    let arrives = dice.chance(500).then_some(Step::CheckIn);
    before.into_iter().chain(held).chain([Step::Commit]).chain(arrives)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::Date;

    const TAX: Rate = Rate(825);

    fn origin(channel_type: &'static str) -> Origin {
        let text = String::new;
        let business_date = Date::constant(2026, 1, 15);
        Origin {
            channel_type,
            site_id: text(),
            store_number: text(),
            terminal_id: text(),
            employee_id: text(),
            business_date,
            currency: "USD",
        }
    }

    fn desk(dice: &mut Dice) -> Desk<'_> {
        Desk { dice, tax: TAX, at: Timestamp::UNIX_EPOCH, takes_cash: true }
    }

    /// All versions of an order, and the cash that they moved.
    fn live(mut order: Order, dice: &mut Dice) -> (Vec<OrderDocument>, Cents) {
        let mut versions = vec![order.document.clone()];
        let mut cash = Cents::ZERO;
        while order.next_change(dice).is_some() {
            cash += order.advance(&mut desk(dice));
            versions.push(order.document.clone());
        }
        (versions, cash)
    }

    fn lives(channel: &'static str) -> Vec<(Vec<OrderDocument>, Cents)> {
        let mut dice = Dice::new(9, 0);
        (0..600)
            .map(|number| {
                let order = Order::take(&mut desk(&mut dice), 0, number, origin(channel));
                live(order, &mut dice)
            })
            .collect()
    }

    #[test]
    fn an_order_has_three_to_seven_versions() {
        let counts: Vec<usize> =
            ["store", "online"].into_iter().flat_map(lives).map(|(versions, _)| versions.len()).collect();
        assert_eq!(counts.iter().min(), Some(&MIN_VERSIONS));
        assert!(counts.iter().all(|count| *count <= MAX_VERSIONS));
        assert!(counts.contains(&6));
    }

    #[test]
    fn every_order_ends_closed_cancelled_or_voided() {
        let lives = lives("store");
        let ended = |state| lives.iter().filter(|(versions, _)| versions.last().unwrap().state == state).count();
        let (closed, cancelled, voided) = (ended(State::Closed), ended(State::Cancelled), ended(State::Voided));
        assert_eq!(closed + cancelled + voided, lives.len());
        assert!(closed > 500 && cancelled > 0 && voided > 0);
    }

    #[test]
    fn a_closed_order_is_paid_in_full_and_its_cash_is_in_the_drawer() {
        for (versions, cash) in lives("store") {
            let last = versions.last().unwrap();
            match last.state {
                State::Closed => assert_eq!(last.totals.balance_due, Cents::ZERO),
                _ => assert_eq!(last.totals.paid, Cents::ZERO),
            }
            assert_eq!(cash, last.payment_info.cash());
        }
    }

    #[test]
    fn what_is_wasted_costs_nothing() {
        let wasted: Vec<_> = lives("store").into_iter().filter(|(v, _)| v[0].order_type == OrderType::Waste).collect();
        assert!(!wasted.is_empty());
        for (versions, _) in wasted {
            assert!(versions.iter().all(|v| v.totals.total == Cents::ZERO && v.totals.subtotal > Cents::ZERO));
        }
    }

    #[test]
    fn a_full_refund_is_the_exact_negative_of_the_dishes() {
        let mut dice = Dice::new(9, 0);
        for (versions, _) in lives("kiosk") {
            let past = versions.last().unwrap();
            if !past.is_returnable() {
                continue;
            }
            let order = Order::refund(&mut desk(&mut dice), 0, 1, origin("store"), past);
            if order.document.items.len() == past.items.len() {
                assert_eq!(order.document.totals.total, -past.totals.total);
            }
            assert!(order.document.totals.total < Cents::ZERO);
            assert_eq!(order.document.original_order_id, Some(past.id));
        }
    }

    #[test]
    fn a_full_order_takes_no_more_lines() {
        let mut dice = Dice::new(9, 0);
        let mut order = Order::take(&mut desk(&mut dice), 0, 1, origin("store"));
        (0..10).for_each(|_| order.add_item(&mut desk(&mut dice)));
        assert_eq!(order.document.items.len(), MAX_LINES);
    }
}
