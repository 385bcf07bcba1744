//! `POST …/brake/release`: "reject them anyway" (`design.md`, "A lane", reject brake).

use axum::extract::State;
use http::StatusCode;
use tillstream_model::integration::{Status, Wrong as WrongValue};

use super::audit::{self, Change};
use super::docs::{Denied, Missing, OfIntegration};
use super::extract::{Caller, Place};
use super::integrations::{find, object};
use crate::Hub;
use crate::access::Scope;
use crate::problem::{Problem, ProblemBody, Result};

/// Release the reject brake
///
/// A receiver that refuses too much is only probed, and what it refuses is held. After this call that is rejected, and
/// the lane goes on. Without a brake nothing changes.
#[utoipa::path(
    post, path = "/v1/integrations/{id}/brake/release", tag = "deliveries",
    params(OfIntegration),
    responses(
        (status = 204, description = "Released"),
        (status = 422, description = "It does not run", body = ProblemBody, content_type = "application/problem+json"),
        Denied, Missing
    )
)]
pub async fn release_brake(State(hub): State<Hub>, caller: Caller, Place(id): Place<String>) -> Result<StatusCode> {
    let company = caller.company(Scope::DeliveriesWrite)?;
    let integration = find(&hub, &caller, company, &id).await?;
    let runs = integration.status == Status::Running && hub.deliver().release_brake(company.no, integration.no).await?;
    if runs {
        audit::note(&hub, &caller, Some(company.no), Change::of("brake.released", object(&id))).await?;
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::invalid([WrongValue::new("status", "only a running integration has a brake; start it first")]))
}
