//! `/v1/events/{id}`: one event, and taking its payload away.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::audit::{self, Change};
use super::docs::{Denied, Missing};
use super::event_view::{EventView, find_event};
use super::extract::{Caller, Place};
use super::set_by::{EVENT_DELETED, event_object};
use crate::Hub;
use crate::access::Scope;
use crate::problem::Result;

/// Read an event
///
/// The payload is shown to keys with the scope `events:payload`.
#[utoipa::path(
    get, path = "/v1/events/{id}", tag = "events",
    params(("id" = String, Path, description = "The event's id")),
    responses((status = 200, description = "The event", body = EventView), Denied, Missing)
)]
pub async fn read_event(State(hub): State<Hub>, caller: Caller, Place(id): Place<String>) -> Result<Response> {
    let company = caller.company(Scope::EventsRead)?;
    let event = find_event(&hub, &caller, company, &id).await?;
    let payload = caller.sees_payload(event.content.site.as_deref());
    if payload {
        audit::note_view(&hub, &caller, company.no, format!("event {id}")).await?;
    }
    Ok(Json(EventView::new(company, &event, payload)).into_response())
}

/// Delete an event's payload
///
/// Its data and related ids are gone for good, from the log and from what waits or was rejected; its position, id, name
/// and times stay, and so does its idempotency id. What has not been sent yet is not sent any more.
#[utoipa::path(
    delete, path = "/v1/events/{id}", tag = "events",
    params(("id" = String, Path, description = "The event's id")),
    responses((status = 204, description = "Deleted"), Denied, Missing)
)]
pub async fn delete_event(State(hub): State<Hub>, caller: Caller, Place(id): Place<String>) -> Result<StatusCode> {
    let company = caller.company(Scope::EventsWrite)?;
    let event = find_event(&hub, &caller, company, &id).await?;
    let known = event.content.is_erased();
    hub.log().erase(company.no, event.seq, event.id).await?;
    hub.state().erase(company.no, event.seq, event.id).await?;
    hub.erase_again(&event);
    if !known {
        let change = Change::of(EVENT_DELETED, event_object(&event));
        audit::note(&hub, &caller, Some(company.no), change).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
