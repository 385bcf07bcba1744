use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Generated orders; each is calculated with every precision and rounding.
const GENERATED: u32 = 10_000;
const ROUNDINGS: [Rounding; 3] = [Rounding::Nearest, Rounding::Up, Rounding::Down];

fn sales(data: &str) -> Sales {
    of_order(data, Money::default())
}

/// A closed order with these members.
fn order(members: &str) -> String {
    format!(r#"{{"state":"closed","order_type":"order",{members}}}"#)
}

fn told(data: &str) -> Option<[String; 2]> {
    sales(data).ok().map(|f| [f.gross.to_string(), f.net.to_string()])
}

fn of_items(items: &str) -> Option<[String; 2]> {
    told(&order(&format!(r#""items":[{items}]"#)))
}

fn fault(members: &str) -> String {
    match sales(&order(members)) {
        Err(NoFigures::Unreadable(fault)) => fault.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn each_rule_of_the_contract_counts_as_it_says() {
    let cases = [
        ("", ["0.00", "0.00"]),
        (r#"{"price":10}"#, ["10.00", "10.00"]),
        (r#"{"price":10.00,"quantity":3}"#, ["30.00", "30.00"]),
        (r#"{"price":4.99,"quantity":0.335}"#, ["1.67", "1.67"]),
        (r#"{"price":1e1,"quantity":2.5E-1}"#, ["2.50", "2.50"]),
        (r#"{"price":10,"quantity":-1}"#, ["-10.00", "-10.00"]),
        (r#"{"price":12,"tax_inclusive":2}"#, ["10.00", "10.00"]),
        (r#"{"price":12,"quantity":2,"tax_inclusive":4}"#, ["20.00", "20.00"]),
        (r#"{"price":10,"discounts":[{"amount":1},{"amount":0.5}]}"#, ["10.00", "8.50"]),
        (r#"{"price":10,"discount":1.5}"#, ["10.00", "8.50"]),
        (r#"{"price":10,"discount":1.5,"discounts":[]}"#, ["10.00", "8.50"]),
        (r#"{"price":10,"discount":1.5,"discounts":[{"amount":1.5}]}"#, ["10.00", "8.50"]),
        (r#"{"price":10,"discount":1.5,"discounts":null}"#, ["10.00", "8.50"]),
        (r#"{"price":10,"quantity":2,"modifiers":[{"price":1}]}"#, ["21.00", "21.00"]),
        (r#"{"price":10,"modifiers":[{"price":2,"quantity":2,"tax_inclusive":1,"discount":1}]}"#, ["13.00", "12.00"]),
        (r#"{"price":10,"modifiers":[{"price":1,"modifiers":[{"price":2}]}]}"#, ["13.00", "13.00"]),
        (r#"{"price":10,"modifiers":[{"price":5,"item_type":"fee"}]}"#, ["10.00", "10.00"]),
        (r#"{"price":10,"quantity":null,"tax_inclusive":null,"discount":null,"modifiers":null}"#, ["10.00", "10.00"]),
        (r#"{"pr\u0069ce":10}"#, ["10.00", "10.00"]),
        (r#"{"price":10,"item_type":"regular"},{"price":10,"item_type":"Fee"}"#, ["20.00", "20.00"]),
    ];
    for (items, expected) in cases {
        assert_eq!(of_items(items), Some(expected.map(str::to_owned)), "{items}");
    }
}

#[test]
fn a_discount_of_the_order_lowers_net_only() {
    let data = order(r#""items":[{"price":10,"discount":1}],"discounts":[{"amount":2},{"amount":0.25}]"#);
    assert_eq!(told(&data), Some(["10.00", "6.75"].map(str::to_owned)));
}

#[test]
fn what_never_counts_need_not_be_readable() {
    for kind in NEVER_COUNT {
        let line = format!(r#"{{"item_type":"{kind}","discount":"x","modifiers":[{{"price":1}}]}},{{"price":1}}"#);
        assert_eq!(of_items(&line), Some(["1.00", "1.00"].map(str::to_owned)), "{kind}");
    }
}

#[test]
fn only_closed_and_paid_orders_and_refunds_have_figures() {
    let of = |state: &str, kind: &str| sales(&format!(r#"{{"state":{state},"order_type":{kind},"items":[]}}"#));
    for state in ["closed", "paid"] {
        for kind in ["order", "refund"] {
            assert!(of(&format!("{state:?}"), &format!("{kind:?}")).is_ok(), "{state} {kind}");
        }
    }
    for (state, kind) in [
        (r#""open""#, r#""order""#),
        (r#""voided""#, r#""refund""#),
        (r#""Closed""#, r#""order""#),
        (r#""closed""#, r#""waste""#),
        ("null", r#""order""#),
        (r#""paid""#, "1"),
    ] {
        assert_eq!(of(state, kind), Err(NoFigures::NotASale), "{state} {kind}");
    }
    assert_eq!(sales("{}"), Err(NoFigures::NotASale));
    assert_eq!(sales("null"), Err(NoFigures::NotASale));
}

#[test]
fn a_refund_is_negative_however_it_is_written() {
    let cases = [
        (r#"{"price":10,"discount":1}"#, ["-10.00", "-9.00"]),
        (r#"{"price":10,"quantity":-1,"discount":-1}"#, ["-10.00", "-9.00"]),
        (r#"{"price":-10,"discount":-1}"#, ["-10.00", "-9.00"]),
        (r#"{"price":10,"discount":12}"#, ["-10.00", "2.00"]),
        (r#"{"price":0,"discount":-1}"#, ["0.00", "-1.00"]),
        (r#"{"price":0,"discount":1}"#, ["0.00", "-1.00"]),
        ("", ["0.00", "0.00"]),
    ];
    for (items, expected) in cases {
        let data = format!(r#"{{"state":"paid","order_type":"refund","items":[{items}]}}"#);
        assert_eq!(told(&data), Some(expected.map(str::to_owned)), "{items}");
    }
}

#[test]
fn rounding_comes_once_at_the_end() {
    let thirds = order(r#""items":[{"price":0.333},{"price":0.333},{"price":0.334}]"#);
    for (precision, rounding, expected) in [
        (0, Rounding::Up, "1"),
        (2, Rounding::Up, "1.00"),
        (2, Rounding::Down, "1.00"),
        (3, Rounding::Nearest, "1.000"),
    ] {
        let figures = of_order(&thirds, Money { precision, rounding }).unwrap();
        assert_eq!(figures.gross.to_string(), expected, "{precision} {rounding:?}");
    }
    let from_gross = order(r#""items":[{"price":1.005,"discount":0.004}]"#);
    assert_eq!(told(&from_gross), Some(["1.01", "1.00"].map(str::to_owned)), "net is not made of the rounded gross");
}

#[test]
fn what_is_missing_or_no_number_is_told_with_its_place() {
    let cases = [
        (r#""x":1"#, "items: missing"),
        (r#""items":null"#, "items: missing"),
        (r#""items":{}"#, "items: not a list"),
        (r#""items":[7]"#, "items[0]: not an object"),
        (r#""items":[{"price":1},{}]"#, "items[1].price: missing"),
        (r#""items":[{"price":null}]"#, "items[0].price: missing"),
        (r#""items":[{"price":"1.00"}]"#, "items[0].price: not a number"),
        (r#""items":[{"price":1,"quantity":"2"}]"#, "items[0].quantity: not a number"),
        (r#""items":[{"price":1,"tax_inclusive":true}]"#, "items[0].tax_inclusive: not a number"),
        (r#""items":[{"price":1,"discount":[]}]"#, "items[0].discount: not a number"),
        (r#""items":[{"price":1,"discounts":{}}]"#, "items[0].discounts: not a list"),
        (r#""items":[{"price":1,"discounts":[{}]}]"#, "items[0].discounts[0].amount: missing"),
        (r#""items":[{"price":1,"modifiers":[{"price":1},{}]}]"#, "items[0].modifiers[1].price: missing"),
        (r#""items":[{"price":1,"modifiers":{}}]"#, "items[0].modifiers: not a list"),
        (r#""items":[],"discounts":[{"amount":"1"}]"#, "discounts[0].amount: not a number"),
        (r#""items":[],"discounts":1"#, "discounts: not a list"),
    ];
    for (members, expected) in cases {
        assert_eq!(fault(members), expected, "{members}");
    }
}

#[test]
fn numbers_that_are_too_long_are_told_and_do_no_harm() {
    let most = "79228162514264337593543950335";
    let digits = "9".repeat(100_000);
    let cases = [
        (format!(r#""items":[{{"price":{digits}}}]"#), "items[0].price: too many digits"),
        (r#""items":[{"price":1e400}]"#.to_owned(), "items[0].price: too many digits"),
        (r#""items":[{"price":1e-29}]"#.to_owned(), "items[0].price: too many digits"),
        (format!(r#""items":[{{"price":{most},"quantity":{most}}}]"#), "items[0].price: too many digits"),
        (format!(r#""items":[{{"price":{most}}},{{"price":{most}}}]"#), "items: too many digits"),
        (format!(r#""items":[{{"price":{most},"modifiers":[{{"price":1}}]}}]"#), "items[0].modifiers: too many digits"),
        (format!(r#""items":[{{"price":{most}}}]"#), "items: too many digits"),
        (format!(r#""items":[],"discounts":[{{"amount":{most}}},{{"amount":1}}]"#), "discounts: too many digits"),
        (format!(r#""items":[{{"price":-1}}],"discounts":[{{"amount":{most}}}]"#), "discounts: too many digits"),
    ];
    for (members, expected) in cases {
        assert_eq!(fault(&members), expected);
    }
    let big = order(r#""items":[{"price":99999999999999999999999999.99}]"#);
    assert_eq!(told(&big).map(|[gross, _]| gross), Some("99999999999999999999999999.99".to_owned()));
}

/// A number of at most four decimals in one of the spellings of JSON.
fn spelled_number() -> impl Strategy<Value = String> {
    let size = prop_oneof![3 => 0..2_000_i64, 1 => -99_999..99_999_i64];
    (size, 0..=4_u32, 0..5_u8).prop_map(|(size, decimals, spelling)| {
        let plain = Decimal::new(size, decimals);
        match spelling {
            0 => format!("{size}e-{decimals}"),
            1 => format!("{size}.00E-0{decimals}"),
            2 => plain.normalize().to_string(),
            _ => plain.to_string(),
        }
    })
}

/// A member of this name that is mostly absent or a number, and now and then something else.
fn amount_member(name: &'static str) -> impl Strategy<Value = Option<String>> {
    let odd = select(vec!["null", "\"1.00\"", "true", "{}", "[]"]).prop_map(str::to_owned);
    let value = prop_oneof![60 => spelled_number(), 1 => odd];
    prop::option::weighted(0.6, value.prop_map(move |value| format!("{name:?}:{value}")))
}

fn price() -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(0.99, spelled_number().prop_map(|value| format!("\"price\":{value}")))
}

fn item_type() -> impl Strategy<Value = Option<String>> {
    let kinds = select(vec!["regular", "regular", "gift_card", "gift_certificate", "fee", "comment"]);
    prop::option::of(kinds.prop_map(|kind| format!("\"item_type\":{kind:?}")))
}

fn list(name: &'static str, of: impl Strategy<Value = String>) -> impl Strategy<Value = Option<String>> {
    let elements = prop::collection::vec(of, 0..3);
    prop::option::of(elements.prop_map(move |list| format!("{name:?}:[{}]", list.join(","))))
}

fn discount_list() -> impl Strategy<Value = Option<String>> {
    list("discounts", spelled_number().prop_map(|amount| format!("{{\"rate\":10,\"amount\":{amount}}}")))
}

fn object(members: impl IntoIterator<Item = Option<String>>) -> String {
    format!("{{{}}}", members.into_iter().flatten().collect::<Vec<_>>().join(","))
}

fn any_line(modifiers: impl Strategy<Value = Option<String>>) -> impl Strategy<Value = String> {
    let amounts = (price(), amount_member("quantity"), amount_member("tax_inclusive"), amount_member("discount"));
    (item_type(), amounts, discount_list(), modifiers).prop_map(
        |(kind, (price, quantity, tax, discount), discounts, modifiers)| {
            object([kind, quantity, price, discounts, tax, modifiers, discount])
        },
    )
}

fn any_order() -> impl Strategy<Value = String> {
    let inner = any_line(Just(None));
    let modifier = any_line(list("modifiers", inner));
    let item = any_line(list("modifiers", modifier));
    let state = select(vec!["closed", "paid", "closed", "open"]);
    let kind = select(vec!["order", "order", "refund", "waste"]);
    let items = prop::collection::vec(item, 0..4);
    (state, kind, items, discount_list()).prop_map(|(state, kind, items, discounts)| {
        let fixed = format!(r#""state":{state:?},"order_type":{kind:?},"items":[{}]"#, items.join(","));
        object([Some(fixed), discounts])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: GENERATED, ..ProptestConfig::default() })]
    #[test]
    fn figures_agree_with_whole_numbers_over_a_tree(data in any_order()) {
        for precision in Money::PRECISIONS {
            for rounding in ROUNDINGS {
                let found = of_order(&data, Money { precision, rounding });
                let written = found.ok().map(|f| [f.gross.to_string(), f.net.to_string()]);
                let expected = naive::figures(&data, precision.into(), rounding);
                prop_assert_eq!(written, expected, "{} {:?}", precision, rounding);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(inside in "[\\[\\]{}\",:\\\\ 019eE.+-]{0,64}") {
        let _ = sales(&order(&format!(r#""items":[{{"price":{inside}}}]"#)));
        let _ = sales(&order(&format!(r#""items":{inside}"#)));
        let _ = sales(&inside);
    }
}
