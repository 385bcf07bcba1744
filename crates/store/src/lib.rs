//! Everything durable, and the only SQL.
//!
//! Two traits, [`Log`] and [`State`], each with its contract in prose, and one contract suite ([`suite`]) that every
//! engine runs. Nothing assumes a transaction over both: appending is idempotent by itself and everything made from
//! events is a cursor over them.

pub mod answers;
mod archive;
pub mod bell;
mod engine;
pub mod held;
pub mod index;
pub mod leaving;
pub mod log;
pub mod nodes;
pub mod page;
pub mod postgres;
mod records;
pub mod replays;
mod reseal;
pub mod seal;
pub mod sqlite;
pub mod state;
pub mod suite;
pub mod transfer;
pub mod usage;

use std::sync::Arc;

pub use answers::Answers;
pub use archive::About;
pub use bell::Bell;
pub use held::Held;
pub use index::Index;
pub use leaving::{Leave, Leaving, Purged};
pub use log::{Append, AppendError, Appended, DueSegment, Log, ReadLimit, Retention, Room};
pub use nodes::Nodes;
pub use page::Page;
pub use replays::Replays;
pub use reseal::Rotated;
pub use seal::{MasterKey, Sealer};
pub use state::State;
use tillstream_model::Epochs;
pub use usage::Usage;

/// An engine, as the hub holds it.
#[derive(Clone)]
pub struct Stores {
    /// The events.
    pub log: Arc<dyn Log>,
    /// Everything else.
    pub state: Arc<dyn State>,
    /// Where events are that are looked for.
    pub index: Arc<dyn Index>,
    /// Who runs which lanes.
    pub nodes: Arc<dyn Nodes>,
    /// Which life of the log this is. It changes only while nothing is open: a restore begins a new one.
    pub epochs: Arc<Epochs>,
}

/// What went wrong below: an I/O error, a broken file, a lost server. Carries what was tried.
#[derive(Debug, thiserror::Error)]
#[error("{tried}: {cause}")]
pub struct StoreError {
    /// What was being done, such as `read events of company 7 after 12`.
    pub tried: String,
    /// What the engine said.
    pub cause: String,
    /// Its server could not be reached or did not answer; later it may.
    pub away: bool,
    /// It was for a company that is being deleted, or was.
    pub gone: bool,
}

impl StoreError {
    /// An error of something that is there.
    pub fn new(tried: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { tried: tried.into(), cause: cause.into(), away: false, gone: false }
    }

    /// Something for a company that is being deleted, or was: nothing is written for it any more.
    pub fn gone(tried: impl Into<String>) -> Self {
        Self { gone: true, ..Self::new(tried, Gone.to_string()) }
    }
}

/// The company is being deleted, or was.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the company was deleted")]
pub(crate) struct Gone;

/// The result of a store call.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Tells the time; engines get one so that tests can set it.
pub type Clock = Arc<dyn Fn() -> tillstream_model::Time + Send + Sync>;
