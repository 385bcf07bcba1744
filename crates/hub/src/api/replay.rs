//! `POST …/replay` and sending one event again (`contracts/event-stream.md`, "Replay").

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tillstream_model::integration::{Status, Target, Wrong as WrongValue};
use tillstream_model::replay::{Filter, Only};
use tillstream_model::{CompanyNo, EventId, IntegrationNo, Seq, Time};
use tillstream_store::state::{Company, Integration, LogEntry, Replay};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::audit::{self, Change};
use super::docs::{Denied, Missing, OfEvent, OfIntegration, Wrong};
use super::event_view::find_event;
use super::extract::{Caller, Doc, Place};
use super::integrations::{entry, find, object};
use super::jobs::{self, JobView};
use crate::Hub;
use crate::access::Scope;
use crate::deliver::{Plan, read_chunk};
use crate::documents;
use crate::jobs::{Job, Status as JobStatus, Work};
use crate::problem::{Kind, Problem, ProblemBody, Result};

/// Most names of a replay.
pub const MAX_NAMES: usize = 100;
/// How long a count may take.
const COUNT_FOR: Duration = Duration::from_secs(10);
/// A replay whose job has ended is taken off the list by its lane within so long …
const MAKING_ROOM: Duration = Duration::from_secs(5);
/// … which is looked at so often.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Which past events to send again.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "2026-11-20T00:00:00Z", "only": "undelivered", "dry_run": true}))]
pub struct ReplayWish {
    /// Accepted at or after.
    #[schema(value_type = String, format = DateTime)]
    pub from: Time,
    /// Accepted before; now when left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<Time>,
    /// Only events of these names; at most 100.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub names: Vec<String>,
    /// Only about this one.
    #[serde(default)]
    pub entity_id: Option<String>,
    /// Only of this site.
    #[serde(default)]
    pub site: Option<String>,
    /// Only of this trading day.
    #[serde(default)]
    #[schema(example = "2026-11-20")]
    pub business_date: Option<String>,
    /// `all`, `undelivered` (no attempt of the last 30 days delivered it, and it does not wait for one) or `rejected`
    /// (listed as rejected).
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "undelivered")]
    pub only: Only,
    /// Only count.
    #[serde(default)]
    pub dry_run: bool,
}

/// How many events a replay would send.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayCount {
    /// Events that would be sent.
    pub matched: u64,
    /// Events that were looked at.
    pub looked_at: u64,
    /// Events there are to look at.
    pub of: u64,
    /// Whether all were looked at; counting stops after some seconds.
    pub complete: bool,
}

/// An event that is sent once more.
#[derive(Debug, Serialize, ToSchema)]
pub struct SentAgain {
    /// The event's id.
    #[schema(value_type = String, example = "evt_01JD7ZQ4X8E9W3R5T6Y7P0A1BC")]
    pub id: EventId,
    /// Whether it was waiting for an attempt anyway.
    pub was_waiting: bool,
}

/// Replay past events
///
/// Sends what the integration wants of its past once more, beside the live flow and yielding to it; each request
/// carries `tillstream-replay`. One replay of an integration at a time. With `dry_run` it only counts.
#[utoipa::path(
    post, path = "/v1/integrations/{id}/replay", tag = "deliveries",
    request_body = ReplayWish,
    params(OfIntegration),
    responses(
        (status = 200, description = "How many it would be", body = ReplayCount),
        (status = 202, description = "It is under way", body = JobView, headers(("Location", description = "The job"))),
        (status = 409, description = "A replay is under way", body = ProblemBody,
            content_type = "application/problem+json"),
        Denied, Missing, Wrong
    )
)]
pub async fn replay_integration(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Doc(wish): Doc<ReplayWish>,
) -> Result<Response> {
    let company = caller.company(Scope::DeliveriesWrite)?;
    let integration = find(&hub, &caller, company, &id).await?;
    check(&wish, hub.now(), &integration)?;
    let (filter, after, to) = window(&hub, company, &integration, &wish).await?;
    if wish.dry_run {
        return Ok(Json(count(&hub, company, &integration, &filter, after, to).await?).into_response());
    }
    let job_id = crate::jobs::new_id(hub.now(), rand::random());
    let plan = Plan::new(filter.clone(), after, to);
    let reason = format!("of positions {} to {}", after + 1, plan.to);
    let entry = entry(&hub, &caller, "replay_started", &reason);
    let job = Job::new(Work::Replay(filter), Some((id.clone(), integration.no)), caller.holder().actor(), hub.now());
    let (of, replay) = ((company.no, integration.no), plan.stored(&job_id)?);
    if !begin(&hub, of, &replay, &entry).await? {
        return Err(Problem::new(Kind::UnderWay, "a replay of the integration is under way; wait for it or cancel it"));
    }
    let saved = match jobs::start(&hub, company.no, &job_id, &job).await {
        Ok(saved) => saved,
        Err(e) => {
            hub.state().end_replay(integration.no, &job_id, entry).await?;
            return Err(e);
        }
    };
    hub.deliver().changed(company.no, integration.no, &id).await?;
    jobs::answer(&hub, &caller, company.no, saved).await
}

/// Starts a replay; whether none was under way. One whose job has just ended is given a moment to make room.
async fn begin(
    hub: &Hub,
    (company, no): (CompanyNo, IntegrationNo),
    replay: &Replay,
    entry: &LogEntry,
) -> Result<bool> {
    let until = Instant::now() + MAKING_ROOM;
    loop {
        if hub.state().start_replay(no, replay.clone(), entry.clone()).await? {
            return Ok(true);
        }
        let Some(other) = hub.state().replay(no).await? else { return Ok(false) };
        let job = documents::get::<Job>(hub.state(), Some(company), &other.id).await?;
        let ended = job.is_none_or(|job| job.value.status != JobStatus::Running);
        if !ended || Instant::now() >= until {
            return Ok(false);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Send an event again
///
/// One that was attempted before, whatever came of it. It is a new attempt of the same event, with its `webhook-id`.
#[utoipa::path(
    post, path = "/v1/integrations/{id}/attempts/{event_id}/send", tag = "deliveries",
    params(OfIntegration, OfEvent),
    responses((status = 202, description = "It is sent again", body = SentAgain), Denied, Missing)
)]
pub async fn send_again(
    State(hub): State<Hub>,
    caller: Caller,
    Place((id, event_id)): Place<(String, String)>,
) -> Result<(StatusCode, Json<SentAgain>)> {
    let company = caller.company(Scope::DeliveriesWrite)?;
    let integration = find(&hub, &caller, company, &id).await?;
    let event = find_event(&hub, &caller, company, &event_id).await?;
    if hub.state().attempts_of(integration.no, event.seq).await?.is_empty() {
        return Err(Problem::not_found("attempt of event", &event_id));
    }
    let evt = event.id;
    let parked = hub.state().send_again(integration.no, event, hub.now()).await?;
    hub.deliver().changed(company.no, integration.no, &id).await?;
    let change = Change::of("event.sent_again", format!("{} event {evt}", object(&id)));
    audit::note(&hub, &caller, Some(company.no), change).await?;
    Ok((StatusCode::ACCEPTED, Json(SentAgain { id: evt, was_waiting: !parked })))
}

fn check(wish: &ReplayWish, now: Time, integration: &Integration) -> Result<()> {
    let mut wrong = Vec::new();
    if wish.from >= wish.to.unwrap_or(now) {
        wrong.push(WrongValue::new("from", "has to be before `to`, and in the past"));
    }
    if wish.names.len() > MAX_NAMES {
        wrong.push(WrongValue::new("names", format!("at most {MAX_NAMES}")));
    }
    if wish.business_date.as_ref().is_some_and(|day| !tillstream_model::time::is_date(day)) {
        wrong.push(WrongValue::new("business_date", "a day such as 2026-11-20"));
    }
    if integration.settings.target == Target::Feed {
        wrong.push(WrongValue::new(
            "target.kind",
            "a feed's consumer asks for past events itself, by an earlier `after`",
        ));
    }
    if integration.status != Status::Running && !wish.dry_run {
        wrong.push(WrongValue::new("status", "only a running integration replays; start it first"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Problem::invalid(wrong)) }
}

/// What the live flow has not passed yet comes by itself.
async fn window(
    hub: &Hub,
    company: &Company,
    integration: &Integration,
    wish: &ReplayWish,
) -> Result<(Filter, Seq, Seq)> {
    let after = hub.log().before(company.no, wish.from).await?;
    let passed = hub.state().lane_figures(integration.no).await?.cursor;
    let to = match wish.to {
        Some(to) => hub.log().before(company.no, to).await?.min(passed),
        None => passed,
    };
    let ReplayWish { names, entity_id, site, business_date, only, .. } = wish.clone();
    Ok((Filter { names, entity_id, site, business_date, only }, after, to.max(after)))
}

async fn count(
    hub: &Hub,
    company: &Company,
    integration: &Integration,
    filter: &Filter,
    after: Seq,
    to: Seq,
) -> Result<ReplayCount> {
    let (end, of) = (Instant::now() + COUNT_FOR, (company.no, integration.no));
    let (mut matched, mut at, mut complete) = (0, after, after == to);
    while !complete && Instant::now() < end {
        let chunk = read_chunk(hub.stores(), of, &integration.settings, filter, (at, to), hub.now()).await?;
        matched += chunk.events.len() as u64;
        (at, complete) = (chunk.read_to, chunk.end);
    }
    Ok(ReplayCount { matched, looked_at: at - after, of: to - after, complete })
}
