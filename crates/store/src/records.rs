//! What the state holds: the shapes that go in and out of [`crate::State`].

mod audit;
mod companies;
mod documents;
mod news;
mod outcomes;
mod statistics;

use std::sync::Arc;

use tillstream_model::event::EntityKey;
use tillstream_model::integration::{Settings, Status};
use tillstream_model::{CompanyNo, Event, EventId, IntegrationNo, Ranges, Seq, Time};

pub use audit::*;
pub use companies::*;
pub use documents::*;
pub use news::*;
pub use outcomes::*;
pub use statistics::*;

/// How long attempts are kept, in days.
pub const ATTEMPT_DAYS: i64 = 30;
/// How long rejected events are kept, counted from the rejection (`contracts/event-stream.md`).
pub const REJECTED_DAYS: i64 = 30;
/// How long entries of an integration's log are kept, in days.
pub const LOG_ENTRY_DAYS: i64 = 400;
/// Bytes of a failed attempt's answer that are kept.
pub const KEPT_ANSWER_BYTES: usize = 4_096;

/// An integration as saved.
#[derive(Clone, Debug, PartialEq)]
pub struct Integration {
    /// Internal number, never reused.
    pub no: IntegrationNo,
    /// Whose.
    pub company: CompanyNo,
    /// Its settings, secrets open.
    pub settings: Arc<Settings>,
    /// Whether it works.
    pub status: Status,
    /// Why it has this status, when somebody or something changed it.
    pub status_reason: Option<String>,
    /// Counts the saves of the settings, from 1.
    pub version: u32,
    /// When it was made.
    pub created_at: Time,
    /// When its settings or status last changed.
    pub updated_at: Time,
}

/// Who did something: `key <id>`, `command line <user>`, `system`.
pub type Actor = String;

/// Settings as they were saved once.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// Counts the saves, from 1.
    pub version: u32,
    /// They count for positions after this one.
    pub from: Seq,
    /// The settings, secrets open.
    pub settings: Settings,
    /// When they were saved.
    pub saved_at: Time,
    /// Who saved them.
    pub actor: Actor,
}

/// One entry of an integration's log (`contracts/event-stream.md`, "Integration").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// `created`, `started`, `stopped`, `edited`, `retry_triggered`, `circuit_opened`, `circuit_closed`, `braked`, `gap_skipped`,
    /// `authorization_changed`.
    pub action: String,
    /// Why, in words.
    pub reason: String,
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Time,
}

/// An event that waits for its next attempt, or behind one of its entity that does.
#[derive(Clone, Debug)]
pub struct Parked {
    /// Its position.
    pub seq: Seq,
    /// Its entity; None: unordered.
    pub key: Option<EntityKey>,
    /// When the event was accepted, for its age.
    pub accepted_at: Time,
    /// Attempts so far that counted.
    pub attempts: u32,
    /// When the next attempt is due.
    pub next_at: Time,
    /// Status of the last answer, if one came.
    pub last_status: Option<u16>,
    /// What went wrong last, in words; None for an event that only waits behind another.
    pub last_error: Option<String>,
    /// It is listed as rejected and only keeps its entity back, until `next_at` at the latest.
    pub held: bool,
    /// The event itself when the log may not have it any more (a rejected one that is tried again).
    pub event: Option<Arc<Event>>,
}

impl Parked {
    /// An event that is to be sent at `now`, kept with the row.
    pub fn due(event: Arc<Event>, now: Time) -> Self {
        Self {
            seq: event.seq,
            key: event.content.key(),
            accepted_at: event.accepted_at,
            attempts: 0,
            next_at: now,
            last_status: None,
            last_error: None,
            held: false,
            event: Some(event),
        }
    }
}

/// An event that was given up.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The event, kept whatever the log's retention.
    pub event: Arc<Event>,
    /// When.
    pub at: Time,
    /// `rejected`, `attempts_exhausted`, `expired`, `transform_failed`.
    pub reason: String,
    /// Status of the last answer, if one came.
    pub last_status: Option<u16>,
    /// What went wrong last, in words.
    pub detail: Option<String>,
    /// Attempts that were made.
    pub attempts: u32,
}

/// One attempt to deliver an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The event's position.
    pub seq: Seq,
    /// When it started.
    pub at: Time,
    /// Which attempt of the event, from 1; 0 for a probe of the circuit.
    pub number: u32,
    /// How long the exchange took, in milliseconds.
    pub elapsed_ms: u32,
    /// Status of the answer, if one came.
    pub status: Option<u16>,
    /// Attempts that are left after it.
    pub remaining: u32,
    /// The event's domain entity, for filters.
    pub domain_key: Option<EntityKey>,
    /// SHA-256 prefix of the event's name, for filters: [`name_hash`].
    pub name_hash: u32,
    /// Only for a failure: its cause and the start of the answer.
    pub failure: Option<Failure>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `status`, `dns`, `refused`, `timeout`, …
    pub cause: String,
    /// One line in words.
    pub detail: String,
    /// The first [`KEPT_ANSWER_BYTES`] of the answer.
    pub answer: Vec<u8>,
}

/// A number for an event's name in attempt rows.
pub fn name_hash(name: &str) -> u32 {
    EntityKey::of("name", name).0 as u32
}

/// What a lane knows when it wakes up.
#[derive(Clone, Debug, Default)]
pub struct LaneState {
    /// Everything up to here is settled or parked.
    pub cursor: Seq,
    /// Positions after the cursor that are settled or parked already.
    pub settled: Ranges,
    /// What waits.
    pub parked: Vec<Parked>,
    /// The replay that is under way.
    pub replay: Option<Replay>,
}

/// A replay of an integration that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Its id.
    pub id: String,
    /// What it sends and how far it has come, as JSON.
    pub body: String,
}

/// Counts of a lane since its integration was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events delivered.
    pub delivered: u64,
    /// Events rejected, expired ones not counted.
    pub rejected: u64,
    /// Events that became too old.
    pub expired: u64,
    /// Attempts that failed.
    pub failures: u64,
}

/// Outcomes of a lane, committed together.
#[derive(Debug, Default)]
pub struct LaneCommit {
    /// Of the lease under which the lane runs; a shared engine refuses any but the newest.
    pub epoch: u64,
    /// The new cursor; never lower than the saved one.
    pub cursor: Seq,
    /// Replaces the saved ranges.
    pub settled: Ranges,
    /// Waiting rows to write or replace.
    pub park: Vec<Parked>,
    /// Positions whose waiting row goes.
    pub unpark: Vec<Seq>,
    /// Events given up.
    pub reject: Vec<Rejected>,
    /// Attempts made.
    pub attempts: Vec<Attempt>,
    /// Added to the saved counts.
    pub add: Totals,
    /// Entries for the integration's log.
    pub log: Vec<LogEntry>,
    /// Stop the integration, for this reason, in the same commit.
    pub stop: Option<String>,
    /// Events that are not rejected any more, before others are.
    pub unreject: Vec<EventId>,
    /// How far the replay has come; nothing when it is another one by now.
    pub replay: Option<Replay>,
}

/// A lane's saved figures, for lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneFigures {
    /// The saved cursor.
    pub cursor: Seq,
    /// How many events are parked.
    pub parked: u64,
    /// Counts since the integration was made.
    pub totals: Totals,
}

/// What is to be known of every integration at start.
#[derive(Clone, Debug)]
pub struct LaneHead {
    /// The integration.
    pub integration: Integration,
    /// Its saved cursor.
    pub cursor: Seq,
    /// Whether anything is parked, settled ahead of the cursor or being replayed.
    pub unfinished: bool,
}

/// Which attempts to list.
#[derive(Clone, Debug, Default)]
pub struct AttemptFilter {
    /// Only of these integrations; all of the company's when empty.
    pub integrations: Vec<IntegrationNo>,
    /// Only successes or only failures.
    pub success: Option<bool>,
    /// Started at or after.
    pub from: Option<Time>,
    /// Started before.
    pub to: Option<Time>,
    /// Only of this domain entity.
    pub domain_key: Option<EntityKey>,
    /// Only events of this name: [`name_hash`].
    pub name_hash: Option<u32>,
}

/// A rejected event with its id in the list.
#[derive(Clone, Debug)]
pub struct RejectedRow {
    /// Names it to the calls below.
    pub id: u64,
    /// What was rejected and why.
    pub rejected: Rejected,
}
