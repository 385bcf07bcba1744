//! Entries of integrations' logs and of the audit become operational events.
//!
//! They are marked as untold in the commit that writes them, and as told after their events are in the log and in the
//! contacts' mailboxes. A crash in between repeats a step that a repeat does not change.

use std::collections::BTreeMap;

use anyhow::Context;
use tillstream_model::operational::{self, AboutIntegration};
use tillstream_model::{CompanyNo, Content};
use tillstream_store::StoreError;
use tillstream_store::state::News;

use crate::Hub;

/// News of each sort that are told at once.
const AT_ONCE: usize = 200;

/// Tells what is to be told.
pub(super) async fn round(hub: &Hub) -> anyhow::Result<()> {
    if !hub.deliver().leads() {
        return Ok(());
    }
    let news = hub.state().untold(AT_ONCE).await?;
    if news.is_empty() {
        return Ok(());
    }
    let mut events: BTreeMap<CompanyNo, Vec<Content>> = BTreeMap::new();
    for one in &news {
        if let Some((company, event)) = event(hub, one).await? {
            events.entry(company).or_default().push(event);
        }
    }
    for company in hub.state().companies().await? {
        if let Some(events) = events.remove(&company.no) {
            super::tell(hub, &company, events).await.with_context(|| format!("company {}", company.external_id))?;
        }
    }
    hub.state().told(&news).await?;
    Ok(())
}

async fn event(hub: &Hub, news: &News) -> Result<Option<(CompanyNo, Content)>, StoreError> {
    match news {
        News::Entry { row, company, id, entry, .. } => {
            let Some(event) = operational::of_action(&entry.action) else { return Ok(None) };
            let saved = hub.state().integration(*company, id).await?;
            let name = saved.as_ref().map_or(id.as_str(), |i| &i.settings.name);
            let about =
                AboutIntegration { event, id, name, reason: &entry.reason, by: &entry.actor, since: entry.at };
            Ok(Some((*company, about.content(&format!("entry/{row}")))))
        }
        News::Audited { row, entry } => Ok(entry.company.map(|company| {
            let key = format!("audit/{row}");
            (company, operational::audited(&entry.action, &entry.actor, &entry.object, entry.at, &key))
        })),
    }
}
