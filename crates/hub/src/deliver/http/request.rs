//! The request for an event.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tillstream_model::format::{self, Frame};
use tillstream_model::integration::{HttpTarget, Settings, Target};
use tillstream_model::{Event, Time};
use tillstream_outbound::Request;

use crate::deliver::signing::Signer;

const AGENT: &str = concat!("Tillstream/", env!("CARGO_PKG_VERSION"));
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const EVENT: HeaderName = HeaderName::from_static("tillstream-event");
const SEQ: HeaderName = HeaderName::from_static("tillstream-seq");
const ATTEMPT: HeaderName = HeaderName::from_static("tillstream-attempt");
const EVENT_ID: HeaderName = HeaderName::from_static("tillstream-event-id");
const REPLAY: HeaderName = HeaderName::from_static("tillstream-replay");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Everything about an integration's requests that is the same for all events, made once per version of its settings.
pub(crate) struct Template {
    settings: std::sync::Arc<Settings>,
    company: String,
    epoch: u32,
    uri: Uri,
    headers: HeaderMap,
    signer: Signer,
}

/// Why no request can be made from settings.
#[derive(Debug, thiserror::Error)]
#[error("the saved settings make no request: {0}")]
pub(crate) struct Unusable(String);

impl Template {
    /// From settings that were checked when they were saved, for a log in this epoch.
    pub(crate) fn new(settings: std::sync::Arc<Settings>, company: &str, epoch: u32) -> Result<Self, Unusable> {
        let Target::Http(http) = &settings.target;
        let uri = http.url.parse::<Uri>().map_err(|e| Unusable(e.to_string()))?;
        let mut headers = own_headers(http)?;
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(settings.format.content_type()));
        let signer = Signer::new(&settings.signing);
        Ok(Self { company: company.to_owned(), epoch, uri, headers, signer, settings })
    }

    /// The settings it was made from.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The request for an attempt, of a replay with this id.
    pub(crate) fn request(&self, event: &Event, attempt: u32, replay: Option<&str>, now: Time) -> Request {
        let frame = Frame { company: &self.company, epoch: self.epoch };
        let body = Bytes::from(format::body(self.settings.format, frame, event, &self.settings.redaction));
        let mut request = Request::post(self.uri.clone(), body);
        request.headers = self.headers.clone();
        self.add_event_headers(&mut request.headers, event, attempt);
        if let Some(id) = replay {
            insert(&mut request.headers, REPLAY, id, false);
        }
        self.add_signature(&mut request, event, now);
        request
    }

    fn add_event_headers(&self, headers: &mut HeaderMap, event: &Event, attempt: u32) {
        let Target::Http(http) = &self.settings.target;
        let content = &event.content;
        if let Some(token) = http.authorization.of(content.site.as_deref()) {
            insert(headers, AUTHORIZATION, token.reveal(), true);
        }
        insert(headers, EVENT, &content.name, false);
        insert(headers, SEQ, &format::position(self.epoch, event.seq), false);
        headers.insert(ATTEMPT, HeaderValue::from(attempt));
        if let Some(id) = &content.caller_id {
            insert(headers, EVENT_ID, id, false);
        }
        insert(headers, TRACEPARENT, &traceparent(event, attempt), false);
    }

    fn add_signature(&self, request: &mut Request, event: &Event, now: Time) {
        let id = event.id.to_string();
        let timestamp = (now.millis() / 1_000).to_string();
        if let Some(value) = self.signer.sign(&id, &timestamp, &request.body, now) {
            insert(&mut request.headers, WEBHOOK_SIGNATURE, &value, false);
        }
        insert(&mut request.headers, WEBHOOK_ID, &id, false);
        insert(&mut request.headers, WEBHOOK_TIMESTAMP, &timestamp, false);
    }
}

fn own_headers(http: &HttpTarget) -> Result<HeaderMap, Unusable> {
    let mut headers = HeaderMap::with_capacity(16);
    for (name, value) in &http.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|e| Unusable(e.to_string()))?;
        let mut value = HeaderValue::try_from(value.reveal()).map_err(|e| Unusable(e.to_string()))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// Inserts a value that was checked before; one that is no header value is left out.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str, sensitive: bool) {
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(sensitive);
        headers.insert(name, value);
    }
}

/// W3C trace context: the trace is the event's id, the span its attempt, so that repeats share a trace.
fn traceparent(event: &Event, attempt: u32) -> String {
    let trace = u128::from_be_bytes(*event.id.as_bytes());
    let span = u64::from(attempt) << 48 | (event.seq & 0xffff_ffff_ffff);
    format!("00-{trace:032x}-{span:016x}-01")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tillstream_model::integration::Written;

    fn template(more: serde_json::Value) -> Template {
        let mut doc = serde_json::json!({"id":"erp","target":{"kind":"http","url":"https://erp.example/hook?x=1"}});
        doc.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let settings = Written::from_json(doc).unwrap().complete().unwrap();
        Template::new(Arc::new(settings), "corner", 1).unwrap()
    }

    fn event() -> Event {
        let at = Time::from_millis(1_790_000_000_000);
        let text = r#"{"id":"own:1","name":"order.saved","site":"175","data":{"_id":"o1"}}"#;
        let read = tillstream_model::incoming::read(
            text.as_bytes(),
            tillstream_model::incoming::Body::Json,
            &Default::default(),
        );
        let content = read.unwrap().remove(0).unwrap();
        Event {
            company: tillstream_model::CompanyNo(1),
            seq: 42,
            id: tillstream_model::EventId::new(at, [1; 10]),
            accepted_at: at,
            content,
        }
    }

    #[test]
    fn a_delivery_carries_the_headers_of_the_contract() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let t = template(serde_json::json!({"signing":{"secrets":[secret]}}));
        let request = t.request(&event(), 3, Some("job_7"), Time::from_millis(1_790_000_001_500));
        let headers: std::collections::BTreeMap<_, _> =
            request.headers.iter().map(|(k, v)| (k.as_str(), v.to_str().unwrap())).collect();
        insta::assert_debug_snapshot!(headers);
    }

    #[test]
    fn a_site_may_have_its_own_token() {
        let url = "https://erp.example/hook";
        let auth = serde_json::json!({"default":"Bearer all","sites":{"175":"Bearer one-seven-five"}});
        let t = template(serde_json::json!({"target":{"kind":"http","url":url,"authorization":auth}}));
        let request = t.request(&event(), 1, None, Time::default());
        assert_eq!(request.headers[AUTHORIZATION], "Bearer one-seven-five");
        assert!(request.headers[AUTHORIZATION].is_sensitive());
    }
}
