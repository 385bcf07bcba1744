//! The log: one per company, append-only.

use std::sync::Arc;

use async_trait::async_trait;
use tillstream_model::{CompanyNo, Content, Event, EventId, Seq, Time};

use crate::{Bell, Purged, Result, StoreError};

/// How long idempotency ids are remembered, whatever the retention (`design.md`, "The log").
pub const IDEMPOTENCY_DAYS: i64 = 7;

/// How long a company's events are kept. Each class has its own day segments, which are dropped whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Retention {
    /// 7 days.
    Week,
    /// 30 days, the default.
    Month,
    /// 90 days.
    Quarter,
    /// 400 days.
    Year,
}

impl Retention {
    /// All classes, shortest first.
    pub const ALL: [Retention; 4] = [Retention::Week, Retention::Month, Retention::Quarter, Retention::Year];

    /// In days.
    pub const fn days(self) -> i64 {
        match self {
            Retention::Week => 7,
            Retention::Month => 30,
            Retention::Quarter => 90,
            Retention::Year => 400,
        }
    }

    /// The class of that many days.
    pub fn from_days(days: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.days() == days)
    }
}

/// Events of one company to append together, in this order.
#[derive(Debug)]
pub struct Append {
    /// Whose log.
    pub company: CompanyNo,
    /// The class the events fall into.
    pub retention: Retention,
    /// What the sources said. `caller_id` is the idempotency id.
    pub events: Vec<Content>,
}

/// What became of one event of an [`Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is in the log now.
    New {
        /// Where.
        seq: Seq,
        /// Its id.
        id: EventId,
    },
    /// The same event under the same idempotency id has been in the log already.
    Duplicate {
        /// Where the first one is.
        seq: Seq,
        /// The first one's id.
        id: EventId,
    },
    /// Another event has this idempotency id; nothing was appended.
    Conflict,
}

/// Why an [`Append`] was not done. Safe to repeat, but for [`AppendError::Unsure`] of events without idempotency ids.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// More waits to be written than the engine holds back; ask again.
    #[error("the log is behind: more than {waiting_bytes} bytes wait to be written")]
    Behind {
        /// What waits.
        waiting_bytes: usize,
    },
    /// The disk is full or nearly full; nothing was written.
    #[error("the disk is full or nearly full")]
    DiskFull,
    /// The engine is shutting down or cannot be reached.
    #[error("the log is not available: {0}")]
    Unavailable(String),
    /// A server was lost in the middle of a commit and did not come back: nobody knows whether the events are in the
    /// log. Only a repeat under the same idempotency ids appends nothing twice.
    #[error("nobody knows whether the events are in the log: {0}")]
    Unsure(String),
    /// The company's log is closed for good ([`Log::close`]).
    #[error("the company was deleted")]
    Gone,
}

impl AppendError {
    /// The same once more, for another caller.
    pub(crate) fn again(&self) -> Self {
        match self {
            AppendError::Behind { waiting_bytes } => AppendError::Behind { waiting_bytes: *waiting_bytes },
            AppendError::DiskFull => AppendError::DiskFull,
            AppendError::Unavailable(why) => AppendError::Unavailable(why.clone()),
            AppendError::Unsure(why) => AppendError::Unsure(why.clone()),
            AppendError::Gone => AppendError::Gone,
        }
    }
}

/// How much one read may return; at least one event comes, if there is one.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// Most events.
    pub events: usize,
    /// Stop after the event that reaches this many bytes ([`Content::size`]).
    pub bytes: usize,
}

/// The room of a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What can still be written.
    pub free: u64,
    /// What there is altogether.
    pub total: u64,
}

/// A stretch of the log whose retention has passed, to be dropped whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSegment {
    /// Names it to [`Log::drop_segment`].
    pub name: String,
    /// The companies with events in it, each with its last position in it.
    pub companies: Vec<(CompanyNo, Seq)>,
}

/// One log per company.
///
/// - **Dense and in order.** A position is (company, seq): seqs start at 1, have no holes, are never reused, and become
///   visible in order. Who has seen *n* never later finds *m < n*. `accepted_at` never decreases with the position.
/// - **Durable first.** [`Log::append`] returns after the commit is on disk. All events of one append are committed
///   together or not at all; they get consecutive seqs in the order given, duplicates and conflicts left out.
/// - **Idempotent.** An idempotency id counts per company and site for [`IDEMPOTENCY_DAYS`] days, whatever the
///   retention, and across a change of it. The same id with the same [`Content::fingerprint`] is a duplicate, with
///   another one a conflict; also within one append.
/// - **Failing.** After an error nothing of the append is visible, now or after a restart, and it may be repeated.
///   An engine that cannot tell whether a commit is durable must find out before it answers, or end the process; an
///   engine on a server that does not come back answers [`AppendError::Unsure`].
/// - **Reading costs what is read.** A small company's reader pays nothing for a big neighbour's events.
/// - **Walls.** Every call names its company and sees nothing of another.
/// - **Bell.** After each commit the bell rings for the company; it may also ring for no reason.
#[async_trait]
pub trait Log: Send + Sync {
    /// Appends events; one answer for each, in order.
    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError>;

    /// The events after a position, in order. Empty: none yet. Starts at the first one kept when `after` is older.
    async fn read(&self, company: CompanyNo, after: Seq, limit: ReadLimit) -> Result<Vec<Arc<Event>>>;

    /// The events at these positions, in the order of the positions; those no longer kept are left out.
    async fn get(&self, company: CompanyNo, seqs: &[Seq]) -> Result<Vec<Arc<Event>>>;

    /// The event with this id, if the company has it.
    async fn find(&self, company: CompanyNo, id: EventId) -> Result<Option<Arc<Event>>>;

    /// The company's last position; 0 before its first event.
    async fn head(&self, company: CompanyNo) -> Result<Seq>;

    /// The last position that is no longer kept; 0 when everything is.
    async fn floor(&self, company: CompanyNo) -> Result<Seq>;

    /// The last position accepted before `time`; the floor when everything kept is younger.
    async fn before(&self, company: CompanyNo, time: Time) -> Result<Seq>;

    /// Takes the payload of an event away for good, in memory and on disk: data and related ids are gone
    /// ([`Content::is_erased`]), everything else stays, its idempotency id too. Whether there is such an event; a repeat
    /// is fine. Other nodes forget it within seconds.
    async fn erase(&self, company: CompanyNo, seq: Seq, id: EventId) -> Result<bool>;

    /// Whether an event's payload was erased a while ago at most, so that a copy that was read before must not be used.
    fn is_erased(&self, company: CompanyNo, seq: Seq) -> bool;

    /// Rings after commits.
    fn bell(&self) -> Arc<Bell>;

    /// Whether the log would take an append now; the reason when not. For readiness checks.
    fn ready(&self) -> Result<(), AppendError>;

    /// How much room there is where the events are; None when the engine cannot tell.
    fn room(&self) -> Option<Room> {
        None
    }

    /// Segments whose retention has passed at `now`, oldest first.
    async fn due(&self, now: Time) -> Result<Vec<DueSegment>>;

    /// Drops a due segment. Its companies' heads stay known, so seqs are not reused.
    async fn drop_segment(&self, name: &str) -> Result<(), StoreError>;

    /// Closes a company's log for good: when this returns, nothing is appended to it any more by whatever node, and it
    /// reads as empty here; other nodes learn of it within seconds. A repeat is fine.
    async fn close(&self, company: CompanyNo) -> Result<()>;

    /// Removes some of what a closed log has, idempotency ids too. Appends of others wait for one slice at most, which
    /// takes about 5 ms. Interrupted, it goes on with the next call. An error for a log that is not closed.
    async fn purge(&self, company: CompanyNo) -> Result<Purged>;
}
