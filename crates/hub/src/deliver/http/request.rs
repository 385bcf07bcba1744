//! The request for an event.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tillstream_model::integration::{HttpTarget, Settings};
use tillstream_model::{Event, Time, Trace};
use tillstream_outbound::Request;

use crate::deliver::message::{Messages, insert};

/// Everything about an integration's requests that is the same for all events, made once per version of its settings.
pub(crate) struct Template {
    messages: Messages,
    http: HttpTarget,
    uri: Uri,
    headers: HeaderMap,
}

/// Why no request can be made from settings.
#[derive(Debug, thiserror::Error)]
#[error("the saved settings make no request: {0}")]
pub(crate) struct Unusable(pub(crate) String);

impl Template {
    /// From settings that were checked when they were saved, for a log in this epoch.
    pub(crate) fn new(settings: Arc<Settings>, company: &str, epoch: u32) -> Result<Self, Unusable> {
        let http = settings.target.http().cloned().ok_or_else(|| Unusable("the target takes none".to_owned()))?;
        let uri = http.url.parse::<Uri>().map_err(|e| Unusable(e.to_string()))?;
        let headers = own_headers(&http)?;
        Ok(Self { messages: Messages::new(settings, company, epoch), http, uri, headers })
    }

    /// The settings it was made from.
    pub(crate) fn settings(&self) -> &Settings {
        self.messages.settings()
    }

    /// The trace that an attempt goes on with, as its request says.
    pub(crate) fn trace(&self, event: &Event, attempt: u32, at: Time) -> Trace {
        self.messages.trace(event, attempt, at)
    }

    /// The request for an attempt. One that needs an access token has a place for it: [`crate::deliver::http::send`]
    /// puts it there.
    pub(crate) fn request(&self, event: &Event, attempt: u32, replay: Option<&str>, now: Time) -> Request {
        let message = self.messages.message(self.headers.clone(), event, attempt, replay, now);
        let mut request = Request::post(self.uri.clone(), message.body);
        request.headers = message.headers;
        if self.http.oauth2.is_some() {
            insert(&mut request.headers, AUTHORIZATION, "Bearer", true);
        } else if let Some(token) = self.http.authorization.of(event.content.site.as_deref(), now) {
            insert(&mut request.headers, AUTHORIZATION, token.reveal(), true);
        }
        request
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

#[cfg(test)]
mod tests {
    use super::*;
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
    fn every_attempt_goes_on_with_the_trace_that_the_event_came_with_in_a_span_of_its_own() {
        let came = Trace { id: 7, span: 8, sampled: false };
        let mut traced = event();
        traced.content.trace = Some(came);
        let sent = |t: &Template, attempt, ms| {
            let request = t.request(&traced, attempt, None, Time::from_millis(ms));
            Trace::parse(request.headers["traceparent"].to_str().unwrap()).unwrap()
        };
        let (one, other) = (template(serde_json::json!({})), template(serde_json::json!({"id":"other"})));
        let all = [sent(&one, 1, 5), sent(&one, 2, 5), sent(&one, 1, 6), sent(&other, 1, 5)];
        assert!(all.iter().all(|t| (t.id, t.sampled) == (came.id, came.sampled)), "{all:?}");
        let spans: std::collections::BTreeSet<u64> = all.iter().map(|t| t.span).chain([came.span]).collect();
        assert_eq!(spans.len(), all.len() + 1, "{all:?}");
        assert_eq!(sent(&one, 1, 5), one.trace(&traced, 1, Time::from_millis(5)), "rendered again it is the same");
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

    #[test]
    fn the_next_token_is_sent_from_its_time_on() {
        let next = serde_json::json!({"value": "Bearer new", "from": "1970-01-01T00:00:05Z"});
        let auth = serde_json::json!({"default": "Bearer old", "next": next});
        let t = template(
            serde_json::json!({"target": {"kind": "http", "url": "https://erp.example", "authorization": auth}}),
        );
        let sent = |ms| t.request(&event(), 1, None, Time::from_millis(ms)).headers[AUTHORIZATION].clone();
        assert_eq!([sent(4_999), sent(5_000)], ["Bearer old", "Bearer new"]);
    }
}
