//! An attempt as it is shown, and the request of one rendered again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tillstream_model::integration::Settings;
use tillstream_model::{Event, EventId, Seq, Time};
use tillstream_store::state::{Attempt, Company, Integration};
use utoipa::ToSchema;

use crate::Hub;
use crate::deliver::{RenderedRequest, render};
use crate::problem::Result;

/// A request is shown as its first attempt; later ones differ in their number and signature only.
const FIRST_ATTEMPT: u32 = 1;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AttemptStatus)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The receiver has the event.
    Success,
    /// It has not.
    Failure,
}

/// One attempt. What belongs to the event is null once the log doesn't have it any more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptView {
    /// The integration's id.
    pub integration: String,
    /// The event's id.
    #[schema(value_type = Option<String>, required = true, example = "evt_01JD7ZQ4X8E9W3R5T6Y7P0A1BC")]
    pub event_id: Option<EventId>,
    /// The event's position.
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// The event's name.
    #[schema(required = true, example = "order.completed")]
    pub event_name: Option<String>,
    /// The type of what the event is about.
    #[schema(required = true, example = "order")]
    pub domain_entity_type: Option<String>,
    /// The id of what the event is about.
    #[schema(required = true)]
    pub domain_entity_id: Option<String>,
    /// How it ended.
    pub status: Outcome,
    /// When it started.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub attempted_at: Time,
    /// Which attempt of the event, from 1; 0 for one that does not count: a probe while the receiver fails, or when
    /// there was no access token to send it with.
    pub attempt: u32,
    /// Status of the answer, if one came.
    #[schema(required = true)]
    pub response_status: Option<u16>,
    /// How long the exchange took.
    pub response_time_ms: u32,
    /// Attempts that are left.
    pub retries_remaining: u32,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
}

/// Why an attempt failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttemptFailure)]
pub struct FailureView {
    /// `status`, `dns`, `refused`, `timeout`, …
    #[schema(example = "timeout")]
    pub cause: String,
    /// One line in words.
    pub detail: String,
    /// The first 4 KiB of the answer.
    pub answer: String,
}

/// All attempts of one event, and its request.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventAttempts {
    /// Oldest first.
    pub attempts: Vec<AttemptView>,
    /// The request as it would be sent at that time's settings, secrets masked; null if
    /// those make no request.
    #[schema(required = true)]
    pub request: Option<RequestView>,
}

/// A request to a receiver, secrets masked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RenderedRequest)]
pub struct RequestView {
    /// HTTP method.
    #[schema(example = "POST")]
    pub method: String,
    /// Where to; `inbox:<id>` and `feed:<id>` go nowhere by themselves.
    pub url: String,
    /// Name and value of each header.
    pub headers: Vec<(String, String)>,
    /// The body; left out without the scope `events:payload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub body: Option<Box<RawValue>>,
}

/// An event's request, rendered with the settings in force at its position; None when they make none.
pub async fn request_view(
    hub: &Hub,
    company: &Company,
    integration: &Integration,
    event: &Event,
    payload: bool,
) -> Result<Option<RequestView>> {
    let then = hub.state().settings_at(integration.no, event.seq).await?;
    let settings = then.map_or_else(|| integration.settings.clone(), |(_, settings)| Arc::new(settings));
    let epoch = hub.stores().epochs.current();
    Ok(rendered(&settings, company, epoch, event, FIRST_ATTEMPT, hub.now(), payload))
}

/// An event's request with these settings, as it was or would be sent at a time; None when they make none.
pub fn rendered(
    settings: &Settings,
    company: &Company,
    epoch: u32,
    event: &Event,
    attempt: u32,
    at: Time,
    payload: bool,
) -> Option<RequestView> {
    render(settings, company, epoch, event, attempt, at).map(|rendered| request_of(rendered, payload))
}

/// A request as it is shown; its body only with `payload`.
pub fn request_of(rendered: RenderedRequest, payload: bool) -> RequestView {
    let RenderedRequest { method, url, headers, body } = rendered;
    let body = String::from_utf8(body.to_vec()).ok().filter(|_| payload).and_then(|b| RawValue::from_string(b).ok());
    RequestView { method: method.to_owned(), url, headers, body }
}

/// An attempt as it is shown.
pub fn attempt_view(integration: String, attempt: Attempt, event: Option<&Event>) -> AttemptView {
    let domain = event.and_then(|e| e.content.domain_entity());
    AttemptView {
        integration,
        event_id: event.map(|e| e.id),
        seq: attempt.seq,
        event_name: event.map(|e| e.content.name.to_string()),
        domain_entity_type: domain.as_ref().map(|(entity, _)| (*entity).to_owned()),
        domain_entity_id: domain.map(|(_, id)| id.into_owned()),
        status: if attempt.failure.is_none() { Outcome::Success } else { Outcome::Failure },
        attempted_at: attempt.at,
        attempt: attempt.number,
        response_status: attempt.status,
        response_time_ms: attempt.elapsed_ms,
        retries_remaining: attempt.remaining,
        failure: attempt.failure.map(|f| FailureView {
            cause: f.cause,
            detail: f.detail,
            answer: String::from_utf8_lossy(&f.answer).into_owned(),
        }),
    }
}
