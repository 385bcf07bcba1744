//! `/v1/jobs`: long work with its progress.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tillstream_model::{CompanyNo, IntegrationNo, Time};
use tillstream_store::state::{Integration, LogEntry};
use utoipa::ToSchema;

use super::audit::{self, Change};
use super::docs::{Denied, Irrevocable, Missing, WrongQuery};
use super::extract::{Caller, Params, Place};
use super::paging::{Listing, Paging};
use crate::Hub;
use crate::access::Scope;
use crate::deliver::Plan;
use crate::documents::{self, Saved};
use crate::jobs::{self, Job, Progress, Status, Work};
use crate::problem::{Kind, Problem, Result};

/// Long work.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobView {
    /// Its id.
    #[schema(example = "job_ffe5a1b2c3d40000abcd")]
    pub id: String,
    /// `replay`, `retry_rejected`, `delete_rejected` or `delete_company`.
    #[schema(value_type = String, example = "replay")]
    pub kind: &'static str,
    /// The integration it is for; null when it is for none.
    #[schema(required = true)]
    pub integration: Option<String>,
    /// `running`, `done`, `cancelled` or `failed`.
    #[schema(value_type = String, example = "running")]
    pub status: Status,
    /// Who asked for it.
    #[schema(example = "key key_9f86d081884c7d65")]
    pub by: String,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub started_at: Time,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub ended_at: Option<Time>,
    /// Why it failed.
    #[schema(required = true)]
    pub failure: Option<String>,
    /// How far it is.
    pub progress: ProgressView,
    /// What was asked for.
    #[schema(value_type = Object)]
    pub filter: serde_json::Value,
}

/// How far a job is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobProgress)]
pub struct ProgressView {
    /// Events that were looked at; of a company's deletion those that were removed.
    pub looked_at: u64,
    /// How many there are to look at; null when that is not known.
    #[schema(required = true)]
    pub of: Option<u64>,
    /// For how many it was done: delivered, tried again, deleted; of a company's deletion all that was removed.
    pub done: u64,
    /// For how many it was in vain: given up by the replay, or taken by somebody else.
    pub failed: u64,
}

impl From<Progress> for ProgressView {
    fn from(p: Progress) -> Self {
        ProgressView { looked_at: p.looked_at, of: p.of, done: p.done, failed: p.failed }
    }
}

impl From<Saved<Job>> for JobView {
    fn from(saved: Saved<Job>) -> Self {
        let job = saved.value;
        let filter = match &job.work {
            Work::Replay(filter) => serde_json::to_value(filter),
            Work::RetryRejected(filter) | Work::DeleteRejected(filter) => serde_json::to_value(filter),
            Work::DeleteCompany(deletion) => Ok(serde_json::json!({"company": deletion.company})),
        };
        JobView {
            id: saved.id,
            kind: job.name(),
            integration: job.integration.map(|(id, _)| id),
            status: job.status,
            by: job.by,
            started_at: job.started_at,
            ended_at: job.ended_at,
            failure: job.failure,
            progress: job.progress.into(),
            filter: filter.unwrap_or_default(),
        }
    }
}

/// List jobs
///
/// Newest first; the last 200 that ended are kept. An operator who names no company sees the instance's: companies that
/// are being deleted, or were.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "jobs",
    params(Paging),
    responses((status = 200, description = "A page", body = Listing<JobView>), Denied, WrongQuery)
)]
pub async fn list_jobs(
    State(hub): State<Hub>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<JobView>>> {
    let of = owner(&caller, Scope::DeliveriesRead)?;
    let found = reached(&hub, &caller, of, &paging).await?;
    let page = Listing::of_more(found, &paging, |job| &job.id);
    page.try_map(|job| shown(&hub, job)).await.map(Json)
}

/// One more than a page of the jobs that the caller reaches, if there are so many.
async fn reached(hub: &Hub, caller: &Caller, of: Option<CompanyNo>, paging: &Paging) -> Result<Vec<Saved<Job>>> {
    let wanted = paging.limit.get() + 1;
    let (mut found, mut after) = (Vec::new(), paging.after.clone().unwrap_or_default());
    loop {
        let some = documents::list::<Job>(hub.state(), of, &after, wanted).await?;
        let last = some.last().filter(|_| some.len() == wanted).map(|job| job.id.clone());
        found.extend(some.into_iter().filter(|job| reaches(caller, &job.value)));
        match last.filter(|_| found.len() < wanted) {
            Some(last) => after = last,
            None => return Ok(found),
        }
    }
}

/// Read a job
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, description = "The job", body = JobView), Denied, Missing)
)]
pub async fn read_job(State(hub): State<Hub>, caller: Caller, Place(id): Place<String>) -> Result<Json<JobView>> {
    let of = owner(&caller, Scope::DeliveriesRead)?;
    let job = find(&hub, &caller, of, &id).await?;
    Ok(Json(shown(&hub, job).await?))
}

/// Cancel a job
///
/// What it did stays done. Cancelling one that has ended changes nothing. The deletion of a company cannot be cancelled.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/cancel", tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, description = "As it is now", body = JobView), Denied, Missing, Irrevocable)
)]
pub async fn cancel_job(State(hub): State<Hub>, caller: Caller, Place(id): Place<String>) -> Result<Json<JobView>> {
    let of = owner(&caller, Scope::DeliveriesWrite)?;
    let job = find(&hub, &caller, of, &id).await?;
    if job.value.status != Status::Running {
        return Ok(Json(job.into()));
    }
    let Some(company) = of else { return Err(irrevocable(&job)) };
    let progress = progress(&hub, &job).await?;
    let cancelled = |job: &mut Job| {
        job.status = Status::Cancelled;
        job.progress = progress;
    };
    let ended = jobs::end(hub.state(), of, &id, hub.now(), cancelled).await?.ok_or_else(|| unknown(&id))?;
    if let (Work::Replay(_), Some((integration, no))) = (&ended.value.work, &ended.value.integration) {
        let reason = "cancelled".to_owned();
        let entry =
            LogEntry { action: "replay_finished".into(), reason, actor: caller.holder().actor(), at: hub.now() };
        hub.state().end_replay(*no, &id, entry).await?;
        hub.deliver().changed(company, *no, integration).await?;
    }
    audit::note(&hub, &caller, Some(company), Change::of("job.cancelled", format!("job {id}"))).await?;
    Ok(Json(ended.into()))
}

/// Starts a job for an integration and answers with it.
pub async fn accepted(
    hub: &Hub,
    caller: &Caller,
    company: CompanyNo,
    integration: &Integration,
    work: Work,
) -> Result<Response> {
    let id = jobs::new_id(hub.now(), rand::random());
    let of = (integration.settings.id.clone(), integration.no);
    let job = Job::new(work, Some(of), caller.holder().actor(), hub.now());
    let saved = start(hub, company, &id, &job).await?;
    hub.jobs().ring();
    answer(hub, caller, company, saved).await
}

/// Saves a new job.
pub async fn start(hub: &Hub, company: CompanyNo, id: &str, job: &Job) -> Result<Saved<Job>> {
    jobs::start(hub.state(), Some(company), id, job).await?.ok_or_else(|| {
        let most = jobs::MAX_RUNNING;
        Problem::new(Kind::Quota, format!("{most} jobs are under way; wait for one, or cancel one"))
    })
}

/// 202 with a new job.
pub async fn answer(hub: &Hub, caller: &Caller, company: CompanyNo, saved: Saved<Job>) -> Result<Response> {
    let view = JobView::from(saved);
    let object = format!("job {}", view.id);
    audit::note(hub, caller, Some(company), Change::of("job.started", object).after(&view)).await?;
    Ok(accepted_as(view))
}

/// 202 with a job, and where it is.
pub fn accepted_as(view: JobView) -> Response {
    let place = HeaderValue::try_from(format!("/v1/jobs/{}", view.id));
    let mut response = (StatusCode::ACCEPTED, Json(view)).into_response();
    if let Ok(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

async fn shown(hub: &Hub, job: Saved<Job>) -> Result<JobView> {
    let progress = progress(hub, &job).await?;
    Ok(JobView { progress: progress.into(), ..job.into() })
}

/// A replay's lane keeps the progress of one that is under way.
async fn progress(hub: &Hub, job: &Saved<Job>) -> Result<Progress> {
    let replay = matches!(job.value.work, Work::Replay(_)) && job.value.status == Status::Running;
    let Some((_, no)) = job.value.integration.as_ref().filter(|_| replay) else { return Ok(job.value.progress) };
    let saved = hub.state().replay(*no).await?.filter(|replay| replay.id == job.id);
    Ok(match saved {
        Some(saved) => Plan::read(&saved)?.progress(),
        None => job.value.progress,
    })
}

/// Whose jobs the caller asks for: a company's, or the instance's when an operator names none.
fn owner(caller: &Caller, scope: Scope) -> Result<Option<CompanyNo>> {
    if caller.named_company().is_none() && caller.holder().scopes.is_operator() {
        return Ok(None);
    }
    Ok(Some(caller.company(scope)?.no))
}

fn irrevocable(job: &Saved<Job>) -> Problem {
    let detail = "a company that is being deleted cannot be brought back; wait until the job has ended";
    Problem::new(Kind::Irrevocable, detail).internally(job.id.clone())
}

async fn find(hub: &Hub, caller: &Caller, of: Option<CompanyNo>, id: &str) -> Result<Saved<Job>> {
    let found = documents::get::<Job>(hub.state(), of, id).await?;
    found.filter(|job| reaches(caller, &job.value)).ok_or_else(|| unknown(id))
}

fn reaches(caller: &Caller, job: &Job) -> bool {
    match &job.integration {
        Some((id, _)) => caller.reaches_integration(id).is_ok(),
        None => caller.bound_integrations().is_empty(),
    }
}

fn unknown(id: &str) -> Problem {
    Problem::not_found("job", id)
}

/// What hangs on an integration that was deleted is over.
pub async fn end_of(hub: &Hub, company: CompanyNo, no: IntegrationNo) -> Result<()> {
    let all = documents::list::<Job>(hub.state(), Some(company), "", jobs::MAX_ENDED + jobs::MAX_RUNNING).await?;
    let gone = |job: &mut Job| {
        job.status = Status::Failed;
        job.failure = Some("its integration was deleted".into());
    };
    for job in all.iter().filter(|j| j.value.status == Status::Running) {
        if job.value.integration.as_ref().is_some_and(|(_, of)| *of == no) {
            jobs::end(hub.state(), Some(company), &job.id, hub.now(), gone).await?;
        }
    }
    Ok(())
}
