//! `GET /v1/event-types`: what is known of events by their names (`contracts/event-stream.md`, "Event catalogue").

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tillstream_model::catalogue::types::{ALL, EventType, Origin};
use utoipa::{IntoParams, ToSchema};

use super::docs::{Denied, WrongQuery};
use super::extract::{Caller, Params};
use super::paging::{Limit, Listing};
use crate::Hub;
use crate::access::Scope;
use crate::problem::Result;

/// Which types.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct EventTypeQuery {
    /// Only of this entity, such as `order`.
    pub entity: Option<String>,
    /// Where to start: the `next` of the page before.
    pub after: Option<String>,
    /// Most items of the page.
    #[param(value_type = usize, minimum = 1, maximum = 500, default = 50)]
    pub limit: Limit,
}

/// A type of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventType)]
pub struct EventTypeView {
    /// `<entity>.<fact>`.
    #[schema(example = "order.completed")]
    pub name: &'static str,
    /// The part of the name before the dot.
    #[schema(example = "order")]
    pub entity: &'static str,
    /// `source`: whoever sends events makes them. `hub`: the hub, from events of sources. `operation`: the hub, about how
    /// things are going; an integration gets them only when it names them.
    #[schema(value_type = String, example = "source")]
    pub origin: Origin,
    /// When they come.
    pub description: &'static str,
    /// The paths inside `data` that may hold the entity's identity, in the order they are tried.
    #[schema(example = json!(["_id", "id"]))]
    pub identity: &'static [&'static str],
    /// What makes a good idempotency id.
    pub idempotency: &'static str,
    /// The name to use instead, when this one should not be used any more.
    #[schema(required = true)]
    pub deprecated: Option<&'static str>,
    /// What `data` may look like.
    #[schema(value_type = Object)]
    pub example: &'static RawValue,
}

impl From<&'static EventType> for EventTypeView {
    fn from(t: &'static EventType) -> Self {
        EventTypeView {
            name: &t.name,
            entity: t.entity(),
            origin: t.origin,
            description: &t.description,
            identity: t.identity(),
            idempotency: &t.idempotency,
            deprecated: t.deprecated.as_deref(),
            example: &t.example,
        }
    }
}

/// List event types
///
/// By name; for keys that send or read events or read integrations. Events of other names are accepted too.
#[utoipa::path(
    get, path = "/v1/event-types", tag = "events",
    params(EventTypeQuery),
    responses((status = 200, description = "A page", body = Listing<EventTypeView>), Denied, WrongQuery)
)]
pub async fn list_event_types(
    State(_hub): State<Hub>,
    caller: Caller,
    Params(query): Params<EventTypeQuery>,
) -> Result<Json<Listing<EventTypeView>>> {
    // Whoever sends, reads or chooses events has to know them.
    let others = [Scope::EventsWrite, Scope::IntegrationsRead];
    if others.into_iter().all(|scope| caller.may(scope).is_err()) {
        caller.may(Scope::EventsRead)?;
    }
    let limit = query.limit.get();
    let wanted = |t: &&EventType| {
        query.entity.as_deref().is_none_or(|entity| entity == t.entity())
            && query.after.as_ref().is_none_or(|after| *after < t.name)
    };
    let found: Vec<&'static EventType> = ALL.iter().filter(wanted).take(limit + 1).collect();
    let next = (found.len() > limit).then(|| found[limit - 1].name.clone());
    let items = found.into_iter().take(limit).map(EventTypeView::from).collect();
    Ok(Json(Listing { items, next }))
}
