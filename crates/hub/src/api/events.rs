//! `GET /v1/events`: the log, oldest first.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use tillstream_model::{Event, Seq, Time};
use tillstream_store::ReadLimit;
use tillstream_store::state::Company;
use utoipa::IntoParams;

use super::audit;
use super::docs::{Denied, WrongQuery};
use super::event_view::{EventView, reaches};
use super::extract::{Caller, Params};
use super::paging::{Limit, Listing};
use crate::Hub;
use crate::access::Scope;
use crate::problem::Result;

/// Most events that one request looks at; a filter that finds little goes on with `next`.
pub const MAX_LOOKED_AT: usize = 20_000;
/// A page ends with the event that reaches this many bytes.
pub const PAGE_BYTES: usize = 8 << 20;
/// What is read from the log at once.
const BATCH: ReadLimit = ReadLimit { events: 1_000, bytes: 4 << 20 };

/// Which events to list. All that is given has to hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct EventQuery {
    /// Only events of this entity, such as `order`.
    pub entity: Option<String>,
    /// Only events of this name.
    pub name: Option<String>,
    /// Only of this site.
    pub site: Option<String>,
    /// Only of this terminal.
    pub terminal: Option<String>,
    /// Only about this one.
    pub entity_id: Option<String>,
    /// Accepted at or after.
    #[param(value_type = Option<String>, format = DateTime)]
    pub from: Option<Time>,
    /// Accepted before.
    #[param(value_type = Option<String>, format = DateTime)]
    pub to: Option<Time>,
    /// Only after this position: the `next` of the page before, or 0.
    #[param(value_type = Option<u64>)]
    pub after: Option<Seq>,
    /// Most items of the page.
    #[param(value_type = usize, minimum = 1, maximum = 500, default = 50)]
    pub limit: Limit,
}

impl EventQuery {
    fn matches(&self, only: &[String], event: &Event) -> bool {
        let content = &event.content;
        let is = |wanted: &Option<String>, value: Option<&str>| wanted.is_none() || wanted.as_deref() == value;
        is(&self.entity, Some(content.entity()))
            && is(&self.name, Some(&content.name))
            && is(&self.site, content.site.as_deref())
            && is(&self.terminal, content.terminal.as_deref())
            && is(&self.entity_id, content.entity_id.as_deref())
            && self.from.is_none_or(|t| t <= event.accepted_at)
            && reaches(only, event)
    }

    fn is_past(&self, event: &Event) -> bool {
        self.to.is_some_and(|t| t <= event.accepted_at)
    }
}

/// List events
///
/// Oldest first. A page may be empty although more follow: go on while `next` is not null. Payloads are shown to keys
/// with the scope `events:payload`.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(EventQuery),
    responses((status = 200, description = "A page", body = Listing<EventView>), Denied, WrongQuery)
)]
pub async fn list_events(
    State(hub): State<Hub>,
    caller: Caller,
    Params(query): Params<EventQuery>,
) -> Result<Response> {
    let company = caller.company(Scope::EventsRead)?;
    let (events, next) = scan(&hub, company, caller.bound_sites(), &query).await?;
    let payload = |e: &Event| caller.sees_payload(e.content.site.as_deref());
    let mut shown = events.iter().filter(|e| payload(e)).map(|e| e.seq);
    if let Some(first) = shown.next() {
        let last = shown.next_back().unwrap_or(first);
        audit::note_view(&hub, &caller, company.no, format!("events {first} to {last}")).await?;
    }
    let items: Vec<EventView<'_>> = events.iter().map(|e| EventView::new(company, e, payload(e))).collect();
    Ok(Json(Listing { items, next: next.map(|seq| seq.to_string()) }).into_response())
}

/// Matching events, and the position to go on after.
async fn scan(
    hub: &Hub,
    company: &Company,
    only: &[String],
    query: &EventQuery,
) -> Result<(Vec<Arc<Event>>, Option<Seq>)> {
    let mut page = Found::new(only, query);
    let mut at = first_position(hub, company, query).await?;
    let mut looked_at = 0;
    while looked_at < MAX_LOOKED_AT {
        let batch = hub.log().read(company.no, at, BATCH).await?;
        if batch.is_empty() {
            return Ok((page.events, None));
        }
        for event in batch {
            if query.is_past(&event) {
                return Ok((page.events, None));
            }
            at = event.seq;
            looked_at += 1;
            if page.take(event) {
                return Ok((page.events, Some(at)));
            }
        }
    }
    Ok((page.events, Some(at)))
}

async fn first_position(hub: &Hub, company: &Company, query: &EventQuery) -> Result<Seq> {
    let after = query.after.unwrap_or(0);
    Ok(match query.from {
        Some(time) => hub.log().before(company.no, time).await?.max(after),
        None => after,
    })
}

/// The events of a page.
struct Found<'a> {
    only: &'a [String],
    query: &'a EventQuery,
    events: Vec<Arc<Event>>,
    bytes: usize,
}

impl<'a> Found<'a> {
    fn new(only: &'a [String], query: &'a EventQuery) -> Self {
        Found { only, query, events: Vec::new(), bytes: 0 }
    }

    /// Takes the event if it matches; whether the page is full then.
    fn take(&mut self, event: Arc<Event>) -> bool {
        if !self.query.matches(self.only, &event) {
            return false;
        }
        self.bytes += event.content.size();
        self.events.push(event);
        self.events.len() >= self.query.limit.get() || self.bytes >= PAGE_BYTES
    }
}
