//! Attempts: one row for each (`contracts/event-stream.md`, "Attempts, rejected events").

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tillstream_model::event::EntityKey;
use tillstream_model::integration::Settings;
use tillstream_model::{CompanyNo, Event, IntegrationNo, Seq, Time};
use tillstream_store::Page;
use tillstream_store::state::{Attempt, AttemptFilter, Company, name_hash};
use utoipa::IntoParams;

use super::attempt_view::{AttemptView, EventAttempts, Outcome, attempt_view, request_view};
use super::audit;
use super::docs::{Denied, Missing, OfEvent, OfIntegration, WrongQuery};
use super::event_view::find_event;
use super::extract::{Caller, Params, Place, wrong_param};
use super::integrations::{find, of_bound};
use super::paging::{Cursor, Limit, Listing};
use crate::Hub;
use crate::access::Scope;
use crate::problem::Result;

/// Events that are read at once to name them in rows; their payloads pass through memory.
const EVENTS_AT_ONCE: usize = 32;
/// The type of a domain entity when only its id is given.
const DEFAULT_ENTITY: &str = "order";

/// Which attempts to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct AttemptQuery {
    /// Only of this domain entity: the order, else the customer, else the entity of the event.
    pub domain_entity_id: Option<String>,
    /// The type of that entity; `order` when left out.
    pub domain_entity_type: Option<String>,
    /// Only successes or only failures.
    pub status: Option<Outcome>,
    /// Started at or after.
    #[param(value_type = Option<String>, format = DateTime)]
    pub from: Option<Time>,
    /// Started before.
    #[param(value_type = Option<String>, format = DateTime)]
    pub to: Option<Time>,
    /// Only events of this name.
    pub event_name: Option<String>,
    /// Where to start: the `next` of the page before.
    pub after: Option<String>,
    /// Most items of the page.
    #[param(value_type = usize, minimum = 1, maximum = 500, default = 50)]
    pub limit: Limit,
}

/// List attempts
///
/// Of all integrations, newest first; kept 30 days.
#[utoipa::path(
    get, path = "/v1/attempts", tag = "deliveries",
    params(AttemptQuery),
    responses((status = 200, description = "A page", body = Listing<AttemptView>), Denied, WrongQuery)
)]
pub async fn list_attempts(
    State(hub): State<Hub>,
    caller: Caller,
    Params(query): Params<AttemptQuery>,
) -> Result<Response> {
    let company = caller.company(Scope::DeliveriesRead)?;
    let bound = caller.bound_integrations();
    let reached = of_bound(&hub, company, bound, None).await?.iter().map(|i| i.no).collect::<Vec<_>>();
    if reached.is_empty() && !bound.is_empty() {
        return Ok(Json(Listing::<AttemptView> { items: Vec::new(), next: None }).into_response());
    }
    page(&hub, company, reached, &query).await
}

/// List an integration's attempts
///
/// Newest first; kept 30 days.
#[utoipa::path(
    get, path = "/v1/integrations/{id}/attempts", tag = "deliveries",
    params(OfIntegration, AttemptQuery),
    responses((status = 200, description = "A page", body = Listing<AttemptView>), Denied, Missing, WrongQuery)
)]
pub async fn list_integration_attempts(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Params(query): Params<AttemptQuery>,
) -> Result<Response> {
    let company = caller.company(Scope::DeliveriesRead)?;
    let integration = find(&hub, &caller, company, &id).await?;
    page(&hub, company, vec![integration.no], &query).await
}

/// Show all attempts of an event
///
/// With the request, made again from the log with the settings of that time.
#[utoipa::path(
    get, path = "/v1/integrations/{id}/attempts/{event_id}", tag = "deliveries",
    params(OfIntegration, OfEvent),
    responses((status = 200, description = "The attempts", body = EventAttempts), Denied, Missing)
)]
pub async fn read_event_attempts(
    State(hub): State<Hub>,
    caller: Caller,
    Place((id, event_id)): Place<(String, String)>,
) -> Result<Json<EventAttempts>> {
    let company = caller.company(Scope::DeliveriesRead)?;
    let integration = find(&hub, &caller, company, &id).await?;
    let event = find_event(&hub, &caller, company, &event_id).await?;
    let rows = hub.state().attempts_of(integration.no, event.seq).await?;
    let attempts = rows.into_iter().map(|row| attempt_view(id.clone(), row, Some(&event))).collect();
    let payload = caller.sees_payload(event.content.site.as_deref());
    if payload {
        audit::note_view(&hub, &caller, company.no, format!("event {}", event.id)).await?;
    }
    let request = request_view(&hub, company, &integration, &event, payload).await?;
    Ok(Json(EventAttempts { attempts, request }))
}

async fn page(
    hub: &Hub,
    company: &Company,
    integrations: Vec<IntegrationNo>,
    query: &AttemptQuery,
) -> Result<Response> {
    let filter = filter(integrations, query)?;
    let cursor = Cursor::of(format!("attempts {}", company.no.0));
    let page =
        hub.state().attempts(company.no, &filter, cursor.open(query.after.as_deref())?, query.limit.get()).await?;
    let ids = integration_ids(hub, &page.items).await?;
    let items = views(hub, company.no, page.items, &ids).await?;
    Ok(Json(cursor.page(Page { items, next: page.next }, |row| row)).into_response())
}

fn filter(integrations: Vec<IntegrationNo>, query: &AttemptQuery) -> Result<AttemptFilter> {
    Ok(AttemptFilter {
        integrations,
        success: query.status.map(|s| s == Outcome::Success),
        from: query.from,
        to: query.to,
        domain_key: domain_key(query)?,
        name_hash: query.event_name.as_deref().map(name_hash),
    })
}

fn domain_key(query: &AttemptQuery) -> Result<Option<EntityKey>> {
    match (&query.domain_entity_type, &query.domain_entity_id) {
        (entity, Some(id)) => Ok(Some(EntityKey::of(entity.as_deref().unwrap_or(DEFAULT_ENTITY), id))),
        (Some(_), None) => Err(wrong_param("domain_entity_type", "needs domain_entity_id beside it")),
        (None, None) => Ok(None),
    }
}

/// The ids of the integrations that the rows belong to.
async fn integration_ids(hub: &Hub, rows: &[(IntegrationNo, Attempt)]) -> Result<BTreeMap<IntegrationNo, String>> {
    let mut ids = BTreeMap::new();
    for (no, attempt) in rows {
        if !ids.contains_key(no) {
            let settings: Option<(u32, Settings)> = hub.state().settings_at(*no, attempt.seq).await?;
            ids.insert(*no, settings.map(|(_, s)| s.id).unwrap_or_default());
        }
    }
    Ok(ids)
}

async fn views(
    hub: &Hub,
    company: CompanyNo,
    rows: Vec<(IntegrationNo, Attempt)>,
    ids: &BTreeMap<IntegrationNo, String>,
) -> Result<Vec<AttemptView>> {
    let mut views = Vec::with_capacity(rows.len());
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let chunk: Vec<_> = rows.by_ref().take(EVENTS_AT_ONCE).collect();
        let events = events_of(hub, company, &chunk).await?;
        views.extend(chunk.into_iter().map(|(no, attempt)| {
            let event = events.get(&attempt.seq).map(|e| &**e);
            attempt_view(ids.get(&no).cloned().unwrap_or_default(), attempt, event)
        }));
    }
    Ok(views)
}

async fn events_of(
    hub: &Hub,
    company: CompanyNo,
    rows: &[(IntegrationNo, Attempt)],
) -> Result<HashMap<Seq, Arc<Event>>> {
    let mut seqs: Vec<Seq> = rows.iter().map(|(_, a)| a.seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    let events = hub.log().get(company, &seqs).await?;
    Ok(events.into_iter().map(|e| (e.seq, e)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_entity_is_searched_by_type_and_id() {
        let key = |entity: Option<&str>, id: Option<&str>| {
            let query = AttemptQuery {
                domain_entity_type: entity.map(str::to_owned),
                domain_entity_id: id.map(str::to_owned),
                ..AttemptQuery::default()
            };
            domain_key(&query)
        };
        assert_eq!(key(None, Some("7")).unwrap(), Some(EntityKey::of("order", "7")));
        assert_eq!(key(Some("customer"), Some("7")).unwrap(), Some(EntityKey::of("customer", "7")));
        assert_eq!(key(None, None).unwrap(), None);
        assert!(key(Some("customer"), None).is_err());
    }
}
