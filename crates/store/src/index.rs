//! The index: where the events are that are looked for by a value. It is derived from the log and can be derived again.

use async_trait::async_trait;
use tillstream_model::lookup::LookupKey;
use tillstream_model::{CompanyNo, Seq, Time};

use crate::{Purged, Result};

/// An event to be indexed.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Whose.
    pub company: CompanyNo,
    /// Where in the log.
    pub seq: Seq,
    /// When it was accepted: the day that it is indexed under.
    pub accepted_at: Time,
    /// What it is found by.
    pub keys: Vec<LookupKey>,
}

/// Where the events are that are looked for by a value.
///
/// - **Derived.** It may be behind the log; [`Index::reached`] says how far it is complete. What is lost of it, a whole
///   day too, is missing there, and is indexed again.
/// - **In days.** What is indexed goes with the segments of its day.
/// - **Walls.** Every call names its company and finds nothing of another.
/// - **Hashes.** A key may stand for two values: who finds an event looks at it.
#[async_trait]
pub trait Index: Send + Sync {
    /// Up to where the company's log above `floor` is indexed without a gap.
    async fn reached(&self, company: CompanyNo, floor: Seq) -> Result<Seq>;

    /// Indexes events: of each company all of a stretch of its log, in order. Repeats do no harm.
    async fn add(&self, entries: Vec<Entry>) -> Result<()>;

    /// The positions of the events with this key after a position, in order; at most so many.
    async fn positions(&self, company: CompanyNo, key: LookupKey, after: Seq, limit: usize) -> Result<Vec<Seq>>;

    /// Puts together what was written in pieces, one step; whether there may be more to do.
    async fn merge(&self) -> Result<bool>;

    /// Drops days of which the log has nothing any more.
    async fn drop_unused(&self) -> Result<()>;

    /// Removes some of what is indexed of a company whose log is closed ([`crate::Log::close`]), in a slice of about
    /// 5 ms. Nothing of it is added any more.
    async fn purge(&self, company: CompanyNo) -> Result<Purged>;
}
