//! A replay beside a lane's live flow: reads past events, hands them to the lane, and keeps its place.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tillstream_model::integration::Settings;
use tillstream_model::lane::GivenUp;
use tillstream_model::lane::replay::ReplayOutcomes;
use tillstream_model::replay::{Filter, Only};
use tillstream_model::selection::wants;
use tillstream_model::time::DAY_MS;
use tillstream_model::{CompanyNo, Event, EventId, IntegrationNo, Ranges, Seq, Time};
use tillstream_store::state::{ATTEMPT_DAYS, Replay};
use tillstream_store::{ReadLimit, StoreError, Stores};
use tokio::time::Instant;

use super::commit::{Place, log_entry};
use super::runner::Runner;
use crate::jobs::{self, Progress, Status};

/// What is read from the log at once.
const READ: ReadLimit = ReadLimit { events: 256, bytes: 512 << 10 };
/// The next read starts when so many more events may be taken.
const READ_FROM: usize = 192;
/// Pause after the log could not be read.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// What a replay sends, and how far it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Which events …
    pub filter: Filter,
    /// … after this position …
    pub after: Seq,
    /// … up to this one.
    pub to: Seq,
    /// Everything up to here is done.
    pub cursor: Seq,
    /// What is done ahead of the cursor, as first and last positions.
    pub settled: Vec<(Seq, Seq)>,
    /// Events that arrived.
    pub delivered: u64,
    /// Events that were given up.
    pub given_up: u64,
}

impl Plan {
    /// A replay that begins.
    pub fn new(filter: Filter, after: Seq, to: Seq) -> Self {
        Self { filter, after, to: to.max(after), cursor: after, settled: Vec::new(), delivered: 0, given_up: 0 }
    }

    /// As it was saved.
    pub fn read(saved: &Replay) -> Result<Self, StoreError> {
        serde_json::from_str(&saved.body).map_err(|e| StoreError::new("read a replay's place", e.to_string()))
    }

    /// As it is saved.
    pub fn stored(&self, id: &str) -> Result<Replay, StoreError> {
        let body = serde_json::to_string(self).map_err(|e| StoreError::new("write a replay's place", e.to_string()))?;
        Ok(Replay { id: id.to_owned(), body })
    }

    /// As people see it.
    pub fn progress(&self) -> Progress {
        let looked_at = self.cursor.min(self.to).saturating_sub(self.after);
        Progress { looked_at, of: Some(self.to - self.after), done: self.delivered, failed: self.given_up }
    }
}

/// The replay that a lane runs.
pub(super) struct Replaying {
    pub(super) id: Arc<str>,
    plan: Plan,
    reading: Option<BoxFuture<'static, tillstream_store::Result<Chunk>>>,
    read_again: Option<Instant>,
    /// Its last outcomes are on their way to the state.
    ending: bool,
}

/// Some events of a replay.
pub struct Chunk {
    /// Those that are to be sent.
    pub events: Vec<Arc<Event>>,
    /// What was looked at.
    pub read_to: Seq,
    /// Nothing follows.
    pub end: bool,
}

/// What a replay adds to a commit.
#[derive(Default)]
pub(super) struct ReplayCommit {
    pub(super) place: Option<Replay>,
    pub(super) unreject: Vec<EventId>,
    pub(super) given_up: Vec<GivenUp<Arc<Event>>>,
    /// It is done, with this progress.
    pub(super) done: Option<Progress>,
}

/// Reads on after a position, up to `to`.
pub async fn read_chunk(
    stores: &Stores,
    of: (CompanyNo, IntegrationNo),
    settings: &Settings,
    filter: &Filter,
    (after, to): (Seq, Seq),
    now: Time,
) -> tillstream_store::Result<Chunk> {
    if after >= to {
        return Ok(Chunk { events: Vec::new(), read_to: to, end: true });
    }
    let mut events = stores.log.read(of.0, after, READ).await?;
    let read_to = events.last().map_or(to, |e| e.seq.min(to));
    events.retain(|e| e.seq <= to && filter.matches(e) && wants(settings, e).is_ok());
    let events = known_as(stores, of.1, filter.only, events, now).await?;
    Ok(Chunk { events, read_to, end: read_to >= to })
}

/// Those of which this is known.
async fn known_as(
    stores: &Stores,
    no: IntegrationNo,
    only: Only,
    mut events: Vec<Arc<Event>>,
    now: Time,
) -> tillstream_store::Result<Vec<Arc<Event>>> {
    let Some(since) = events.first().map(|e| e.accepted_at) else { return Ok(events) };
    match only {
        Only::All => {}
        Only::Undelivered => {
            let seqs: Vec<Seq> = events.iter().map(|e| e.seq).collect();
            let mut done: BTreeSet<Seq> = stores.state.delivered_among(no, since, &seqs).await?;
            done.extend(stores.state.parked_among(no, &seqs).await?);
            // Of older ones nobody knows.
            let listed = Time::from_millis(now.millis() - ATTEMPT_DAYS * DAY_MS);
            events.retain(|e| e.accepted_at >= listed && !done.contains(&e.seq));
        }
        Only::Rejected => {
            let ids: Vec<EventId> = events.iter().map(|e| e.id).collect();
            let rejected = stores.state.rejected_among(no, &ids).await?;
            events.retain(|e| rejected.contains(&e.id));
        }
    }
    Ok(events)
}

impl Runner {
    /// Takes up the replay that is saved; another one, or one that was cancelled, ends.
    pub(super) fn take_up_replay(&mut self, saved: Option<Replay>) {
        let running = self.replaying.as_ref().map(|r| &*r.id);
        if running == saved.as_ref().map(|r| r.id.as_str()) {
            return;
        }
        self.lane.end_replay();
        self.replaying = None;
        self.replay_due = saved;
    }

    /// Starts what is due and reads on.
    pub(super) fn read_replay(&mut self) {
        self.start_replay();
        let room = self.lane.replay().map(|replay| (replay.room(), replay.read_to()));
        let (Some(replaying), Some((room, after))) = (&mut self.replaying, room) else { return };
        let waits = replaying.read_again.is_some_and(|t| t > Instant::now());
        if replaying.reading.is_some() || waits || room < READ_FROM {
            return;
        }
        let (stores, settings, now) =
            (self.context.stores.clone(), self.integration.settings.clone(), (self.context.clock)());
        let (of, filter, to) =
            ((self.integration.company, self.integration.no), replaying.plan.filter.clone(), replaying.plan.to);
        replaying.reading =
            Some(async move { read_chunk(&stores, of, &settings, &filter, (after, to), now).await }.boxed());
    }

    /// Not before everything of an earlier one has landed.
    fn start_replay(&mut self) {
        let Some(saved) = self.replay_due.take() else { return };
        match Plan::read(&saved) {
            Ok(plan) if self.lane.start_replay(plan.cursor, Ranges::from(plan.settled.clone())) => {
                let (reading, read_again) = (None, None);
                self.replaying = Some(Replaying { id: saved.id.into(), plan, reading, read_again, ending: false });
            }
            Ok(_) => self.replay_due = Some(saved),
            Err(e) => tracing::error!(replay = saved.id, error = %e, "a replay can't go on"),
        }
    }

    /// The next chunk; never when none is being read.
    pub(super) async fn next_chunk(replaying: &mut Option<Replaying>) -> tillstream_store::Result<Chunk> {
        match replaying.as_mut().and_then(|r| r.reading.as_mut()) {
            Some(reading) => reading.await,
            None => std::future::pending().await,
        }
    }

    /// Hands a chunk to the lane.
    pub(super) fn take_chunk(&mut self, chunk: tillstream_store::Result<Chunk>) {
        let (Some(replaying), Some(replay)) = (&mut self.replaying, self.lane.replay()) else { return };
        replaying.reading = None;
        match chunk {
            Ok(chunk) => {
                for event in chunk.events {
                    replay.offer(event.seq, event.content.key(), event);
                }
                replay.skip_to(chunk.read_to);
                if chunk.end {
                    replay.finish_reading();
                }
            }
            Err(e) => {
                tracing::warn!(replay = %replaying.id, error = %e, "the log could not be read for a replay");
                replaying.read_again = Some(Instant::now() + READ_AGAIN);
            }
        }
    }

    /// When to read on although nothing happens.
    pub(super) fn replay_deadline(&self) -> Option<Instant> {
        self.replaying.as_ref().filter(|r| r.reading.is_none()).and_then(|r| r.read_again)
    }

    /// What the outcomes of replayed events add to a commit.
    pub(super) fn replay_commit(&mut self, outcomes: Option<ReplayOutcomes<Arc<Event>>>) -> Option<ReplayCommit> {
        let (outcomes, replaying) = (outcomes?, self.replaying.as_mut()?);
        let plan = &mut replaying.plan;
        plan.cursor = outcomes.cursor;
        plan.settled = outcomes.settled.iter().collect();
        plan.delivered += outcomes.delivered.len() as u64;
        plan.given_up += outcomes.given_up.len() as u64;
        replaying.ending = outcomes.done;
        let ids = outcomes.delivered.iter().chain(outcomes.given_up.iter().filter_map(|g| g.payload.as_ref()));
        let unreject = ids.map(|event| event.id).collect();
        let done = outcomes.done.then(|| plan.progress());
        let place = plan.stored(&replaying.id).ok()?;
        Some(ReplayCommit { place: Some(place), unreject, given_up: outcomes.given_up, done })
    }

    /// A commit is durable: a replay whose last outcomes it had is over.
    pub(super) fn replay_committed(&mut self) {
        if self.replaying.as_ref().is_some_and(|r| r.ending) {
            self.lane.end_replay();
            self.replaying = None;
        }
    }
}

/// Says that a replay is done. After a crash in between the lane comes to the same end once more.
pub(super) async fn finish(
    stores: &Stores,
    place: Place,
    id: &str,
    progress: Progress,
    now: Time,
) -> tillstream_store::Result<()> {
    let done = |job: &mut jobs::Job| {
        job.status = Status::Done;
        job.progress = progress;
    };
    jobs::end(&*stores.state, Some(place.company), id, now, done).await?;
    let reason = format!("{} delivered, {} given up", progress.done, progress.failed);
    stores.state.end_replay(place.no, id, log_entry("replay_finished", reason, now)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_was_stored_and_tells_how_far_it_is() {
        let mut plan = Plan::new(Filter::default(), 100, 300);
        (plan.cursor, plan.delivered, plan.given_up) = (150, 40, 2);
        plan.settled = vec![(152, 160)];
        let read = Plan::read(&plan.stored("job_1").unwrap()).unwrap();
        assert_eq!(read, plan);
        assert_eq!(plan.progress(), Progress { looked_at: 50, of: Some(200), done: 40, failed: 2 });
        assert_eq!(Plan::new(Filter::default(), 9, 3).progress().of, Some(0));
    }
}
