//! `GET /v1/audit`, and writing to it: who changed what (`contracts/hub-api.md`, "The rest").

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tillstream_model::{CompanyNo, Time};
use tillstream_store::StoreError;
use tillstream_store::state::{AuditEntry, AuditFilter};
use utoipa::{IntoParams, ToSchema};

use super::docs::{Denied, WrongQuery};
use super::extract::{Caller, Params};
use super::paging::{Cursor, Limit, Listing};
use crate::Hub;
use crate::access::{Scope, Who};
use crate::problem::Result;

/// What was done, and to what.
pub struct Change {
    /// Such as `site.saved`.
    pub action: &'static str,
    /// Such as `site 175`.
    pub object: String,
    /// What was there before, secrets masked.
    pub before: Option<Value>,
    /// What is there since, secrets masked.
    pub after: Option<Value>,
}

impl Change {
    /// Of something that is neither made nor changed, such as a look at secrets.
    pub fn of(action: &'static str, object: impl Into<String>) -> Self {
        Self { action, object: object.into(), before: None, after: None }
    }

    /// With what was there before.
    pub fn before(mut self, value: &impl Serialize) -> Self {
        self.before = serde_json::to_value(value).ok();
        self
    }

    /// With what is there since.
    pub fn after(mut self, value: &impl Serialize) -> Self {
        self.after = serde_json::to_value(value).ok();
        self
    }
}

/// Notes a change by this caller. To be called before the caller is answered.
pub async fn note(hub: &Hub, caller: &Caller, company: Option<CompanyNo>, change: Change) -> Result<(), StoreError> {
    note_by(hub, caller.holder().actor(), company, change).await
}

/// Notes a change by somebody who is no caller yet, such as a person who signs in.
pub async fn note_by(hub: &Hub, actor: String, company: Option<CompanyNo>, change: Change) -> Result<(), StoreError> {
    let Change { action, object, before, after } = change;
    tracing::info!(company = company.map(|c| c.0), actor, action, object, "audit");
    let text = |value: Option<Value>| value.map(|v| v.to_string());
    let entry = AuditEntry {
        company,
        at: hub.now(),
        actor,
        action: action.to_owned(),
        object,
        before: text(before),
        after: text(after),
    };
    hub.state().record(entry).await
}

/// Notes that a person is shown payloads, each once an hour ([`crate::people::views`]). To be called before they are.
pub async fn note_view(hub: &Hub, caller: &Caller, company: CompanyNo, object: String) -> Result<(), StoreError> {
    let actor = caller.holder().actor();
    let is_person = caller.holder().who != Who::Key;
    if !is_person || !hub.people().views.is_first(&actor, &object, hub.now()) {
        return Ok(());
    }
    note_by(hub, actor, Some(company), Change::of("payload.viewed", object)).await
}

/// Which entries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct AuditQuery {
    /// Only of this object, such as `site 175`.
    pub object: Option<String>,
    /// At or after.
    #[param(value_type = Option<String>, format = DateTime)]
    pub from: Option<Time>,
    /// Before.
    #[param(value_type = Option<String>, format = DateTime)]
    pub to: Option<Time>,
    /// Where to start: the `next` of the page before.
    pub after: Option<String>,
    /// Most items of the page.
    #[param(value_type = usize, minimum = 1, maximum = 500, default = 50)]
    pub limit: Limit,
}

/// One entry of the audit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct AuditView {
    /// When.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub at: Time,
    /// Who: `key <id>`, `user <id>`, `portal <id>` (a session in somebody's page), `cli <user>` or `system`.
    #[schema(example = "key key_9f86d081884c7d65")]
    pub actor: String,
    /// What was done.
    #[schema(example = "site.saved")]
    pub action: String,
    /// What it was done to.
    #[schema(example = "site 175")]
    pub object: String,
    /// What was there before, secrets masked; null for something new.
    #[schema(value_type = Option<Object>, required = true)]
    pub before: Option<Box<RawValue>>,
    /// What is there since, secrets masked; null for something that is gone.
    #[schema(value_type = Option<Object>, required = true)]
    pub after: Option<Box<RawValue>>,
}

impl From<AuditEntry> for AuditView {
    fn from(e: AuditEntry) -> Self {
        let json = |text: Option<String>| text.and_then(|t| RawValue::from_string(t).ok());
        AuditView {
            at: e.at,
            actor: e.actor,
            action: e.action,
            object: e.object,
            before: json(e.before),
            after: json(e.after),
        }
    }
}

/// List the audit
///
/// Newest first; kept 400 days. An operator who names no company sees the instance's.
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit",
    params(AuditQuery),
    responses((status = 200, description = "A page", body = Listing<AuditView>), Denied, WrongQuery)
)]
pub async fn list_audit(
    State(hub): State<Hub>,
    caller: Caller,
    Params(query): Params<AuditQuery>,
) -> Result<Json<Listing<AuditView>>> {
    caller.may(Scope::AuditRead)?;
    let company = caller.named_company().map(|c| c.no);
    let cursor = Cursor::of(format!("audit {}", company.map_or(0, |c| c.0)));
    let filter = AuditFilter { object: query.object, from: query.from, to: query.to };
    let page = hub.state().audit(company, &filter, cursor.open(query.after.as_deref())?, query.limit.get()).await?;
    Ok(Json(cursor.page(page, AuditView::from)))
}
