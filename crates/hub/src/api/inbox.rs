//! `GET …/inbox`: the last events of an integration that goes nowhere.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tillstream_model::integration::{Settings, Target, Wrong as WrongValue};
use tillstream_model::{Event, EventId, Seq, Time};
use tillstream_store::state::{Attempt, AttemptFilter, Company, Integration};
use utoipa::{IntoParams, ToSchema};

use super::attempt_view::{RequestView, rendered};
use super::docs::{Denied, Missing, OfIntegration, WrongQuery};
use super::event_view::reaches;
use super::extract::{Caller, Params, Place, wrong_param};
use super::integrations::find;
use super::paging::{Limit, Listing};
use crate::Hub;
use crate::access::Scope;
use crate::problem::{Problem, ProblemBody, Result};

/// How many deliveries an inbox keeps to look at (`contracts/hub-api.md`, "Integrations").
pub const KEPT: usize = 200;

/// How many.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct InboxQuery {
    /// How many of the newest.
    #[param(value_type = usize, minimum = 1, maximum = 200, default = 50)]
    pub limit: Limit,
}

/// A delivery that went nowhere.
#[derive(Debug, Serialize, ToSchema)]
pub struct InboxItem {
    /// The event's id.
    #[schema(value_type = String, example = "evt_01JD7ZQ4X8E9W3R5T6Y7P0A1BC")]
    pub event_id: EventId,
    /// The event's position.
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// The event's name.
    #[schema(example = "order.completed")]
    pub name: String,
    /// The site it comes from.
    #[schema(required = true)]
    pub site: Option<String>,
    /// When it was delivered.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub delivered_at: Time,
    /// As an HTTP receiver would have got it.
    #[schema(required = true)]
    pub request: Option<RequestView>,
}

/// Look into an inbox
///
/// The last 200 deliveries at most, newest first, each as an HTTP receiver would have got it.
#[utoipa::path(
    get, path = "/v1/integrations/{id}/inbox", tag = "deliveries",
    params(OfIntegration, InboxQuery),
    responses(
        (status = 200, description = "The newest; `next` is always null", body = Listing<InboxItem>),
        (status = 422, description = "It is no inbox", body = ProblemBody, content_type = "application/problem+json"),
        Denied, Missing, WrongQuery
    )
)]
pub async fn look_into_inbox(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Params(query): Params<InboxQuery>,
) -> Result<Json<Listing<InboxItem>>> {
    let company = caller.company(Scope::DeliveriesRead)?;
    let integration = find(&hub, &caller, company, &id).await?;
    if integration.settings.target != Target::Inbox {
        return Err(Problem::invalid([WrongValue::new("target.kind", "only an inbox can be looked into")]));
    }
    if query.limit.get() > KEPT {
        return Err(wrong_param("limit", &format!("at most {KEPT}")));
    }
    let rows = newest(&hub, company, &integration, query.limit.get()).await?;
    let epoch = hub.stores().epochs.current();
    let mut items = Vec::with_capacity(rows.len());
    for (attempt, event) in rows.iter().filter(|(_, event)| reaches(caller.bound_sites(), event)) {
        let settings = then(&hub, &integration, event.seq).await?;
        let payload = caller.sees_payload_in_bounds(event.content.site.as_deref());
        let request = rendered(&settings, company, epoch, event, attempt.number, attempt.at, payload);
        items.push(item(attempt, event, request));
    }
    Ok(Json(Listing { items, next: None }))
}

/// The newest deliveries whose events the log still has.
async fn newest(
    hub: &Hub,
    company: &Company,
    integration: &Integration,
    limit: usize,
) -> Result<Vec<(Attempt, Arc<Event>)>> {
    let filter = AttemptFilter { integrations: vec![integration.no], success: Some(true), ..AttemptFilter::default() };
    let attempts = hub.state().attempts(company.no, &filter, None, limit).await?.items;
    let mut seqs: Vec<Seq> = attempts.iter().map(|(_, a)| a.seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    let events: HashMap<Seq, Arc<Event>> =
        hub.log().get(company.no, &seqs).await?.into_iter().map(|e| (e.seq, e)).collect();
    Ok(attempts.into_iter().filter_map(|(_, a)| events.get(&a.seq).cloned().map(|e| (a, e))).collect())
}

/// The settings in force at a position.
async fn then(hub: &Hub, integration: &Integration, seq: Seq) -> Result<Arc<Settings>> {
    if integration.version == 1 {
        return Ok(integration.settings.clone());
    }
    let saved = hub.state().settings_at(integration.no, seq).await?;
    Ok(saved.map_or_else(|| integration.settings.clone(), |(_, settings)| Arc::new(settings)))
}

fn item(attempt: &Attempt, event: &Event, request: Option<RequestView>) -> InboxItem {
    InboxItem {
        event_id: event.id,
        seq: event.seq,
        name: event.content.name.to_string(),
        site: event.content.site.as_deref().map(str::to_owned),
        delivered_at: attempt.at,
        request,
    }
}
