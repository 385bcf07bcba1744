//! `GET /v1/events/{id}`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::audit;
use super::docs::{Denied, Missing};
use super::event_view::{EventView, find_event};
use super::extract::{Caller, Place};
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
