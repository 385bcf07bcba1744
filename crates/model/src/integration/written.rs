//! Settings as people write them, and the checks that make them complete.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    Delivery, Events, Format, HttpTarget, OnExhausted, Ordering, PerSite, Secret, Settings, Signing, SigningSecret,
    Target, Type,
};
use crate::Time;
use crate::catalogue::is_name;
use crate::condition::{self, Clause};
use crate::path::Path;
use crate::schedule::{Preset, Retry};

/// Longest id.
pub const MAX_ID: usize = 50;
/// Longest name, in characters.
pub const MAX_NAME: usize = 200;
/// Longest description, in characters.
pub const MAX_DESCRIPTION: usize = 2_000;
/// Most entities, names, headers, redaction paths and per-site exceptions.
pub const MAX_LIST: usize = 1_000;
/// Longest URL, in bytes.
pub const MAX_URL: usize = 2_048;
/// Longest header value, `Authorization` included, in bytes.
pub const MAX_HEADER_VALUE: usize = 8 * 1024;
/// Most attempts under way at once that may be asked for.
pub const MAX_IN_FLIGHT: u32 = 512;
/// Attempts under way at once when nothing is said.
pub const DEFAULT_IN_FLIGHT: u32 = 32;
/// Longest exchange that may be asked for.
pub const MAX_TIMEOUT_SECONDS: u32 = 60;
/// Longest exchange when nothing is said.
pub const DEFAULT_TIMEOUT_SECONDS: u32 = 15;
/// Highest rate limit.
pub const MAX_RATE: u32 = 100_000;

/// Header names that belong to the connection, to the hub or to signing.
const RESERVED_HEADERS: [&str; 13] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "tillstream-", "traceparent"];

/// What is removed from payloads unless the settings say otherwise (`contracts/data-stream.md`, "Redaction").
const DEFAULT_REDACTION: [&str; 6] = [
    "customer.first_name",
    "customer.last_name",
    "customer.phone_cell",
    "customer.email",
    "payment_info.payments[].card",
    "payment_info.hash_code",
];

/// What is wrong with settings, and where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Wrong {
    /// Place in the document, such as `delivery.timeout_seconds`.
    pub path: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl Wrong {
    /// What is wrong at a place.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// Settings as written: everything optional that has a default; unknown fields are errors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    id: Option<String>,
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<Type>,
    #[serde(default)]
    starts_at: Option<Time>,
    #[serde(default)]
    format: Option<Format>,
    target: WrittenTarget,
    #[serde(default)]
    availability: Option<PerSite<bool>>,
    #[serde(default)]
    events: Option<WrittenEvents>,
    #[serde(default)]
    delivery: Option<WrittenDelivery>,
    #[serde(default)]
    redaction: Option<Vec<Path>>,
    #[serde(default)]
    signing: Option<WrittenSigning>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum WrittenTarget {
    Http {
        url: String,
        #[serde(default)]
        authorization: Option<PerSite<Option<Secret>>>,
        #[serde(default)]
        headers: Option<BTreeMap<String, Secret>>,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenEvents {
    entities: Option<Vec<String>>,
    names: Option<Vec<String>>,
    r#where: Option<Vec<Clause>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenDelivery {
    ordering: Option<Ordering>,
    max_in_flight: Option<u32>,
    rate_per_second: Option<u32>,
    timeout_seconds: Option<u32>,
    retry: Option<Retry>,
    max_age_seconds: Option<u64>,
    on_exhausted: Option<OnExhausted>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenSigning {
    secrets: Option<Vec<SigningSecret>>,
}

impl Written {
    /// Reads a JSON document; the error names the place.
    pub fn from_json(json: serde_json::Value) -> Result<Self, Wrong> {
        serde_path_to_error::deserialize(json).map_err(|e| {
            let path = e.path().to_string();
            Wrong::new(
                if path == "." { String::new() } else { path },
                crate::told::without_text(&e.inner().to_string()),
            )
        })
    }

    /// Fills in defaults and checks everything; all that is wrong is told at once.
    pub fn complete(self) -> Result<Settings, Vec<Wrong>> {
        let format = self.format.unwrap_or_default();
        let name = self.name.or_else(|| self.id.clone()).unwrap_or_default();
        let settings = Settings {
            id: self.id.unwrap_or_else(|| slug(&name)),
            name,
            description: self.description.unwrap_or_default(),
            r#type: self.kind.unwrap_or_default(),
            starts_at: self.starts_at,
            format,
            target: self.target.complete(),
            availability: self.availability.unwrap_or_else(|| PerSite::all(true)),
            events: self.events.unwrap_or_default().complete(),
            delivery: self.delivery.unwrap_or_default().complete(format),
            redaction: self.redaction.unwrap_or_else(|| default_redaction(format)),
            signing: Signing { secrets: self.signing.and_then(|s| s.secrets).unwrap_or_default() },
        };
        let wrong = check(&settings);
        if wrong.is_empty() { Ok(settings) } else { Err(wrong) }
    }
}

impl WrittenTarget {
    fn complete(self) -> Target {
        let WrittenTarget::Http { url, authorization, headers } = self;
        Target::Http(HttpTarget {
            url,
            authorization: authorization.unwrap_or_default(),
            headers: headers.unwrap_or_default(),
        })
    }
}

impl WrittenEvents {
    fn complete(self) -> Events {
        Events {
            entities: self.entities.unwrap_or_default(),
            names: self.names.unwrap_or_default(),
            r#where: self.r#where.unwrap_or_default(),
        }
    }
}

impl WrittenDelivery {
    fn complete(self, format: Format) -> Delivery {
        let retry = self.retry.unwrap_or(Retry::Preset(match format {
            Format::EventStream => Preset::EventStream,
            Format::Tillstream | Format::Cloudevents => Preset::Standard,
        }));
        Delivery {
            ordering: self.ordering.unwrap_or_default(),
            max_in_flight: self.max_in_flight.unwrap_or(DEFAULT_IN_FLIGHT),
            rate_per_second: self.rate_per_second,
            timeout_seconds: self.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS),
            on_exhausted: self.on_exhausted.unwrap_or(match retry {
                Retry::Preset(Preset::EventStream) => OnExhausted::Stop,
                _ => OnExhausted::Reject,
            }),
            retry,
            max_age_seconds: self.max_age_seconds,
        }
    }
}

fn default_redaction(format: Format) -> Vec<Path> {
    match format {
        Format::EventStream => Vec::new(),
        Format::Tillstream | Format::Cloudevents => {
            DEFAULT_REDACTION.iter().filter_map(|p| Path::parse(p).ok()).collect()
        }
    }
}

/// An id made of a name: lower case, other characters than letters and digits become one `-`.
fn slug(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => out.push(c),
            _ if !out.is_empty() && !out.ends_with('-') => out.push('-'),
            _ => {}
        }
    }
    out.truncate(MAX_ID);
    out.trim_end_matches('-').to_owned()
}

fn check(s: &Settings) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    check_texts(s, &mut wrong);
    let Target::Http(http) = &s.target;
    check_http(http, &mut wrong);
    check_events(&s.events, &mut wrong);
    check_delivery(&s.delivery, &mut wrong);
    check_signing(&s.signing, &mut wrong);
    check_len("redaction", s.redaction.len(), &mut wrong);
    check_len("availability.sites", s.availability.sites.len(), &mut wrong);
    wrong
}

fn check_texts(s: &Settings, wrong: &mut Vec<Wrong>) {
    let id_ok =
        (1..=MAX_ID).contains(&s.id.len()) && s.id.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !id_ok {
        wrong.push(Wrong::new("id", format!("1 to {MAX_ID} of a-z, 0-9 and -; give one, or a name it can be made of")));
    }
    for (path, text, max) in [("name", &s.name, MAX_NAME), ("description", &s.description, MAX_DESCRIPTION)] {
        if text.chars().count() > max {
            wrong.push(Wrong::new(path, format!("at most {max} characters")));
        }
    }
}

fn check_http(http: &HttpTarget, wrong: &mut Vec<Wrong>) {
    let scheme_ok = ["http://", "https://"].iter().any(|s| http.url.len() > s.len() && http.url.starts_with(s));
    if !scheme_ok || http.url.len() > MAX_URL || http.url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        wrong.push(Wrong::new(
            "target.url",
            format!("an absolute http or https URL without white space, at most {MAX_URL} bytes"),
        ));
    }
    let tokens = http.authorization.sites.iter().map(|(site, v)| (format!("target.authorization.sites.{site}"), v));
    for (path, value) in std::iter::once(("target.authorization".to_owned(), &http.authorization.default)).chain(tokens)
    {
        check_header_value(&path, value.as_ref(), wrong);
    }
    check_len("target.authorization.sites", http.authorization.sites.len(), wrong);
    check_len("target.headers", http.headers.len(), wrong);
    for (name, value) in &http.headers {
        let path = format!("target.headers.{name}");
        check_header_name(&path, name, wrong);
        check_header_value(&path, Some(value), wrong);
    }
}

fn check_header_name(path: &str, name: &str, wrong: &mut Vec<Wrong>) {
    let lower = name.to_ascii_lowercase();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || name.len() > 256 || !name.bytes().all(token) {
        wrong.push(Wrong::new(path, "not a legal header name"));
    } else if RESERVED_HEADERS.contains(&lower.as_str()) || RESERVED_PREFIXES.iter().any(|p| lower.starts_with(p)) {
        wrong.push(Wrong::new(path, "this header is set by the hub or belongs to the connection"));
    }
}

fn check_header_value(path: &str, value: Option<&Secret>, wrong: &mut Vec<Wrong>) {
    let Some(value) = value.map(Secret::reveal) else { return };
    // A mask that stands for a saved value is not a legal header value itself; it is replaced before use.
    let body = value.strip_prefix('…').unwrap_or(value);
    if value.is_empty()
        || value.len() > MAX_HEADER_VALUE
        || !body.bytes().all(|b| b == b'\t' || (0x20..0x7f).contains(&b))
    {
        wrong.push(Wrong::new(
            path,
            format!("a legal header value: visible ASCII characters and spaces, at most {MAX_HEADER_VALUE} bytes"),
        ));
    } else if body.trim() != body {
        wrong.push(Wrong::new(path, "white space at the start or end would be lost on the way"));
    }
}

fn check_events(events: &Events, wrong: &mut Vec<Wrong>) {
    check_len("events.entities", events.entities.len(), wrong);
    check_len("events.names", events.names.len(), wrong);
    for (i, entity) in events.entities.iter().enumerate() {
        if !is_name(&format!("{entity}.x")) {
            wrong.push(Wrong::new(format!("events.entities[{i}]"), "lower-case letters, digits and _, such as order"));
        }
    }
    for (i, name) in events.names.iter().enumerate() {
        if !is_name(name) {
            wrong.push(Wrong::new(
                format!("events.names[{i}]"),
                "<entity>.<fact> in lower case, such as order.completed",
            ));
        }
    }
    let found = condition::check(&events.r#where);
    wrong.extend(found.into_iter().map(|w| Wrong::new(format!("events.where{}", w.place), w.message)));
}

fn check_delivery(d: &Delivery, wrong: &mut Vec<Wrong>) {
    let mut range = |path: &str, value: u64, max: u64| {
        if !(1..=max).contains(&value) {
            wrong.push(Wrong::new(format!("delivery.{path}"), format!("{value} is not between 1 and {max}")));
        }
    };
    range("max_in_flight", d.max_in_flight.into(), MAX_IN_FLIGHT.into());
    range("timeout_seconds", d.timeout_seconds.into(), MAX_TIMEOUT_SECONDS.into());
    range("rate_per_second", d.rate_per_second.unwrap_or(1).into(), MAX_RATE.into());
    range("max_age_seconds", d.max_age_seconds.unwrap_or(1), 400 * 86_400);
    wrong.extend(d.retry.wrong().map(|m| Wrong::new("delivery.retry", m)));
}

fn check_signing(signing: &Signing, wrong: &mut Vec<Wrong>) {
    if signing.secrets.len() > Signing::MAX_SECRETS {
        wrong.push(Wrong::new("signing.secrets", format!("at most {}", Signing::MAX_SECRETS)));
    }
    for (i, s) in signing.secrets.iter().enumerate() {
        if s.key().is_none() && !s.secret.looks_masked() {
            wrong.push(Wrong::new(format!("signing.secrets[{i}]"), "whsec_ and the base64 of 24 to 64 bytes"));
        }
    }
}

fn check_len(path: &str, len: usize, wrong: &mut Vec<Wrong>) {
    if len > MAX_LIST {
        wrong.push(Wrong::new(path, format!("{len} entries; at most {MAX_LIST}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn complete(json: Value) -> Result<Settings, Vec<Wrong>> {
        Written::from_json(json).map_err(|w| vec![w])?.complete()
    }

    fn paths(json: Value) -> Vec<String> {
        complete(json).map_or_else(|wrong| wrong.into_iter().map(|w| w.path).collect(), |_| Vec::new())
    }

    fn with(field: &str, value: Value) -> Value {
        let mut doc = json!({"id":"erp","target":{"kind":"http","url":"https://erp.example/hook"}});
        let mut place = &mut doc;
        let steps: Vec<&str> = field.split('.').collect();
        for step in &steps[..steps.len() - 1] {
            if place.get(*step).is_none() {
                place[*step] = json!({});
            }
            place = &mut place[*step];
        }
        place[steps[steps.len() - 1]] = value;
        doc
    }

    #[test]
    fn the_least_that_can_be_written_gets_every_default() {
        let settings =
            complete(json!({"name":"ERP: Orders!","target":{"kind":"http","url":"https://erp.example"}})).unwrap();
        insta::assert_json_snapshot!(settings);
    }

    #[test]
    fn the_event_stream_format_brings_its_own_presets() {
        let s = complete(with("format", json!("event_stream"))).unwrap();
        assert_eq!(s.delivery.retry, Retry::Preset(Preset::EventStream));
        assert_eq!(s.delivery.on_exhausted, OnExhausted::Stop);
        assert!(s.redaction.is_empty());
    }

    #[test]
    fn what_was_completed_reads_back_the_same() {
        let s = complete(with("delivery.retry", json!({"schedule_seconds":[0,5]}))).unwrap();
        let again = complete(serde_json::to_value(&s).unwrap()).unwrap();
        assert_eq!(again, s);
    }

    #[test]
    fn each_wrong_value_is_told_with_its_place() {
        let cases = [
            ("id", json!("Über")),
            ("id", json!("a".repeat(MAX_ID + 1))),
            ("name", json!("n".repeat(MAX_NAME + 1))),
            ("target.url", json!("ftp://x")),
            ("target.url", json!("https://a b")),
            ("target.authorization", json!("a\nb")),
            ("target.authorization", json!("a".repeat(MAX_HEADER_VALUE + 1))),
            ("target.headers.Host", json!("x")),
            ("target.headers.webhook-id", json!("x")),
            ("target.headers.a b", json!("x")),
            ("delivery.timeout_seconds", json!(61)),
            ("delivery.timeout_seconds", json!(0)),
            ("delivery.max_in_flight", json!(MAX_IN_FLIGHT + 1)),
            ("delivery.rate_per_second", json!(0)),
            ("delivery.unknown", json!(1)),
            ("delivery.retry", json!({"schedule_seconds":[]})),
            ("format", json!("csv")),
        ];
        for (path, value) in cases {
            let found = paths(with(path, value.clone()));
            assert!(found.iter().any(|p| p == path), "{path} = {value}: {found:?}");
        }
        assert_eq!(paths(with("events.names", json!(["order.saved", "Order"]))), ["events.names[1]"]);
        assert_eq!(
            paths(with("events.where", json!([{"path":"data.x","op":"in","value":1}]))),
            ["events.where[0].value"]
        );
        assert_eq!(paths(with("signing.secrets", json!(["whsec_x"]))), ["signing.secrets[0]"]);
    }

    #[test]
    fn values_at_the_limits_are_accepted() {
        for (path, value) in [
            ("id", json!("a".repeat(MAX_ID))),
            ("name", json!("n".repeat(MAX_NAME))),
            ("target.authorization", json!("a".repeat(MAX_HEADER_VALUE))),
            ("delivery.timeout_seconds", json!(MAX_TIMEOUT_SECONDS)),
            ("delivery.max_in_flight", json!(MAX_IN_FLIGHT)),
        ] {
            assert_eq!(paths(with(path, value)), [""; 0], "{path}");
        }
    }

    #[test]
    fn a_mask_in_a_write_keeps_the_saved_secret() {
        let saved = complete(with("target.authorization", json!("Bearer abcdef-123456"))).unwrap();
        let mut same = complete(serde_json::to_value(&saved).unwrap()).unwrap();
        assert_eq!(same.take_over_secrets(&saved), [""; 0]);
        assert_eq!(same, saved);
        let mut other = complete(with("target.authorization", json!("…9999"))).unwrap();
        assert_eq!(other.take_over_secrets(&saved), ["target.authorization"]);
    }

    #[test]
    fn a_name_makes_an_id() {
        assert_eq!(slug("  ERP – Orders (new)  "), "erp-orders-new");
        assert_eq!(slug("!!!"), "");
    }
}
