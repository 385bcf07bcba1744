//! The state: everything durable that is not an event.

use async_trait::async_trait;
use tillstream_model::integration::{Settings, Status};
use tillstream_model::{CompanyNo, EventId, IntegrationNo, Seq, Time};

pub use crate::records::*;
use crate::{Answers, Held, Leave, Page, Replays, Result, Retention, StoreError, Usage};

/// An id is taken already.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Another integration or company has this id.
    #[error("the id is taken")]
    Taken,
    /// The engine failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why settings were not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// No integration of the company has this id.
    #[error("there is no such integration")]
    Unknown,
    /// Somebody saved in between; this is the version now.
    #[error("version {0} is saved by now")]
    Changed(u32),
    /// The engine failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Everything durable that is not an event.
///
/// - **Durable first.** A call returns after its change is on disk. A [`State::commit`] is atomic; attempts may be
///   listed before the rest of their commit, and the last few may be lost when the power fails, nothing else.
/// - **Grouped.** Calls that wait at the same time share a commit.
/// - **Walls.** Every call that a request can reach names its company; ids of others are as unknown as free ones.
/// - **Numbers are never reused**, ids may be: what belongs to a deleted integration goes with it.
/// - **Secrets** are sealed before they are written and opened when they are read ([`crate::seal`]).
/// - **Lists** are newest first unless said otherwise, cursor-paged, and cost what a page costs.
#[async_trait]
pub trait State: Replays + Usage + Answers + Held + Leave {
    /// Makes a company.
    async fn create_company(
        &self,
        external_id: &str,
        name: &str,
        retention: Retention,
        ingest_drop: Vec<String>,
    ) -> Result<Company, CreateError>;

    /// All companies, by number; those that are being deleted are in no list but [`Leave::leaving`].
    async fn companies(&self) -> Result<Vec<Company>>;

    /// Saves everything of a company but its number and external id; whether there is one of this number.
    async fn save_company(&self, company: Company) -> Result<bool>;

    /// Saves a key; its id is taken from it.
    async fn create_key(&self, key: Key) -> Result<()>;

    /// The key with this hash, of whatever company.
    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<Key>>;

    /// A company's keys, oldest first (None: operators').
    async fn keys(&self, company: Option<CompanyNo>) -> Result<Vec<Key>>;

    /// Removes a key; whether there was one.
    async fn delete_key(&self, company: Option<CompanyNo>, id: &str) -> Result<bool>;

    /// Notes when keys were last used.
    async fn touch_keys(&self, used: Vec<(String, Time)>) -> Result<()>;

    /// Makes a running integration whose cursor stands at `cursor`; version 1 takes effect there.
    async fn create_integration(
        &self,
        company: CompanyNo,
        settings: Settings,
        cursor: Seq,
        entry: LogEntry,
    ) -> Result<Integration, CreateError>;

    /// The company's integration with this id.
    async fn integration(&self, company: CompanyNo, id: &str) -> Result<Option<Integration>>;

    /// The company's integrations by id, after `after`.
    async fn integrations(&self, company: CompanyNo, after: Option<&str>, limit: usize) -> Result<Vec<Integration>>;

    /// Every running integration of every company, for the lanes at start.
    async fn lane_heads(&self) -> Result<Vec<LaneHead>>;

    /// Saves settings as the next version, which takes effect after position `at`; `expected` guards against lost updates.
    async fn save_settings(
        &self,
        company: CompanyNo,
        settings: Settings,
        expected: Option<u32>,
        at: Seq,
        entry: LogEntry,
    ) -> Result<Integration, SaveError>;

    /// The settings that were in force at a position, with their version.
    async fn settings_at(&self, no: IntegrationNo, seq: Seq) -> Result<Option<(u32, Settings)>>;

    /// An integration's settings as they were saved, newest first.
    async fn versions(&self, no: IntegrationNo, after: Option<&str>, limit: usize) -> Result<Page<Version>>;

    /// Starts or stops; the same status again only replaces the reason.
    async fn set_status(
        &self,
        company: CompanyNo,
        id: &str,
        status: Status,
        entry: LogEntry,
    ) -> Result<Option<Integration>>;

    /// Deletes an integration with everything that hangs on it; whether there was one.
    async fn delete_integration(&self, company: CompanyNo, id: &str) -> Result<bool>;

    /// What a lane knows when it wakes up.
    async fn lane(&self, no: IntegrationNo) -> Result<LaneState>;

    /// A lane's figures.
    async fn lane_figures(&self, no: IntegrationNo) -> Result<LaneFigures>;

    /// Commits outcomes. Nothing happens for an integration that is deleted. An error when the lane is another node's
    /// by now.
    async fn commit(&self, no: IntegrationNo, commit: LaneCommit) -> Result<()>;

    /// Moves the cursor of a lane that sleeps, and nothing else; a lower one than the saved changes nothing. Safe beside
    /// a commit of the same lane, should it have woken up meanwhile. `epoch` as in [`LaneCommit`].
    async fn advance(&self, no: IntegrationNo, epoch: u64, cursor: Seq) -> Result<()>;

    /// A company's attempts.
    async fn attempts(
        &self,
        company: CompanyNo,
        filter: &AttemptFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<(IntegrationNo, Attempt)>>;

    /// Every attempt of one event, oldest first.
    async fn attempts_of(&self, no: IntegrationNo, seq: Seq) -> Result<Vec<Attempt>>;

    /// An event's waiting row.
    async fn parked_of(&self, no: IntegrationNo, seq: Seq) -> Result<Option<Parked>>;

    /// The rejected events of an integration.
    async fn rejected(&self, no: IntegrationNo, after: Option<&str>, limit: usize) -> Result<Page<RejectedRow>>;

    /// The rejected rows of one event.
    async fn rejected_of(&self, no: IntegrationNo, event: EventId) -> Result<Option<RejectedRow>>;

    /// What is known of the outcomes of a stretch of events. The cursor was there before what was tried is looked at, so
    /// what it has passed shows how it ended.
    async fn outcomes(&self, no: IntegrationNo, stretch: Stretch) -> Result<Outcomes>;

    /// Takes the payload of an event out of everything a company's integrations keep of it: waiting and rejected rows.
    async fn erase(&self, company: CompanyNo, seq: Seq, event: EventId) -> Result<()>;

    /// Turns a rejected event into a parked one that is due at `now`, with its payload; whether this call did it, so
    /// that two at once send once.
    async fn retry_rejected(&self, no: IntegrationNo, id: u64, now: Time) -> Result<bool>;

    /// Removes a rejected event; whether there was one.
    async fn delete_rejected(&self, no: IntegrationNo, id: u64) -> Result<bool>;

    /// The log of an integration.
    async fn log_entries(&self, no: IntegrationNo, after: Option<&str>, limit: usize) -> Result<Page<LogEntry>>;

    /// A document of a company (None: of the instance), by its kind and id.
    async fn document(&self, of: Option<CompanyNo>, kind: &'static str, id: &str) -> Result<Option<Document>>;

    /// Documents of a kind by id, after `after`; all when that is empty.
    async fn documents(
        &self,
        of: Option<CompanyNo>,
        kind: &'static str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Document>>;

    /// Saves a document, as its next version if there is one and that was expected.
    async fn put_document(
        &self,
        of: Option<CompanyNo>,
        kind: &'static str,
        id: &str,
        body: String,
        expected: Expected,
    ) -> Result<Document, SaveError>;

    /// Removes a document; what it was.
    async fn delete_document(&self, of: Option<CompanyNo>, kind: &'static str, id: &str) -> Result<Option<Document>>;

    /// Adds an entry to the audit.
    async fn record(&self, entry: AuditEntry) -> Result<()>;

    /// The audit of a company (None: of the instance).
    async fn audit(
        &self,
        of: Option<CompanyNo>,
        filter: &AuditFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<AuditEntry>>;

    /// Adds to what was counted; each bucket stands in the list once. What many nodes add adds up.
    async fn add_statistics(&self, buckets: Vec<Bucket>) -> Result<()>;

    /// What was counted of a company in buckets that begin in this span, oldest first; empty ones are left out.
    async fn statistics(
        &self,
        company: CompanyNo,
        resolution: Resolution,
        from: Time,
        to: Time,
    ) -> Result<Vec<(Time, Counts)>>;

    /// Where all of a company's integrations stand, by number.
    async fn lane_summaries(&self, company: CompanyNo) -> Result<Vec<LaneSummary>>;

    /// Entries of integrations' logs that are [`NEWS`], and of companies' audits, that nobody was told of yet: at most
    /// so many of each, oldest first.
    async fn untold(&self, limit: usize) -> Result<Vec<News>>;

    /// Others were told of these.
    async fn told(&self, news: &[News]) -> Result<()>;

    /// Seals a secret that goes into a document; it opens only in the same company (None: the instance) and place.
    async fn seal(&self, of: Option<CompanyNo>, place: &str, secret: &str) -> Result<String>;

    /// Opens what [`State::seal`] gave.
    fn unseal(&self, of: Option<CompanyNo>, place: &str, sealed: &str) -> Result<String>;

    /// Removes what its time has passed: attempts, rejected events, log entries, the audit's, statistics. Slices of at
    /// most 5 ms of the writer.
    async fn sweep(&self, now: Time) -> Result<()>;
}
