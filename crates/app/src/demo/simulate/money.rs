//! Exact amounts.

use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Neg, Sub};

/// An amount of money in hundredths. Written as a JSON number with two decimals (`10.00`), the way points of sale
/// spell it, so that whoever passes it on can be seen to keep the spelling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cents(pub i64);

/// A percentage in hundredths of a percent: 825 is 8.25 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub i64);

/// Hundredths of a percent in the whole.
const WHOLE: i64 = 10_000;

impl Cents {
    /// Nothing.
    pub const ZERO: Cents = Cents(0);

    /// That share of the amount, rounded half away from zero: a refund is the exact negative of its sale.
    pub fn share(self, rate: Rate) -> Cents {
        Cents(divide_rounded(self.0 * rate.0, WHOLE))
    }

    /// The tax that an amount with tax inside contains.
    pub fn tax_inside(self, rate: Rate) -> Cents {
        Cents(divide_rounded(self.0 * rate.0, WHOLE + rate.0))
    }

    /// The next full multiple of `step` at or above the amount, as a guest pays with notes.
    pub fn rounded_up_to(self, step: Cents) -> Cents {
        Cents((self.0 + step.0 - 1).div_euclid(step.0) * step.0)
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let whole = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", whole / 100, whole % 100)
    }
}

impl Serialize for Cents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spelled = RawValue::from_string(self.to_string()).map_err(S::Error::custom)?;
        spelled.serialize(serializer)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Cents(self.0).serialize(serializer)
    }
}

impl Add for Cents {
    type Output = Cents;
    fn add(self, other: Cents) -> Cents {
        Cents(self.0 + other.0)
    }
}

impl AddAssign for Cents {
    fn add_assign(&mut self, other: Cents) {
        self.0 += other.0;
    }
}

impl Sub for Cents {
    type Output = Cents;
    fn sub(self, other: Cents) -> Cents {
        Cents(self.0 - other.0)
    }
}

impl Neg for Cents {
    type Output = Cents;
    fn neg(self) -> Cents {
        Cents(-self.0)
    }
}

impl Mul<i64> for Cents {
    type Output = Cents;
    fn mul(self, count: i64) -> Cents {
        Cents(self.0 * count)
    }
}

impl Sum for Cents {
    fn sum<I: Iterator<Item = Cents>>(amounts: I) -> Cents {
        Cents(amounts.map(|amount| amount.0).sum())
    }
}

fn divide_rounded(number: i64, by: i64) -> i64 {
    let half = by / 2;
    if number < 0 { -((half - number) / by) } else { (number + half) / by }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_spelled_with_two_decimals() {
        let amounts = [Cents(1_000), Cents(5), Cents(-5), Cents(-12_345), Cents::ZERO];
        assert_eq!(serde_json::to_string(&amounts).unwrap(), "[10.00,0.05,-0.05,-123.45,0.00]");
    }

    #[test]
    fn halves_round_away_from_zero_on_both_sides() {
        assert_eq!(Cents(10).share(Rate(500)), Cents(1));
        assert_eq!(Cents(-10).share(Rate(500)), Cents(-1));
        assert_eq!(Cents(9).share(Rate(500)), Cents::ZERO);
    }

    #[test]
    fn tax_inside_is_what_was_put_on_the_net_amount() {
        assert_eq!(Cents(10_825).tax_inside(Rate(825)), Cents(825));
        assert_eq!(Cents(-10_825).tax_inside(Rate(825)), Cents(-825));
    }

    #[test]
    fn a_guest_pays_with_the_next_full_note() {
        assert_eq!(Cents(1_001).rounded_up_to(Cents(500)), Cents(1_500));
        assert_eq!(Cents(1_500).rounded_up_to(Cents(500)), Cents(1_500));
    }
}
