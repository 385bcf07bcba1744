//! The log in segment files.

pub(super) mod backup;
mod directory;
mod erase;
pub(super) mod export;
mod filter;
mod group;
mod idempotency;
mod purge;
mod read;
mod row;
mod search;
pub(super) mod segments;
mod upkeep;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use tillstream_model::{CompanyNo, Event, EventId, Seq, Time};

use self::read::Reader;
use self::segments::{Catalog, SegmentId};
use self::upkeep::Upkeep;
use self::writer::{Shared, Writer};
use super::Options;
use super::conn::make_folder;
use super::disk::Disk;
use super::pool::{Cause, Pool};
use crate::engine::closed::Closed;
use crate::engine::queue::{self, Job, Queue};
use crate::engine::tail::{Summary, Tail};
use crate::{Append, AppendError, Appended, Bell, Clock, DueSegment, Log, Purged, ReadLimit, Result, Room, StoreError};

/// Threads that read from disk.
const READERS: usize = 2;

/// The embedded log.
pub(super) struct SqliteLog {
    // Dropped in this order: the writer first, the lock of the folder last.
    queue: Option<Queue>,
    writer: Option<JoinHandle<()>>,
    /// What a fatal error left without an answer.
    _unanswered: Arc<Mutex<Vec<Job>>>,
    readers: Pool<Reader>,
    upkeep: Arc<Pool<Upkeep>>,
    catalog: Arc<Catalog>,
    tail: Arc<Tail>,
    bell: Arc<Bell>,
    disk: Disk,
    clock: Clock,
    _lock: Arc<File>,
}

impl SqliteLog {
    /// Opens the log in `folder/log`.
    pub(super) fn open(folder: &Path, options: &Options, lock: Arc<File>) -> Result<Self, Cause> {
        let folder = folder.join("log");
        make_folder(&folder)?;
        let directory = directory::open(&folder)?;
        let catalog = Arc::new(Catalog::open(&folder, &directory::segments(&directory)?)?);
        let (tail, bell) = (Arc::new(Tail::new(options.tail_bytes)), Arc::new(Bell::default()));
        directory::closed(&directory)?.into_iter().for_each(|company| tail.close(company));
        let upkeep = Upkeep::new(catalog.clone(), tail.clone(), directory);
        let upkeep = Arc::new(Pool::start("log-upkeep", vec![upkeep])?);
        list_closed(&catalog, &upkeep, (options.clock)());
        let shared = Shared {
            clock: options.clock.clone(),
            catalog: catalog.clone(),
            tail: tail.clone(),
            bell: bell.clone(),
            upkeep: upkeep.clone(),
            faults: options.faults.clone(),
            on_fatal: options.on_fatal.clone(),
        };
        let readers = (0..READERS).map(|_| Reader::open(catalog.clone())).collect::<Result<_, _>>()?;
        let unanswered = Arc::new(Mutex::new(Vec::new()));
        let (queue, waiting) = queue::queue(options.queue_bytes);
        let writer = Writer::new(shared, Reader::open(catalog.clone())?);
        let left = unanswered.clone();
        let thread = std::thread::Builder::new().name("log-writer".into()).spawn(move || {
            *left.lock().unwrap_or_else(PoisonError::into_inner) = writer.run(waiting);
        })?;
        Ok(Self {
            queue: Some(queue),
            writer: Some(thread),
            _unanswered: unanswered,
            readers: Pool::start("log-reader", readers)?,
            upkeep,
            catalog,
            tail,
            bell,
            disk: Disk::new(&folder, options.min_free_bytes),
            clock: options.clock.clone(),
            _lock: lock,
        })
    }

    /// All segments, oldest first, each with its file.
    pub(super) fn segments(&self) -> Vec<(SegmentId, PathBuf)> {
        self.catalog.all().into_iter().map(|id| (id, self.catalog.path(id))).collect()
    }

    /// Which segments there are.
    pub(super) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.clone()
    }

    /// Which companies' logs are closed.
    pub(super) fn closed(&self) -> Arc<Closed> {
        self.tail.closed()
    }

    /// What is known of a company's log.
    pub(super) async fn summary(&self, company: CompanyNo) -> Result<Summary> {
        if let Some(summary) = self.tail.summary(company) {
            return Ok(summary);
        }
        let tried = || format!("look up the log of company {}", company.0);
        let tail = self.tail.clone();
        self.readers.run(tried, move |r| tail.learn(company, || r.summary(company))).await
    }

    fn queue(&self) -> Result<&Queue, AppendError> {
        if self.disk.is_full() {
            return Err(AppendError::DiskFull);
        }
        self.queue.as_ref().ok_or_else(|| AppendError::Unavailable("the log is closed".into()))
    }
}

/// Lists what was closed when the last process ended before it could.
fn list_closed(catalog: &Catalog, upkeep: &Pool<Upkeep>, now: Time) {
    for id in catalog.unlisted().into_iter().filter(|id| id.day < now.day()) {
        upkeep.post(move |upkeep| upkeep.list(id));
    }
}

impl Drop for SqliteLog {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Log for SqliteLog {
    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        let queue = self.queue()?;
        if append.events.is_empty() {
            return Ok(Vec::new());
        }
        let answer = queue.push(append)?;
        match answer.await {
            Ok(reply) => reply.own,
            Err(_) => Err(AppendError::Unavailable("the writer has stopped".into())),
        }
    }

    async fn read(&self, company: CompanyNo, after: Seq, limit: ReadLimit) -> Result<Vec<Arc<Event>>> {
        let head = self.summary(company).await?.head;
        if let Some(events) = self.tail.read(company, after, limit) {
            return Ok(events);
        }
        let tried = || format!("read events of company {} after {after}", company.0);
        self.readers.run(tried, move |r| r.read(company, after, head, limit)).await
    }

    async fn get(&self, company: CompanyNo, seqs: &[Seq]) -> Result<Vec<Arc<Event>>> {
        if self.tail.is_closed(company) {
            return Ok(Vec::new());
        }
        let mut seqs = seqs.to_vec();
        seqs.sort_unstable();
        seqs.dedup();
        let in_memory: Option<Vec<_>> = seqs.iter().map(|seq| self.tail.get(company, *seq)).collect();
        if let Some(events) = in_memory {
            return Ok(events);
        }
        let tried = || format!("read single events of company {}", company.0);
        self.readers.run(tried, move |r| r.get(company, &seqs)).await
    }

    async fn find(&self, company: CompanyNo, id: EventId) -> Result<Option<Arc<Event>>> {
        if self.tail.is_closed(company) {
            return Ok(None);
        }
        self.readers.run(|| format!("find event {id} of company {}", company.0), move |r| r.find(company, id)).await
    }

    async fn head(&self, company: CompanyNo) -> Result<Seq> {
        Ok(self.summary(company).await?.head)
    }

    async fn floor(&self, company: CompanyNo) -> Result<Seq> {
        Ok(self.summary(company).await?.floor)
    }

    async fn before(&self, company: CompanyNo, time: Time) -> Result<Seq> {
        if self.tail.is_closed(company) {
            return Ok(0);
        }
        let tried = || format!("find the position of company {} at {time}", company.0);
        let found = self.readers.run(tried, move |r| r.before(company, time)).await?;
        Ok(found.unwrap_or_default().max(self.floor(company).await?))
    }

    async fn erase(&self, company: CompanyNo, seq: Seq, id: EventId) -> Result<bool> {
        if self.tail.is_closed(company) {
            return Ok(false);
        }
        let tried = || format!("erase event {id} of company {}", company.0);
        self.upkeep.run(tried, move |u| u.erase(company, seq, id)).await
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

    fn room(&self) -> Option<Room> {
        self.disk.room()
    }

    async fn due(&self, now: Time) -> Result<Vec<DueSegment>> {
        self.upkeep.run(|| "list due segments".into(), move |u| u.due(now)).await
    }

    async fn drop_segment(&self, name: &str) -> Result<(), StoreError> {
        let (owned, now) = (name.to_owned(), (self.clock)());
        self.upkeep.run(|| format!("drop segment {name}"), move |u| u.drop_segment(&owned, now)).await
    }

    async fn close(&self, company: CompanyNo) -> Result<()> {
        self.upkeep.run(|| format!("close the log of company {}", company.0), move |u| u.close(company)).await
    }

    async fn purge(&self, company: CompanyNo) -> Result<Purged> {
        self.upkeep.run(|| format!("remove the log of company {}", company.0), move |u| u.purge(company)).await
    }
}
