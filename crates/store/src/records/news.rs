//! What happened and is still to be told to others.

use tillstream_model::{CompanyNo, IntegrationNo};

use super::{AuditEntry, LogEntry};

/// Entries of an integration's log that are news; the others are kept and not told.
pub const NEWS: [&str; 4] = ["stopped", "circuit_opened", "circuit_closed", "braked"];

impl LogEntry {
    /// Whether others are to be told of it.
    pub fn is_news(&self) -> bool {
        NEWS.contains(&self.action.as_str())
    }
}

/// Something that happened, until [`crate::State::told`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// An entry of an integration's log, one of [`NEWS`].
    Entry {
        /// Names it; never reused.
        row: i64,
        /// Whose.
        company: CompanyNo,
        /// The integration.
        no: IntegrationNo,
        /// The integration's id.
        id: String,
        /// What happened.
        entry: LogEntry,
    },
    /// An entry of a company's audit.
    Audited {
        /// Names it; never reused.
        row: i64,
        /// What was done.
        entry: AuditEntry,
    },
}
