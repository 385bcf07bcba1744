//! `POST /v1/companies/{id}/suspend` and `…/resume`.

use axum::Json;
use axum::extract::State;
use tillstream_store::state::{Company, CompanyStatus, Rules};

use super::companies::{CompanyView, found, save, shown};
use super::docs::{Denied, Leaving, Missing};
use super::extract::{Caller, Place};
use crate::Hub;
use crate::access::Scope;
use crate::problem::Result;

/// Suspend a company
///
/// It sends and receives nothing until it is resumed; its keys are refused. Everything is kept.
#[utoipa::path(
    post, path = "/v1/companies/{id}/suspend", tag = "companies",
    params(("id" = String, Path, description = "The company's external id")),
    responses((status = 200, description = "As it is now", body = CompanyView), Denied, Missing, Leaving)
)]
pub async fn suspend_company(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<CompanyView>> {
    set_status(&hub, &caller, &id, CompanyStatus::Suspended, "company.suspended").await
}

/// Resume a company
///
/// What waited is delivered.
#[utoipa::path(
    post, path = "/v1/companies/{id}/resume", tag = "companies",
    params(("id" = String, Path, description = "The company's external id")),
    responses((status = 200, description = "As it is now", body = CompanyView), Denied, Missing, Leaving)
)]
pub async fn resume_company(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<CompanyView>> {
    set_status(&hub, &caller, &id, CompanyStatus::Active, "company.resumed").await
}

async fn set_status(
    hub: &Hub,
    caller: &Caller,
    id: &str,
    status: CompanyStatus,
    action: &'static str,
) -> Result<Json<CompanyView>> {
    caller.may(Scope::Instance)?;
    let before = found(hub, id).await?;
    if before.rules.status == status {
        return Ok(Json(shown(hub, caller, &before).await?));
    }
    let company = Company { rules: Rules { status, ..before.rules.clone() }, ..before.clone() };
    save(hub, caller, Some(before), &company, action).await?;
    hub.deliver().company_changed(company.no).await?;
    Ok(Json(shown(hub, caller, &company).await?))
}
