//! How amounts of a site are rounded.

use rust_decimal::{Decimal, RoundingStrategy};

/// To how many digits, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    /// Digits after the point, one of [`Money::PRECISIONS`].
    pub precision: u8,
    /// Which way.
    pub rounding: Rounding,
}

impl Default for Money {
    fn default() -> Self {
        Money { precision: 2, rounding: Rounding::Nearest }
    }
}

/// Which way amounts are rounded. What is below zero is rounded as what is above it, so that a refund is to the cent
/// what its order was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// Half away from zero.
    #[default]
    Nearest,
    /// Away from zero.
    Up,
    /// Towards zero.
    Down,
}

impl Money {
    /// The precisions that a site can have.
    pub const PRECISIONS: [u8; 3] = [0, 2, 3];

    /// The amount with exactly so many digits after the point, `10.00`; never `-0`. None when there is no room for them.
    pub fn round(self, amount: Decimal) -> Option<Decimal> {
        let precision = u32::from(self.precision);
        let mut rounded = amount.round_dp_with_strategy(precision, self.rounding.strategy());
        rounded.rescale(precision);
        if rounded.is_zero() {
            rounded.set_sign_positive(true);
        }
        (rounded.scale() == precision).then_some(rounded)
    }
}

impl Rounding {
    fn strategy(self) -> RoundingStrategy {
        match self {
            Rounding::Nearest => RoundingStrategy::MidpointAwayFromZero,
            Rounding::Up => RoundingStrategy::AwayFromZero,
            Rounding::Down => RoundingStrategy::ToZero,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(amount: &str, precision: u8, rounding: Rounding) -> Option<String> {
        Money { precision, rounding }.round(amount.parse().unwrap()).map(|d| d.to_string())
    }

    #[test]
    fn amounts_are_rounded_alike_on_both_sides_of_zero() {
        use Rounding::{Down, Nearest, Up};
        let cases = [
            ("10", 2, Nearest, "10.00"),
            ("10.005", 2, Nearest, "10.01"),
            ("10.0049", 2, Nearest, "10.00"),
            ("10.001", 2, Up, "10.01"),
            ("10.00", 2, Up, "10.00"),
            ("10.009", 2, Down, "10.00"),
            ("2.5", 0, Nearest, "3"),
            ("2.1", 0, Up, "3"),
            ("2.9", 0, Down, "2"),
            ("1.2345", 3, Nearest, "1.235"),
            ("0.5", 3, Nearest, "0.500"),
        ];
        for (amount, precision, rounding, expected) in cases {
            assert_eq!(rounded(amount, precision, rounding).as_deref(), Some(expected), "{amount} {rounding:?}");
            let (below, mirrored) = (format!("-{amount}"), format!("-{expected}"));
            assert_eq!(rounded(&below, precision, rounding), Some(mirrored), "{below} {rounding:?}");
        }
    }

    #[test]
    fn nothing_is_told_without_a_sign_and_with_its_digits() {
        for (amount, precision, expected) in [("-0.001", 2, "0.00"), ("0", 0, "0"), ("-0", 3, "0.000")] {
            assert_eq!(rounded(amount, precision, Rounding::Nearest).as_deref(), Some(expected), "{amount}");
        }
    }

    #[test]
    fn an_amount_without_room_for_its_digits_is_not_told() {
        let most = "79228162514264337593543950335";
        assert_eq!(rounded(most, 0, Rounding::Up).as_deref(), Some(most));
        assert_eq!(rounded(most, 2, Rounding::Up), None);
        assert_eq!(rounded("792281625142643375935439503.35", 2, Rounding::Up).map(|t| t.len()), Some(30));
    }
}
