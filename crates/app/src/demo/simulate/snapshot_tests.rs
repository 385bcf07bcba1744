//! One event of each kind, as it goes to the hub.

use super::*;
use serde_json::Value;

/// The first event of seed 1 that is called so and whose document has these values.
fn first(name: &str, wanted: &[(&str, &str)]) -> Event {
    let start = "2026-01-15T15:00:00Z".parse().unwrap();
    let mut events = Simulation::new(1, DEFAULT_STORES, start).take(60_000).map(|it| it.event);
    let fits = |event: &Event| {
        let data: Value = serde_json::from_str(event.data.get()).unwrap();
        event.name == name && wanted.iter().all(|(path, value)| data.pointer(path) == Some(&Value::from(*value)))
    };
    events.find(fits).expect("the kinds below all come up early")
}

/// Indented JSON with every number spelled as it came.
fn pretty(event: &Event) -> String {
    let compact = serde_json::to_string(event).unwrap().replace("[]", EMPTY);
    let (mut out, mut depth, mut in_text) = (String::new(), 0, false);
    let mut before = ' ';
    for c in compact.chars() {
        in_text ^= c == '"' && before != '\\';
        before = c;
        if !in_text && matches!(c, '}' | ']') {
            depth -= 1;
            new_line(&mut out, depth);
        }
        out.push(c);
        match c {
            '{' | '[' if !in_text => {
                depth += 1;
                new_line(&mut out, depth);
            }
            ',' if !in_text => new_line(&mut out, depth),
            ':' if !in_text => out.push(' '),
            _ => {}
        }
    }
    out.replace(EMPTY, "[]")
}

/// Stands for an empty list while lines are broken.
const EMPTY: &str = "\u{2205}";

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
}

fn check(snapshot: &str, event: &Event) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(snapshot, pretty(event)));
}

#[test]
fn an_open_order_looks_like_this() {
    check("order_open", &first("order.saved", &[("/state", "open"), ("/channel_type", "store")]));
}

#[test]
fn a_closed_order_with_a_guest_and_a_card_looks_like_this() {
    let wanted = [
        ("/state", "closed"),
        ("/channel_type", "delivery"),
        ("/payment_info/payments/0/type", "card"),
        ("/items/0/discounts/0/type", "percent"),
    ];
    check("order_closed", &first("order.saved", &wanted));
}

#[test]
fn a_refund_looks_like_this() {
    check("order_refund", &first("order.saved", &[("/order_type", "refund"), ("/state", "closed")]));
}

#[test]
fn a_drawer_that_took_cash_looks_like_this() {
    check("drawer_sale", &first("drawer.moved", &[("/events/0/type", "sale")]));
}

#[test]
fn a_finalized_deposit_looks_like_this() {
    check("deposit_finalized", &first("deposit.saved", &[("/status", "Finalized")]));
}

#[test]
fn a_finished_shift_looks_like_this() {
    check("punch_clocked_out", &first("punch.saved", &[("/model/status", "clocked_out")]));
}

#[test]
fn a_business_date_looks_like_this() {
    check("terminal_business_date", &first("terminal.business_date", &[]));
}
