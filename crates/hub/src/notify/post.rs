//! Mailboxes of contacts: what goes in, and what is sent out of them.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tillstream_model::mailbox::{Mailbox, Message, Notice};
use tillstream_model::{CompanyNo, Time};
use tillstream_store::StoreError;
use tillstream_store::state::{Company, Expected, SaveError};

use super::contacts::{Channel, Contact, MAX_CONTACTS};
use super::letter::Letter;
use super::{mail, webhook};
use crate::Hub;
use crate::documents::{self, Kind, Saved};

/// Messages under way at once.
const AT_ONCE: usize = 8;
/// Mailboxes that are read at once.
const PAGE: usize = 100;
/// How often a mailbox is read again that another node changed meanwhile.
const AGAIN: usize = 5;
/// A message is sent within this time or not at all.
pub(super) const DEADLINE: Duration = Duration::from_secs(15);

/// A mailbox, as stored: of the instance, under `<company's number>:<contact>`, so that all are listed at once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Stored(Mailbox);

impl Kind for Stored {
    const KIND: &'static str = "mailbox";
}

/// How sending went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why it did not; None: it did.
    pub failed: Option<String>,
}

/// Stands for the instance.
const INSTANCE: u32 = 0;

fn id_of(company: Option<CompanyNo>, contact: &str) -> String {
    format!("{:010}:{contact}", company.map_or(INSTANCE, |c| c.0))
}

fn owner_of(id: &str) -> Option<(Option<CompanyNo>, &str)> {
    let (company, contact) = id.split_once(':')?;
    let company = company.parse().ok().filter(|no| *no != INSTANCE).map(CompanyNo);
    Some((company, contact))
}

/// Puts notices into the mailboxes of the contacts that want them.
pub(super) async fn put(hub: &Hub, company: Option<CompanyNo>, notices: &[Notice]) -> anyhow::Result<()> {
    for contact in documents::list::<Contact>(hub.state(), company, "", MAX_CONTACTS).await? {
        let wanted: Vec<&Notice> = notices.iter().filter(|n| contact.value.wants(n)).collect();
        if !wanted.is_empty() {
            let add = |mailbox: &mut Mailbox| wanted.iter().for_each(|n| mailbox.add((*n).clone()));
            change(hub, &id_of(company, &contact.id), add).await?;
        }
    }
    Ok(())
}

/// A contact's mailbox, if there is anything in it.
pub(super) async fn find(
    hub: &Hub,
    company: Option<CompanyNo>,
    contact: &str,
) -> Result<Option<Saved<Mailbox>>, StoreError> {
    let found = documents::get::<Stored>(hub.state(), None, &id_of(company, contact)).await?;
    Ok(found.map(|Saved { id, value: Stored(value), version, created_at, updated_at }| Saved {
        id,
        value,
        version,
        created_at,
        updated_at,
    }))
}

/// Changes a mailbox; one with nothing in it goes.
async fn change(hub: &Hub, id: &str, change: impl Fn(&mut Mailbox)) -> anyhow::Result<()> {
    let _one_at_a_time = hub.notify().mailboxes.lock().await;
    for _ in 0..AGAIN {
        let found = documents::get::<Stored>(hub.state(), None, id).await?;
        let expected = found.as_ref().map_or(Expected::New, |b| Expected::Version(b.version));
        let mut mailbox = found.map(|b| b.value).unwrap_or_default();
        change(&mut mailbox.0);
        if mailbox.0.tidy(hub.now()) {
            documents::delete::<Stored>(hub.state(), None, id).await?;
            return Ok(());
        }
        match documents::put(hub.state(), None, id, &mailbox, expected).await {
            Ok(_) => return Ok(()),
            Err(SaveError::Changed(_) | SaveError::Unknown) => {}
            Err(SaveError::Store(e)) => return Err(e.into()),
        }
    }
    anyhow::bail!("the mailbox {id} is changed all the time")
}

/// Removes the mailboxes of a company's contacts, which are no more.
pub(super) async fn forget(hub: &Hub, company: CompanyNo) -> Result<(), StoreError> {
    let all = id_of(Some(company), "");
    let mut after = all.clone();
    loop {
        let page = documents::list::<Stored>(hub.state(), None, &after, PAGE).await?;
        for mailbox in page.iter().take_while(|b| b.id.starts_with(&all)) {
            documents::delete::<Stored>(hub.state(), None, &mailbox.id).await?;
        }
        match page.last() {
            Some(last) if page.len() == PAGE && last.id.starts_with(&all) => after.clone_from(&last.id),
            _ => return Ok(()),
        }
    }
}

/// Sends what is due.
pub(super) async fn round(hub: &Hub) -> anyhow::Result<()> {
    if !hub.deliver().leads() {
        return Ok(());
    }
    let mut companies: Option<Vec<Company>> = None;
    let mut after = String::new();
    loop {
        let page = documents::list::<Stored>(hub.state(), None, &after, PAGE).await?;
        let last = page.len() < PAGE;
        after = page.last().map_or(after, |b| b.id.clone());
        let due: Vec<_> = page.into_iter().filter(|b| needs_work(&b.value.0, hub.now())).collect();
        if !due.is_empty() && companies.is_none() {
            companies = Some(hub.state().companies().await?);
        }
        let known = companies.as_deref().unwrap_or_default();
        stream::iter(due).for_each_concurrent(AT_ONCE, |mailbox| work_off(hub, known, mailbox)).await;
        if last {
            return Ok(());
        }
    }
}

fn needs_work(mailbox: &Mailbox, now: Time) -> bool {
    mailbox.due(now).is_some() || mailbox.clone().tidy(now)
}

async fn work_off(hub: &Hub, companies: &[Company], mailbox: Saved<Stored>) {
    if let Err(e) = try_work_off(hub, companies, &mailbox).await {
        tracing::warn!(mailbox = mailbox.id, error = format!("{e:#}"), "a mailbox could not be worked off");
    }
}

async fn try_work_off(hub: &Hub, companies: &[Company], mailbox: &Saved<Stored>) -> anyhow::Result<()> {
    let now = hub.now();
    let owner = owner_of(&mailbox.id);
    let contact = match owner {
        Some((company, id)) => documents::get::<Contact>(hub.state(), company, id).await?,
        None => None,
    };
    let Some((contact, (no, _))) = contact.filter(|c| c.value.enabled).zip(owner) else {
        documents::delete::<Stored>(hub.state(), None, &mailbox.id).await?;
        return Ok(());
    };
    let Some(message) = mailbox.value.0.due(now) else {
        return change(hub, &mailbox.id, |_| {}).await;
    };
    let company = no.and_then(|no| companies.iter().find(|c| c.no == no)).map(|c| (c.no, c.external_id.as_str()));
    let outcome = deliver(hub, company, &contact, &message, now).await;
    let now = hub.now();
    change(hub, &mailbox.id, |mailbox| match &outcome.failed {
        None => mailbox.sent(&message, now),
        Some(why) => mailbox.failed(why, now),
    })
    .await
}

/// Sends a message now.
pub(super) async fn deliver(
    hub: &Hub,
    company: Option<(CompanyNo, &str)>,
    contact: &Saved<Contact>,
    message: &Message,
    now: Time,
) -> Outcome {
    let letter = Letter { company: company.map(|(_, id)| id), contact: &contact.value.name, message, now };
    let sent = match &contact.value.channel {
        Channel::Webhook { url } => {
            let no = company.map(|(no, _)| no);
            match contact.value.signing(hub.state(), no, &contact.id) {
                Ok(signing) => webhook::send(hub, no, url, signing, &letter).await,
                Err(e) => Err(e.to_string()),
            }
        }
        Channel::Email { to } => mail::send(hub.config().notify.smtp.as_ref(), to, &letter).await,
    };
    let meters = &hub.metrics().meters;
    match sent {
        Ok(()) => {
            meters.notifications_sent.increment(1);
            Outcome { failed: None }
        }
        Err(why) => {
            meters.notifications_failed.increment(1);
            tracing::warn!(contact = contact.id, why, "a contact could not be told");
            Outcome { failed: Some(why) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailboxs_id_leads_back_to_its_owner() {
        for company in [None, Some(CompanyNo(7))] {
            assert_eq!(owner_of(&id_of(company, "con_1:2")), Some((company, "con_1:2")));
        }
        assert_eq!(owner_of("x"), None);
    }
}
