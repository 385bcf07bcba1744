//! Orders of a day: their exact totals over the newest version of each.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::day::Day;
use crate::Seq;
use crate::relevance::Version;

/// Highest amount of one order, either way. With [`MAX_SCALE`] it keeps the sum of ten thousand million orders exact.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000;
/// Most digits behind the point of an amount.
pub const MAX_SCALE: u32 = 6;

/// The figures of one order, which can be summed exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    #[serde(rename = "g")]
    pub(super) gross: Decimal,
    #[serde(rename = "n")]
    pub(super) net: Decimal,
    #[serde(rename = "t")]
    pub(super) tax: Decimal,
}

impl Amounts {
    /// None when an amount is beyond [`MAX_AMOUNT`] or finer than [`MAX_SCALE`]: such an order is counted as one without
    /// figures.
    pub fn new(gross: Decimal, net: Decimal, tax: Decimal) -> Option<Self> {
        Some(Self { gross: bounded(gross)?, net: bounded(net)?, tax: bounded(tax)? })
    }
}

fn bounded(amount: Decimal) -> Option<Decimal> {
    let amount = if amount.scale() > MAX_SCALE { amount.normalize() } else { amount };
    (amount.scale() <= MAX_SCALE && amount.abs() <= Decimal::from(MAX_AMOUNT)).then_some(amount)
}

/// The newest version of an order: a row by site and `_id`, kept as long as its day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The day that it is of.
    #[serde(rename = "d")]
    pub date: Date,
    /// Its version; one that says none is older than any.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Where it stands; of equal versions the later is the newer.
    #[serde(rename = "s")]
    pub seq: Seq,
    /// Its figures, when it has any.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub amounts: Option<Amounts>,
}

impl Order {
    /// Takes a version of an order into the totals of its day, in place of the one in `row`. An order that changes its
    /// day leaves the other one's totals, so `days` holds the rows of both.
    pub fn count(self, row: &mut Option<Order>, days: &mut BTreeMap<Date, Day>) {
        if row.as_ref().is_some_and(|old| !self.replaces(old)) {
            return;
        }
        if let Some(old) = row.take() {
            days.entry(old.date).or_default().orders_mut().remove(old.amounts);
        }
        days.entry(self.date).or_default().orders_mut().add(self.amounts);
        *row = Some(self);
    }

    fn replaces(&self, old: &Order) -> bool {
        let order = match (&self.version, &old.version) {
            (Some(new), Some(old)) => new.compare(old),
            (new, old) => new.is_some().cmp(&old.is_some()),
        };
        order.then(self.seq.cmp(&old.seq)) == Ordering::Greater
    }
}
