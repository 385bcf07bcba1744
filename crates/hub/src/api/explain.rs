//! `GET /v1/events/{id}/explain`: what became of an event, integration by integration.

mod story;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tillstream_model::integration::OnReject;
use tillstream_model::{Event, Seq};
use tillstream_store::state::Integration;
use utoipa::ToSchema;

use super::attempt_view::attempt_view;
use super::docs::{Denied, Missing, WrongQuery};
use super::event_view::{EventView, find_event};
use super::extract::{Caller, Params, Place};
use super::lane_view::standing;
use super::paging::Paging;
use super::rejected::rejected_view;
use super::set_by::set_by;
use crate::Hub;
use crate::access::Scope;
use crate::problem::Result;
use story::{Facts, Outcome, Story};

/// Most attempts shown of one event and integration: the newest. While a receiver fails, an event may be probed more
/// often.
pub const MAX_ATTEMPTS_SHOWN: usize = 100;

/// What became of an event.
#[derive(Serialize, ToSchema)]
pub struct Explanation<'a> {
    /// The event, without its payload.
    event: EventView<'a>,
    /// One for each integration, by id.
    items: Vec<Story>,
    /// Pass it as `after` to get what follows; null on the last page.
    #[schema(required = true)]
    next: Option<String>,
}

/// Explain an event
///
/// For each integration of the company, with the settings in force at the event's position: whether it wanted the
/// event or which rule said no, every attempt, and what happens next.
#[utoipa::path(
    get, path = "/v1/events/{id}/explain", tag = "events",
    params(("id" = String, Path, description = "The event's id"), Paging),
    responses((status = 200, description = "What became of it", body = Explanation), Denied, Missing, WrongQuery)
)]
pub async fn explain_event(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Params(paging): Params<Paging>,
) -> Result<Response> {
    let company = caller.company(Scope::EventsRead)?;
    caller.may(Scope::DeliveriesRead)?;
    let event = find_event(&hub, &caller, company, &id).await?;
    let limit = paging.limit.get();
    let mut integrations = hub.state().integrations(company.no, paging.after.as_deref(), limit + 1).await?;
    let more = integrations.len() > limit;
    integrations.truncate(limit);
    let head = hub.log().head(company.no).await?;
    let mut items = Vec::with_capacity(integrations.len());
    for integration in &integrations {
        items.push(story(&hub, integration, &event, head).await?);
    }
    let next = integrations.last().filter(|_| more).map(|i| i.settings.id.clone());
    Ok(Json(Explanation { event: EventView::new(company, &event, false), items, next }).into_response())
}

/// The rejected event that keeps an event's entity back, where the settings hold entities.
async fn held_behind(hub: &Hub, integration: &Integration, event: &Event) -> Result<Option<String>> {
    let Some(key) = event.content.key().filter(|_| integration.settings.delivery.on_reject == OnReject::HoldEntity)
    else {
        return Ok(None);
    };
    let parked = hub.state().lane(integration.no).await?.parked;
    let holder = parked.iter().find(|p| p.held && p.key == Some(key) && p.seq < event.seq);
    let Some(seq) = holder.map(|p| p.seq) else { return Ok(None) };
    let found = hub.log().get(integration.company, &[seq]).await?.pop();
    Ok(Some(found.map_or_else(|| format!("at position {seq}"), |e| e.id.to_string())))
}

async fn story(hub: &Hub, integration: &Integration, event: &Event, head: Seq) -> Result<Story> {
    let (no, state) = (integration.no, hub.state());
    let mut attempts = state.attempts_of(no, event.seq).await?;
    attempts.drain(..attempts.len().saturating_sub(MAX_ATTEMPTS_SHOWN));
    let facts = Facts {
        integration,
        event,
        then: state.settings_at(no, event.seq).await?,
        parked: state.parked_of(no, event.seq).await?,
        held_behind: held_behind(hub, integration, event).await?,
        rejected: state.rejected_of(no, event.id).await?,
        standing: standing(hub, integration, head).await?,
        attempts: &attempts,
    };
    let mut story = facts.story();
    if let (Outcome::NotWanted, Some((version, no))) = (story.outcome, facts.unwanted_since()) {
        story.set_by = set_by(hub, integration, version, event, &no).await?;
    }
    story.rejected = facts.rejected.as_ref().map(rejected_view);
    let id = &integration.settings.id;
    story.attempts = attempts.iter().map(|a| attempt_view(id.clone(), a.clone(), Some(event))).collect();
    Ok(story)
}
