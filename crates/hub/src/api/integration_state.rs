//! `POST …/start` and `…/stop`.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use tillstream_model::integration::{Status, Wrong as WrongValue};
use utoipa::ToSchema;

use super::audit::{self, Change};
use super::docs::{Denied, Guarded, Missing, OfIntegration, Stale, Wrong};
use super::etag::{self, IfMatch};
use super::extract::{Caller, MaybeDoc, Place};
use super::integration_view::{IntegrationView, Show, answer};
use super::integrations::{entry, find, object, unknown};
use crate::Hub;
use crate::access::Scope;
use crate::problem::{Problem, Result};

/// Longest reason, in characters.
pub const MAX_REASON: usize = 500;
/// The reason when none is given.
const ON_REQUEST: &str = "on request";

/// Why an integration is started or stopped.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// Shown with the status and in the log; at most 500 characters.
    #[serde(default)]
    #[schema(max_length = 500, example = "receiver is being moved")]
    pub reason: Option<String>,
}

/// Start an integration
///
/// It goes on where it stopped. Starting a running one changes nothing.
#[utoipa::path(
    post, path = "/v1/integrations/{id}/start", tag = "integrations",
    request_body = Option<Because>,
    params(OfIntegration, Guarded),
    responses(
        (status = 200, description = "As it is now", body = IntegrationView,
            headers(("ETag", description = "Version and status"))),
        Denied, Missing, Stale, Wrong
    )
)]
pub async fn start_integration(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    if_match: IfMatch,
    MaybeDoc(because): MaybeDoc<Because>,
) -> Result<Response> {
    set(&hub, &caller, &id, &if_match, Status::Running, because).await
}

/// Stop an integration
///
/// Answers when nothing is under way any more. Events wait in the log. Stopping a stopped one changes nothing.
#[utoipa::path(
    post, path = "/v1/integrations/{id}/stop", tag = "integrations",
    request_body = Option<Because>,
    params(OfIntegration, Guarded),
    responses(
        (status = 200, description = "As it is now", body = IntegrationView,
            headers(("ETag", description = "Version and status"))),
        Denied, Missing, Stale, Wrong
    )
)]
pub async fn stop_integration(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    if_match: IfMatch,
    MaybeDoc(because): MaybeDoc<Because>,
) -> Result<Response> {
    set(&hub, &caller, &id, &if_match, Status::Stopped, because).await
}

async fn set(
    hub: &Hub,
    caller: &Caller,
    id: &str,
    if_match: &IfMatch,
    status: Status,
    because: Because,
) -> Result<Response> {
    let company = caller.company(Scope::IntegrationsWrite)?;
    let reason = checked(because.reason)?;
    let saved = find(hub, caller, company, id).await?;
    if_match.check(&etag::of(&saved))?;
    if saved.status == status {
        return answer(hub, &saved, StatusCode::OK, Show::Masked).await;
    }
    let action = if status == Status::Running { "started" } else { "stopped" };
    let entry = entry(hub, caller, action, &reason);
    let now = hub.state().set_status(company.no, id, status, entry).await?.ok_or_else(|| unknown(id))?;
    hub.deliver().changed(company.no, now.no, id).await?;
    let what = if status == Status::Running { "integration.started" } else { "integration.stopped" };
    audit::note(hub, caller, Some(company.no), Change::of(what, object(id))).await?;
    answer(hub, &now, StatusCode::OK, Show::Masked).await
}

fn checked(reason: Option<String>) -> Result<String> {
    let reason = reason.filter(|r| !r.trim().is_empty()).unwrap_or_else(|| ON_REQUEST.to_owned());
    if reason.chars().count() <= MAX_REASON {
        return Ok(reason);
    }
    Err(Problem::invalid([WrongValue::new("reason", format!("at most {MAX_REASON} characters"))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_at_most_500_characters_and_a_default() {
        assert_eq!(checked(None).unwrap(), ON_REQUEST);
        assert!(checked(Some("é".repeat(MAX_REASON))).is_ok());
        assert!(checked(Some("é".repeat(MAX_REASON + 1))).is_err());
    }
}
