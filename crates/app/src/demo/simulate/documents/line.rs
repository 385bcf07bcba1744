//! One line of an order and its arithmetic.

use super::super::dice::Dice;
use super::super::ids::ObjectId;
use super::super::money::{Cents, Rate};
use super::menu::{self, Dish, Extra, MENU};
use jiff::Timestamp;
use serde::Serialize;

/// Most modifiers of one line.
pub const MAX_MODIFIERS: usize = 2;

/// A line: `quantity × price`, its modifiers, less its discounts, plus the tax that is not in the price.
///
/// On a refund the quantities are negative and the prices stay what they were, so every amount is negative.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    #[serde(rename = "_id")]
    id: ObjectId,
    sku: &'static str,
    name: &'static str,
    pub item_type: ItemType,
    quantity: i64,
    /// Of one, without modifiers.
    price: Cents,
    /// Tax inside `quantity × price`, after the line's discounts.
    tax_inclusive: Cents,
    modifiers: Vec<Modifier>,
    discounts: Vec<Discount>,
    taxes: Vec<Tax>,
    total: Cents,
    #[serde(skip)]
    tax_inside: bool,
}

/// What kind of line it is. Only regular ones are sales, are taxed and can be discounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemType {
    Regular,
    Fee,
    GiftCard,
    Comment,
}

/// Something added to a line. Its quantity counts all of the line, not one of it.
#[derive(Clone, Debug, Serialize)]
struct Modifier {
    #[serde(rename = "_id")]
    id: ObjectId,
    name: &'static str,
    quantity: i64,
    price: Cents,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    modifiers: Vec<Preparation>,
}

/// How a modifier is made; costs nothing.
#[derive(Clone, Debug, Serialize)]
struct Preparation {
    name: &'static str,
    quantity: i64,
    price: Cents,
}

/// A percentage off.
#[derive(Clone, Debug, Serialize)]
pub struct Discount {
    /// What the receipt says.
    pub name: &'static str,
    /// Always `percent`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How many per cent.
    pub rate: Rate,
    /// What it takes off; negative on a refund.
    pub amount: Cents,
}

/// A tax on a line or an order.
#[derive(Clone, Debug, Serialize)]
pub struct Tax {
    /// What the receipt says.
    pub name: &'static str,
    /// How many per cent.
    pub rate: Rate,
    /// Whether the amount is inside the prices.
    pub inclusive: bool,
    /// The tax; negative on a refund.
    pub amount: Cents,
}

/// Names of percentages off a line.
const LINE_DISCOUNTS: [(&str, Rate); 3] =
    [("Happy hour", Rate(2_000)), ("Staff meal", Rate(1_500)), ("Loyalty 10", Rate(1_000))];

impl Line {
    /// A dish that somebody chose.
    pub fn dish(dice: &mut Dice, at: Timestamp, rate: Rate) -> Line {
        let dish: &Dish = dice.pick(&MENU);
        let quantity = if dice.chance(250) { 2 } else { 1 };
        let mut line = Line::plain(dice, at, ItemType::Regular, (dish.sku, dish.name), dish.price);
        line.quantity = quantity;
        line.tax_inside = dish.tax_inside;
        line.modifiers = modifiers(dice, at, dish.extras, quantity);
        if dice.chance(100) {
            let (name, rate) = *dice.pick(&LINE_DISCOUNTS);
            line.discounts.push(Discount { name, kind: "percent", rate, amount: Cents::ZERO });
        }
        line.reprice(rate);
        line
    }

    /// The fee for bringing an order.
    pub fn delivery_fee(dice: &mut Dice, at: Timestamp) -> Line {
        Line::plain(dice, at, ItemType::Fee, menu::DELIVERY_FEE, Cents(399))
    }

    /// A gift card sold.
    pub fn gift_card(dice: &mut Dice, at: Timestamp) -> Line {
        let worth = Cents(2_500) * i64::from(dice.between(1, 2));
        Line::plain(dice, at, ItemType::GiftCard, menu::GIFT_CARD, worth)
    }

    /// A word to the kitchen.
    pub fn comment(dice: &mut Dice, at: Timestamp) -> Line {
        let text = dice.pick(&menu::COMMENTS);
        Line::plain(dice, at, ItemType::Comment, (menu::COMMENT, *text), Cents::ZERO)
    }

    /// The line as it comes back: same ids and prices, negative quantities.
    pub fn returned(&self, rate: Rate) -> Line {
        let mut line = self.clone();
        line.scale(-1);
        line.reprice(rate);
        line
    }

    /// Twice as many of it.
    pub fn double(&mut self, rate: Rate) {
        self.scale(2);
        self.reprice(rate);
    }

    /// Lines with prices and modifiers, before discounts and tax.
    pub fn gross(&self) -> Cents {
        self.own() + self.extras()
    }

    /// What the discounts take off.
    pub fn discounted(&self) -> Cents {
        self.discounts.iter().map(|discount| discount.amount).sum()
    }

    /// Tax on top of the prices.
    pub fn tax_on_top(&self) -> Cents {
        self.taxes.iter().filter(|tax| !tax.inclusive).map(|tax| tax.amount).sum()
    }

    /// Tax inside the prices.
    pub fn tax_within(&self) -> Cents {
        self.tax_inclusive
    }

    /// What the guest pays for the line.
    pub fn total(&self) -> Cents {
        self.total
    }

    fn plain(
        dice: &mut Dice,
        at: Timestamp,
        item_type: ItemType,
        article: (&'static str, &'static str),
        price: Cents,
    ) -> Line {
        Line {
            id: dice.object_id(at),
            sku: article.0,
            name: article.1,
            item_type,
            quantity: 1,
            price,
            tax_inclusive: Cents::ZERO,
            modifiers: Vec::new(),
            discounts: Vec::new(),
            taxes: Vec::new(),
            total: price,
            tax_inside: false,
        }
    }

    fn scale(&mut self, by: i64) {
        self.quantity *= by;
        for modifier in &mut self.modifiers {
            modifier.quantity *= by;
            modifier.modifiers.iter_mut().for_each(|preparation| preparation.quantity *= by);
        }
    }

    fn reprice(&mut self, rate: Rate) {
        let own = self.own();
        for discount in &mut self.discounts {
            discount.amount = own.share(discount.rate);
        }
        if self.item_type == ItemType::Regular {
            self.retax(rate);
        }
        self.total = self.gross() - self.discounted() + self.tax_on_top();
    }

    /// Dishes with tax inside have no extras, so all of the tax is in the line's own price.
    fn retax(&mut self, rate: Rate) {
        let base = self.gross() - self.discounted();
        let amount = if self.tax_inside { base.tax_inside(rate) } else { base.share(rate) };
        self.tax_inclusive = if self.tax_inside { amount } else { Cents::ZERO };
        self.taxes = vec![Tax { name: "Sales tax", rate, inclusive: self.tax_inside, amount }];
    }

    fn own(&self) -> Cents {
        self.price * self.quantity
    }

    fn extras(&self) -> Cents {
        self.modifiers.iter().map(|modifier| modifier.price * modifier.quantity).sum()
    }
}

fn modifiers(dice: &mut Dice, at: Timestamp, extras: &[Extra], quantity: i64) -> Vec<Modifier> {
    let wanted = dice.below(MAX_MODIFIERS as u32 + 1) as usize;
    let first = if extras.is_empty() { 0 } else { dice.below(extras.len() as u32) as usize };
    let chosen = extras.iter().cycle().skip(first).take(wanted.min(extras.len()));
    chosen.map(|extra| modifier(dice, at, extra, quantity)).collect()
}

fn modifier(dice: &mut Dice, at: Timestamp, extra: &Extra, quantity: i64) -> Modifier {
    let prepared = !extra.options.is_empty() && dice.chance(500);
    let option = prepared.then(|| *dice.pick(extra.options));
    let preparation = option.map(|name| Preparation { name, quantity, price: Cents::ZERO });
    Modifier {
        id: dice.object_id(at),
        name: extra.name,
        quantity,
        price: extra.price,
        modifiers: preparation.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate(825);

    fn lines() -> Vec<Line> {
        let mut dice = Dice::new(11, 0);
        (0..300).map(|_| Line::dish(&mut dice, Timestamp::UNIX_EPOCH, RATE)).collect()
    }

    #[test]
    fn a_returned_line_is_the_exact_negative() {
        for line in lines() {
            let back = line.returned(RATE);
            assert_eq!(
                (back.total(), back.discounted(), back.tax_on_top(), back.tax_within()),
                (-line.total(), -line.discounted(), -line.tax_on_top(), -line.tax_within())
            );
        }
    }

    #[test]
    fn lines_with_tax_inside_have_no_extras_and_no_tax_on_top() {
        let inside: Vec<Line> = lines().into_iter().filter(|line| line.tax_inside).collect();
        assert!(!inside.is_empty());
        assert!(inside.iter().all(|line| line.extras() == Cents::ZERO && line.tax_on_top() == Cents::ZERO));
        assert!(inside.iter().all(|line| line.tax_within() > Cents::ZERO));
    }

    #[test]
    fn every_line_costs_something_and_has_at_most_the_allowed_modifiers() {
        let lines = lines();
        assert!(lines.iter().all(|line| line.total() > Cents::ZERO));
        assert_eq!(lines.iter().map(|line| line.modifiers.len()).max(), Some(MAX_MODIFIERS));
    }

    #[test]
    fn fees_gift_cards_and_comments_are_not_taxed() {
        let (mut dice, at) = (Dice::new(11, 0), Timestamp::UNIX_EPOCH);
        let plain = [Line::delivery_fee(&mut dice, at), Line::gift_card(&mut dice, at), Line::comment(&mut dice, at)];
        for mut line in plain {
            line.reprice(RATE);
            assert_eq!((line.tax_on_top(), line.total()), (Cents::ZERO, line.gross()));
        }
    }
}
