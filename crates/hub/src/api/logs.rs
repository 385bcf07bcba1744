//! `GET …/logs`: what happened to an integration (`contracts/event-stream.md`, "Integration").

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tillstream_model::Time;
use tillstream_store::state::LogEntry;
use utoipa::ToSchema;

use super::docs::{Denied, Missing, OfIntegration, WrongQuery};
use super::extract::{Caller, Params, Place};
use super::integrations::find;
use super::paging::{Cursor, Listing, Paging};
use crate::Hub;
use crate::access::Scope;
use crate::problem::Result;

/// One entry of an integration's log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogEntry)]
pub struct EntryView {
    /// What happened, such as `created`, `edited`, `stopped`, `circuit_opened`.
    #[schema(example = "stopped")]
    pub action: String,
    /// Why, in words.
    pub reason: String,
    /// Who: `key <id>`, `command line <user>` or `system`.
    #[schema(example = "key key_9f86d081884c7d65")]
    pub actor: String,
    /// When.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub created_at: Time,
}

impl From<LogEntry> for EntryView {
    fn from(e: LogEntry) -> Self {
        EntryView { action: e.action, reason: e.reason, actor: e.actor, created_at: e.at }
    }
}

/// Show an integration's log
///
/// Newest first; kept 400 days.
#[utoipa::path(
    get, path = "/v1/integrations/{id}/logs", tag = "integrations",
    params(OfIntegration, Paging),
    responses((status = 200, description = "A page", body = Listing<EntryView>), Denied, Missing, WrongQuery)
)]
pub async fn integration_logs(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<EntryView>>> {
    let company = caller.company(Scope::IntegrationsRead)?;
    let integration = find(&hub, &caller, company, &id).await?;
    let cursor = Cursor::of(format!("log {}", integration.no.0));
    let page =
        hub.state().log_entries(integration.no, cursor.open(paging.after.as_deref())?, paging.limit.get()).await?;
    Ok(Json(cursor.page(page, EntryView::from)))
}
