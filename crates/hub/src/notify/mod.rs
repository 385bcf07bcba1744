//! Telling others: operational events in companies' logs, and messages to contacts.
//!
//! Nothing here takes input. What is to be told is read from what is durable: entries of integrations' logs and of the
//! audit that nobody was told of yet ([`news`]), lanes ([`lagging`]), sites ([`silence`]) and the disk ([`storage`]).
//! Every event has an idempotency id of the hub's own, so telling twice is telling once. What a contact is still to be
//! told lies in its mailbox ([`post`]), which is durable too. One node does all this, the holder of bucket 0; only
//! lagging lanes are told of by the node that runs them.
//!
//! Messages never make events: what cannot be sent is tried again, logged and counted, so nothing feeds itself.

pub mod contacts;
mod lagging;
mod letter;
mod mail;
mod news;
mod post;
mod silence;
mod storage;
mod webhook;

use std::time::Duration;

use anyhow::Context;
use tillstream_model::mailbox::{Mailbox, Notice};
use tillstream_model::{CompanyNo, Content, Time};
use tillstream_store::StoreError;
use tillstream_store::state::Company;
use tokio_util::sync::CancellationToken;

pub use mail::{Smtp, SmtpTls, is_address};
pub use post::Outcome;
pub use storage::{STORAGE_LOW_BYTES, STORAGE_LOW_PERCENT};

use crate::Hub;
use silence::Silence;

/// Default of [`Settings::lagging_after`].
pub const LAGGING_AFTER: Duration = Duration::from_secs(15 * 60);
/// How often news are looked for and messages sent.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often lanes are held against their lag.
const LAG_EVERY: Duration = Duration::from_secs(5);

/// What is told, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A lane whose oldest event has waited so long is lagging.
    pub lagging_after: Duration,
    /// The disk has little room when less than this share of it is free, in percent …
    pub storage_low_percent: u8,
    /// … or less than so many bytes.
    pub storage_low_bytes: u64,
    /// The server that takes e-mails.
    pub smtp: Option<Smtp>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lagging_after: LAGGING_AFTER,
            storage_low_percent: STORAGE_LOW_PERCENT,
            storage_low_bytes: STORAGE_LOW_BYTES,
            smtp: None,
        }
    }
}

/// What is kept in memory between rounds; all of it can be read again.
#[derive(Default)]
pub struct Notify {
    /// Mailboxes are read, changed and written by one task at a time.
    mailboxes: tokio::sync::Mutex<()>,
    silence: tokio::sync::Mutex<Silence>,
}

/// Looks for what is to be told, until the hub ends.
pub(crate) async fn run(hub: Hub, ending: CancellationToken) {
    let (mut news, mut lag) = (tokio::time::interval(LOOK_EVERY), tokio::time::interval(LAG_EVERY));
    for ticks in [&mut news, &mut lag] {
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            () = ending.cancelled() => return,
            _ = news.tick() => said("news", news::round(&hub).await),
            _ = lag.tick() => said("lagging lanes", lagging::round(&hub).await),
        }
    }
}

/// Sends what is in the mailboxes, until the hub ends. Beside [`run`], because receivers may be slow.
pub(crate) async fn send(hub: Hub, ending: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ending.cancelled() => return,
            _ = ticks.tick() => {}
        }
        tokio::select! {
            () = ending.cancelled() => return,
            done = post::round(&hub) => said("messages", done),
        }
    }
}

/// What is looked at seldom: silent sites and the disk.
pub(crate) async fn upkeep(hub: &Hub) {
    said("silent sites", silence::round(hub).await);
    said("the disk", storage::round(hub).await);
}

/// Forgets what contacts of a company that is gone were still to be told, and what its integrations were told to be.
pub(crate) async fn forget(hub: &Hub, company: CompanyNo) -> Result<(), StoreError> {
    post::forget(hub, company).await?;
    lagging::forget(hub, company).await
}

fn said(what: &str, done: anyhow::Result<()>) {
    if let Err(e) = done {
        tracing::warn!(error = format!("{e:#}"), "{what} could not be told; trying again in the next round");
    }
}

/// Appends operational events of a company and puts them into its contacts' mailboxes. Safe to repeat.
async fn tell(hub: &Hub, company: &Company, events: Vec<Content>) -> anyhow::Result<()> {
    let notices: Vec<Notice> = events.iter().map(notice).collect();
    hub.ingest().append_own(company, events).await.context("append operational events")?;
    post::put(hub, Some(company.no), &notices).await?;
    Ok(())
}

fn notice(event: &Content) -> Notice {
    Notice {
        id: event.caller_id.as_deref().unwrap_or_default().to_owned(),
        name: event.name.to_string(),
        subject: event.entity_id.as_deref().unwrap_or_default().to_owned(),
        at: event.occurred_at.unwrap_or_default(),
        data: serde_json::from_str(event.data.get()).unwrap_or_default(),
    }
}

/// What a contact is still to be told.
pub(crate) async fn mailbox(hub: &Hub, company: Option<CompanyNo>, contact: &str) -> Result<Mailbox, StoreError> {
    post::find(hub, company, contact).await.map(|found| found.map(|m| m.value).unwrap_or_default())
}

/// Sends a message to a contact at once, to see whether that works.
pub(crate) async fn test(
    hub: &Hub,
    company: Option<&Company>,
    contact: &crate::documents::Saved<contacts::Contact>,
    now: Time,
) -> Outcome {
    let notice = Notice {
        id: format!("test/{}", now.millis()),
        name: "notification.test".to_owned(),
        subject: contact.id.clone(),
        at: now,
        data: serde_json::json!({"reason": "somebody asked for a test of this contact"}),
    };
    let mut mailbox = Mailbox::default();
    mailbox.add(notice);
    let message = mailbox.due(now).unwrap_or_default();
    let owner = company.map(|c| (c.no, c.external_id.as_str()));
    post::deliver(hub, owner, contact, &message, now).await
}
