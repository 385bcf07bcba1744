//! The order document and its sums.

use super::super::ids::ObjectId;
use super::super::money::{Cents, Rate};
use super::line::{Discount, ItemType, Line, Tax};
use super::payment::PaymentInfo;
use super::{Customer, Moment};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

/// One version of an order as the point of sale saves it.
///
/// What holds in every version: `totals.total` = Σ `items[].total` − Σ `discounts[].amount` = `subtotal` −
/// `discounts` + `tax`; `subtotal` = Σ quantity × price over items and modifiers; `tax_inclusive` is inside the
/// prices and changes no sum. On a refund every amount but the unit prices is negative.
#[derive(Clone, Debug, Serialize)]
pub struct OrderDocument {
    /// Identity.
    #[serde(rename = "_id")]
    pub id: ObjectId,
    /// Counts the orders of the terminal from 1, without gaps.
    pub sequential_order_number: u64,
    pub state: State,
    pub order_type: OrderType,
    #[serde(flatten)]
    pub origin: Origin,
    /// The order that a refund takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_order_id: Option<ObjectId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<Customer>,
    pub time: Times,
    pub items: Vec<Line>,
    /// Off the whole order; the tax of the lines stays.
    pub discounts: Vec<Discount>,
    /// Taxes of all lines.
    pub taxes: Vec<Tax>,
    pub totals: Totals,
    pub payment_info: PaymentInfo,
}

/// Where and by whom an order was taken.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    pub channel_type: &'static str,
    pub site_id: String,
    pub store_number: String,
    pub terminal_id: String,
    pub employee_id: String,
    pub business_date: Date,
    pub currency: &'static str,
}

/// Order states that the stores use, spelled as the data stream contract lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Open,
    Committed,
    CommitDelayed,
    #[serde(rename = "checkedin")]
    CheckedIn,
    Paid,
    Closed,
    Cancelled,
    Voided,
}

/// Order types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderType {
    Order,
    Refund,
    Waste,
}

/// When what happened; `last_modified` grows strictly from version to version.
#[derive(Clone, Debug, Serialize)]
pub struct Times {
    pub created: Moment,
    pub last_modified: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<Moment>,
}

/// The sums of an order.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// Lines with prices and modifiers.
    pub subtotal: Cents,
    /// Of the lines and of the order.
    pub discounts: Cents,
    /// On top of the prices.
    pub tax: Cents,
    /// Inside the prices.
    pub tax_inclusive: Cents,
    /// What the guest owes for all of it.
    pub total: Cents,
    /// Without tips.
    pub paid: Cents,
    pub tips: Cents,
    pub balance_due: Cents,
}

impl OrderDocument {
    /// An open order without lines.
    pub fn new(id: ObjectId, number: u64, order_type: OrderType, origin: Origin, at: Timestamp) -> OrderDocument {
        let now = Moment(at);
        OrderDocument {
            id,
            sequential_order_number: number,
            state: State::Open,
            order_type,
            origin,
            original_order_id: None,
            customer: None,
            time: Times { created: now, last_modified: now, paid: None, closed: None },
            items: Vec::new(),
            discounts: Vec::new(),
            taxes: Vec::new(),
            totals: Totals::default(),
            payment_info: PaymentInfo::default(),
        }
    }

    /// Brings every sum in line with lines, discounts and payments.
    pub fn add_up(&mut self, rate: Rate) {
        let subtotal: Cents = self.items.iter().map(Line::gross).sum();
        let owed: Cents = self.items.iter().map(Line::total).sum();
        // Waste is thrown away with its tax, so what is taken off is all that would have been owed.
        let base = if self.order_type == OrderType::Waste { owed } else { subtotal };
        for discount in &mut self.discounts {
            discount.amount = base.share(discount.rate);
        }
        let off: Cents = self.discounts.iter().map(|discount| discount.amount).sum();
        let (paid, total) = (self.payment_info.paid(), owed - off);
        self.totals = Totals {
            subtotal,
            discounts: off + self.items.iter().map(Line::discounted).sum(),
            tax: self.items.iter().map(Line::tax_on_top).sum(),
            tax_inclusive: self.items.iter().map(Line::tax_within).sum(),
            total,
            paid,
            tips: self.payment_info.tips(),
            balance_due: total - paid,
        };
        self.taxes = taxes(&self.totals, rate);
    }

    /// Puts the order into a state at that moment.
    pub fn enter(&mut self, state: State, at: Timestamp) {
        self.state = state;
        match state {
            State::Paid => self.time.paid = Some(Moment(at)),
            State::Closed => self.time.closed = Some(Moment(at)),
            _ => {}
        }
    }

    /// Whether a guest can bring something of it back.
    pub fn is_returnable(&self) -> bool {
        let sold = self.state == State::Closed && self.order_type == OrderType::Order;
        sold && self.items.iter().any(|line| line.item_type == ItemType::Regular)
    }
}

fn taxes(totals: &Totals, rate: Rate) -> Vec<Tax> {
    let tax = |inclusive, amount| Tax { name: "Sales tax", rate, inclusive, amount };
    let kinds = [tax(false, totals.tax), tax(true, totals.tax_inclusive)];
    kinds.into_iter().filter(|tax| tax.amount != Cents::ZERO).collect()
}
