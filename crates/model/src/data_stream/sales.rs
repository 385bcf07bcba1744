//! Gross and net sales of an order (`contracts/data-stream.md`, "Net and gross sales").
//!
//! Read from the text of `data`, calculated with exact decimals, rounded once at the end. What the contract leaves open:
//!
//! - A member that is `null` is as good as absent. `item_type`, `state` and `order_type` are compared as they are.
//! - A modifier is a line of its own: its quantity counts all of the line, not one of it, and it may have modifiers
//!   itself. What is inside a line that never counts does not count either, and need not be readable.
//! - A line's `discounts` count; its `discount` only when that list is absent or empty, as it is their sum elsewhere.
//! - `tax_inclusive` is the tax inside the whole line.
//! - A refund is negative however its source writes it: one with positive quantities is turned round, one that is
//!   negative as it stands is left. The sign of the gross figure tells (of the net one when gross is nothing), and both
//!   are turned together, so that they still belong together.

use rust_decimal::Decimal;

use super::exact::{difference, number, product, sum};
pub use super::money::{Money, Rounding};
use crate::json::unquote;
use crate::path::{elements, member_of, members, text};

/// `state`s of orders that are sales.
const SALE_STATES: [&str; 2] = ["closed", "paid"];
/// The `order_type` of sales.
const ORDER: &str = "order";
/// The `order_type` of what was given back.
const REFUND: &str = "refund";
/// `item_type`s that are no sales.
const NEVER_COUNT: [&str; 4] = ["gift_card", "gift_certificate", "fee", "comment"];

/// The two figures of an order, rounded to the site's precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Σ quantity × price − tax inside.
    pub gross: Decimal,
    /// Gross − discounts.
    pub net: Decimal,
}

/// Why an order has no figures; it is sent with `null` then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoFigures {
    /// Its state or type has none. That is how it should be.
    NotASale,
    /// It should have them and cannot: to be counted.
    Unreadable(Fault),
}

/// What an order should have said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {why}")]
pub struct Fault {
    /// Place in `data`, such as `items[2].modifiers[0].price`.
    pub at: String,
    /// What is the matter there.
    pub why: Why,
}

/// What is the matter with a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Why {
    /// It is needed.
    #[error("missing")]
    Missing,
    /// Numbers in quotes are texts.
    #[error("not a number")]
    NotANumber,
    /// It has to be an array.
    #[error("not a list")]
    NotAList,
    /// A line has to be an object.
    #[error("not an object")]
    NotAnObject,
    /// It, or a sum it is part of, has more digits than are calculated exactly (28).
    #[error("too many digits")]
    TooManyDigits,
}

/// An order's figures, or why it has none.
pub type Sales = Result<Figures, NoFigures>;

/// The figures of the order in `data`.
pub fn of_order(data: &str, money: Money) -> Sales {
    let is = |member, allowed: &[&str]| text(data, member).is_some_and(|found| allowed.contains(&&*found));
    if !is("state", &SALE_STATES) || !is("order_type", &[ORDER, REFUND]) {
        return Err(NoFigures::NotASale);
    }
    figures(data, is("order_type", &[REFUND]), money).map_err(NoFigures::Unreadable)
}

fn figures(data: &str, is_refund: bool, money: Money) -> Result<Figures, Fault> {
    let items = present(member_of(data, "items")).ok_or_else(|| Fault::new("items", Why::Missing))?;
    let Sums { gross, off } = lines("items", items)?;
    let off_order = discounts(member_of(data, "discounts"))?;
    let net = sum(off, off_order).and_then(|all| difference(gross, all)).ok_or_else(|| Fault::digits("discounts"))?;
    let turned = is_refund && is_above_zero(gross, net);
    let shown = |amount: Decimal| {
        let signed = if turned { -amount } else { amount };
        money.round(signed).ok_or_else(|| Fault::digits("items"))
    };
    Ok(Figures { gross: shown(gross)?, net: shown(net)? })
}

fn is_above_zero(gross: Decimal, net: Decimal) -> bool {
    let telling = if gross.is_zero() { net } else { gross };
    telling > Decimal::ZERO
}

/// What lines come to.
#[derive(Clone, Copy, Default)]
struct Sums {
    /// Quantity × price without the tax inside.
    gross: Decimal,
    /// Discounts of the lines.
    off: Decimal,
}

impl Sums {
    fn plus(self, other: Sums) -> Option<Sums> {
        Some(Sums { gross: sum(self.gross, other.gross)?, off: sum(self.off, other.off)? })
    }
}

impl Fault {
    fn new(at: &str, why: Why) -> Self {
        Fault { at: at.to_owned(), why }
    }

    fn digits(at: &str) -> Self {
        Fault::new(at, Why::TooManyDigits)
    }

    /// The same fault, seen from outside of the list.
    fn inside(self, list: &str, index: usize) -> Self {
        let dot = if self.at.is_empty() { "" } else { "." };
        Fault { at: format!("{list}[{index}]{dot}{}", self.at), why: self.why }
    }
}

fn lines(name: &str, list: &str) -> Result<Sums, Fault> {
    let mut all = Sums::default();
    for (i, json) in array(name, list)?.enumerate() {
        let one = line(json).map_err(|fault| fault.inside(name, i))?;
        all = all.plus(one).ok_or_else(|| Fault::digits(name))?;
    }
    Ok(all)
}

fn line(json: &str) -> Result<Sums, Fault> {
    if !json.starts_with('{') {
        return Err(Fault::new("", Why::NotAnObject));
    }
    let line = Line::read(json);
    if line.never_counts() {
        return Ok(Sums::default());
    }
    let own = Sums { gross: line.gross()?, off: line.off()? };
    match line.modifiers {
        Some(modifiers) => own.plus(lines("modifiers", modifiers)?).ok_or_else(|| Fault::digits("modifiers")),
        None => Ok(own),
    }
}

/// The raw members of a line or a modifier that count, as far as it has them.
#[derive(Default)]
struct Line<'a> {
    item_type: Option<&'a str>,
    quantity: Option<&'a str>,
    price: Option<&'a str>,
    tax_inclusive: Option<&'a str>,
    discounts: Option<&'a str>,
    discount: Option<&'a str>,
    modifiers: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn read(json: &'a str) -> Self {
        let mut line = Line::default();
        for (key, value) in members(json) {
            let place = match unquote(key).as_deref() {
                Some("item_type") => &mut line.item_type,
                Some("quantity") => &mut line.quantity,
                Some("price") => &mut line.price,
                Some("tax_inclusive") => &mut line.tax_inclusive,
                Some("discounts") => &mut line.discounts,
                Some("discount") => &mut line.discount,
                Some("modifiers") => &mut line.modifiers,
                _ => continue,
            };
            *place = present(Some(value));
        }
        line
    }

    fn never_counts(&self) -> bool {
        self.item_type.and_then(unquote).is_some_and(|kind| NEVER_COUNT.contains(&&*kind))
    }

    fn gross(&self) -> Result<Decimal, Fault> {
        let price = needed("price", self.price)?;
        let quantity = amount("quantity", self.quantity, Decimal::ONE)?;
        let tax = amount("tax_inclusive", self.tax_inclusive, Decimal::ZERO)?;
        product(quantity, price).and_then(|worth| difference(worth, tax)).ok_or_else(|| Fault::digits("price"))
    }

    fn off(&self) -> Result<Decimal, Fault> {
        match self.discounts.filter(|list| *list != "[]") {
            Some(list) => discounts(Some(list)),
            None => amount("discount", self.discount, Decimal::ZERO),
        }
    }
}

/// What the discounts of a line or an order take off. One without an amount takes off nobody knows what.
fn discounts(list: Option<&str>) -> Result<Decimal, Fault> {
    let Some(list) = present(list) else { return Ok(Decimal::ZERO) };
    let mut all = Decimal::ZERO;
    for (i, json) in array("discounts", list)?.enumerate() {
        let one = needed("amount", present(member_of(json, "amount"))).map_err(|f| f.inside("discounts", i))?;
        all = sum(all, one).ok_or_else(|| Fault::digits("discounts"))?;
    }
    Ok(all)
}

fn present(raw: Option<&str>) -> Option<&str> {
    raw.filter(|raw| *raw != "null")
}

fn array<'a>(name: &str, list: &'a str) -> Result<impl Iterator<Item = &'a str>, Fault> {
    if list.starts_with('[') { Ok(elements(list)) } else { Err(Fault::new(name, Why::NotAList)) }
}

fn amount(name: &str, raw: Option<&str>, absent: Decimal) -> Result<Decimal, Fault> {
    if raw.is_none() { Ok(absent) } else { needed(name, raw) }
}

fn needed(name: &str, raw: Option<&str>) -> Result<Decimal, Fault> {
    let raw = raw.ok_or_else(|| Fault::new(name, Why::Missing))?;
    if !raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Err(Fault::new(name, Why::NotANumber));
    }
    number(raw).ok_or_else(|| Fault::digits(name))
}

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;
