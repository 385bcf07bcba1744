//! What a group of appends will write: which events are new, where they go, and what their callers are told.

use std::collections::{BTreeMap, HashMap};

use tillstream_model::{CompanyNo, EventId, Seq, Time};

use super::heads::Head;
use super::known::Used;
use crate::Appended;
use crate::engine::caller::IdHash;
use crate::engine::queue::{Job, NewEvent};
use crate::engine::segment::SegmentId;

/// What the appends of a group are told, one for each: None when its log is closed.
pub(super) type Answers = Vec<Option<Vec<Appended>>>;

/// A new event with its position.
pub(super) struct Row<'a> {
    pub(super) company: CompanyNo,
    pub(super) seq: Seq,
    pub(super) at: Time,
    pub(super) segment: SegmentId,
    pub(super) new: &'a NewEvent,
}

/// A stretch of a company's log that begins in another segment than the one before.
pub(super) struct Stretch {
    pub(super) company: CompanyNo,
    pub(super) first: Seq,
    pub(super) segment: SegmentId,
}

/// All that one transaction writes.
pub(super) struct Plan<'a> {
    pub(super) rows: Vec<Row<'a>>,
    pub(super) stretches: Vec<Stretch>,
    /// The heads that move.
    pub(super) heads: BTreeMap<CompanyNo, Head>,
    /// What each append is told: None when its log is closed.
    pub(super) answers: Answers,
}

impl<'a> Plan<'a> {
    /// Places the events behind the locked heads. `known`: ids that were used before.
    pub(super) fn new(
        jobs: &'a [Job],
        heads: &BTreeMap<CompanyNo, Head>,
        known: HashMap<IdHash, Used>,
        now: Time,
    ) -> Self {
        let mut plan = Planner { heads, known, now, plan: Plan::empty() };
        for job in jobs {
            if heads.get(&job.company).is_some_and(|head| head.closed) {
                plan.plan.answers.push(None);
                continue;
            }
            let answers = job.events.iter().map(|new| plan.place(job, new)).collect();
            plan.plan.answers.push(Some(answers));
        }
        plan.plan
    }

    fn empty() -> Self {
        Self { rows: Vec::new(), stretches: Vec::new(), heads: BTreeMap::new(), answers: Vec::new() }
    }

    /// The rows of each segment.
    pub(super) fn by_segment(&self) -> BTreeMap<SegmentId, Vec<&Row<'a>>> {
        let mut segments: BTreeMap<SegmentId, Vec<&Row<'a>>> = BTreeMap::new();
        for row in &self.rows {
            segments.entry(row.segment).or_default().push(row);
        }
        segments
    }

    /// The rows with an idempotency id of each day.
    pub(super) fn ids_by_day(&self) -> BTreeMap<i64, Vec<&Row<'a>>> {
        let mut ids: BTreeMap<i64, Vec<&Row<'a>>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.new.caller.is_some()) {
            ids.entry(row.at.day()).or_default().push(row);
        }
        ids
    }
}

struct Planner<'a, 'h> {
    heads: &'h BTreeMap<CompanyNo, Head>,
    known: HashMap<IdHash, Used>,
    now: Time,
    plan: Plan<'a>,
}

impl<'a> Planner<'a, '_> {
    fn place(&mut self, job: &'a Job, new: &'a NewEvent) -> Appended {
        if let Some(caller) = &new.caller
            && let Some(used) = self.known.get(&caller.hash)
        {
            return match used.fingerprint == caller.fingerprint {
                true => Appended::Duplicate { seq: used.seq, id: used.id },
                false => Appended::Conflict,
            };
        }
        let before = self.heads.get(&job.company).copied().unwrap_or_default();
        let head = self.plan.heads.entry(job.company).or_insert(before);
        let (seq, at) = (head.seq + 1, self.now.max(head.at));
        let segment = SegmentId { day: at.day(), class: job.retention };
        if head.segment != Some(segment) {
            self.plan.stretches.push(Stretch { company: job.company, first: seq, segment });
        }
        *head = Head { seq, at, segment: Some(segment), closed: false };
        let id = EventId::new(at, new.random);
        if let Some(caller) = &new.caller {
            self.known.insert(caller.hash, Used { fingerprint: caller.fingerprint, seq, id });
        }
        self.plan.rows.push(Row { company: job.company, seq, at, segment, new });
        Appended::New { seq, id }
    }
}
