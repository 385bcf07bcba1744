//! Replays that are under way, and what they ask of the lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use tillstream_model::{Event, EventId, IntegrationNo, Seq, Time};

use crate::Result;
use crate::state::{LogEntry, Replay};

/// Replays: one of an integration at a time. Its place moves on in the commits of its lane.
#[async_trait]
pub trait Replays: Send + Sync {
    /// Parks an event that is due at `now`, so that it is sent again; whether it was not waiting already.
    async fn send_again(&self, no: IntegrationNo, event: Arc<Event>, now: Time) -> Result<bool>;

    /// Which of these positions, all accepted at or after `since`, were delivered by an attempt that is still listed.
    async fn delivered_among(&self, no: IntegrationNo, since: Time, seqs: &[Seq]) -> Result<BTreeSet<Seq>>;

    /// Which of these positions wait for an attempt.
    async fn parked_among(&self, no: IntegrationNo, seqs: &[Seq]) -> Result<BTreeSet<Seq>>;

    /// Which of these events are listed as rejected.
    async fn rejected_among(&self, no: IntegrationNo, events: &[EventId]) -> Result<BTreeSet<EventId>>;

    /// Starts a replay; whether none was under way and there is such an integration.
    async fn start_replay(&self, no: IntegrationNo, replay: Replay, entry: LogEntry) -> Result<bool>;

    /// The replay that is under way.
    async fn replay(&self, no: IntegrationNo) -> Result<Option<Replay>>;

    /// Ends a replay; whether it was under way.
    async fn end_replay(&self, no: IntegrationNo, id: &str, entry: LogEntry) -> Result<bool>;
}
