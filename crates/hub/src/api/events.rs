//! `GET /v1/events`: the log, oldest first.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tillstream_model::{Event, Seq, Time};
use tillstream_store::state::Company;
use utoipa::{IntoParams, ToSchema};

use super::audit;
use super::docs::{Denied, WrongQuery};
use super::event_filter::{Filter, business_date, candidates, correlation};
use super::event_view::EventView;
use super::extract::{Caller, Params};
use super::paging::Limit;
use super::positions;
use crate::Hub;
use crate::access::Scope;
use crate::problem::Result;

/// Most events that one request looks at; a filter that finds little goes on with `next`.
pub const MAX_LOOKED_AT: usize = 20_000;
/// A page ends with the event that reaches this many bytes.
pub const PAGE_BYTES: usize = 8 << 20;

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
    /// Only with this related id, such as `order_id:4711`.
    pub correlation: Option<String>,
    /// Only of this trading day, as `YYYY-MM-DD`.
    pub business_date: Option<String>,
    /// Accepted at or after.
    #[param(value_type = Option<String>, format = DateTime)]
    pub from: Option<Time>,
    /// Accepted before.
    #[param(value_type = Option<String>, format = DateTime)]
    pub to: Option<Time>,
    /// Only after this position: the `next` of the page before, a delivery's `tillstream-seq`, or a bare seq. One that was
    /// handed out before a restore goes on where the backup ended.
    pub after: Option<String>,
    /// Most items of the page.
    #[param(value_type = usize, minimum = 1, maximum = 500, default = 50)]
    pub limit: Limit,
}

impl EventQuery {
    fn filter(&self, only: &[String]) -> Result<Filter> {
        Ok(Filter {
            entity: self.entity.clone(),
            name: self.name.clone(),
            site: self.site.clone(),
            terminal: self.terminal.clone(),
            entity_id: self.entity_id.clone(),
            correlation: correlation(self.correlation.as_deref())?,
            business_date: business_date(self.business_date.as_deref())?,
            only: only.to_vec(),
        })
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
    responses((status = 200, description = "A page", body = EventListing), Denied, WrongQuery)
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
    let index = IndexView { lag_events: lag(&hub, company).await? };
    let next = next.map(|seq| hub.stores().epochs.position(seq).to_string());
    Ok(Json(EventListing { items, next, index }).into_response())
}

/// A page of events.
#[derive(Serialize, ToSchema)]
pub struct EventListing<'a> {
    /// The items; may be fewer than asked for although more follow.
    pub items: Vec<EventView<'a>>,
    /// Pass it as `after` to get what follows; null on the last page.
    #[schema(required = true)]
    pub next: Option<String>,
    /// How far filters are looked up.
    pub index: IndexView,
}

/// How far the index is.
#[derive(Debug, Serialize, ToSchema)]
pub struct IndexView {
    /// Events that are not indexed yet: they are looked through, so that no answer misses them.
    pub lag_events: u64,
}

async fn lag(hub: &Hub, company: &Company) -> Result<u64> {
    let floor = hub.log().floor(company.no).await?;
    let reached = hub.stores().index.reached(company.no, floor).await?;
    Ok(hub.log().head(company.no).await?.saturating_sub(reached))
}

/// Matching events, and the position to go on after.
async fn scan(
    hub: &Hub,
    company: &Company,
    only: &[String],
    query: &EventQuery,
) -> Result<(Vec<Arc<Event>>, Option<Seq>)> {
    let mut page = Found::new(query.filter(only)?, query);
    let mut at = first_position(hub, company, query).await?;
    let mut looked_at = 0;
    while looked_at < MAX_LOOKED_AT {
        let Some((events, looked_to)) = candidates(hub, company.no, &page.filter, at).await? else {
            return Ok((page.events, None));
        };
        looked_at += events.len();
        for event in events {
            if query.is_past(&event) {
                return Ok((page.events, None));
            }
            at = event.seq;
            if page.take(event) {
                return Ok((page.events, Some(at)));
            }
        }
        at = looked_to;
    }
    Ok((page.events, Some(at)))
}

async fn first_position(hub: &Hub, company: &Company, query: &EventQuery) -> Result<Seq> {
    let after = positions::after(hub, company, query.after.as_deref())?;
    Ok(match query.from {
        Some(time) => hub.log().before(company.no, time).await?.max(after),
        None => after,
    })
}

/// The events of a page.
struct Found<'a> {
    filter: Filter,
    query: &'a EventQuery,
    events: Vec<Arc<Event>>,
    bytes: usize,
}

impl<'a> Found<'a> {
    fn new(filter: Filter, query: &'a EventQuery) -> Self {
        Found { filter, query, events: Vec::new(), bytes: 0 }
    }

    /// Takes the event if it is meant and young enough; whether the page is full then.
    fn take(&mut self, event: Arc<Event>) -> bool {
        if !self.filter.matches(&event) || self.query.from.is_some_and(|t| event.accepted_at < t) {
            return false;
        }
        self.bytes += event.content.size();
        self.events.push(event);
        self.events.len() >= self.query.limit.get() || self.bytes >= PAGE_BYTES
    }
}
