//! Settings as people write them, and the checks that make them complete.

use serde::Deserialize;

use super::delivery::{self, WrittenDelivery};
use super::target::{self, WrittenTarget};
use super::{Events, Format, PerSite, Settings, Signing, SigningSecret, Type};
use crate::Time;
use crate::catalogue::is_name;
use crate::condition::{self, Clause};
use crate::path::Path;

/// Longest id.
pub const MAX_ID: usize = 50;
/// Longest name, in characters.
pub const MAX_NAME: usize = 200;
/// Longest description, in characters.
pub const MAX_DESCRIPTION: usize = 2_000;
/// Most entities, names, headers, redaction paths and per-site exceptions.
pub const MAX_LIST: usize = 1_000;
/// Ids that are words of the API's paths.
const RESERVED_IDS: [&str; 2] = ["validate", "preview"];

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

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenEvents {
    entities: Option<Vec<String>>,
    names: Option<Vec<String>>,
    r#where: Option<Vec<Clause>>,
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

impl WrittenEvents {
    fn complete(self) -> Events {
        Events {
            entities: self.entities.unwrap_or_default(),
            names: self.names.unwrap_or_default(),
            r#where: self.r#where.unwrap_or_default(),
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
    target::check(&s.target, &mut wrong);
    check_events(&s.events, &mut wrong);
    delivery::check(&s.delivery, &mut wrong);
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
    if RESERVED_IDS.contains(&s.id.as_str()) {
        wrong.push(Wrong::new("id", "is a word of the API's own; choose another one"));
    }
    for (path, text, max) in [("name", &s.name, MAX_NAME), ("description", &s.description, MAX_DESCRIPTION)] {
        if text.chars().count() > max {
            wrong.push(Wrong::new(path, format!("at most {max} characters")));
        }
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

pub(super) fn check_len(path: &str, len: usize, wrong: &mut Vec<Wrong>) {
    if len > MAX_LIST {
        wrong.push(Wrong::new(path, format!("{len} entries; at most {MAX_LIST}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integration::OnExhausted;
    use crate::integration::delivery::{MAX_IN_FLIGHT, MAX_TIMEOUT_SECONDS, MAX_VERDICTS};
    use crate::integration::target::{MAX_CREDENTIAL, MAX_HEADER_VALUE};
    use crate::schedule::{Preset, Retry};
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
            ("id", json!("validate")),
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
            ("delivery.verdicts.99", json!("retry")),
            ("delivery.verdicts.600", json!("retry")),
            ("delivery.verdicts.409", json!("ignore")),
            ("format", json!("csv")),
        ];
        for (path, value) in cases {
            let found = paths(with(path, value.clone()));
            assert!(found.iter().any(|p| p == path), "{path} = {value}: {found:?}");
        }
        let next = json!({"next": {"value": "a\nb", "from": "2026-01-01T00:00:00Z"}});
        assert_eq!(paths(with("target.authorization", next)), ["target.authorization.next.value"]);
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
    fn at_most_fifty_statuses_have_a_verdict_of_their_own() {
        let verdicts = |count: u16| (400..400 + count).map(|s| (s.to_string(), json!("retry"))).collect::<Value>();
        let most = u16::try_from(MAX_VERDICTS).unwrap();
        assert_eq!(paths(with("delivery.verdicts", verdicts(most))), [""; 0]);
        assert_eq!(paths(with("delivery.verdicts", verdicts(most + 1))), ["delivery.verdicts"]);
        assert_eq!(paths(with("delivery.verdicts", json!({"100": "stop", "599": "delivered"}))), [""; 0]);
    }

    #[test]
    fn only_what_stands_in_line_can_be_held() {
        let held = |ordering| json!({"ordering": ordering, "on_reject": "hold_entity"});
        assert_eq!(paths(with("delivery", held("none"))), ["delivery.on_reject"]);
        assert_eq!(paths(with("delivery", held("entity"))), [""; 0]);
    }

    #[test]
    fn client_credentials_stand_in_place_of_an_authorization() {
        let oauth2 = |name: &str, value: Value| {
            let mut doc = json!({"token_url": "https://id.example/token", "client_id": "erp", "client_secret": "s"});
            doc[name] = value;
            doc
        };
        let long = |more: usize| json!("a".repeat(MAX_CREDENTIAL + more));
        for (name, right, wrong) in [
            ("token_url", json!("http://id.example/"), json!("ftp://x")),
            ("client_id", long(0), long(1)),
            ("client_id", json!("x"), json!("")),
            ("client_secret", long(0), json!("a\nb")),
            ("client_secret", json!("x"), json!("")),
            ("scope", json!("a b"), json!("ä")),
        ] {
            assert_eq!(paths(with("target.oauth2", oauth2(name, right))), [""; 0], "{name}");
            assert_eq!(paths(with("target.oauth2", oauth2(name, wrong))), [format!("target.oauth2.{name}")]);
        }
        let mut both = with("target.oauth2", oauth2("scope", json!("a")));
        both["target"]["authorization"] = json!("Bearer x");
        assert_eq!(paths(both), ["target.oauth2"]);
        let saved = complete(with("target.oauth2", oauth2("client_secret", json!("a-long-secret-1234")))).unwrap();
        let mut same = complete(serde_json::to_value(&saved).unwrap()).unwrap();
        assert_eq!(same.take_over_secrets(&saved), [""; 0]);
        assert_eq!(same, saved);
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
