//! Rejected events by the many: jobs that try them again or delete them, and the export
//! (`contracts/event-stream.md`, "Attempts, rejected events").

use std::collections::VecDeque;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use serde::{Deserialize, Serialize};
use tillstream_model::{IntegrationNo, Time};
use tillstream_store::StoreError;
use tillstream_store::state::{Company, RejectedRow};
use utoipa::{IntoParams, ToSchema};

use super::audit::{self, Change};
use super::docs::{Denied, Missing, OfIntegration, Wrong, WrongQuery};
use super::event_view::EventView;
use super::extract::{Caller, Doc, Params, Place};
use super::integrations::{find, object};
use super::jobs::{self, JobView};
use super::rejected::{RejectedView, check_target, rejected_view};
use crate::Hub;
use crate::access::Scope;
use crate::jobs::{RejectedFilter, Work};
use crate::problem::Result;

/// Rejected events that the export reads at once.
const PAGE: usize = 50;

/// Which rejected events a job is for.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"filter": {"last_status": 400}}))]
pub struct BulkWish {
    /// Which; all when it is empty.
    pub filter: RejectedFilter,
}

/// Which rejected events to export.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct ExportQuery {
    /// Given up for this reason, such as `rejected` or `expired`.
    pub reason: Option<String>,
    /// Only events of this name.
    pub event_name: Option<String>,
    /// Only events of this entity.
    pub entity: Option<String>,
    /// Only of this site.
    pub site: Option<String>,
    /// The receiver's last answer had this status.
    pub last_status: Option<u16>,
    /// Given up at or after.
    #[param(value_type = Option<String>, format = DateTime)]
    pub from: Option<Time>,
    /// Given up before.
    #[param(value_type = Option<String>, format = DateTime)]
    pub to: Option<Time>,
}

/// One line of the export.
#[derive(Serialize, ToSchema)]
pub struct ExportedRejected<'a> {
    /// Why and when it was given up.
    #[serde(flatten)]
    row: RejectedView,
    /// The event with its payload.
    event: EventView<'a>,
}

/// Try rejected events again, by filter
///
/// All that were rejected up to now and match, as a job.
#[utoipa::path(
    post, path = "/v1/integrations/{id}/rejected/retry-all", tag = "deliveries",
    request_body = BulkWish,
    params(OfIntegration),
    responses(
        (status = 202, description = "It is under way", body = JobView, headers(("Location", description = "The job"))),
        Denied, Missing, Wrong
    )
)]
pub async fn retry_all_rejected(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Doc(wish): Doc<BulkWish>,
) -> Result<Response> {
    begun(&hub, &caller, &id, Work::RetryRejected(wish.filter)).await
}

/// Delete rejected events, by filter
///
/// All that were rejected up to now and match, as a job.
#[utoipa::path(
    post, path = "/v1/integrations/{id}/rejected/delete-all", tag = "deliveries",
    request_body = BulkWish,
    params(OfIntegration),
    responses(
        (status = 202, description = "It is under way", body = JobView, headers(("Location", description = "The job"))),
        Denied, Missing, Wrong
    )
)]
pub async fn delete_all_rejected(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Doc(wish): Doc<BulkWish>,
) -> Result<Response> {
    begun(&hub, &caller, &id, Work::DeleteRejected(wish.filter)).await
}

async fn begun(hub: &Hub, caller: &Caller, id: &str, work: Work) -> Result<Response> {
    let company = caller.company(Scope::DeliveriesWrite)?;
    let integration = find(hub, caller, company, id).await?;
    if matches!(work, Work::RetryRejected(_)) {
        check_target(&integration)?;
    }
    jobs::accepted(hub, caller, company.no, &integration, work).await
}

/// Export rejected events
///
/// One JSON object a line, newest first; as many as there are. With the payloads that the caller may see: a person may
/// see those of some sites only.
#[utoipa::path(
    get, path = "/v1/integrations/{id}/rejected/export", tag = "deliveries",
    params(OfIntegration, ExportQuery),
    responses(
        (status = 200, description = "The events, one a line", body = String, content_type = "application/x-ndjson"),
        Denied, Missing, WrongQuery
    )
)]
pub async fn export_rejected(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Params(query): Params<ExportQuery>,
) -> Result<Response> {
    let company = caller.company(Scope::DeliveriesRead)?.clone();
    caller.may(Scope::EventsPayload)?;
    let integration = find(&hub, &caller, &company, &id).await?;
    audit::note(&hub, &caller, Some(company.no), Change::of("rejected.exported", object(&id))).await?;
    let ExportQuery { reason, event_name, entity, site, last_status, from, to } = query;
    let filter = RejectedFilter { reason, event_name, entity, site, last_status, from, to };
    let export = Export { hub, caller, company, no: integration.no, filter, rows: VecDeque::new(), next: Some(None) };
    let lines = stream::try_unfold(export, |mut export| async move {
        let line = export.line().await?;
        Ok::<_, StoreError>(line.map(|line| (line, export)))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// Reads pages as the lines are fetched.
struct Export {
    hub: Hub,
    caller: Caller,
    company: std::sync::Arc<Company>,
    no: IntegrationNo,
    filter: RejectedFilter,
    rows: VecDeque<RejectedRow>,
    /// Where the next page starts; None after the last one.
    next: Option<Option<String>>,
}

impl Export {
    async fn line(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                let payload = self.caller.sees_payload(row.rejected.event.content.site.as_deref());
                let event = EventView::new(&self.company, &row.rejected.event, payload);
                let line = serde_json::to_vec(&ExportedRejected { row: rejected_view(&row), event });
                let mut line = line.map_err(|e| StoreError::new("write a line of an export", e.to_string()))?;
                line.push(b'\n');
                return Ok(Some(line.into()));
            }
            let Some(after) = self.next.take() else { return Ok(None) };
            let page = self.hub.state().rejected(self.no, after.as_deref(), PAGE).await?;
            self.next = page.next.map(Some);
            self.rows = page.items.into_iter().filter(|row| self.filter.matches(row)).collect();
        }
    }
}
