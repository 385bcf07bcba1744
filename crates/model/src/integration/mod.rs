//! An integration's settings: as people write them ([`Written`]) and as the hub uses them ([`Settings`]).

mod delivery;
mod per_site;
mod secret;
mod target;
mod written;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use delivery::{Delivery, OnExhausted, OnReject, Ordering, Ruling};
pub use per_site::PerSite;
pub use secret::{Secret, SigningSecret};
pub use target::{Authorization, HttpTarget, Next, OAuth2, Target};
pub use written::{MAX_LIST, Written, Wrong};

use crate::Time;
use crate::condition::Clause;
use crate::path::Path;

/// Complete, checked settings of an integration. What `GET` shows, secrets masked; the store keeps the same document
/// with secrets sealed. Shape: `contracts/hub-api.md`, "Integrations".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Chosen by people: 1–50 of `[a-z0-9-]`, unique per company, immutable.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Free text.
    pub description: String,
    /// How long it lives; immutable.
    pub r#type: Type,
    /// Deliver what was accepted from here on; None: from its creation on.
    pub starts_at: Option<Time>,
    /// How an event is written.
    pub format: Format,
    /// Where events go.
    pub target: Target,
    /// Whether a site's events are wanted.
    pub availability: PerSite<bool>,
    /// Which events are wanted.
    pub events: Events,
    /// How events are delivered.
    pub delivery: Delivery,
    /// Paths inside `data` that are removed before formatting.
    pub redaction: Vec<Path>,
    /// How deliveries are signed.
    pub signing: Signing,
}

/// How long an integration lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// Until it is deleted.
    #[default]
    Permanent,
}

/// How an event is written. See [`crate::format`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Every field the hub has.
    #[default]
    Tillstream,
    /// `{tenant, name, published_at, payload}`.
    EventStream,
    /// CloudEvents 1.0, structured JSON.
    Cloudevents,
}

/// Which events are wanted: the union of `entities` and `names` (none: all but the hub's own operational events), of
/// which every `where` clause holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// All events of these entities, future ones included.
    pub entities: Vec<String>,
    /// Single event names.
    pub names: Vec<String>,
    /// Conditions on the event.
    pub r#where: Vec<Clause>,
}

/// Signing by Standard Webhooks: all secrets sign, newest first, so that a receiver may switch at any time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Signing {
    /// At most [`Signing::MAX_SECRETS`].
    pub secrets: Vec<SigningSecret>,
}

impl Signing {
    /// Most secrets that sign at the same time.
    pub const MAX_SECRETS: usize = 5;

    /// The secrets that sign at `now`, newest first.
    pub fn active(&self, now: Time) -> impl Iterator<Item = &SigningSecret> {
        self.secrets.iter().filter(move |s| s.expires_at.is_none_or(|t| now < t))
    }
}

/// Whether an integration works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It takes events.
    Running,
    /// It stands still; events wait in the log.
    Stopped,
}

impl Settings {
    /// Every secret in the settings with its path, to seal, open or take over.
    pub fn secrets_mut(&mut self) -> Vec<(String, &mut Secret)> {
        let mut list = self.target.secrets_mut();
        for (i, signing) in self.signing.secrets.iter_mut().enumerate() {
            list.push((format!("signing.secrets[{i}]"), &mut signing.secret));
        }
        list
    }

    /// Puts the saved secrets where the new settings carry their masks. Gives the paths of masks that stand for no
    /// saved secret.
    pub fn take_over_secrets(&mut self, saved: &Settings) -> Vec<String> {
        let mut saved = saved.clone();
        let known: BTreeMap<String, Secret> = saved.secrets_mut().into_iter().map(|(p, s)| (p, s.clone())).collect();
        let mut unknown = Vec::new();
        for (path, secret) in self.secrets_mut() {
            if !secret.looks_masked() {
                continue;
            }
            match known.get(&path).filter(|old| old.masked() == secret.reveal()) {
                Some(old) => *secret = old.clone(),
                None => unknown.push(path),
            }
        }
        unknown
    }
}
