//! Who set a rule, and when.

use serde::Serialize;
use tillstream_model::integration::Settings;
use tillstream_model::selection::{Unwanted, wants};
use tillstream_model::{Event, Time};
use tillstream_store::StoreError;
use tillstream_store::state::{AuditFilter, Integration, Version};
use utoipa::ToSchema;

use crate::Hub;

/// Versions that are looked at to find the one that brought a rule.
const MOST_VERSIONS: usize = 500;
/// Versions that are read at once.
const PAGE: usize = 50;

/// Who set a rule, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SetBy {
    /// `key <id>`, `user <id>`, `command line <user>` or `system`.
    #[schema(example = "key key_9f86d081884c7d65")]
    pub actor: String,
    /// When.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub at: Time,
    /// The version of the settings that brought it; null for what is not in the settings.
    #[schema(required = true)]
    pub version: Option<u32>,
}

/// Who set the rule that says no to an event: the save since which it does. `version` was in force at the event.
pub async fn set_by(
    hub: &Hub,
    integration: &Integration,
    version: u32,
    event: &Event,
    no: &Unwanted,
) -> Result<Option<SetBy>, StoreError> {
    if *no == Unwanted::Deleted {
        return deleted_by(hub, event).await;
    }
    let (mut found, mut after) = (None, version + 1);
    for _ in 0..MOST_VERSIONS / PAGE {
        let page = hub.state().versions(integration.no, Some(&after.to_string()), PAGE).await?.items;
        let all = page.len();
        let same: Vec<Version> = page.into_iter().take_while(|v| says_no(&v.settings, event, no)).collect();
        let goes_on = same.len() == all && all == PAGE;
        if let Some(oldest) = same.into_iter().next_back() {
            after = oldest.version;
            found = Some(SetBy { actor: oldest.actor, at: oldest.saved_at, version: Some(oldest.version) });
        }
        if !goes_on {
            break;
        }
    }
    Ok(found)
}

/// Whether settings say no by the same rule; conditions may have changed their places.
fn says_no(settings: &Settings, event: &Event, no: &Unwanted) -> bool {
    wants(settings, event).is_err_and(|other| std::mem::discriminant(&other) == std::mem::discriminant(no))
}

/// Who deleted an event's payload.
async fn deleted_by(hub: &Hub, event: &Event) -> Result<Option<SetBy>, StoreError> {
    let filter = AuditFilter { object: Some(event_object(event)), ..AuditFilter::default() };
    let entries = hub.state().audit(Some(event.company), &filter, None, PAGE).await?.items;
    let first = entries.into_iter().rfind(|e| e.action == EVENT_DELETED);
    Ok(first.map(|e| SetBy { actor: e.actor, at: e.at, version: None }))
}

/// What the audit calls the deletion of an event.
pub const EVENT_DELETED: &str = "event.deleted";

/// An event as the audit names it.
pub fn event_object(event: &Event) -> String {
    format!("event {}", event.id)
}
