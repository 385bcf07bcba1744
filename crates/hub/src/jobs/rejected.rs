//! Jobs over the rejected events of an integration.

use serde::{Deserialize, Serialize};
use tillstream_model::{CompanyNo, IntegrationNo, Time};
use tillstream_store::StoreError;
use tillstream_store::state::RejectedRow;
use utoipa::ToSchema;

use super::{Job, Slice, Work};
use crate::Hub;

/// Rejected events that one slice looks at.
const SLICE: usize = 100;
/// A lane with more parked events than this gets no more for now.
const ENOUGH_PARKED: u64 = 1_000;

/// Which rejected events. All that is given has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RejectedFilter {
    /// Given up for this reason, such as `rejected` or `expired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only events of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "order.completed")]
    pub event_name: Option<String>,
    /// Only events of this entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Only of this site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The receiver's last answer had this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<u16>,
    /// Given up at or after.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<Time>,
    /// Given up before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<Time>,
}

impl RejectedFilter {
    /// Whether a row is one of them.
    pub fn matches(&self, row: &RejectedRow) -> bool {
        let (rejected, content) = (&row.rejected, &row.rejected.event.content);
        let is = |wanted: &Option<String>, value: Option<&str>| wanted.is_none() || wanted.as_deref() == value;
        is(&self.reason, Some(&rejected.reason))
            && is(&self.event_name, Some(&content.name))
            && is(&self.entity, Some(content.entity()))
            && is(&self.site, content.site.as_deref())
            && self.last_status.is_none_or(|status| rejected.last_status == Some(status))
            && self.from.is_none_or(|from| from <= rejected.at)
            && self.to.is_none_or(|to| rejected.at < to)
    }
}

/// Looks at some rejected events and does what the job wants with those that match.
pub(super) async fn slice(hub: &Hub, of: Option<CompanyNo>, job: &mut Job) -> Result<Slice, StoreError> {
    let (filter, retries) = match &job.work {
        Work::RetryRejected(filter) => (filter, true),
        Work::DeleteRejected(filter) => (filter, false),
        Work::Replay(_) | Work::DeleteCompany(_) => return Ok(Slice::Done),
    };
    let (Some((id, no)), Some(company)) = (&job.integration, of) else { return Ok(Slice::Done) };
    if retries && hub.state().lane_figures(*no).await?.parked > ENOUGH_PARKED {
        return Ok(Slice::Busy);
    }
    let page = hub.state().rejected(*no, job.place.as_deref(), SLICE).await?;
    let mut progress = job.progress;
    let before = progress.done;
    for row in &page.items {
        progress.looked_at += 1;
        // Those that are rejected again meanwhile stay.
        if row.rejected.at <= job.started_at && filter.matches(row) {
            match act(hub, *no, row, retries).await? {
                true => progress.done += 1,
                false => progress.failed += 1,
            }
        }
    }
    if retries && progress.done > before {
        hub.deliver().changed(company, *no, id).await?;
    }
    job.progress = progress;
    job.place = page.next;
    Ok(if job.place.is_some() { Slice::More } else { Slice::Done })
}

/// Whether this job did it, and nobody else.
async fn act(hub: &Hub, no: IntegrationNo, row: &RejectedRow, retries: bool) -> Result<bool, StoreError> {
    match retries {
        true => hub.state().retry_rejected(no, row.id, hub.now()).await,
        false => hub.state().delete_rejected(no, row.id).await,
    }
}
