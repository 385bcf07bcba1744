//! `where`: conditions on an event, without scripts (`contracts/hub-api.md`, "Integrations").

use std::cmp::Ordering;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Time;
use crate::event::Event;
use crate::json::unquote;
use crate::path::Path;

/// Most conditions of an integration, those inside `any` counted.
pub const MAX_CONDITIONS: usize = 20;
/// Most values of one `in` or `not_in`.
pub const MAX_VALUES: usize = 100;

/// The fields of an event beside `data` and `correlation` that a path may name.
const FIELDS: [&str; 6] = ["name", "site", "terminal", "entity_id", "business_date", "occurred_at"];

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names say it
pub enum Op {
    Eq,
    Ne,
    In,
    NotIn,
    Gt,
    Gte,
    Lt,
    Lte,
    Exists,
    Prefix,
}

/// One condition. A path with `[]` holds when any element does; `ne` and `not_in` hold when no value equals, so also
/// when there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// `data.…`, `correlation.…` or one of the event's own fields.
    pub path: Path,
    /// How to compare.
    pub op: Op,
    /// What to compare with: a scalar, a list for `in` and `not_in`, true or false (default true) for `exists`.
    #[serde(default, deserialize_with = "written", skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// A value that is written as `null` is there; one that is left out is not.
fn written<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(d).map(Some)
}

/// A condition, or a list of which one has to hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a condition is {\"path\", \"op\", \"value\"} or {\"any\": [conditions]}")]
pub enum Clause {
    /// One of these has to hold.
    Any {
        /// The list; not nested again.
        any: Vec<Condition>,
    },
    /// This has to hold.
    One(Condition),
}

/// What is wrong with a list of clauses, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Place inside the list, such as `[2].any[0].value`.
    pub place: String,
    /// What is wrong with it.
    pub message: String,
}

/// Checks a list before it is saved.
pub fn check(clauses: &[Clause]) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (i, clause) in clauses.iter().enumerate() {
        let list: Vec<(String, &Condition)> = match clause {
            Clause::One(c) => vec![(format!("[{i}]"), c)],
            Clause::Any { any } => any.iter().enumerate().map(|(j, c)| (format!("[{i}].any[{j}]"), c)).collect(),
        };
        if list.is_empty() {
            wrong.push(Wrong { place: format!("[{i}].any"), message: "an empty list can never hold".into() });
        }
        count += list.len();
        wrong.extend(list.into_iter().filter_map(|(place, c)| c.wrong(&place)));
    }
    if count > MAX_CONDITIONS {
        wrong.push(Wrong { place: String::new(), message: format!("{count} conditions; at most {MAX_CONDITIONS}") });
    }
    wrong
}

/// The index of the first clause that doesn't hold for the event; None when all hold.
pub fn first_failing(clauses: &[Clause], event: &Event) -> Option<usize> {
    clauses.iter().position(|clause| match clause {
        Clause::One(c) => !c.holds(event),
        Clause::Any { any } => !any.iter().any(|c| c.holds(event)),
    })
}

impl Condition {
    fn wrong(&self, place: &str) -> Option<Wrong> {
        let head = self.path.head();
        if !FIELDS.contains(&head) && head != "data" && head != "correlation" {
            let message = format!(
                "\"{head}\" is no part of an event; start with data., correlation. or one of {}",
                FIELDS.join(", ")
            );
            return Some(Wrong { place: format!("{place}.path"), message });
        }
        if FIELDS.contains(&head) && self.path.tail().is_some() {
            return Some(Wrong { place: format!("{place}.path"), message: format!("\"{head}\" has no parts") });
        }
        let message = self.wrong_value()?;
        Some(Wrong { place: format!("{place}.value"), message })
    }

    fn wrong_value(&self) -> Option<String> {
        let scalar = |v: &Value| !v.is_array() && !v.is_object();
        let value = self.value.as_ref();
        match self.op {
            Op::Exists => value.is_some_and(|v| !v.is_boolean()).then(|| "true or false".into()),
            Op::In | Op::NotIn => match value.and_then(Value::as_array) {
                Some(list) if list.len() > MAX_VALUES => Some(format!("{} values; at most {MAX_VALUES}", list.len())),
                Some(list) if !list.is_empty() && list.iter().all(scalar) => None,
                _ => Some("a list of at least one text, number, true, false or null".into()),
            },
            Op::Prefix => (!value.is_some_and(Value::is_string)).then(|| "a text".into()),
            Op::Gt | Op::Gte | Op::Lt | Op::Lte => {
                (!value.is_some_and(|v| v.is_string() || v.is_number())).then(|| "a number or a text".into())
            }
            Op::Eq | Op::Ne => (!value.is_some_and(scalar)).then(|| "a text, number, true, false or null".into()),
        }
    }

    fn holds(&self, event: &Event) -> bool {
        match self.op {
            Op::Ne => !self.any_value(event, |raw| self.equals(raw)),
            Op::NotIn => !self.any_value(event, |raw| self.listed(raw)),
            Op::Exists => {
                let wanted = self.value.as_ref().and_then(Value::as_bool).unwrap_or(true);
                self.any_value(event, |_| true) == wanted
            }
            Op::Eq => self.any_value(event, |raw| self.equals(raw)),
            Op::In => self.any_value(event, |raw| self.listed(raw)),
            Op::Prefix => self.any_value(event, |raw| self.starts(raw)),
            Op::Gt => self.any_value(event, |raw| self.compares(raw, &[Ordering::Greater])),
            Op::Gte => self.any_value(event, |raw| self.compares(raw, &[Ordering::Greater, Ordering::Equal])),
            Op::Lt => self.any_value(event, |raw| self.compares(raw, &[Ordering::Less])),
            Op::Lte => self.any_value(event, |raw| self.compares(raw, &[Ordering::Less, Ordering::Equal])),
        }
    }

    fn any_value(&self, event: &Event, mut test: impl FnMut(&str) -> bool) -> bool {
        let content = &event.content;
        let quoted = |text: Option<&str>, test: &mut dyn FnMut(&str) -> bool| {
            text.is_some_and(|t| test(&Value::from(t).to_string()))
        };
        match self.path.head() {
            "data" => self.inside(content.data.get(), test),
            "correlation" => content.correlation.as_ref().is_some_and(|c| self.inside(c.get(), test)),
            "name" => quoted(Some(&content.name), &mut test),
            "site" => quoted(content.site.as_deref(), &mut test),
            "terminal" => quoted(content.terminal.as_deref(), &mut test),
            "entity_id" => quoted(content.entity_id.as_deref(), &mut test),
            "business_date" => quoted(content.business_date.as_deref(), &mut test),
            _ => quoted(content.occurred_at.map(|t| t.to_string()).as_deref(), &mut test),
        }
    }

    fn inside(&self, json: &str, test: impl FnMut(&str) -> bool) -> bool {
        self.path.any_below_head(json, test)
    }

    fn equals(&self, raw: &str) -> bool {
        self.value.as_ref().is_some_and(|v| same(raw, v))
    }

    fn listed(&self, raw: &str) -> bool {
        self.value.as_ref().and_then(Value::as_array).is_some_and(|list| list.iter().any(|v| same(raw, v)))
    }

    fn starts(&self, raw: &str) -> bool {
        let prefix = self.value.as_ref().and_then(Value::as_str);
        prefix.is_some_and(|p| unquote(raw).is_some_and(|text| text.starts_with(p)))
    }

    fn compares(&self, raw: &str, wanted: &[Ordering]) -> bool {
        self.value.as_ref().and_then(|v| order(raw, v)).is_some_and(|o| wanted.contains(&o))
    }
}

/// Whether a raw JSON scalar and a value are the same; numbers by value, so `10.00` is `10`.
fn same(raw: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => unquote(raw).is_some_and(|t| t == text.as_str()),
        Value::Number(n) => raw == n.to_string() || order(raw, value) == Some(Ordering::Equal),
        Value::Bool(true) => raw == "true",
        Value::Bool(false) => raw == "false",
        Value::Null => raw == "null",
        _ => false,
    }
}

/// How a raw JSON scalar stands to a value of its own kind: numbers as decimals, texts as times if both are, else as text.
fn order(raw: &str, value: &Value) -> Option<Ordering> {
    match value {
        Value::Number(n) => Some(decimal(raw)?.cmp(&decimal(&n.to_string())?)),
        Value::String(text) => {
            let found = unquote(raw)?;
            match (Time::from_str(&found), Time::from_str(text)) {
                (Ok(a), Ok(b)) => Some(a.cmp(&b)),
                _ => Some(found.as_ref().cmp(text)),
            }
        }
        _ => None,
    }
}

/// A JSON number, also one with an exponent; None when it has more digits than a decimal holds.
pub(crate) fn decimal(raw: &str) -> Option<Decimal> {
    if !raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return None;
    }
    Decimal::from_str_exact(raw).or_else(|_| Decimal::from_scientific(raw)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::event;
    use proptest::prelude::*;
    use serde_json::json;

    fn clauses(value: Value) -> Vec<Clause> {
        serde_json::from_value(value).unwrap()
    }

    fn holds(path: &str, op: &str, value: Value) -> bool {
        let data = r#"{"state":"closed","total":10.50,"big":1e3,"items":[{"sku":"a"},{"sku":"b"}],"at":"2026-11-21T11:00:00+01:00","none":null,"ok":true}"#;
        let list = clauses(json!([{"path": path, "op": op, "value": value}]));
        assert_eq!(check(&list), []);
        first_failing(&list, &event("order.saved", data)).is_none()
    }

    #[test]
    fn each_operator_compares_as_documented() {
        let cases = [
            ("data.state", "eq", json!("closed"), true),
            ("data.state", "ne", json!("closed"), false),
            ("data.nope", "ne", json!("closed"), true),
            ("data.nope", "eq", json!(null), false),
            ("data.none", "eq", json!(null), true),
            ("data.ok", "eq", json!(true), true),
            ("data.total", "eq", json!(10.5), true),
            ("data.total", "gt", json!(10), true),
            ("data.total", "gte", json!(10.5), true),
            ("data.total", "lt", json!(10.5), false),
            ("data.total", "lte", json!("10.5"), false),
            ("data.big", "eq", json!(1000), true),
            ("data.items[].sku", "eq", json!("b"), true),
            ("data.items[].sku", "not_in", json!(["b", "c"]), false),
            ("data.items[].sku", "in", json!(["c", "a"]), true),
            ("data.at", "gt", json!("2026-11-21T09:59:59Z"), true),
            ("data.at", "lt", json!("2026-11-21T10:00:01Z"), true),
            ("data.state", "prefix", json!("clo"), true),
            ("data.total", "prefix", json!("10"), false),
            ("data.state", "exists", json!(true), true),
            ("data.state", "exists", json!(false), false),
            ("data.nope", "exists", json!(false), true),
            ("name", "prefix", json!("order."), true),
            ("site", "eq", json!("175"), true),
            ("correlation.order_id", "exists", json!(true), false),
        ];
        for (path, op, value, expected) in cases {
            assert_eq!(holds(path, op, value.clone()), expected, "{path} {op} {value}");
        }
    }

    #[test]
    fn an_any_list_holds_when_one_does_and_nests_once() {
        let list =
            clauses(json!([{"any": [{"path":"site","op":"eq","value":"9"},{"path":"site","op":"eq","value":"175"}]}]));
        assert_eq!(first_failing(&list, &event("order.saved", "{}")), None);
        let nested = json!([{"any": [{"any": [{"path":"site","op":"exists"}]}]}]);
        assert!(serde_json::from_value::<Vec<Clause>>(nested).is_err());
    }

    #[test]
    fn wrong_conditions_are_refused_with_their_place() {
        let list = clauses(json!([
            {"path":"site","op":"exists"},
            {"any":[{"path":"dta.x","op":"exists"}]},
            {"path":"data.x","op":"in","value":[]},
            {"path":"data.x","op":"prefix","value":1},
            {"path":"site.x","op":"exists"},
            {"path":"data.x","op":"gt","value":true},
            {"path":"data.x","op":"eq"},
            {"any":[]},
        ]));
        let places: Vec<String> = check(&list).into_iter().map(|w| w.place).collect();
        assert_eq!(
            places,
            ["[1].any[0].path", "[2].value", "[3].value", "[4].path", "[5].value", "[6].value", "[7].any"]
        );
    }

    #[test]
    fn conditions_are_counted_with_those_inside_any() {
        let one = json!({"path":"site","op":"exists"});
        let list = |n: usize| clauses(json!([{"any": vec![one.clone(); n - 1]}, one]));
        assert_eq!(check(&list(MAX_CONDITIONS)), []);
        assert_eq!(check(&list(MAX_CONDITIONS + 1)).len(), 1);
        let values = |n: usize| clauses(json!([{"path":"site","op":"in","value":vec!["x"; n]}]));
        assert_eq!(check(&values(MAX_VALUES)), []);
        assert_eq!(check(&values(MAX_VALUES + 1)).len(), 1);
    }

    proptest! {
        #[test]
        fn no_value_and_no_payload_make_it_panic(data in crate::json::tests::any_json(), value in crate::json::tests::any_json(), op in 0usize..10) {
            let op = ["eq", "ne", "in", "not_in", "gt", "gte", "lt", "lte", "exists", "prefix"][op];
            let list = clauses(json!([{"path":"data.a[].b","op":op,"value":value.clone()},{"path":"data.a","op":op,"value":value}]));
            let _ = check(&list);
            let _ = first_failing(&list, &event("order.saved", &data.to_string()));
        }

        #[test]
        fn eq_on_any_scalar_agrees_with_the_parsed_value(a: i64, b: i64, s in ".{0,6}") {
            let e = event("order.saved", &json!({"n": a, "s": s}).to_string());
            let eq = |path: &str, v: Value| first_failing(&clauses(json!([{"path":path,"op":"eq","value":v}])), &e).is_none();
            prop_assert!(eq("data.n", json!(a)));
            prop_assert_eq!(eq("data.n", json!(b)), a == b);
            prop_assert!(eq("data.s", json!(s)));
        }
    }
}
