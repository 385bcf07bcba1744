//! What was received of a day, in numbers.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::order::Amounts;

/// Most entities that are counted by name; further ones are counted as [`OTHER`].
pub const MAX_ENTITIES: usize = 64;
/// No entity is named so: names begin with a letter.
pub const OTHER: &str = "_other";

/// Numbers of a day, or the difference of two such.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Events by entity.
    pub events: BTreeMap<String, i64>,
    /// Orders, each in its newest version.
    pub orders: Orders,
}

/// Totals of orders; amounts are written as JSON numbers with the digits that they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// How many.
    pub count: i64,
    /// How many of them have no figures, and so no part in the amounts.
    pub without_figures: i64,
    /// Sum of gross sales.
    #[serde(serialize_with = "number", deserialize_with = "decimal")]
    pub gross: Decimal,
    /// Sum of net sales.
    #[serde(serialize_with = "number", deserialize_with = "decimal")]
    pub net: Decimal,
    /// Sum of taxes.
    #[serde(serialize_with = "number", deserialize_with = "decimal")]
    pub tax: Decimal,
}

impl Tally {
    /// Counts an event.
    pub fn count(&mut self, entity: &str) {
        let known = self.events.contains_key(entity) || self.events.len() < MAX_ENTITIES;
        *self.events.entry(if known { entity } else { OTHER }.to_owned()).or_default() += 1;
    }

    /// What this has more than `before`; entities without a difference are left out.
    pub fn since(&self, before: &Tally) -> Tally {
        let mut events = self.events.clone();
        for (entity, n) in &before.events {
            *events.entry(entity.clone()).or_default() -= n;
        }
        events.retain(|_, n| *n != 0);
        Tally { events, orders: self.orders.since(&before.orders) }
    }
}

impl Orders {
    pub(super) fn add(&mut self, amounts: Option<Amounts>) {
        self.apply(1, amounts);
    }

    pub(super) fn remove(&mut self, amounts: Option<Amounts>) {
        let negative = |a: Amounts| Amounts { gross: -a.gross, net: -a.net, tax: -a.tax };
        self.apply(-1, amounts.map(negative));
    }

    fn apply(&mut self, one: i64, amounts: Option<Amounts>) {
        self.count += one;
        match amounts {
            None => self.without_figures += one,
            Some(a) => {
                self.gross += a.gross;
                self.net += a.net;
                self.tax += a.tax;
            }
        }
    }

    fn since(&self, before: &Orders) -> Orders {
        Orders {
            count: self.count - before.count,
            without_figures: self.without_figures - before.without_figures,
            gross: self.gross - before.gross,
            net: self.net - before.net,
            tax: self.tax - before.tax,
        }
    }
}

fn number<S: Serializer>(amount: &Decimal, s: S) -> Result<S::Ok, S::Error> {
    RawValue::from_string(amount.to_string()).map_err(serde::ser::Error::custom)?.serialize(s)
}

fn decimal<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Decimal, D::Error> {
    let raw = Box::<RawValue>::deserialize(d)?;
    Decimal::from_str_exact(raw.get()).map_err(serde::de::Error::custom)
}
