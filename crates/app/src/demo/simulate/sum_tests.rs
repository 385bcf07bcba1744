//! Amounts, read back from the text of the documents by a second, naive way of adding up.

use super::tests::{named, orders, text, value};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use std::collections::HashMap;

#[derive(Deserialize)]
struct Read {
    order_type: String,
    items: Vec<ReadItem>,
    discounts: Vec<ReadAmount>,
    taxes: Vec<ReadTax>,
    totals: HashMap<String, Exact>,
    payment_info: ReadPayments,
}

#[derive(Deserialize)]
struct ReadItem {
    quantity: Exact,
    price: Exact,
    tax_inclusive: Exact,
    #[serde(default)]
    modifiers: Vec<ReadItemOfItem>,
    discounts: Vec<ReadAmount>,
    taxes: Vec<ReadTax>,
    total: Exact,
}

#[derive(Deserialize)]
struct ReadItemOfItem {
    quantity: Exact,
    price: Exact,
    #[serde(default)]
    modifiers: Vec<ReadItemOfItem>,
}

#[derive(Deserialize)]
struct ReadAmount {
    amount: Exact,
}

#[derive(Deserialize)]
struct ReadTax {
    inclusive: bool,
    amount: Exact,
}

#[derive(Deserialize)]
struct ReadPayments {
    payments: Vec<ReadPayment>,
}

#[derive(Deserialize)]
struct ReadPayment {
    status: String,
    amount: Exact,
}

#[derive(Clone, Copy)]
struct Exact(Decimal);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Exact, D::Error> {
        let spelled = Box::<RawValue>::deserialize(deserializer)?;
        spelled.get().parse().map(Exact).map_err(de::Error::custom)
    }
}

impl ReadItemOfItem {
    fn worth(&self) -> Decimal {
        self.quantity.0 * self.price.0 + self.modifiers.iter().map(ReadItemOfItem::worth).sum::<Decimal>()
    }
}

impl ReadItem {
    fn worth(&self) -> Decimal {
        self.quantity.0 * self.price.0 + self.modifiers.iter().map(ReadItemOfItem::worth).sum::<Decimal>()
    }
}

fn sum<T>(of: &[T], amount: impl Fn(&T) -> Decimal) -> Decimal {
    of.iter().map(amount).sum()
}

fn tax(taxes: &[ReadTax], inclusive: bool) -> Decimal {
    taxes.iter().filter(|tax| tax.inclusive == inclusive).map(|tax| tax.amount.0).sum()
}

fn read_orders() -> impl Iterator<Item = Read> {
    named("order.saved").map(|event| serde_json::from_str(event.data.get()).unwrap())
}

#[test]
fn lines_add_up_to_the_cent() {
    for item in read_orders().flat_map(|order| order.items) {
        let off = sum(&item.discounts, |discount| discount.amount.0);
        assert_eq!(item.total.0, item.worth() - off + tax(&item.taxes, false));
        assert_eq!(item.tax_inclusive.0, tax(&item.taxes, true));
        assert_eq!(item.total.0.scale(), 2);
    }
}

#[test]
fn orders_add_up_to_the_cent() {
    for order in read_orders() {
        let total = |name: &str| order.totals[name].0;
        let off = sum(&order.discounts, |discount| discount.amount.0);
        let off_lines = sum(&order.items, |item| sum(&item.discounts, |discount| discount.amount.0));
        assert_eq!(total("total"), sum(&order.items, |item| item.total.0) - off);
        assert_eq!(total("total"), total("subtotal") - total("discounts") + total("tax"));
        assert_eq!(total("subtotal"), sum(&order.items, ReadItem::worth));
        assert_eq!(total("discounts"), off + off_lines);
        assert_eq!(total("tax"), sum(&order.items, |item| tax(&item.taxes, false)));
        assert_eq!(total("tax_inclusive"), sum(&order.items, |item| item.tax_inclusive.0));
        assert_eq!((total("tax"), total("tax_inclusive")), (tax(&order.taxes, false), tax(&order.taxes, true)));
    }
}

#[test]
fn payments_add_up_to_what_was_paid() {
    for order in read_orders() {
        let valid = order.payment_info.payments.iter().filter(|payment| payment.status != "voided");
        let paid: Decimal = valid.map(|payment| payment.amount.0).sum();
        assert_eq!(order.totals["paid"].0, paid);
        assert_eq!(order.totals["balance_due"].0, order.totals["total"].0 - paid);
    }
}

#[test]
fn the_sign_of_an_order_is_that_of_its_type() {
    let mut refunds = 0;
    for order in read_orders() {
        let total = order.totals["total"].0;
        match order.order_type.as_str() {
            "refund" => assert!(total.is_sign_negative() && !total.is_zero()),
            "waste" => assert!(total.is_zero()),
            _ => assert!(total.is_sign_positive() && !total.is_zero()),
        }
        refunds += usize::from(order.order_type == "refund");
    }
    assert!(refunds > 100);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadDrawer {
    starting_amount: Exact,
    cash_sales: Exact,
    cash_refunds: Exact,
    paid_in: Exact,
    paid_out: Exact,
    cash_pulls: Exact,
    tips_out: Exact,
    expected_amount: Exact,
    counted_amount: Option<Exact>,
    over_short: Option<Exact>,
    events: Vec<ReadAmount>,
}

#[test]
fn drawers_add_up_and_tell_one_movement_at_a_time() {
    for event in named("drawer.moved") {
        let it: ReadDrawer = serde_json::from_str(event.data.get()).unwrap();
        let came = it.starting_amount.0 + it.cash_sales.0 + it.paid_in.0;
        let went = it.cash_refunds.0 + it.paid_out.0 + it.cash_pulls.0 + it.tips_out.0;
        assert_eq!(it.expected_amount.0, came - went);
        let counted = it.over_short.map(|difference| it.expected_amount.0 + difference.0);
        assert_eq!(it.counted_amount.map(|counted| counted.0), counted);
        assert_eq!(it.events.len(), 1);
        assert!(it.events[0].amount.0.is_sign_positive() || counted.is_some());
    }
}

#[test]
fn cash_sales_of_a_drawer_are_the_cash_payments_at_its_terminal() {
    let mut moved: HashMap<String, Decimal> = HashMap::new();
    for event in named("drawer.moved").filter(|event| event.correlation.order_id.is_some()) {
        let drawer = value(event);
        let read: ReadDrawer = serde_json::from_str(event.data.get()).unwrap();
        let sign = if text(&drawer, "/events/0/type") == "sale" { Decimal::ONE } else { -Decimal::ONE };
        *moved.entry(event.correlation.order_id.clone().unwrap_or_default()).or_default() +=
            sign * read.events[0].amount.0;
    }
    let mut paid: HashMap<String, Decimal> = HashMap::new();
    for (event, order) in orders() {
        let cash = order["payment_info"]["payments"].as_array().unwrap().iter();
        let valid = cash.filter(|payment| payment["type"] == "cash" && payment["status"] != "voided");
        let sum: f64 = valid.filter_map(|payment| payment["amount"].as_f64()).sum();
        let cents = Decimal::new((sum * 100.0).round() as i64, 2);
        paid.insert(event.entity_id.clone().unwrap_or_default(), cents);
    }
    let apart = paid.iter().filter(|(id, cash)| moved.get(*id).copied().unwrap_or_default() != **cash).count();
    assert!(moved.len() > 1_000);
    assert!(apart <= 1, "{apart} orders whose cash is not in a drawer; the very last event may be one");
}
