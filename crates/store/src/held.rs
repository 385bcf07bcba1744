//! Events of sites that nobody knows, kept beside the log until a person decides.

use async_trait::async_trait;
use tillstream_model::{CompanyNo, Content, Time};

use crate::{ReadLimit, Result, StoreError};

/// How much may be held of a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLimits {
    /// Events.
    pub events: u64,
    /// Their bytes ([`Content::size`]).
    pub bytes: u64,
    /// Sites.
    pub sites: u64,
}

/// What became of an event that was to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// It is held now.
    New,
    /// It was held already under its idempotency id.
    Duplicate,
    /// Another event is held under its idempotency id.
    Conflict,
}

/// Why events are not held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// As much is held of the company as may be; none of these is.
    #[error("as many events are held as may be")]
    Full,
    /// The engine failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The events that are held of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSite {
    /// The site, as the events name it.
    pub site: String,
    /// How many.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first one came.
    pub first_at: Time,
    /// When the last one came.
    pub last_at: Time,
}

/// An event that is held.
#[derive(Clone, Debug)]
pub struct HeldEvent {
    /// Orders the events of a site as they came, and names this one to [`Held::unhold`].
    pub id: u64,
    /// When it came.
    pub at: Time,
    /// What the source said.
    pub content: Content,
}

/// Events that are held.
///
/// - **Durable first.** [`Held::hold`] returns after the events are on disk: all of them or none.
/// - **In order.** Events of a site are given back as they came.
/// - **Idempotent.** An idempotency id counts per company and site for as long as its event is held.
/// - **Bounded** by [`HeldLimits`], counted as they come and go. Processes that hold at the same moment may go over
///   them by what each of them holds.
#[async_trait]
pub trait Held: Send + Sync {
    /// Holds events; each names a site. One answer for each, in order.
    async fn hold(
        &self,
        company: CompanyNo,
        events: Vec<Content>,
        now: Time,
        limits: HeldLimits,
    ) -> Result<Vec<Holding>, HoldError>;

    /// The sites that events are held of, by name, after one.
    async fn held_sites(&self, company: CompanyNo, after: &str, limit: usize) -> Result<Vec<HeldSite>>;

    /// One of these sites.
    async fn held_site(&self, company: CompanyNo, site: &str) -> Result<Option<HeldSite>>;

    /// The events that are held of a site, as they came, after one (0: from the first); at least one, if there is one.
    async fn held(&self, company: CompanyNo, site: &str, after: u64, limit: ReadLimit) -> Result<Vec<HeldEvent>>;

    /// Lets go of single events of a site.
    async fn unhold(&self, company: CompanyNo, site: &str, ids: Vec<u64>) -> Result<()>;
}
