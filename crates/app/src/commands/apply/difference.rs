//! What differs between what is there and what is wanted. Only what is written is compared.

use serde::Serialize;
use serde_json::{Map, Value};
use tillstream_model::Time;
use tillstream_model::integration::Secret;

/// Names of members that hold secrets, at whatever depth.
const SECRET: [&str; 12] = [
    "authorization",
    "headers",
    "secret",
    "secrets",
    "client_secret",
    "aws_secret_access_key",
    "secret_access_key",
    "api_key",
    "password",
    "token",
    "credentials",
    "key",
];
/// What a masked secret begins with, as the hub shows it.
pub const MASK: char = '…';

/// A setting that is to be another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Where it is, such as `delivery.max_in_flight`.
    pub path: String,
    /// What is there; null: nothing.
    pub before: Value,
    /// What is wanted. Secrets are masked.
    pub after: Value,
}

/// How to compare.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// A secret counts as another one also when what the hub shows of both is the same.
    pub secrets_differ: bool,
}

/// Everything that differs, in the order of the paths.
pub fn differences(before: &Value, wanted: &Map<String, Value>, how: How) -> Vec<Difference> {
    let mut found = Vec::new();
    members("", before, wanted, how, &mut found);
    found
}

/// Every setting of something new.
pub fn all(wanted: &Map<String, Value>) -> Vec<Difference> {
    differences(&Value::Null, wanted, How::default())
}

/// The first setting that is a masked secret: nobody knows what it stands for.
pub fn masked(wanted: &Map<String, Value>) -> Option<String> {
    all(wanted).into_iter().find(|d| wanted_at(wanted, &d.path).is_some_and(looks_masked)).map(|d| d.path)
}

fn wanted_at<'a>(wanted: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let value = wanted.get(first)?;
    match value {
        Value::Object(members) if !rest.is_empty() => wanted_at(members, rest),
        value => Some(value),
    }
}

fn members(at: &str, before: &Value, wanted: &Map<String, Value>, how: How, found: &mut Vec<Difference>) {
    for (name, value) in wanted {
        let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        one(&path, &before[name.as_str()], value, how, found);
    }
}

fn one(path: &str, before: &Value, wanted: &Value, how: How, found: &mut Vec<Difference>) {
    match (before, wanted) {
        (Value::Object(_) | Value::Null, Value::Object(below)) if !below.is_empty() => {
            members(path, before, below, how, found);
        }
        _ if is_same(before, wanted, how) => {}
        _ => found.push(Difference {
            path: path.to_owned(),
            before: before.clone(),
            after: if is_secret(path) || looks_masked(before) { hidden(wanted) } else { wanted.clone() },
        }),
    }
}

fn is_same(before: &Value, wanted: &Value, how: How) -> bool {
    match (before, wanted) {
        (Value::String(a), Value::String(b)) => is_same_text(a, b, how),
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b, how)),
        (Value::Object(a), Value::Object(b)) => {
            b.iter().all(|(name, value)| is_same(a.get(name).unwrap_or(&Value::Null), value, how))
        }
        (Value::Null, Value::Object(b)) => b.is_empty(),
        // A value for every site may be written as the bare value.
        (Value::Object(a), bare) if is_per_site(a) => {
            is_same(&a["default"], bare, how) && a["sites"].as_object().is_some_and(Map::is_empty)
        }
        (a, b) => a == b,
    }
}

fn is_same_text(before: &str, wanted: &str, how: How) -> bool {
    if before.starts_with(MASK) {
        return before == wanted || (!how.secrets_differ && Secret::new(wanted).masked() == before);
    }
    let time = |text: &str| text.parse::<Time>().ok();
    before == wanted || time(before).is_some_and(|t| time(wanted) == Some(t))
}

fn is_per_site(members: &Map<String, Value>) -> bool {
    members.len() == 2 && members.contains_key("default") && members.contains_key("sites")
}

fn is_secret(path: &str) -> bool {
    path.split('.').any(|name| SECRET.contains(&name))
}

fn looks_masked(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with(MASK),
        Value::Array(items) => items.iter().any(looks_masked),
        Value::Object(members) => members.values().any(looks_masked),
        _ => false,
    }
}

fn hidden(value: &Value) -> Value {
    match value {
        Value::String(text) => Secret::new(text.as_str()).masked().into(),
        Value::Array(items) => items.iter().map(hidden).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), hidden(value))).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(before: Value, wanted: Value, how: How) -> Vec<String> {
        let wanted = wanted.as_object().unwrap().clone();
        differences(&before, &wanted, how).iter().map(|d| format!("{}: {} -> {}", d.path, d.before, d.after)).collect()
    }

    fn same(before: Value, wanted: Value) {
        assert_eq!(told(before, wanted, How::default()), [""; 0]);
    }

    #[test]
    fn only_what_is_written_is_compared() {
        let before =
            json!({"name": "ERP", "delivery": {"max_in_flight": 32, "ordering": "entity"}, "events": {"names": []}});
        same(before.clone(), json!({}));
        same(before.clone(), json!({"delivery": {"max_in_flight": 32}, "events": {}}));
        let wanted = json!({"name": "New", "delivery": {"max_in_flight": 8}, "events": {"names": ["a.b"]}});
        let expected = ["delivery.max_in_flight: 32 -> 8", "events.names: [] -> [\"a.b\"]", "name: \"ERP\" -> \"New\""];
        let mut found = told(before, wanted, How::default());
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn spellings_that_the_hub_reads_alike_are_the_same() {
        same(json!({"availability": {"default": true, "sites": {}}}), json!({"availability": true}));
        same(json!({"at": "2026-11-21T10:00:00.000Z"}), json!({"at": "2026-11-21T11:00:00+01:00"}));
        same(json!({"n": 10}), json!({"n": 10.0}));
        same(json!({}), json!({"headers": {"x": null}, "site": null, "money": {}}));
        same(
            json!({"where": [{"path": "a", "op": "eq", "value": 1}]}),
            json!({"where": [{"op": "eq", "path": "a", "value": 1}]}),
        );
        let some = json!({"availability": {"default": true, "sites": {"9": false}}});
        assert_eq!(told(some, json!({"availability": true}), How::default()).len(), 1, "a site differs");
    }

    #[test]
    fn a_secret_is_compared_by_what_is_shown_of_it_and_never_shown_itself() {
        let before = json!({"target": {"authorization": {"default": "…oken", "sites": {}}, "headers": {"x": "…cret"}}});
        same(before.clone(), json!({"target": {"authorization": "Bearer s3cret-token"}}));
        same(before.clone(), json!({"target": {"authorization": {"default": "…oken"}}}));
        let other = json!({"target": {"authorization": "Bearer an0ther-t1ckt", "headers": {"x": "my-great-value"}}});
        let found = told(before.clone(), other, How::default()).join("\n");
        assert!(found.contains("…1ckt") && found.contains("…alue") && !found.contains("an0ther"), "{found}");
        let again = json!({"target": {"authorization": {"default": "Bearer s3cret-token"}}});
        assert_eq!(told(before, again, How { secrets_differ: true }).len(), 1);
        let new = json!({"target": {"headers": {"x": "my-great-value"}}, "signing": {"secrets": ["whsec_abcdefghij"]}});
        let found = all(new.as_object().unwrap());
        assert!(found.iter().all(|d| !d.after.to_string().contains("great") && !d.after.to_string().contains("abc")));
    }

    #[test]
    fn a_masked_secret_is_found_where_it_would_be_taken_for_the_secret() {
        let wanted = json!({"target": {"url": "x", "authorization": {"default": "…oken"}}});
        assert_eq!(masked(wanted.as_object().unwrap()), Some("target.authorization.default".into()));
        assert_eq!(masked(json!({"target": {"headers": {"a": "b"}}}).as_object().unwrap()), None);
    }
}
