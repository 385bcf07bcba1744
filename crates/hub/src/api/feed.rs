//! `GET …/feed`: a consumer takes an integration's events itself (`contracts/hub-api.md`, "Integrations").

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tillstream_model::Seq;
use tillstream_model::integration::{Status, Target, Wrong as WrongValue};
use tillstream_store::state::{Company, Integration};
use utoipa::{IntoParams, ToSchema};

use super::docs::{Denied, Missing, OfIntegration, WrongQuery};
use super::extract::{Caller, Params, Place, wrong_param};
use super::integrations::find;
use super::paging::Limit;
use super::positions;
use crate::Hub;
use crate::access::Scope;
use crate::problem::{Kind, Problem, ProblemBody, Result};

/// Longest wait for the first event.
pub const MAX_WAIT_SECONDS: u8 = 30;

/// From where, how many, and how long to wait.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct FeedQuery {
    /// The `next` of the answer before: everything up to it is delivered from now on. An older one reads again.
    /// Without it the feed goes on where the last acknowledged answer ended.
    #[param(example = "1-4711")]
    pub after: Option<String>,
    /// Most events of the answer.
    #[param(value_type = usize, minimum = 1, maximum = 500, default = 50)]
    pub limit: Limit,
    /// How long to wait for the first event.
    #[param(maximum = 30, default = 0)]
    pub wait_seconds: u8,
}

/// Events that are handed out.
#[derive(Serialize, ToSchema)]
pub struct FeedPage {
    /// Bodies in the integration's format, in order; an answer ends early with the event that reaches 4 MiB.
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<Box<RawValue>>,
    /// Pass it as `after` once all of them are kept. It moves on also when nothing was wanted.
    #[schema(example = "1-4761")]
    pub next: String,
}

/// Take events from a feed
///
/// What comes after a position. The position itself says that everything up to it has arrived: it counts as delivered,
/// and the feed goes on behind it. Of two consumers each takes whatever comes after its own position.
#[utoipa::path(
    get, path = "/v1/integrations/{id}/feed", tag = "deliveries",
    params(OfIntegration, FeedQuery),
    responses(
        (status = 200, description = "Events, perhaps none", body = FeedPage),
        (status = 422, description = "It is no feed, does not run, or the position lies beyond the log's end",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Nobody can note the position now", body = ProblemBody,
            content_type = "application/problem+json"),
        Denied, Missing, WrongQuery
    )
)]
pub async fn take_from_feed(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Params(query): Params<FeedQuery>,
) -> Result<Json<FeedPage>> {
    let company = caller.company_in_bounds(Scope::EventsPayload)?;
    let integration = find(&hub, &caller, company, &id).await?;
    check(&caller, &integration, &query)?;
    let after = match query.after.as_deref() {
        Some(after) => acknowledged(&hub, company, &integration, after).await?,
        None => hub.state().lane_figures(integration.no).await?.cursor,
    };
    let wait = Duration::from_secs(query.wait_seconds.into());
    let handed = hub.deliver().hand_out(&integration, after, query.limit.get(), wait).await?;
    let items = handed.items.iter().filter_map(|body| serde_json::from_slice(body).ok()).collect();
    let next = hub.stores().epochs.position(handed.next).to_string();
    Ok(Json(FeedPage { items, next }))
}

fn check(caller: &Caller, integration: &Integration, query: &FeedQuery) -> Result<()> {
    if !caller.bound_sites().is_empty() {
        let why = "the key is bound to sites, and a feed hands out the events of all";
        return Err(Problem::new(Kind::Forbidden, why));
    }
    if integration.settings.target != Target::Feed {
        return Err(Problem::invalid([WrongValue::new("target.kind", "events are only taken from a feed")]));
    }
    if integration.status != Status::Running {
        return Err(Problem::invalid([WrongValue::new(
            "status",
            "only a running feed hands out events; start it first",
        )]));
    }
    if query.wait_seconds > MAX_WAIT_SECONDS {
        return Err(wrong_param("wait_seconds", &format!("at most {MAX_WAIT_SECONDS}")));
    }
    Ok(())
}

/// Notes that everything up to a position has arrived; the position.
async fn acknowledged(hub: &Hub, company: &Company, integration: &Integration, after: &str) -> Result<Seq> {
    let position = positions::after(hub, company, Some(after))?;
    let head = hub.log().head(company.no).await?;
    if position > head {
        let why = format!("no answer ended there: the log ends at {}", hub.stores().epochs.position(head));
        return Err(Problem::invalid([WrongValue::new("after", why)]));
    }
    if hub.deliver().acknowledge(company.no, integration.no, &integration.settings.id, position).await? {
        return Ok(position);
    }
    Err(Problem::new(Kind::Unavailable, "what has arrived can't be noted right now; ask again").retry_after(1))
}
