//! A lane's commit, ready to be written: what takes time or can fail was done beside the one task that writes.

use std::collections::BTreeMap;

use tillstream_model::{EventId, IntegrationNo, Seq};

use super::spell;
use crate::engine::{Cause, event, settled};
use crate::nodes::bucket_of;
use crate::state::{Attempt, KEPT_ANSWER_BYTES, LaneCommit, LogEntry, Parked, Rejected, Replay, Totals};

/// A row that waits, with its event as stored.
type Waiting = (Parked, Option<Vec<u8>>);

/// What changes for one integration.
#[derive(Default)]
pub(super) struct Outcome {
    /// The integration, as the server has it.
    pub(super) no: i64,
    /// The lane's bucket, and the epoch of the lease under which it ran.
    pub(super) bucket: i32,
    pub(super) epoch: i64,
    pub(super) cursor: Seq,
    /// As stored; None leaves the saved ones.
    pub(super) settled: Option<Vec<u8>>,
    pub(super) add: Totals,
    pub(super) unpark: Vec<Seq>,
    /// At most one row for a position.
    pub(super) park: Vec<Waiting>,
    /// Each with its event as stored.
    pub(super) reject: Vec<(Rejected, Vec<u8>)>,
    pub(super) log: Vec<LogEntry>,
    pub(super) stop: Option<String>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) unreject: Vec<EventId>,
    pub(super) replay: Option<Replay>,
    /// What its payloads weigh.
    pub(super) bytes: usize,
}

impl Outcome {
    /// All of a commit.
    pub(super) fn of(no: IntegrationNo, commit: LaneCommit) -> Result<Self, Cause> {
        let settled = settled::write(&commit.settled);
        let reject = commit.reject.into_iter().map(|r| Ok((event::write(&r.event)?, r)));
        let reject = reject.map(|r: Result<_, Cause>| r.map(|(stored, r)| (r, stored)));
        let mut outcome = Self {
            settled: Some(settled),
            add: commit.add,
            unpark: commit.unpark,
            park: last_of_each(commit.park)?,
            reject: reject.collect::<Result<_, _>>()?,
            log: commit.log,
            stop: commit.stop,
            attempts: commit.attempts,
            unreject: commit.unreject,
            replay: commit.replay,
            ..Self::moved(no, commit.epoch, commit.cursor)
        };
        outcome.bytes = outcome.weight();
        Ok(outcome)
    }

    /// A cursor and nothing else.
    pub(super) fn moved(no: IntegrationNo, epoch: u64, cursor: Seq) -> Self {
        let (bucket, epoch) = (i32::from(bucket_of(no)), spell::stored_big(epoch));
        Self { no: spell::stored_no(no), bucket, epoch, cursor, ..Self::default() }
    }

    fn weight(&self) -> usize {
        let settled = self.settled.as_ref().map_or(0, Vec::len);
        let parked: usize = self.park.iter().filter_map(|(_, event)| event.as_ref()).map(Vec::len).sum();
        let rejected: usize = self.reject.iter().map(|(_, event)| event.len()).sum();
        let failures = self.attempts.iter().filter_map(|a| a.failure.as_ref());
        settled + parked + rejected + failures.map(|f| kept(&f.answer).len()).sum::<usize>()
    }
}

/// The part of an answer that is kept.
pub(super) fn kept(answer: &[u8]) -> &[u8] {
    &answer[..answer.len().min(KEPT_ANSWER_BYTES)]
}

/// Of several rows for a position the last one counts, with the last event among them: one statement writes a place
/// once.
fn last_of_each(park: Vec<Parked>) -> Result<Vec<Waiting>, Cause> {
    let mut rows: BTreeMap<Seq, Waiting> = BTreeMap::new();
    for parked in park {
        let stored = parked.event.as_deref().map(event::write).transpose()?;
        let before = rows.remove(&parked.seq).and_then(|(_, stored)| stored);
        rows.insert(parked.seq, (parked, stored.or(before)));
    }
    Ok(rows.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::content;
    use std::sync::Arc;
    use tillstream_model::{CompanyNo, Event, EventId, Time};

    const AT: Time = Time::from_millis(1);

    fn parked(seq: Seq, attempts: u32, event: Option<Arc<Event>>) -> Parked {
        let (last_status, last_error) = (None, None);
        Parked { seq, key: None, accepted_at: AT, attempts, next_at: AT, last_status, last_error, held: false, event }
    }

    #[test]
    fn a_position_that_is_parked_twice_is_written_once_and_keeps_its_event() {
        let content = content("order.saved", "x");
        let event =
            Arc::new(Event { company: CompanyNo(1), seq: 5, id: EventId::new(AT, [0; 10]), accepted_at: AT, content });
        let park = vec![parked(5, 1, Some(event.clone())), parked(4, 1, None), parked(5, 2, None)];
        let outcome = Outcome::of(IntegrationNo(1), LaneCommit { park, ..LaneCommit::default() }).unwrap();
        let rows: Vec<_> = outcome.park.iter().map(|(p, stored)| (p.seq, p.attempts, stored.is_some())).collect();
        assert_eq!(rows, [(4, 1, false), (5, 2, true)]);
        assert_eq!(outcome.bytes, event::write(&event).unwrap().len());
    }

    #[test]
    fn a_moved_cursor_leaves_the_settled_ranges() {
        assert!(Outcome::moved(IntegrationNo(1), 0, 7).settled.is_none());
        assert!(Outcome::of(IntegrationNo(1), LaneCommit::default()).unwrap().settled.is_some());
    }
}
