//! `GET …/versions`: every save of an integration (`design.md`, "History").

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use tillstream_model::{Seq, Time};
use tillstream_store::state::Version;
use utoipa::ToSchema;

use super::docs::{Denied, Missing, OfIntegration, WrongQuery};
use super::extract::{Caller, Params, Place};
use super::integrations::find;
use super::paging::{Cursor, Listing, Paging};
use crate::Hub;
use crate::access::Scope;
use crate::problem::{Kind, Problem, Result};

/// Settings as they were saved once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Version)]
pub struct VersionView {
    /// Counts the saves, from 1.
    pub version: u32,
    /// They choose and format events after this position; how they are delivered counts for attempts after the save.
    #[schema(value_type = u64)]
    pub from_seq: Seq,
    /// When they were saved.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub saved_at: Time,
    /// Who saved them.
    #[schema(example = "key key_9f86d081884c7d65")]
    pub actor: String,
    /// The settings, secrets masked.
    #[schema(value_type = Object)]
    pub settings: Value,
}

/// List the versions of an integration
///
/// Newest first; kept for as long as the integration is there.
#[utoipa::path(
    get, path = "/v1/integrations/{id}/versions", tag = "integrations",
    params(OfIntegration, Paging),
    responses((status = 200, description = "A page", body = Listing<VersionView>), Denied, Missing, WrongQuery)
)]
pub async fn list_versions(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<VersionView>>> {
    let company = caller.company(Scope::IntegrationsRead)?;
    let integration = find(&hub, &caller, company, &id).await?;
    let cursor = Cursor::of(format!("versions {}", integration.no.0));
    let page = hub.state().versions(integration.no, cursor.open(paging.after.as_deref())?, paging.limit.get()).await?;
    let mut views = Vec::with_capacity(page.items.len());
    for version in page.items {
        views.push(view(version)?);
    }
    let page = tillstream_store::Page { items: views, next: page.next };
    Ok(Json(cursor.page(page, |view| view)))
}

fn view(version: Version) -> Result<VersionView> {
    let settings = serde_json::to_value(&version.settings)
        .map_err(|e| Problem::new(Kind::Internal, "the settings could not be written").internally(e.to_string()))?;
    let Version { version, from, saved_at, actor, .. } = version;
    Ok(VersionView { version, from_seq: from, saved_at, actor, settings })
}
