//! Decimal arithmetic that is exact or says no.
//!
//! [`Decimal`]'s own operators round where its 28 digits are too few, silently. Here that is no answer: an amount that
//! cannot be told exactly is not told. What goes in is JSON and can be as long as a payload.

use rust_decimal::Decimal;

/// The value of a JSON number, exponents included. None when it has more digits than are calculated with.
pub(super) fn number(raw: &str) -> Option<Decimal> {
    let plain = Decimal::from_str_exact(raw).ok();
    plain.or_else(|| with_exponent(raw)).map(|value| value.normalize())
}

/// `a` + `b`.
pub(super) fn sum(a: Decimal, b: Decimal) -> Option<Decimal> {
    let scale = a.scale().max(b.scale());
    decimal(at_scale(a, scale)?.checked_add(at_scale(b, scale)?)?, i64::from(scale))
}

/// `a` - `b`.
pub(super) fn difference(a: Decimal, b: Decimal) -> Option<Decimal> {
    sum(a, -b)
}

/// `a` × `b`.
pub(super) fn product(a: Decimal, b: Decimal) -> Option<Decimal> {
    decimal(a.mantissa().checked_mul(b.mantissa())?, i64::from(a.scale() + b.scale()))
}

/// `1.5e-3`, and numbers that end in more zeros than [`Decimal`] takes.
fn with_exponent(raw: &str) -> Option<Decimal> {
    let (digits, exponent) = raw.split_once(['e', 'E']).unwrap_or((raw, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    if mantissa == 0 {
        return Some(Decimal::ZERO);
    }
    let decimals = i64::try_from(fraction.len()).ok()?;
    decimal(mantissa, decimals.checked_sub(exponent.parse().ok()?)?)
}

/// `mantissa` × 10^-`scale`, without zeros at the end.
fn decimal(mut mantissa: i128, mut scale: i64) -> Option<Decimal> {
    while scale > i64::from(Decimal::MAX_SCALE) && mantissa % 10 == 0 && mantissa != 0 {
        mantissa /= 10;
        scale -= 1;
    }
    if scale < 0 {
        mantissa = ten_to(scale.unsigned_abs())?.checked_mul(mantissa)?;
        scale = 0;
    }
    let value = Decimal::try_from_i128_with_scale(mantissa, u32::try_from(scale).ok()?);
    value.ok().map(|value| value.normalize())
}

fn at_scale(value: Decimal, scale: u32) -> Option<i128> {
    ten_to(u64::from(scale - value.scale()))?.checked_mul(value.mantissa())
}

fn ten_to(power: u64) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(power).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: &str = "79228162514264337593543950335";

    fn read(raw: &str) -> Option<String> {
        number(raw).map(|value| value.to_string())
    }

    #[test]
    fn a_number_is_read_in_every_spelling_of_json() {
        let zeros = format!("1.5{}", "0".repeat(400));
        let tiny = format!("0.{}1e400", "0".repeat(399));
        for (raw, expected) in [
            ("10.00", "10"),
            ("-0.05", "-0.05"),
            ("0", "0"),
            ("1e2", "100"),
            ("1E+2", "100"),
            ("-1.25e-3", "-0.00125"),
            ("1000e-30", "0.000000000000000000000000001"),
            ("0e999999999999999999999", "0"),
            ("-0.0", "0"),
            (MOST, MOST),
            (&zeros, "1.5"),
            (&tiny, "1"),
        ] {
            assert_eq!(read(raw).as_deref(), Some(expected), "{raw}");
        }
    }

    #[test]
    fn what_has_too_many_digits_is_no_number() {
        let long = "9".repeat(100_000);
        for raw in [
            "79228162514264337593543950336",
            "1e29",
            "1e-29",
            "1e400",
            "1e99999999999999999999",
            "1e-9223372036854775808",
            "1.00000000000000000000000000001",
            &long,
        ] {
            assert_eq!(read(raw), None, "{raw}");
        }
    }

    #[test]
    fn what_would_have_to_be_rounded_is_not_told() {
        let of = |raw| number(raw).unwrap();
        let (most, least) = (of(MOST), of("1e-28"));
        assert_eq!(sum(most, of("-1")), Some(of("79228162514264337593543950334")));
        assert_eq!(sum(most, of("1")), None);
        assert_eq!(sum(most, least), None);
        assert_eq!(difference(most, most), Some(Decimal::ZERO));
        assert_eq!(product(most, of("1")), Some(most));
        assert_eq!(product(most, most), None);
        assert_eq!(product(least, of("0.1")), None);
        assert_eq!(product(least, of("10")), Some(of("1e-27")));
        assert_eq!(product(of("0.33333333333333"), of("3.0000000000003")), Some(of("1.000000000000089999999999999")));
    }

    #[test]
    fn zero_goes_with_everything() {
        let least = number("1e-28").unwrap();
        assert_eq!(product(Decimal::ZERO, least), Some(Decimal::ZERO));
        assert_eq!(sum(Decimal::ZERO, least), Some(least));
    }
}
