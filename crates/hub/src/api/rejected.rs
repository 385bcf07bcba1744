//! `…/rejected`: events that were given up (`contracts/event-stream.md`, "Attempts, rejected events").

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tillstream_model::integration::{OnReject, Target, Wrong as WrongValue};
use tillstream_model::{EventId, Seq, Time};
use tillstream_store::state::{Company, Integration, RejectedRow};
use utoipa::ToSchema;

use super::attempt_view::{RequestView, request_view};
use super::audit::{self, Change};
use super::docs::{Denied, Missing, OfEvent, OfIntegration, Wrong, WrongQuery};
use super::event_view::parse_event_id;
use super::extract::{Caller, Doc, Params, Place};
use super::integrations::{find, object};
use super::paging::{Cursor, Listing, Paging};
use crate::Hub;
use crate::access::Scope;
use crate::problem::{Problem, ProblemBody, Result};

/// Most rejected events that one request tries again.
pub const MAX_RETRIES: usize = 500;

/// An event that was given up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rejected)]
pub struct RejectedView {
    /// The event's id; names the row in the calls below.
    #[schema(value_type = String, example = "evt_01JD7ZQ4X8E9W3R5T6Y7P0A1BC")]
    pub id: EventId,
    /// The event's position.
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// When it was given up.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub created_at: Time,
    /// The event's name.
    #[schema(example = "order.completed")]
    pub name: String,
    /// The type of its entity.
    #[schema(example = "order")]
    pub entity: String,
    /// The id of its entity.
    #[schema(required = true)]
    pub entity_id: Option<String>,
    /// `rejected`, `attempts_exhausted`, `expired` or `transform_failed`.
    #[schema(example = "rejected")]
    pub reason: String,
    /// Status of the last answer, if one came.
    #[schema(required = true)]
    pub last_status: Option<u16>,
    /// What went wrong last, in words.
    #[schema(required = true)]
    pub detail: Option<String>,
    /// Attempts that were made.
    pub attempts: u32,
}

/// A rejected event with its request.
#[derive(Debug, Serialize, ToSchema)]
pub struct RejectedEvent {
    /// The row.
    #[serde(flatten)]
    pub row: RejectedView,
    /// The request as it would be sent, secrets masked; null if the settings make none.
    #[schema(required = true)]
    pub request: Option<RequestView>,
}

/// Which rejected events to try again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"ids": ["evt_01JD7ZQ4X8E9W3R5T6Y7P0A1BC"]}))]
pub struct RetryWish {
    /// Event ids; at most 500.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 500)]
    pub ids: Vec<EventId>,
}

/// What became of a wish to try rejected events again.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Retried {
    /// How many are tried again.
    pub retried: usize,
    /// Named ones that are not listed as rejected, or that somebody else is trying again.
    #[schema(value_type = Vec<String>)]
    pub unknown: Vec<EventId>,
}

/// List rejected events
///
/// Newest first; kept 30 days from the rejection, with their payload, whatever the log's retention.
#[utoipa::path(
    get, path = "/v1/integrations/{id}/rejected", tag = "deliveries",
    params(OfIntegration, Paging),
    responses((status = 200, description = "A page", body = Listing<RejectedView>), Denied, Missing, WrongQuery)
)]
pub async fn list_rejected(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<RejectedView>>> {
    let company = caller.company(Scope::DeliveriesRead)?;
    let integration = find(&hub, &caller, company, &id).await?;
    let cursor = Cursor::of(format!("rejected {}", integration.no.0));
    let page = hub.state().rejected(integration.no, cursor.open(paging.after.as_deref())?, paging.limit.get()).await?;
    Ok(Json(cursor.page(page, |row| rejected_view(&row))))
}

/// Show a rejected event
///
/// As it would be sent, and why it was given up.
#[utoipa::path(
    get, path = "/v1/integrations/{id}/rejected/{event_id}", tag = "deliveries",
    params(OfIntegration, OfEvent),
    responses((status = 200, description = "The event", body = RejectedEvent), Denied, Missing)
)]
pub async fn read_rejected(
    State(hub): State<Hub>,
    caller: Caller,
    Place((id, event_id)): Place<(String, String)>,
) -> Result<Json<RejectedEvent>> {
    let company = caller.company(Scope::DeliveriesRead)?;
    let (integration, row) = find_row(&hub, &caller, company, &id, &event_id).await?;
    let payload = caller.sees_payload(row.rejected.event.content.site.as_deref());
    if payload {
        audit::note_view(&hub, &caller, company.no, format!("event {}", row.rejected.event.id)).await?;
    }
    let request = request_view(&hub, company, &integration, &row.rejected.event, payload).await?;
    Ok(Json(RejectedEvent { row: rejected_view(&row), request }))
}

/// Try a rejected event again
///
/// Two calls at once send once: the second answers 404.
#[utoipa::path(
    post, path = "/v1/integrations/{id}/rejected/{event_id}/retry", tag = "deliveries",
    params(OfIntegration, OfEvent),
    responses(
        (status = 202, description = "It is tried again", body = Retried),
        (status = 422, description = "It is a feed's", body = ProblemBody, content_type = "application/problem+json"),
        Denied, Missing
    )
)]
pub async fn retry_rejected(
    State(hub): State<Hub>,
    caller: Caller,
    Place((id, event_id)): Place<(String, String)>,
) -> Result<(StatusCode, Json<Retried>)> {
    let company = caller.company(Scope::DeliveriesWrite)?;
    let (integration, row) = find_row(&hub, &caller, company, &id, &event_id).await?;
    check_target(&integration)?;
    if !hub.state().retry_rejected(integration.no, row.id, hub.now()).await? {
        return Err(not_rejected(&event_id));
    }
    hub.deliver().changed(company.no, integration.no, &id).await?;
    audit::note(&hub, &caller, Some(company.no), Change::of("rejected.retried", of(&id, &event_id))).await?;
    Ok((StatusCode::ACCEPTED, Json(Retried { retried: 1, ..Retried::default() })))
}

/// Try rejected events again
///
/// At most 500 with one call; by filter see `…/rejected/retry-all`.
#[utoipa::path(
    post, path = "/v1/integrations/{id}/rejected/retry", tag = "deliveries",
    request_body = RetryWish,
    params(OfIntegration),
    responses((status = 202, description = "They are tried again", body = Retried), Denied, Missing, Wrong)
)]
pub async fn retry_many_rejected(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Doc(wish): Doc<RetryWish>,
) -> Result<(StatusCode, Json<Retried>)> {
    let company = caller.company(Scope::DeliveriesWrite)?;
    check_wish(&wish)?;
    let integration = find(&hub, &caller, company, &id).await?;
    check_target(&integration)?;
    let done = retry_these(&hub, &integration, wish.ids).await?;
    hub.deliver().changed(company.no, integration.no, &id).await?;
    let change = Change::of("rejected.retried", object(&id)).after(&done);
    audit::note(&hub, &caller, Some(company.no), change).await?;
    Ok((StatusCode::ACCEPTED, Json(done)))
}

/// Delete a rejected event
#[utoipa::path(
    delete, path = "/v1/integrations/{id}/rejected/{event_id}", tag = "deliveries",
    params(OfIntegration, OfEvent),
    responses((status = 204, description = "Deleted"), Denied, Missing)
)]
pub async fn delete_rejected(
    State(hub): State<Hub>,
    caller: Caller,
    Place((id, event_id)): Place<(String, String)>,
) -> Result<StatusCode> {
    let company = caller.company(Scope::DeliveriesWrite)?;
    let (integration, row) = find_row(&hub, &caller, company, &id, &event_id).await?;
    match hub.state().delete_rejected(integration.no, row.id).await? {
        true => {
            if integration.settings.delivery.on_reject == OnReject::HoldEntity {
                hub.deliver().changed(company.no, integration.no, &id).await?;
            }
            audit::note(&hub, &caller, Some(company.no), Change::of("rejected.deleted", of(&id, &event_id))).await?;
            Ok(StatusCode::NO_CONTENT)
        }
        false => Err(not_rejected(&event_id)),
    }
}

/// A rejected event as it is listed.
pub fn rejected_view(row: &RejectedRow) -> RejectedView {
    let rejected = &row.rejected;
    let content = &rejected.event.content;
    RejectedView {
        id: rejected.event.id,
        seq: rejected.event.seq,
        created_at: rejected.at,
        name: content.name.to_string(),
        entity: content.entity().to_owned(),
        entity_id: content.entity_id.as_deref().map(str::to_owned),
        reason: rejected.reason.clone(),
        last_status: rejected.last_status,
        detail: rejected.detail.clone(),
        attempts: rejected.attempts,
    }
}

async fn find_row(
    hub: &Hub,
    caller: &Caller,
    company: &Company,
    id: &str,
    event_id: &str,
) -> Result<(Integration, RejectedRow)> {
    let integration = find(hub, caller, company, id).await?;
    let event = parse_event_id(event_id).ok_or_else(|| not_rejected(event_id))?;
    let row = hub.state().rejected_of(integration.no, event).await?.ok_or_else(|| not_rejected(event_id))?;
    Ok((integration, row))
}

/// An event at an integration, as the audit names it.
fn of(id: &str, event_id: &str) -> String {
    format!("{} event {event_id}", object(id))
}

fn not_rejected(event_id: &str) -> Problem {
    Problem::not_found("rejected event", event_id)
}

/// Nobody sends what a feed's consumer did not ask for in time.
pub fn check_target(integration: &Integration) -> Result<()> {
    if integration.settings.target != Target::Feed {
        return Ok(());
    }
    Err(Problem::invalid([WrongValue::new(
        "target.kind",
        "nothing is sent to a feed; read the rejected event instead",
    )]))
}

fn check_wish(wish: &RetryWish) -> Result<()> {
    match wish.ids.len() {
        1..=MAX_RETRIES => Ok(()),
        _ => Err(Problem::invalid([WrongValue::new("ids", format!("1 to {MAX_RETRIES}"))])),
    }
}

async fn retry_these(hub: &Hub, integration: &Integration, ids: Vec<EventId>) -> Result<Retried> {
    let mut done = Retried::default();
    for event in ids {
        let row = hub.state().rejected_of(integration.no, event).await?;
        let retried = match row {
            Some(row) => hub.state().retry_rejected(integration.no, row.id, hub.now()).await?,
            None => false,
        };
        if retried { done.retried += 1 } else { done.unknown.push(event) }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_names_at_least_one_id_and_at_most_500() {
        let id = EventId::from_bytes([0; 16]);
        let wish = |n: usize| check_wish(&RetryWish { ids: vec![id; n] }).is_ok();
        assert!(wish(1) && wish(MAX_RETRIES) && !wish(0) && !wish(MAX_RETRIES + 1));
    }
}
