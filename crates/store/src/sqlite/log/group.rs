//! The events of one commit: which are new, where they go, and what their callers are told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::Connection;
use tillstream_model::time::DAY_MS;
use tillstream_model::{CompanyNo, Event, EventId, Time};

use super::idempotency::{self, Ids, Used};
use super::row;
use super::segments::{SegmentId, pos, seq_of};
use crate::Appended;
use crate::engine::caller::{Caller, IdHash};
use crate::engine::queue::{Job, NewEvent};
use crate::engine::tail::{Summary, Tail};
use crate::log::IDEMPOTENCY_DAYS;
use crate::sqlite::pool::Cause;

/// A commit that is being put together. Nothing of it counts before the commit.
pub(super) struct Group {
    accepted_at: Time,
    heads: HashMap<CompanyNo, Summary>,
    /// Ids used in this group, with the event each stands for.
    used: HashMap<IdHash, (Used, EventId)>,
    events: Vec<Arc<Event>>,
    /// None for an append to a closed log.
    answers: Vec<Option<Vec<Appended>>>,
}

impl Group {
    /// All its events get one acceptance time.
    pub(super) fn new(accepted_at: Time, heads: HashMap<CompanyNo, Summary>) -> Self {
        Self { accepted_at, heads, used: HashMap::new(), events: Vec::new(), answers: Vec::new() }
    }

    /// Writes the new events of all appends, in order, but of those to closed logs: a purge that begins after this
    /// transaction finds what it wrote. Takes the events out of the jobs.
    pub(super) fn insert_all(
        &mut self,
        conn: &Connection,
        ids: &mut BTreeMap<SegmentId, Ids>,
        jobs: &mut [Job],
        tail: &Tail,
    ) -> Result<(), Cause> {
        for job in jobs {
            if tail.is_closed(job.company) {
                self.answers.push(None);
                continue;
            }
            let mut answers = Vec::with_capacity(job.events.len());
            for event in std::mem::take(&mut job.events) {
                let known = match event.caller {
                    Some(caller) => self.known(ids, &caller)?,
                    None => None,
                };
                answers.push(match known {
                    Some(answer) => answer,
                    None => self.insert(conn, job.company, event)?,
                });
            }
            self.answers.push(Some(answers));
        }
        Ok(())
    }

    /// Hands the ids of the committed events to their segment.
    pub(super) fn remember(&mut self, ids: &mut BTreeMap<SegmentId, Ids>, segment: SegmentId) {
        if let Some(ids) = ids.get_mut(&segment) {
            ids.committed(self.used.drain().map(|(hash, (used, _))| (hash, used)));
        }
    }

    /// The new events and the answers, one for each append: None when its log is closed.
    pub(super) fn finish(self) -> (Vec<Arc<Event>>, Vec<Option<Vec<Appended>>>) {
        (self.events, self.answers)
    }

    fn insert(&mut self, conn: &Connection, company: CompanyNo, new: NewEvent) -> Result<Appended, Cause> {
        let head = &mut self.heads.get_mut(&company).ok_or("a company without a head")?.head;
        let (seq, id) = (*head + 1, EventId::new(self.accepted_at, new.random));
        let event = Event { company, seq, id, accepted_at: self.accepted_at, content: new.content };
        row::insert(conn, &event)?;
        if let Some(caller) = new.caller {
            let used = Used { pos: pos(company, seq), fingerprint: caller.fingerprint };
            idempotency::insert(conn, &caller, used.pos)?;
            self.used.insert(caller.hash, (used, id));
        }
        *head = seq;
        self.events.push(Arc::new(event));
        Ok(Appended::New { seq, id })
    }

    /// What to answer when the id was used before: in this group, or in a segment less than seven days ago.
    fn known(&self, ids: &mut BTreeMap<SegmentId, Ids>, caller: &Caller) -> Result<Option<Appended>, Cause> {
        if let Some((used, id)) = self.used.get(&caller.hash) {
            return Ok(Some(repeat(caller, used, *id)));
        }
        for ids in ids.values_mut().rev() {
            let Some(used) = ids.find(&caller.hash)? else { continue };
            if let Some((id, _)) = ids.event(used.pos)?.filter(|(_, at)| self.remembers(*at)) {
                return Ok(Some(repeat(caller, &used, id)));
            }
        }
        Ok(None)
    }

    fn remembers(&self, at: Time) -> bool {
        self.accepted_at.millis() - at.millis() < IDEMPOTENCY_DAYS * DAY_MS
    }
}

fn repeat(caller: &Caller, used: &Used, id: EventId) -> Appended {
    if caller.fingerprint == used.fingerprint {
        Appended::Duplicate { seq: seq_of(used.pos), id }
    } else {
        Appended::Conflict
    }
}
