//! Outcomes of a lane on their way to the state.

use std::sync::Arc;

use tillstream_model::lane::queues::Waiting;
use tillstream_model::lane::{GivenUp, Notice, Outcomes, Reason};
use tillstream_model::{CompanyNo, Event, IntegrationNo, Time};
use tillstream_store::Stores;
use tillstream_store::state::{Attempt, LaneCommit, LogEntry, Parked, Rejected, Totals};
use tillstream_store::usage::Counts;

use super::context::Context;
use super::replay::{ReplayCommit, finish};
use crate::observe::Meters;

/// Who does what the hub does by itself.
pub(super) const SYSTEM: &str = "system";

/// Whose outcomes.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) company: CompanyNo,
    pub(super) no: IntegrationNo,
    /// Of the lease under which the lane runs.
    pub(super) epoch: u64,
}

/// Commits outcomes together with the attempts that led to them.
pub(super) async fn commit(
    context: &Context,
    place: Place,
    (outcomes, replay): (Outcomes<Arc<Event>>, Option<ReplayCommit>),
    attempts: Vec<Attempt>,
    now: Time,
) -> tillstream_store::Result<()> {
    let Place { company, no, epoch } = place;
    let stores = &context.stores;
    let made = attempts.len() as u64;
    let failures = attempts.iter().filter(|a| a.failure.is_some()).count() as u64;
    let mut reject = Vec::with_capacity(outcomes.given_up.len());
    for given_up in outcomes.given_up {
        match event_of(stores, company, no, &given_up).await?.map(|event| kept(stores, event)) {
            Some(event) => reject.push(rejected(given_up, event, now)),
            None => tracing::error!(integration = no.0, seq = given_up.seq, "a given-up event is not in the log"),
        }
    }
    let expired = reject.iter().filter(|r| r.reason == Reason::Expired.as_str()).count() as u64;
    let add = Totals { delivered: outcomes.delivered, rejected: reject.len() as u64 - expired, expired, failures };
    let ReplayCommit { place: replay, unreject, given_up, done } = replay.unwrap_or_default();
    // Whoever is listed as rejected by a replay was not lost: only the live flow's count.
    for given_up in given_up {
        if let Some(event) = given_up.payload.clone() {
            reject.push(rejected(given_up, kept(stores, event), now));
        }
    }
    let mut log: Vec<LogEntry> = outcomes.notices.into_iter().map(|n| entry(n, now)).collect();
    log.extend(outcomes.stop.clone().map(|reason| log_entry("stopped", reason, now)));
    let commit = LaneCommit {
        epoch,
        cursor: outcomes.cursor,
        settled: outcomes.settled,
        park: outcomes.park.into_iter().map(parked).collect(),
        unpark: outcomes.unpark,
        reject,
        attempts,
        add,
        log,
        stop: outcomes.stop,
        unreject,
        replay: replay.clone(),
    };
    stores.state.commit(no, commit).await?;
    if let (Some(progress), Some(replay)) = (done, replay) {
        finish(stores, place, &replay.id, progress, now).await?;
    }
    count(&context.meters, &add);
    context.meters.statistics.outcomes(company, &add, now);
    let Totals { delivered, rejected, expired, .. } = add;
    let counts = Counts { delivered, rejected, expired, attempts: made, ..Counts::default() };
    context.usage.add(company, None, &counts, now);
    Ok(())
}

/// A parked row as the lane holds it.
pub(super) fn waiting(parked: Parked) -> Waiting {
    Waiting {
        seq: parked.seq,
        key: parked.key,
        accepted_at: parked.accepted_at,
        attempts: parked.attempts,
        next_at: parked.next_at,
        status: parked.last_status,
        detail: parked.last_error,
        held: parked.held,
    }
}

/// An entry for an integration's log by the hub itself.
pub(super) fn log_entry(action: &str, reason: String, at: Time) -> LogEntry {
    LogEntry { action: action.into(), reason, actor: SYSTEM.into(), at }
}

async fn event_of(
    stores: &Stores,
    company: CompanyNo,
    no: IntegrationNo,
    given_up: &GivenUp<Arc<Event>>,
) -> tillstream_store::Result<Option<Arc<Event>>> {
    if let Some(event) = &given_up.payload {
        return Ok(Some(event.clone()));
    }
    if let Some(event) = stores.log.get(company, &[given_up.seq]).await?.pop() {
        return Ok(Some(event));
    }
    Ok(stores.state.parked_of(no, given_up.seq).await?.and_then(|p| p.event))
}

/// A copy that was read before the payload was deleted is kept without it.
fn kept(stores: &Stores, event: Arc<Event>) -> Arc<Event> {
    if !stores.log.is_erased(event.company, event.seq) {
        return event;
    }
    let mut event = Arc::unwrap_or_clone(event);
    event.content.erase();
    Arc::new(event)
}

fn parked(w: Waiting) -> Parked {
    Parked {
        seq: w.seq,
        key: w.key,
        accepted_at: w.accepted_at,
        attempts: w.attempts,
        next_at: w.next_at,
        last_status: w.status,
        last_error: w.detail,
        held: w.held,
        event: None,
    }
}

fn rejected(given_up: GivenUp<Arc<Event>>, event: Arc<Event>, now: Time) -> Rejected {
    Rejected {
        event,
        at: now,
        reason: given_up.reason.as_str().into(),
        last_status: given_up.status,
        detail: given_up.detail,
        attempts: given_up.attempts,
    }
}

fn entry(notice: Notice, now: Time) -> LogEntry {
    let (action, reason) = match notice {
        Notice::RetryTriggered(detail) => ("retry_triggered", detail),
        Notice::CircuitOpened(detail) => ("circuit_opened", format!("only probes until it answers again: {detail}")),
        Notice::CircuitClosed => ("circuit_closed", "the receiver answers again".into()),
        Notice::Braked(detail) => ("braked", format!("it refuses nearly everything: {detail}")),
        Notice::BrakeReleased => ("circuit_closed", "the receiver accepts again, or was told to reject on".into()),
    };
    log_entry(action, reason, now)
}

fn count(meters: &Meters, add: &Totals) {
    meters.commits.increment(1);
    meters.delivered.increment(add.delivered);
    meters.rejected.increment(add.rejected);
    meters.expired.increment(add.expired);
    meters.failed_attempts.increment(add.failures);
}
