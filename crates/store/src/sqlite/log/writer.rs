//! The one thread that writes events: everything waiting becomes one commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;
use tillstream_model::Time;
use tillstream_model::time::DAY_MS;

use super::group::Group;
use super::idempotency::Ids;
use super::read::Reader;
use super::segments::{Catalog, SCHEMA, SegmentId};
use super::upkeep::Upkeep;
use crate::engine::queue::{self, Job, Waiting};
use crate::engine::tail::{Summary, Tail};
use crate::log::IDEMPOTENCY_DAYS;
use crate::sqlite::conn::open_writer;
use crate::sqlite::fault::{self, Failure, FaultPoint, Faults, OnFatal};
use crate::sqlite::pool::{Cause, Pool};
use crate::sqlite::wal::Wal;
use crate::{AppendError, Bell, Clock, Retention};

/// What the writer shares with the rest of the engine.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) catalog: Arc<Catalog>,
    pub(super) tail: Arc<Tail>,
    pub(super) bell: Arc<Bell>,
    pub(super) upkeep: Arc<Pool<Upkeep>>,
    pub(super) faults: Option<Arc<dyn Faults>>,
    pub(super) on_fatal: OnFatal,
}

/// A segment that is written to.
struct Active {
    id: SegmentId,
    conn: Connection,
    wal: Arc<Wal>,
}

/// The writer's own state.
pub(super) struct Writer {
    shared: Shared,
    reader: Reader,
    active: HashMap<Retention, Active>,
    /// Ids of the segments that are young enough to know a repeat.
    ids: BTreeMap<SegmentId, Ids>,
    last_at: Time,
}

impl Writer {
    /// Nothing is opened before it is needed.
    pub(super) fn new(shared: Shared, reader: Reader) -> Self {
        Self { shared, reader, active: HashMap::new(), ids: BTreeMap::new(), last_at: Time::default() }
    }

    /// Works until the queue is closed. Gives back what must not be answered after a fatal error.
    pub(super) fn run(mut self, mut waiting: Waiting) -> Vec<Job> {
        while let Some(group) = waiting.group() {
            let bytes = group.iter().map(|j| j.bytes).sum();
            let started = Instant::now();
            if let Err(unanswered) = self.write_group(group) {
                return unanswered;
            }
            waiting.done(bytes, started.elapsed());
        }
        Vec::new()
    }

    /// One commit for each retention class, one after the other: a seq is given after its predecessor's commit.
    fn write_group(&mut self, group: Vec<Job>) -> Result<(), Vec<Job>> {
        let mut classes: BTreeMap<Retention, Vec<Job>> = BTreeMap::new();
        for job in group {
            classes.entry(job.retention).or_default().push(job);
        }
        while let Some((class, jobs)) = classes.pop_first() {
            if let Err(mut unanswered) = self.write_class(class, jobs) {
                unanswered.extend(classes.into_values().flatten());
                return Err(unanswered);
            }
        }
        Ok(())
    }

    fn write_class(&mut self, class: Retention, mut jobs: Vec<Job>) -> Result<(), Vec<Job>> {
        match self.try_write(class, &mut jobs) {
            Ok(group) => {
                self.tell(group, jobs);
                self.after_commit(class);
                Ok(())
            }
            Err(Failure::Full) => {
                refuse(jobs, || AppendError::DiskFull);
                Ok(())
            }
            Err(Failure::Refused(reason)) => {
                tracing::error!(reason, "events were not appended");
                refuse(jobs, || AppendError::Unavailable(reason.clone()));
                Ok(())
            }
            Err(Failure::Fatal(reason)) => {
                (self.shared.on_fatal)(&reason);
                Err(jobs)
            }
        }
    }

    fn try_write(&mut self, class: Retention, jobs: &mut [Job]) -> Result<Group, Failure> {
        let heads = self.heads(jobs).map_err(|e| sorted("look up heads", e))?;
        let now = heads.values().map(|s| s.head_at).fold((self.shared.clock)(), Time::max).max(self.last_at);
        let id = SegmentId { day: now.day(), class };
        self.open_segment(id).map_err(|e| sorted("open a segment", e))?;
        if jobs.iter().flat_map(|j| &j.events).any(|e| e.caller.is_some()) {
            self.open_ids(now).map_err(|e| sorted("look up idempotency ids", e))?;
        }
        let Some(active) = self.active.get(&class) else { return Err(Failure::Refused("no segment".into())) };
        let mut group = Group::new(now, heads);
        let (_still, _turn) = (active.wal.enter(), self.shared.catalog.turn());
        active.conn.execute_batch("BEGIN IMMEDIATE").map_err(|e| Failure::of("begin", &e))?;
        let done = group
            .insert_all(&active.conn, &mut self.ids, jobs, &self.shared.tail)
            .map_err(|e| sorted("append events", e))
            .and_then(|()| fault::check(self.shared.faults.as_ref(), FaultPoint::LogCommit))
            .and_then(|()| active.conn.execute_batch("COMMIT").map_err(|e| Failure::of_commit("commit events", &e)));
        if let Err(failure) = done {
            // A full disk may have rolled back already.
            let _ = active.conn.execute_batch("ROLLBACK");
            return Err(failure);
        }
        self.last_at = now;
        fault::check(self.shared.faults.as_ref(), FaultPoint::LogCommitted)
            .map_err(|_| Failure::Fatal("the process was to end after a commit".into()))?;
        group.remember(&mut self.ids, id);
        Ok(group)
    }

    /// The tail first, so that who is answered finds the events; the bell last.
    fn tell(&self, group: Group, jobs: Vec<Job>) {
        let companies: Vec<_> = jobs.iter().map(|j| j.company).collect();
        let (events, answers) = group.finish();
        self.shared.tail.publish(events);
        let answered = |answer: Option<_>| answer.ok_or(AppendError::Gone);
        queue::tell(jobs.into_iter().zip(answers).map(|(job, answer)| (job.reply, answered(answer))).collect());
        for company in companies {
            self.shared.bell.ring(company);
        }
    }

    fn after_commit(&mut self, class: Retention) {
        let Some(active) = self.active.get_mut(&class) else { return };
        if let Some(ids) = self.ids.get_mut(&active.id) {
            let (_still, _turn) = (active.wal.enter(), self.shared.catalog.turn());
            if let Err(e) = ids.tidy(&mut active.conn, |company| self.shared.tail.is_closed(company)) {
                tracing::warn!(cause = %e, "idempotency ids stay in memory for now");
            }
        }
        active.wal.committed(&self.shared.upkeep);
    }

    /// The heads of the companies that append, from memory or, the first time, from disk.
    fn heads(&mut self, jobs: &[Job]) -> Result<HashMap<tillstream_model::CompanyNo, Summary>, Cause> {
        let mut heads = HashMap::new();
        for job in jobs {
            if heads.contains_key(&job.company) {
                continue;
            }
            let summary = match self.shared.tail.summary(job.company) {
                Some(summary) => summary,
                None => self.shared.tail.learn(job.company, || self.reader.summary(job.company))?,
            };
            heads.insert(job.company, summary);
        }
        Ok(heads)
    }

    /// Makes sure that the class's segment of this day is the one that is written to.
    fn open_segment(&mut self, id: SegmentId) -> Result<(), Cause> {
        if self.active.get(&id.class).is_some_and(|a| a.id == id) {
            return Ok(());
        }
        let path = self.shared.catalog.path(id);
        let mut conn = open_writer(&path, &SCHEMA)?;
        if self.shared.catalog.get(id) != Some(false) {
            self.reopen(id)?;
        }
        let wal = Wal::of(&mut conn, &path, self.shared.on_fatal.clone())?;
        if let Some(old) = self.active.insert(id.class, Active { id, conn, wal }) {
            self.close(old);
        }
        Ok(())
    }

    /// Readers must ask the segment itself from now on. Rare, so the writer waits for it.
    fn reopen(&self, id: SegmentId) -> Result<(), Cause> {
        let (done, wait) = std::sync::mpsc::sync_channel(1);
        let posted = self.shared.upkeep.post(move |upkeep| drop(done.send(upkeep.unlist(id))));
        if !posted {
            return Err("too much upkeep is waiting".into());
        }
        wait.recv()?
    }

    fn close(&self, old: Active) {
        let posted = self.shared.upkeep.post(move |upkeep| {
            old.wal.checkpoint();
            upkeep.list(old.id);
            drop(old.conn);
        });
        if !posted {
            tracing::warn!("a closed segment is listed at the next start");
        }
    }

    /// Loads the ids of the segments in which a repeat may be found, and lets go of the others.
    fn open_ids(&mut self, now: Time) -> Result<(), Cause> {
        let oldest = Time::from_millis(now.millis() - IDEMPOTENCY_DAYS * DAY_MS).day();
        let catalog = &self.shared.catalog;
        self.ids.retain(|id, _| id.day >= oldest && catalog.get(*id).is_some());
        for id in catalog.all().into_iter().filter(|id| id.day >= oldest) {
            if let std::collections::btree_map::Entry::Vacant(place) = self.ids.entry(id) {
                place.insert(Ids::load(catalog.path(id))?);
            }
        }
        Ok(())
    }
}

fn refuse(jobs: Vec<Job>, error: impl Fn() -> AppendError) {
    queue::tell(jobs.into_iter().map(|job| (job.reply, Err(error()))).collect());
}

fn sorted(tried: &str, cause: Cause) -> Failure {
    match cause.downcast_ref::<rusqlite::Error>() {
        Some(e) => Failure::of(tried, e),
        None => match cause.downcast_ref::<std::io::Error>() {
            Some(e) if e.kind() == std::io::ErrorKind::StorageFull => Failure::Full,
            _ => Failure::Refused(format!("{tried}: {cause}")),
        },
    }
}
