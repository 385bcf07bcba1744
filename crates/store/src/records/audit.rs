//! The audit.

use tillstream_model::{CompanyNo, Time};

use super::Actor;

/// How long entries of the audit are kept, in days (`contracts/hub-api.md`, "The rest").
pub const AUDIT_DAYS: i64 = 400;

/// One entry of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Whose; None: the instance's.
    pub company: Option<CompanyNo>,
    /// When.
    pub at: Time,
    /// Who.
    pub actor: Actor,
    /// What was done, such as `site.saved`.
    pub action: String,
    /// What it was done to, such as `site 175`.
    pub object: String,
    /// JSON of what was there before, secrets masked.
    pub before: Option<String>,
    /// JSON of what is there since, secrets masked.
    pub after: Option<String>,
}

/// Which entries of the audit to list.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only of this object.
    pub object: Option<String>,
    /// At or after.
    pub from: Option<Time>,
    /// Before.
    pub to: Option<Time>,
}

impl AuditFilter {
    /// From when to when, in milliseconds.
    pub(crate) fn span(&self) -> (i64, i64) {
        (self.from.map_or(i64::MIN, Time::millis), self.to.map_or(i64::MAX, Time::millis))
    }
}
