//! Companies and their keys.

use serde::{Deserialize, Serialize};
use tillstream_model::{CompanyNo, Time};

use crate::Retention;

/// A company: the outermost wall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Company {
    /// Internal number.
    pub no: CompanyNo,
    /// The id people and other systems know.
    pub external_id: String,
    /// What people call it.
    pub name: String,
    /// For events accepted from now on.
    pub retention: Retention,
    /// Paths inside `data` that are removed before the log (`ingest_drop`).
    pub ingest_drop: Vec<String>,
    /// What else holds for it.
    pub rules: Rules,
}

/// What an operator sets for a company besides its names. New ones are added with a default, so that what older
/// versions stored is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// Whether it works.
    pub status: CompanyStatus,
    /// How much it may use.
    pub limits: Limits,
    /// What is done with events of sites that nobody has made.
    pub unknown_sites: UnknownSites,
    /// The IANA time zone of its days, such as `Europe/Vienna`; UTC when empty.
    pub timezone: String,
    /// An integration of it whose oldest event has waited so long is lagging, in seconds; None: the instance's.
    pub lagging_after_seconds: Option<u32>,
}

/// Whether a company works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompanyStatus {
    /// It does.
    #[default]
    Active,
    /// It sends and receives nothing; everything is kept.
    Suspended,
    /// It is being removed with everything it has.
    Deleting,
}

/// How much a company may use; None: the instance's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Events accepted in a second.
    pub events_per_second: Option<u32>,
    /// Bytes of events in the log.
    pub stored_bytes: Option<u64>,
    /// Integrations.
    pub integrations: Option<u32>,
}

/// What is done with events of sites that nobody has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownSites {
    /// They are accepted, and the site is flagged as new.
    #[default]
    Accept,
    /// They are kept until a person releases them.
    Hold,
}

/// An application key. The key itself is never stored, only its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id, for people.
    pub id: String,
    /// Whose; None for an operator's key.
    pub company: Option<CompanyNo>,
    /// What people call it.
    pub name: String,
    /// What it may do, such as `events:write`.
    pub scopes: Vec<String>,
    /// What it may do it with.
    pub bound: Bound,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// When it was made.
    pub created_at: Time,
    /// Not valid from then on.
    pub expires_at: Option<Time>,
    /// Roughly when it was last used.
    pub last_used_at: Option<Time>,
}

/// What a key is bound to; an empty list binds to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bound {
    /// Only these sites.
    pub sites: Vec<String>,
    /// Only these integrations.
    pub integrations: Vec<String>,
    /// Only so many events in a second.
    pub events_per_second: Option<u32>,
}
