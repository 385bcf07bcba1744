//! An integration's settings: as people write them ([`Written`]) and as the hub uses them ([`Settings`]).

mod per_site;
mod secret;
mod written;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use per_site::PerSite;
pub use secret::{Secret, SigningSecret};
pub use written::{Written, Wrong};

use crate::Time;
use crate::condition::Clause;
use crate::path::Path;
use crate::schedule::Retry;

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

/// Where events go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Target {
    /// One `POST` per event.
    Http(HttpTarget),
}

/// An HTTP receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpTarget {
    /// Absolute, `http` or `https`.
    pub url: String,
    /// Value of the `Authorization` header, as it is; None: no such header.
    pub authorization: PerSite<Option<Secret>>,
    /// More request headers. Their values are secrets: many receivers take keys that way.
    pub headers: BTreeMap<String, Secret>,
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

/// How events are delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// What order is kept.
    pub ordering: Ordering,
    /// Most attempts under way at once.
    pub max_in_flight: u32,
    /// Most attempts a second; None: no limit.
    pub rate_per_second: Option<u32>,
    /// Limit of one whole exchange, name look-up to the last byte.
    pub timeout_seconds: u32,
    /// When failed attempts are repeated.
    pub retry: Retry,
    /// Events accepted longer ago are listed as expired instead of sent; None: any age.
    pub max_age_seconds: Option<u64>,
    /// What happens when the last attempt failed.
    pub on_exhausted: OnExhausted,
}

/// What order is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// An entity's next event starts after its predecessor's outcome is committed.
    #[default]
    Entity,
    /// None; most throughput.
    None,
}

/// What happens when an event's last attempt failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// It is listed as rejected, the rest goes on.
    #[default]
    Reject,
    /// The integration stops, the event stays pending.
    Stop,
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
        let mut list = Vec::new();
        let Target::Http(http) = &mut self.target;
        if let Some(s) = &mut http.authorization.default {
            list.push(("target.authorization".to_owned(), s));
        }
        for (site, value) in &mut http.authorization.sites {
            if let Some(s) = value {
                list.push((format!("target.authorization.sites.{site}"), s));
            }
        }
        for (name, value) in &mut http.headers {
            list.push((format!("target.headers.{name}"), value));
        }
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
