//! `DELETE /v1/companies/{id}`: a company goes with everything it has (`contracts/hub-api.md`, "Who may do what").

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tillstream_store::Leaving;
use tillstream_store::state::Company;
use utoipa::{IntoParams, ToSchema};

use super::audit::{self, Change};
use super::companies;
use super::docs::{Denied, Missing, WrongQuery};
use super::extract::{Caller, Params, Place, wrong_param};
use super::jobs::{JobView, ProgressView, accepted_as};
use crate::Hub;
use crate::access::Scope;
use crate::documents::{self, Saved};
use crate::jobs::{self, Deletion, Job, Work};
use crate::problem::{Kind, Problem, Result};

/// How far the deletion of a company is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CompanyDeletion)]
pub struct DeletionView {
    /// The job that does it.
    #[schema(example = "job_ffe5a1b2c3d40000abcd")]
    pub job: String,
    /// How far it is.
    pub progress: ProgressView,
}

/// That it is meant.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct Confirmation {
    /// The company's id once more.
    #[param(value_type = String, required = true, example = "acme")]
    pub confirm: Option<String>,
}

/// Delete a company
///
/// With everything it has, for good. From this answer on nobody is shown it, its keys and sessions are unknown and
/// nothing of it is sent or received; an operator sees it as `deleting`. A job of the instance removes its data; it
/// cannot be cancelled. Asked again it answers with the same job. When that has ended, the id can be given to a new
/// company, which has nothing of the old one. Needs the scope `instance`.
#[utoipa::path(
    delete, path = "/v1/companies/{id}", tag = "companies",
    params(("id" = String, Path, description = "The company's external id"), Confirmation),
    responses(
        (status = 202, description = "It is hidden; the job removes what it has", body = JobView,
            headers(("Location" = String, description = "The job"))),
        Denied, Missing, WrongQuery
    )
)]
pub async fn delete_company(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Params(sure): Params<Confirmation>,
) -> Result<Response> {
    caller.may(Scope::Instance)?;
    if sure.confirm.as_deref() != Some(&*id) {
        let meant = "a company is deleted with everything it has, for good; to confirm, say its id here once more";
        return Err(wrong_param("confirm", meant));
    }
    let job = match leaving(&hub, &id).await? {
        Some(leaving) => job_of(&hub, &caller, &leaving).await?,
        None => begin(&hub, &caller, &id).await?,
    };
    Ok(accepted_as(job.into()))
}

/// The company that is being deleted under this external id, if there is one.
pub async fn leaving(hub: &Hub, id: &str) -> Result<Option<Leaving>> {
    Ok(hub.state().leaving().await?.into_iter().find(|l| l.company.external_id == id))
}

/// How far it is with a company that is being deleted.
pub async fn progress(hub: &Hub, leaving: Leaving) -> Result<DeletionView> {
    let job = documents::get::<Job>(hub.state(), None, &leaving.job).await?;
    Ok(DeletionView { progress: job.map(|job| job.value.progress).unwrap_or_default().into(), job: leaving.job })
}

/// Why a company that is being deleted cannot be saved or switched.
pub fn refused(leaving: &Leaving) -> Problem {
    let detail = format!(
        "the company \"{}\" is being deleted; wait until the job {} has ended, then the id can be given to a new one",
        leaving.company.external_id, leaving.job
    );
    Problem::new(Kind::Deleting, detail)
}

/// The job is saved first: once the company is hidden, it must be there.
async fn begin(hub: &Hub, caller: &Caller, id: &str) -> Result<Saved<Job>> {
    let company = companies::find(hub, id).await?.ok_or_else(|| Problem::not_found("company", id))?;
    let job_id = jobs::new_id(hub.now(), rand::random());
    let mine = start(hub, caller, &company, &job_id).await?;
    let in_force = jobs::deletion::hide(hub, company.no, &job_id).await?;
    if in_force.as_deref() == Some(&*job_id) {
        hub.jobs().ring();
        let change = Change::of("company.deleted", format!("company {id}")).after(&serde_json::json!({"job": job_id}));
        audit::note(hub, caller, None, change).await?;
        return Ok(mine);
    }
    // Somebody else deletes it in this moment.
    jobs::forget(hub.state(), &job_id).await?;
    match leaving(hub, id).await? {
        Some(leaving) => job_of(hub, caller, &leaving).await,
        None => Err(Problem::not_found("company", id)),
    }
}

async fn start(hub: &Hub, caller: &Caller, company: &Company, job_id: &str) -> Result<Saved<Job>> {
    let work = Work::DeleteCompany(Deletion { company: company.external_id.clone(), no: company.no });
    let mut job = Job::new(work, None, caller.holder().actor(), hub.now());
    job.progress.of = Some(hub.log().head(company.no).await?.saturating_sub(hub.log().floor(company.no).await?));
    jobs::start(hub.state(), None, job_id, &job).await?.ok_or_else(|| {
        let most = jobs::MAX_RUNNING;
        Problem::new(Kind::Quota, format!("{most} companies are being deleted; wait for one of them"))
    })
}

async fn job_of(hub: &Hub, caller: &Caller, leaving: &Leaving) -> Result<Saved<Job>> {
    match documents::get::<Job>(hub.state(), None, &leaving.job).await? {
        Some(job) => Ok(job),
        None => start(hub, caller, &leaving.company, &leaving.job).await,
    }
}
