//! An event as it is shown: the `tillstream` body (`contracts/hub-api.md`, "Integrations").

use std::sync::Arc;

use serde::Serialize;
use tillstream_model::json::Json;
use tillstream_model::{Event, EventId, Seq, Time};
use tillstream_store::state::Company;
use utoipa::ToSchema;

use super::extract::Caller;
use crate::Hub;
use crate::problem::{Problem, Result};

/// An event of the log.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView<'a> {
    /// Its id; the `webhook-id` of its deliveries.
    #[schema(value_type = String, example = "evt_01JD7ZQ4X8E9W3R5T6Y7P0A1BC")]
    pub id: EventId,
    /// `<entity>.<fact>`.
    #[schema(example = "order.completed")]
    pub name: &'a str,
    /// The part of the name before the dot.
    #[schema(example = "order")]
    pub entity: &'a str,
    /// What it is about; events of one entity keep their order.
    #[schema(required = true)]
    pub entity_id: Option<&'a str>,
    /// Whose it is.
    pub company: &'a str,
    /// The site it comes from.
    #[schema(required = true)]
    pub site: Option<&'a str>,
    /// The terminal within the site.
    #[schema(required = true)]
    pub terminal: Option<&'a str>,
    /// `YYYY-MM-DD`, the trading day it belongs to.
    #[schema(required = true, example = "2026-11-21")]
    pub business_date: Option<&'a str>,
    /// When it happened, as the source says.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub occurred_at: Option<Time>,
    /// When it became durable here.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub accepted_at: Time,
    /// Its position in the company's log.
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// The idempotency id that the caller gave.
    #[schema(required = true)]
    pub idempotency_id: Option<&'a str>,
    /// Ids of related things.
    #[schema(required = true, value_type = Option<serde_json::Value>)]
    pub correlation: Option<&'a Json>,
    /// The payload; left out without the scope `events:payload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub data: Option<&'a Json>,
}

impl<'a> EventView<'a> {
    /// An event as it is shown, with its payload or without.
    pub fn new(company: &'a Company, event: &'a Event, payload: bool) -> Self {
        let content = &event.content;
        EventView {
            id: event.id,
            name: &content.name,
            entity: content.entity(),
            entity_id: content.entity_id.as_deref(),
            company: &company.external_id,
            site: content.site.as_deref(),
            terminal: content.terminal.as_deref(),
            business_date: content.business_date.as_deref(),
            occurred_at: content.occurred_at,
            accepted_at: event.accepted_at,
            seq: event.seq,
            idempotency_id: content.caller_id.as_deref(),
            correlation: content.correlation.as_ref(),
            data: payload.then_some(&content.data),
        }
    }
}

/// The company's event with this id, or 404; that also for one of a site that the caller's key does not reach.
pub async fn find_event(hub: &Hub, caller: &Caller, company: &Company, id: &str) -> Result<Arc<Event>> {
    let unknown = || Problem::not_found("event", id);
    let id = parse_event_id(id).ok_or_else(unknown)?;
    let found = hub.log().find(company.no, id).await?;
    found.filter(|event| reaches(caller.bound_sites(), event)).ok_or_else(unknown)
}

/// Whether an event is of one of these sites; every one is when there are none.
pub fn reaches(only: &[String], event: &Event) -> bool {
    only.is_empty() || event.content.site.as_deref().is_some_and(|site| only.iter().any(|o| o == site))
}

/// An event id in a path; a text that is none names nothing.
pub fn parse_event_id(text: &str) -> Option<EventId> {
    text.parse().ok()
}
