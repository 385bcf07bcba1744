//! The log in tables, a table for each segment.

mod erase;
mod follow;
pub(super) mod heads;
pub(super) mod known;
mod plan;
mod purge;
mod read;
pub(super) mod segments;
mod write;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use tillstream_model::{CompanyNo, Event, EventId, Seq, Time};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use self::follow::Follower;
use self::read::Reader;
use self::segments::Segments;
use self::write::Writer;
use super::Options;
use super::pace::Pace;
use super::session::{Sessions, Target};
use crate::engine::queue::{self, Queue};
use crate::engine::tail::Tail;
use crate::engine::{Cause, failed};
use crate::{Append, AppendError, Appended, Bell, Clock, DueSegment, Log, Purged, ReadLimit, Result, StoreError};

/// Why nothing can be appended now; None when it can.
type Down = Arc<Mutex<Option<String>>>;

/// The log on a server.
pub(super) struct PgLog {
    // Dropped in this order: the writer ends when the queue is closed.
    queue: Option<Queue>,
    writer: Option<JoinHandle<()>>,
    down: Down,
    sessions: Sessions,
    reader: Reader,
    segments: Arc<Segments>,
    tail: Arc<Tail>,
    bell: Arc<Bell>,
    grown: Arc<Bell>,
    pace: Pace,
    clock: Clock,
    _tasks: JoinSet<()>,
}

impl PgLog {
    /// Starts the writer and what follows other nodes' commits.
    pub(super) fn open(target: Target, sessions: Sessions, options: &Options) -> Result<Self, Cause> {
        let (tail, bell) = (Arc::new(Tail::new(options.tail_bytes)), Arc::new(Bell::default()));
        let (down, segments) = (Down::default(), Arc::new(Segments::new(sessions.clone())));
        let reader = Reader::new(sessions.clone(), tail.clone());
        let grown = Arc::new(Bell::default());
        let follower = Follower::new(target.clone(), sessions.clone(), reader.clone(), tail.clone(), bell.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(follow::tell_others(sessions.clone(), follower.node(), grown.clone()));
        tasks.spawn(follower.run());
        let (queue, waiting) = queue::queue(options.queue_bytes);
        let writer = Writer {
            runtime: Handle::current(),
            sessions: Sessions::new(target, 1)?,
            segments: segments.clone(),
            clock: options.clock.clone(),
            tail: tail.clone(),
            bell: bell.clone(),
            grown: grown.clone(),
            down: down.clone(),
        };
        let thread = std::thread::Builder::new().name("log-writer".into()).spawn(move || writer.run(waiting))?;
        Ok(Self {
            queue: Some(queue),
            writer: Some(thread),
            down,
            sessions,
            reader,
            segments,
            tail,
            bell,
            grown,
            pace: Pace::new(),
            clock: options.clock.clone(),
            _tasks: tasks,
        })
    }

    fn queue(&self) -> Result<&Queue, AppendError> {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (down, &self.queue) {
            (Some(reason), _) => Err(AppendError::Unavailable(reason)),
            (None, Some(queue)) => Ok(queue),
            (None, None) => Err(AppendError::Unavailable("the log is closed".into())),
        }
    }
}

impl Drop for PgLog {
    fn drop(&mut self) {
        self.queue = None;
        // The thread ends by itself after the commit that is under way. Waiting for it here could wait for the runtime
        // that this thread is part of.
        drop(self.writer.take());
    }
}

fn tried<T>(what: impl FnOnce() -> String, result: Result<T, Cause>) -> Result<T> {
    result.map_err(|cause| failed(what(), &cause))
}

#[async_trait]
impl Log for PgLog {
    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        let queue = self.queue()?;
        if append.events.is_empty() {
            return Ok(Vec::new());
        }
        match queue.push(append)?.await {
            Ok(reply) => reply.own,
            Err(_) => Err(AppendError::Unavailable("the writer has stopped".into())),
        }
    }

    async fn read(&self, company: CompanyNo, after: Seq, limit: ReadLimit) -> Result<Vec<Arc<Event>>> {
        if let Some(events) = self.tail.read(company, after, limit).filter(|events| !events.is_empty()) {
            return Ok(events);
        }
        let events = self.reader.read(company, after, limit).await;
        tried(|| format!("read events of company {} after {after}", company.0), events)
    }

    async fn get(&self, company: CompanyNo, seqs: &[Seq]) -> Result<Vec<Arc<Event>>> {
        let mut seqs = seqs.to_vec();
        seqs.sort_unstable();
        seqs.dedup();
        let in_memory: Option<Vec<_>> = seqs.iter().map(|seq| self.tail.get(company, *seq)).collect();
        match in_memory {
            Some(events) => Ok(events),
            None => {
                tried(|| format!("read single events of company {}", company.0), self.reader.get(company, &seqs).await)
            }
        }
    }

    async fn find(&self, company: CompanyNo, id: EventId) -> Result<Option<Arc<Event>>> {
        tried(|| format!("find event {id} of company {}", company.0), self.reader.find(company, id).await)
    }

    async fn head(&self, company: CompanyNo) -> Result<Seq> {
        let ends = self.reader.ends(company).await;
        tried(|| format!("look up the log of company {}", company.0), ends).map(|ends| ends.head)
    }

    async fn floor(&self, company: CompanyNo) -> Result<Seq> {
        let ends = self.reader.ends(company).await;
        tried(|| format!("look up the log of company {}", company.0), ends).map(|ends| ends.floor)
    }

    async fn before(&self, company: CompanyNo, time: Time) -> Result<Seq> {
        tried(
            || format!("find the position of company {} at {time}", company.0),
            self.reader.before(company, time).await,
        )
    }

    async fn erase(&self, company: CompanyNo, seq: Seq, id: EventId) -> Result<bool> {
        let erased = erase::erase(&self.sessions, company, seq, id).await;
        let erased = tried(|| format!("erase event {id} of company {}", company.0), erased)?;
        if erased {
            self.tail.erase(company, seq);
        }
        Ok(erased)
    }

    fn is_erased(&self, company: CompanyNo, seq: Seq) -> bool {
        self.tail.is_erased(company, seq)
    }

    fn bell(&self) -> Arc<Bell> {
        self.bell.clone()
    }

    fn ready(&self) -> Result<(), AppendError> {
        self.queue()?.ready()
    }

    async fn due(&self, now: Time) -> Result<Vec<DueSegment>> {
        // Another node may be the one that drops.
        self.tail.forget_old(now);
        tried(|| "list due segments".into(), self.segments.due(now).await)
    }

    async fn drop_segment(&self, name: &str) -> Result<(), StoreError> {
        tried(|| format!("drop segment {name}"), self.segments.drop_segment(name, (self.clock)()).await)
    }

    async fn close(&self, company: CompanyNo) -> Result<()> {
        tried(|| format!("close the log of company {}", company.0), purge::close(&self.sessions, company).await)?;
        self.tail.close(company);
        self.grown.ring(company);
        Ok(())
    }

    async fn purge(&self, company: CompanyNo) -> Result<Purged> {
        let purged = purge::slice(&self.sessions, company, &self.pace).await;
        tried(|| format!("remove the log of company {}", company.0), purged)
    }
}
