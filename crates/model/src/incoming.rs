//! Events as they come in: one event, an array, or newline-delimited JSON (`contracts/hub-api.md`, "Events in").

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Time;
use crate::catalogue::{identity_paths, is_hub_made, is_name};
use crate::event::{Content, MAX_EVENT_BYTES, entity_of};
use crate::json::{self, Json, compact};
use crate::path::{self, Path};
use crate::time::is_date;

/// Most events of one array.
pub const MAX_ARRAY: usize = 1_000;
/// Most lines of one newline-delimited body; its bytes are limited by the reader.
pub const MAX_LINES: usize = 100_000;
/// Longest idempotency id.
pub const MAX_CALLER_ID: usize = 128;
/// Longest site, terminal and entity id, in bytes.
pub const MAX_ID: usize = 256;
/// Most bytes of `correlation`.
pub const MAX_CORRELATION: usize = 4_096;

/// How a body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// One event or an array of events.
    Json,
    /// One event a line; empty lines don't count.
    Ndjson,
}

/// Why one event is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Stable: `invalid-event`, `event-too-large` or `name-reserved`.
    pub slug: &'static str,
    /// What is wrong and what would be right.
    pub detail: String,
    /// The field, when it is about one.
    pub path: Option<String>,
}

/// Why a whole body is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or no event and no array.
    #[error("{0}")]
    Syntax(String),
    /// More events than fit into one request.
    #[error("{found} events in one request; at most {limit}")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many may be.
        limit: usize,
    },
    /// No event at all.
    #[error("there is no event in the body")]
    Empty,
}

/// What is removed from `data` before the log keeps it.
#[derive(Clone, Debug, Default)]
pub struct Drop(pub Vec<Path>);

/// Reads a body: for each event what it says, or why it is refused.
pub fn read(body: &[u8], kind: Body, drop: &Drop) -> Result<Vec<Result<Content, Refused>>, Unreadable> {
    let text =
        std::str::from_utf8(body).map_err(|e| Unreadable::Syntax(format!("not UTF-8 at byte {}", e.valid_up_to())))?;
    let text = trimmed(text);
    if let Some(events) = all_at_once(text, kind) {
        return Ok(events.into_iter().map(|event| event.check()?.content(drop)).collect());
    }
    let events = split(text, kind)?;
    Ok(events.into_iter().map(|event| one(event, drop)).collect())
}

/// The events of an array in one pass over its text. None when something is wrong with it or an event of it: then they
/// are read one by one, so that each is told of by itself.
fn all_at_once(text: &str, kind: Body) -> Option<Vec<Written<'_>>> {
    let can_be = kind == Body::Json && text.starts_with('[') && text.len() <= MAX_EVENT_BYTES;
    let events: Vec<Written<'_>> = can_be.then(|| serde_json::from_str(text).ok()).flatten()?;
    (1..=MAX_ARRAY).contains(&events.len()).then_some(events)
}

fn split(text: &str, kind: Body) -> Result<Vec<&str>, Unreadable> {
    let (events, limit): (Vec<&str>, usize) = match kind {
        Body::Ndjson => (text.split('\n').map(trimmed).filter(|l| !l.is_empty()).collect(), MAX_LINES),
        Body::Json if text.starts_with('[') => (array(text)?, MAX_ARRAY),
        Body::Json if text.is_empty() => (Vec::new(), MAX_ARRAY),
        Body::Json => (vec![text], MAX_ARRAY),
    };
    match events.len() {
        0 => Err(Unreadable::Empty),
        found if found > limit => Err(Unreadable::TooMany { found, limit }),
        _ => Ok(events),
    }
}

/// Without the white space that JSON knows (RFC 8259, section 2), which is less than what ASCII has.
fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

fn array(text: &str) -> Result<Vec<&str>, Unreadable> {
    let list: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| Unreadable::Syntax(e.to_string()))?;
    Ok(list.into_iter().map(RawValue::get).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    site: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    terminal: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    entity_id: Option<Cow<'a, str>>,
    #[serde(default)]
    occurred_at: Option<Time>,
    #[serde(borrow, default)]
    business_date: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    correlation: Option<&'a RawValue>,
    #[serde(borrow)]
    data: &'a RawValue,
}

fn one(text: &str, drop: &Drop) -> Result<Content, Refused> {
    if text.len() > MAX_EVENT_BYTES {
        let detail = format!("{} bytes; an event has at most {MAX_EVENT_BYTES}", text.len());
        return Err(Refused { slug: "event-too-large", detail, path: None });
    }
    let written: Written<'_> = serde_json::from_str(text).map_err(|_| explain(text))?;
    written.check()?.content(drop)
}

/// Reads the event again to say where it is wrong.
fn explain(text: &str) -> Refused {
    let mut json = serde_json::Deserializer::from_str(text);
    let (path, message) = match serde_path_to_error::deserialize::<_, Written<'_>>(&mut json) {
        Err(e) => (Some(e.path().to_string()).filter(|p| p != "."), e.into_inner().to_string()),
        Ok(_) => (None, json.end().err().map_or_else(String::new, |e| e.to_string())),
    };
    Refused { slug: "invalid-event", detail: message, path }
}

fn invalid(path: &str, detail: impl Into<String>) -> Refused {
    Refused { slug: "invalid-event", detail: detail.into(), path: Some(path.to_owned()) }
}

impl<'a> Written<'a> {
    fn check(self) -> Result<Self, Refused> {
        if !is_name(&self.name) {
            return Err(invalid("name", "<entity>.<fact> in lower case, such as order.completed"));
        }
        if is_hub_made(entity_of(&self.name)) {
            let detail = format!("only the hub makes {}.* events", entity_of(&self.name));
            return Err(Refused { slug: "name-reserved", detail, path: Some("name".into()) });
        }
        if self.id.as_deref().is_some_and(|id| !is_caller_id(id)) {
            return Err(invalid("id", format!("1 to {MAX_CALLER_ID} letters, digits, _, : and -")));
        }
        for (path, value) in [("site", &self.site), ("terminal", &self.terminal), ("entity_id", &self.entity_id)] {
            if value.as_deref().is_some_and(|v| !is_id(v)) {
                return Err(invalid(path, format!("1 to {MAX_ID} bytes without control characters")));
            }
        }
        if self.business_date.as_deref().is_some_and(|d| !is_date(d)) {
            return Err(invalid("business_date", "a date that exists, as YYYY-MM-DD"));
        }
        Ok(self)
    }

    fn content(self, drop: &Drop) -> Result<Content, Refused> {
        let data = kept_data(self.data, drop)?;
        let correlation = self.correlation.filter(|c| c.get() != "null").map(kept_correlation).transpose()?;
        let entity_id = self.entity_id.map(boxed).or_else(|| identity(&self.name, data.get()));
        Ok(Content {
            entity_id,
            site: self.site.map(boxed),
            terminal: self.terminal.map(boxed),
            occurred_at: self.occurred_at,
            business_date: self.business_date.map(boxed),
            correlation,
            caller_id: self.id.map(boxed),
            name: boxed(self.name),
            trace: None,
            data,
        })
    }
}

fn boxed(text: Cow<'_, str>) -> Box<str> {
    text.into_owned().into_boxed_str()
}

fn kept_data(data: &RawValue, drop: &Drop) -> Result<Json, Refused> {
    if !data.get().starts_with('{') {
        return Err(invalid("data", "an object"));
    }
    let compacted = compacted(data, "data")?;
    let kept = path::without(&compacted, &drop.0).map_or(compacted, Cow::Owned);
    Ok(Json::trusted(kept.into_owned()))
}

fn kept_correlation(correlation: &RawValue) -> Result<Json, Refused> {
    let compacted = compacted(correlation, "correlation")?;
    let flat = compacted.starts_with('{')
        && path::members(&compacted).all(|(_, v)| !v.starts_with(['{', '[']))
        && compacted.len() <= MAX_CORRELATION;
    if !flat {
        return Err(invalid("correlation", format!("a flat object of at most {MAX_CORRELATION} bytes")));
    }
    Ok(Json::trusted(compacted.into_owned()))
}

fn compacted<'a>(value: &'a RawValue, path: &str) -> Result<Cow<'a, str>, Refused> {
    compact(value.get()).map_err(|e: json::Refused| invalid(path, e.to_string()))
}

fn identity(name: &str, data: &str) -> Option<Box<str>> {
    identity_paths(entity_of(name)).iter().find_map(|dotted| {
        let found = dotted.split('.').try_fold(data, path::member_of)?;
        path::scalar_text(found).filter(|id| is_id(id)).map(boxed)
    })
}

fn is_caller_id(id: &str) -> bool {
    (1..=MAX_CALLER_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:-".contains(&b))
}

/// Whether events may name a site, terminal or entity so.
pub fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && !id.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read_json(text: &str) -> Result<Vec<Result<Content, Refused>>, Unreadable> {
        read(text.as_bytes(), Body::Json, &Drop::default())
    }

    fn single(value: Value) -> Result<Content, Refused> {
        read_json(&value.to_string()).unwrap().remove(0)
    }

    fn with(field: &str, value: Value) -> Result<Content, Refused> {
        let mut event = json!({"name":"order.saved","site":"175","data":{"_id":"o1"}});
        event[field] = value;
        single(event)
    }

    #[test]
    fn an_event_keeps_what_was_said_and_its_identity_is_found() {
        let text = r#"{"id":"a:1","name":"punch.saved","site":"175","terminal":"2","occurred_at":"2026-11-21T10:00:00+01:00",
            "business_date":"2026-11-21","correlation":{"order_id":"x"},"data":{ "model" : {"shift_id": 10.00 } }}"#;
        let c = read_json(text).unwrap().remove(0).unwrap();
        assert_eq!(c.data.get(), r#"{"model":{"shift_id":10.00}}"#);
        assert_eq!(c.entity_id.as_deref(), Some("10.00"));
        assert_eq!(c.occurred_at.unwrap().to_string(), "2026-11-21T09:00:00.000Z");
        assert_eq!(c.correlation.unwrap().get(), r#"{"order_id":"x"}"#);
    }

    #[test]
    fn identity_is_the_first_path_that_has_one() {
        let id = |data: Value| with("data", data).unwrap().entity_id;
        assert_eq!(id(json!({"_id":"a","id":"b"})).as_deref(), Some("a"));
        assert_eq!(id(json!({"_id":null,"id":7})).as_deref(), Some("7"));
        assert_eq!(id(json!({"_id":{"x":1}})), None);
        assert_eq!(with("entity_id", json!("own")).unwrap().entity_id.as_deref(), Some("own"));
    }

    #[test]
    fn each_wrong_field_is_refused_with_its_path() {
        let cases = [
            ("name", json!("Order"), "invalid-event"),
            ("name", json!(7), "invalid-event"),
            ("name", json!("site_eod.reached"), "name-reserved"),
            ("name", json!("integration.stopped"), "name-reserved"),
            ("id", json!("a.b"), "invalid-event"),
            ("id", json!(""), "invalid-event"),
            ("id", json!("a".repeat(MAX_CALLER_ID + 1)), "invalid-event"),
            ("site", json!("a".repeat(MAX_ID + 1)), "invalid-event"),
            ("terminal", json!("a\u{1}"), "invalid-event"),
            ("entity_id", json!(""), "invalid-event"),
            ("occurred_at", json!("yesterday"), "invalid-event"),
            ("business_date", json!("2026-02-30"), "invalid-event"),
            ("correlation", json!({"a":{"b":1}}), "invalid-event"),
            ("correlation", json!({"a":"x".repeat(MAX_CORRELATION)}), "invalid-event"),
            ("data", json!([]), "invalid-event"),
        ];
        for (field, value, slug) in cases {
            let refused = with(field, value.clone()).unwrap_err();
            assert_eq!((refused.slug, refused.path.as_deref()), (slug, Some(field)), "{value}: {}", refused.detail);
        }
        let unknown = with("sitee", json!("1")).unwrap_err();
        assert!(unknown.detail.contains("sitee"), "{}", unknown.detail);
        assert!(single(json!({"name":"a.b"})).unwrap_err().detail.contains("data"));
    }

    #[test]
    fn values_at_the_limits_are_accepted() {
        assert!(with("id", json!("a".repeat(MAX_CALLER_ID))).is_ok());
        assert!(with("site", json!("a".repeat(MAX_ID))).is_ok());
        let room = MAX_EVENT_BYTES - r#"{"name":"a.b","data":{"x":""}}"#.len();
        let event = |n: usize| format!(r#"{{"name":"a.b","data":{{"x":"{}"}}}}"#, "y".repeat(n));
        assert!(read_json(&event(room)).unwrap()[0].is_ok());
        assert_eq!(read_json(&event(room + 1)).unwrap()[0].as_ref().unwrap_err().slug, "event-too-large");
    }

    #[test]
    fn a_doubled_key_is_refused_wherever_it_stands() {
        for text in [
            r#"{"name":"a.b","name":"a.c","data":{}}"#,
            r#"{"name":"a.b","data":{"x":[{"y":1,"y":2}]}}"#,
            r#"{"name":"a.b","correlation":{"x":1,"x":1},"data":{}}"#,
        ] {
            assert_eq!(read_json(text).unwrap()[0].as_ref().unwrap_err().slug, "invalid-event", "{text}");
        }
    }

    #[test]
    fn an_array_and_lines_are_read_one_by_one() {
        let list = read_json(r#"[{"name":"a.b","data":{}}, 7, {"name":"a.b","data":{}}]"#).unwrap();
        assert_eq!(list.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        let lines = b"{\"name\":\"a.b\",\"data\":{}}\r\n\n{broken\n{\"name\":\"a.b\",\"data\":{}}";
        let list = read(lines, Body::Ndjson, &Drop::default()).unwrap();
        assert_eq!(list.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn an_array_is_read_alike_at_once_and_one_by_one() {
        let events = [
            r#"{"name":"a.b","data":{ "x" : 1.00 },"correlation":{"y":2}}"#,
            r#"{"name":"Wrong","data":{}}"#,
            r#"{"name":"a.b","data":[]}"#,
            r#"{"name":"a.b","data":{"x":1,"x":2}}"#,
        ];
        let at_once = format!("[{}]", events.join(" ,\n"));
        assert!(all_at_once(&at_once, Body::Json).is_some());
        let one_by_one = format!("[{},7]", events.join(","));
        assert!(all_at_once(&one_by_one, Body::Json).is_none());
        let mut expected = read_json(&one_by_one).unwrap();
        assert!(expected.pop().unwrap().is_err());
        let shown = |read: &[Result<Content, Refused>]| format!("{read:?}");
        assert_eq!(shown(&read_json(&at_once).unwrap()), shown(&expected));
    }

    #[test]
    fn bodies_are_limited_in_events_and_must_hold_one() {
        let list = |n: usize| serde_json::to_string(&vec![json!({"name":"a.b","data":{}}); n]).unwrap();
        assert_eq!(read_json(&list(MAX_ARRAY)).unwrap().len(), MAX_ARRAY);
        let too_many = Unreadable::TooMany { found: MAX_ARRAY + 1, limit: MAX_ARRAY };
        assert_eq!(read_json(&list(MAX_ARRAY + 1)).unwrap_err(), too_many);
        for empty in ["", " \n", "[]"] {
            assert_eq!(read_json(empty).unwrap_err(), Unreadable::Empty);
        }
        assert!(matches!(read_json("[1,").unwrap_err(), Unreadable::Syntax(_)));
        assert!(matches!(read(&[0xff], Body::Json, &Drop::default()).unwrap_err(), Unreadable::Syntax(_)));
    }

    #[test]
    fn only_the_white_space_of_json_may_surround_an_event() {
        let event = r#"{"name":"a.b","data":{}}"#;
        assert!(read_json(&format!(" \t\r\n{event}\n ")).unwrap()[0].is_ok());
        for other in ["\u{c}", "\u{b}", "\u{a0}"] {
            assert!(read_json(&format!("{other}{event}")).unwrap()[0].is_err(), "{other:?}");
            let lines = read(format!("{event}{other}\n").as_bytes(), Body::Ndjson, &Drop::default()).unwrap();
            assert!(lines[0].is_err(), "{other:?}");
        }
    }

    #[test]
    fn what_a_company_never_wants_stored_is_removed_at_the_door() {
        let drop = Drop(vec![Path::parse("payment.cards[].number").unwrap()]);
        let text = r#"{"name":"a.b","data":{"payment":{"cards":[{"number":"4111","brand":"v"}]},"x":1}}"#;
        let c = read(text.as_bytes(), Body::Json, &drop).unwrap().remove(0).unwrap();
        assert_eq!(c.data.get(), r#"{"payment":{"cards":[{"brand":"v"}]},"x":1}"#);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), lines: bool) {
            let _ = read(&bytes, if lines { Body::Ndjson } else { Body::Json }, &Drop::default());
        }

        #[test]
        fn what_is_accepted_is_what_a_plain_parser_reads(data in crate::json::tests::any_json(), name in "[a-zA-Z.1_]{1,8}", id in ".{0,6}") {
            let event = json!({"name": name, "id": id, "data": data});
            match single(event) {
                Ok(c) => {
                    prop_assert!(data.is_object() && is_name(&name) && is_caller_id(&id));
                    prop_assert_eq!(serde_json::from_str::<Value>(c.data.get()).unwrap(), data);
                    prop_assert!(!c.data.get().contains('\n'));
                }
                Err(_) => prop_assert!(!data.is_object() || !is_name(&name) || !is_caller_id(&id)),
            }
        }
    }
}
