//! The figures once more, for tests: the order as a tree, every amount a whole number of millionths of millionths,
//! rounded by division, written by hand. Good for the small numbers that tests make.

use serde_json::Value;

use super::Rounding;

/// Digits after the point of an amount as it is read.
const READ: u32 = 6;
/// Digits after the point of a product of two.
const SCALE: u32 = 2 * READ;

/// `[gross, net]` as they should be written, None for `null`.
pub(super) fn figures(data: &str, precision: u32, rounding: Rounding) -> Option<[String; 2]> {
    let order: Value = serde_json::from_str(data).unwrap();
    let (state, kind) = (order["state"].as_str()?, order["order_type"].as_str()?);
    if !(state == "closed" || state == "paid") || !(kind == "order" || kind == "refund") {
        return None;
    }
    let (mut gross, mut off) = (0, taken_off(&order["discounts"])?);
    for item in order["items"].as_array()? {
        add(item, &mut gross, &mut off)?;
    }
    let mut both = [gross, gross - off];
    if kind == "refund" && both.iter().find(|figure| **figure != 0).is_some_and(|figure| *figure > 0) {
        both = both.map(|figure| -figure);
    }
    Some(both.map(|figure| written(divided(figure, 10_i128.pow(SCALE - precision), rounding), precision)))
}

fn add(line: &Value, gross: &mut i128, off: &mut i128) -> Option<()> {
    let line = line.as_object()?;
    let of = |name: &str| line.get(name).unwrap_or(&Value::Null);
    if let Some("gift_card" | "gift_certificate" | "fee" | "comment") = of("item_type").as_str() {
        return Some(());
    }
    let quantity = if of("quantity").is_null() { 10_i128.pow(READ) } else { millionths(of("quantity"))? };
    *gross += quantity * millionths(of("price"))?;
    *gross -= or_nothing(of("tax_inclusive"))? * 10_i128.pow(READ);
    *off += match of("discounts") {
        Value::Array(list) if list.is_empty() => or_nothing(of("discount"))? * 10_i128.pow(READ),
        Value::Null => or_nothing(of("discount"))? * 10_i128.pow(READ),
        list => taken_off(list)?,
    };
    if !of("modifiers").is_null() {
        for modifier in of("modifiers").as_array()? {
            add(modifier, gross, off)?;
        }
    }
    Some(())
}

fn taken_off(list: &Value) -> Option<i128> {
    if list.is_null() {
        return Some(0);
    }
    list.as_array()?.iter().map(|d| Some(millionths(&d["amount"])? * 10_i128.pow(READ))).sum()
}

fn or_nothing(value: &Value) -> Option<i128> {
    if value.is_null() { Some(0) } else { millionths(value) }
}

/// The number in millionths. Its shortest spelling has no exponent in the range that tests use.
fn millionths(value: &Value) -> Option<i128> {
    let text = value.as_number()?.to_string();
    let digits = text.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let padded = format!("{whole}{fraction:0<width$}", width = READ as usize);
    assert_eq!(padded.len(), whole.len() + READ as usize, "{text} has too many decimals for this");
    let size: i128 = padded.parse().unwrap();
    Some(if text.starts_with('-') { -size } else { size })
}

fn divided(amount: i128, by: i128, rounding: Rounding) -> i128 {
    let (size, rest) = (amount.abs() / by, amount.abs() % by);
    let one_more = match rounding {
        Rounding::Nearest => 2 * rest >= by,
        Rounding::Up => rest > 0,
        Rounding::Down => false,
    };
    amount.signum() * (size + i128::from(one_more))
}

fn written(amount: i128, precision: u32) -> String {
    let sign = if amount < 0 { "-" } else { "" };
    let unit = 10_i128.pow(precision);
    let (whole, fraction) = (amount.abs() / unit, amount.abs() % unit);
    match precision {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction:0width$}", width = precision as usize),
    }
}
