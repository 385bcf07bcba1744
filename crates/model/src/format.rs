//! How an event is written for a receiver (`contracts/hub-api.md` and `contracts/event-stream.md`, "Envelope").
//!
//! The payload is copied byte for byte, but for what `redaction` removes.

use std::borrow::Cow;

use crate::event::Event;
use crate::integration::Format;
use crate::json::{Json, push_quoted};
use crate::path::{self, Path};

impl Format {
    /// The body's media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Cloudevents => "application/cloudevents+json",
            Format::Tillstream | Format::EventStream => "application/json",
        }
    }
}

/// What a body says beside the event itself.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The company's external id.
    pub company: &'a str,
    /// The log's epoch, the first part of a position that is handed out.
    pub epoch: u32,
}

/// A position as it is handed out.
pub fn position(epoch: u32, seq: crate::Seq) -> String {
    crate::Position { epoch, seq }.to_string()
}

/// The body for one event.
pub fn body(format: Format, frame: Frame<'_>, event: &Event, redaction: &[Path]) -> Vec<u8> {
    let data = redacted(&event.content.data, redaction);
    let mut out = Object::with_capacity(data.len() + 512);
    match format {
        Format::Tillstream => tillstream(&mut out, frame, event, &data),
        Format::EventStream => event_stream(&mut out, frame, event, &data),
        Format::Cloudevents => cloudevents(&mut out, frame, event, &data),
    }
    out.end()
}

fn redacted<'a>(data: &'a Json, redaction: &[Path]) -> Cow<'a, str> {
    let stripped = if redaction.is_empty() { None } else { path::without(data.get(), redaction) };
    stripped.map_or(Cow::Borrowed(data.get()), Cow::Owned)
}

fn tillstream(out: &mut Object, frame: Frame<'_>, event: &Event, data: &str) {
    let c = &event.content;
    out.text("id", &event.id.to_string());
    out.text("name", &c.name);
    out.text("entity", c.entity());
    out.optional("entity_id", c.entity_id.as_deref());
    out.text("company", frame.company);
    out.optional("site", c.site.as_deref());
    out.optional("terminal", c.terminal.as_deref());
    out.optional("business_date", c.business_date.as_deref());
    out.optional("occurred_at", c.occurred_at.map(|t| t.to_string()).as_deref());
    out.text("accepted_at", &event.accepted_at.to_string());
    out.text("seq", &position(frame.epoch, event.seq));
    out.raw("correlation", c.correlation.as_ref().map_or("{}", Json::get));
    out.raw("data", data);
}

fn event_stream(out: &mut Object, frame: Frame<'_>, event: &Event, data: &str) {
    out.text("tenant", frame.company);
    out.text("name", &event.content.name);
    out.text("published_at", &event.accepted_at.to_string());
    out.raw("payload", data);
}

/// CloudEvents 1.0, structured mode. Attributes without a value are left out, extension names have no `_` (section 3.1).
fn cloudevents(out: &mut Object, frame: Frame<'_>, event: &Event, data: &str) {
    let c = &event.content;
    out.text("specversion", "1.0");
    out.text("id", &event.id.to_string());
    out.text("source", &source(frame.company, c.site.as_deref()));
    out.text("type", &c.name);
    for (name, value) in [("subject", &c.entity_id), ("terminal", &c.terminal), ("businessdate", &c.business_date)] {
        if let Some(value) = value {
            out.text(name, value);
        }
    }
    out.text("time", &c.occurred_at.unwrap_or(event.accepted_at).to_string());
    out.text("acceptedat", &event.accepted_at.to_string());
    out.text("sequence", &position(frame.epoch, event.seq));
    out.text("datacontenttype", "application/json");
    out.raw("data", data);
}

/// A URI reference that names where the event came from.
fn source(company: &str, site: Option<&str>) -> String {
    let mut uri = format!("/companies/{}", percent_encoded(company));
    if let Some(site) = site {
        uri.push_str("/sites/");
        uri.push_str(&percent_encoded(site));
    }
    uri
}

/// RFC 3986: everything but unreserved characters is written as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// A JSON object that is being written.
struct Object(Vec<u8>);

impl Object {
    fn with_capacity(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes);
        out.push(b'{');
        Object(out)
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        push_quoted(&mut self.0, name);
        self.0.push(b':');
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        push_quoted(&mut self.0, value);
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.raw(name, "null"),
        }
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.0.extend_from_slice(json.as_bytes());
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::event;

    fn written(format: Format, event: &Event, redaction: &[&str]) -> String {
        let paths: Vec<Path> = redaction.iter().map(|p| Path::parse(p).unwrap()).collect();
        let text =
            String::from_utf8(body(format, Frame { company: "Corner \"Foods\"", epoch: 1 }, event, &paths)).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        text
    }

    fn order() -> Event {
        let mut e = event("order.saved", r#"{"total":10.00,"customer":{"email":"a@b","x":1}}"#);
        e.content.terminal = Some("2".into());
        e.content.business_date = Some("2026-11-21".into());
        e.content.correlation = Some(Json::trusted(r#"{"order_id":"e1"}"#));
        e
    }

    #[test]
    fn each_format_is_written_as_its_contract_says() {
        for format in [Format::Tillstream, Format::EventStream, Format::Cloudevents] {
            let name = format!("{format:?}");
            insta::assert_snapshot!(name, written(format, &order(), &["customer.email"]));
        }
    }

    #[test]
    fn what_is_missing_is_null_or_left_out() {
        let mut e = event("a.b", "[]");
        e.content.site = None;
        e.content.entity_id = None;
        insta::assert_snapshot!("bare_tillstream", written(Format::Tillstream, &e, &[]));
        insta::assert_snapshot!("bare_cloudevents", written(Format::Cloudevents, &e, &[]));
    }

    #[test]
    fn an_event_stream_body_has_exactly_four_keys() {
        let text = written(Format::EventStream, &order(), &[]);
        let keys: Vec<String> = serde_json::from_str::<serde_json::Map<_, _>>(&text).unwrap().keys().cloned().collect();
        assert_eq!(keys, ["name", "payload", "published_at", "tenant"]);
    }

    #[test]
    fn the_source_is_a_legal_uri_reference() {
        assert_eq!(source("Müller & Co", Some("a/b")), "/companies/M%C3%BCller%20%26%20Co/sites/a%2Fb");
    }
}
