//! Entries of integrations' logs and of the audit become operational events.
//!
//! They are marked as untold in the commit that writes them, and as told after their events are in the log and in the
//! contacts' mailboxes. A crash in between repeats a step that a repeat does not change.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use tillstream_model::operational::{self, AboutIntegration};
use tillstream_model::{CompanyNo, Content, selection};
use tillstream_store::StoreError;
use tillstream_store::state::News;

use super::contacts::{Contact, MAX_CONTACTS};
use crate::Hub;
use crate::documents;

/// News of each sort that are told at once.
const AT_ONCE: usize = 200;
/// Integrations that are read at once.
const PAGE: usize = 200;

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
    let audited = with_listeners(hub, &news).await?;
    for one in &news {
        if matches!(one, News::Audited { entry, .. } if !entry.company.is_some_and(|no| audited.contains(&no))) {
            continue;
        }
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

/// The companies of audited changes where somebody wants to be told of such. In the others they would be most of what
/// is in the log, and nobody would ever get them: they must be named.
async fn with_listeners(hub: &Hub, news: &[News]) -> Result<BTreeSet<CompanyNo>, StoreError> {
    let audited = |one: &News| match one {
        News::Audited { entry, .. } => entry.company,
        News::Entry { .. } => None,
    };
    let mut listening = BTreeSet::new();
    for company in news.iter().filter_map(audited).collect::<BTreeSet<_>>() {
        if is_listening(hub, company).await? {
            listening.insert(company);
        }
    }
    Ok(listening)
}

async fn is_listening(hub: &Hub, company: CompanyNo) -> Result<bool, StoreError> {
    let contacts = documents::list::<Contact>(hub.state(), Some(company), "", MAX_CONTACTS).await?;
    if contacts.iter().any(|c| c.value.on.iter().any(|name| name == operational::AUDITED)) {
        return Ok(true);
    }
    let mut after: Option<String> = None;
    loop {
        let page = hub.state().integrations(company, after.as_deref(), PAGE).await?;
        if page.iter().any(|i| selection::names(&i.settings, operational::AUDITED)) {
            return Ok(true);
        }
        after = page.last().filter(|_| page.len() == PAGE).map(|i| i.settings.id.clone());
        if after.is_none() {
            return Ok(false);
        }
    }
}

async fn event(hub: &Hub, news: &News) -> Result<Option<(CompanyNo, Content)>, StoreError> {
    match news {
        News::Entry { row, company, id, entry, .. } => {
            let Some(event) = operational::of_action(&entry.action) else { return Ok(None) };
            let saved = hub.state().integration(*company, id).await?;
            let name = saved.as_ref().map_or(id.as_str(), |i| &i.settings.name);
            let about = AboutIntegration { event, id, name, reason: &entry.reason, by: &entry.actor, since: entry.at };
            Ok(Some((*company, about.content(&format!("entry/{row}")))))
        }
        News::Audited { row, entry } => Ok(entry.company.map(|company| {
            let key = format!("audit/{row}");
            (company, operational::audited(&entry.action, &entry.actor, &entry.object, entry.at, &key))
        })),
    }
}
