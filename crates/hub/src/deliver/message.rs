//! What an event looks like to a receiver: headers and body, without where they go.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use tillstream_model::format::{self, Frame};
use tillstream_model::integration::Settings;
use tillstream_model::{Event, Time, Trace};

use super::signing::Signer;
use crate::trace::TRACEPARENT;

const AGENT: &str = concat!("Tillstream/", env!("CARGO_PKG_VERSION"));
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const EVENT: HeaderName = HeaderName::from_static("tillstream-event");
const SEQ: HeaderName = HeaderName::from_static("tillstream-seq");
const ATTEMPT: HeaderName = HeaderName::from_static("tillstream-attempt");
const EVENT_ID: HeaderName = HeaderName::from_static("tillstream-event-id");
const REPLAY: HeaderName = HeaderName::from_static("tillstream-replay");

/// What is the same for all events of an integration, made once per version of its settings.
pub(crate) struct Messages {
    settings: Arc<Settings>,
    company: String,
    epoch: u32,
    signer: Signer,
}

/// An event as it is delivered.
pub(crate) struct Message {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Messages {
    /// From settings that were checked when they were saved, for a log in this epoch.
    pub(crate) fn new(settings: Arc<Settings>, company: &str, epoch: u32) -> Self {
        let signer = Signer::new(&settings.signing);
        Self { company: company.to_owned(), epoch, signer, settings }
    }

    /// The settings it was made from.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The body for an event.
    pub(crate) fn body(&self, event: &Event) -> Bytes {
        let frame = Frame { company: &self.company, epoch: self.epoch };
        Bytes::from(format::body(self.settings.format, frame, event, &self.settings.redaction))
    }

    /// The message of an attempt, of a replay with this id, with `headers` besides its own.
    pub(crate) fn message(
        &self,
        mut headers: HeaderMap,
        event: &Event,
        attempt: u32,
        replay: Option<&str>,
        now: Time,
    ) -> Message {
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.settings.format.content_type()));
        self.add_event_headers(&mut headers, event, attempt);
        insert(&mut headers, TRACEPARENT, &self.trace(event, attempt, now).to_string(), false);
        if let Some(id) = replay {
            insert(&mut headers, REPLAY, id, false);
        }
        let body = self.body(event);
        self.add_signature(&mut headers, &body, event, now);
        Message { headers, body }
    }

    /// The trace that an attempt goes on with: the one that the event came with, else one of the event's id, so that all
    /// its deliveries share one. The span is the attempt's own, and the same when the attempt is rendered again.
    pub(crate) fn trace(&self, event: &Event, attempt: u32, at: Time) -> Trace {
        let hash = Sha256::new()
            .chain_update(self.company.as_bytes())
            .chain_update([0])
            .chain_update(self.settings.id.as_bytes())
            .chain_update([0])
            .chain_update(event.id.as_bytes())
            .chain_update(attempt.to_be_bytes())
            .chain_update(at.millis().to_be_bytes())
            .finalize();
        let mut span = [0; 8];
        span.copy_from_slice(&hash[..8]);
        let (id, sampled) = match event.content.trace {
            Some(trace) => (trace.id, trace.sampled),
            None => (u128::from_be_bytes(*event.id.as_bytes()), true),
        };
        Trace { id, span: u64::from_be_bytes(span).max(1), sampled }
    }

    fn add_event_headers(&self, headers: &mut HeaderMap, event: &Event, attempt: u32) {
        let content = &event.content;
        insert(headers, EVENT, &content.name, false);
        insert(headers, SEQ, &format::position(self.epoch, event.seq), false);
        headers.insert(ATTEMPT, HeaderValue::from(attempt));
        if let Some(id) = &content.caller_id {
            insert(headers, EVENT_ID, id, false);
        }
    }

    fn add_signature(&self, headers: &mut HeaderMap, body: &[u8], event: &Event, now: Time) {
        let id = event.id.to_string();
        let timestamp = (now.millis() / 1_000).to_string();
        if let Some(value) = self.signer.sign(&id, &timestamp, body, now) {
            insert(headers, WEBHOOK_SIGNATURE, &value, false);
        }
        insert(headers, WEBHOOK_ID, &id, false);
        insert(headers, WEBHOOK_TIMESTAMP, &timestamp, false);
    }
}

/// Inserts a value that was checked before; one that is no header value is left out.
pub(crate) fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str, sensitive: bool) {
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(sensitive);
        headers.insert(name, value);
    }
}
