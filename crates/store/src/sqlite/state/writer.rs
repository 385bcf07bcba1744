//! The one thread that writes the state: calls that wait at the same time share a commit.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tillstream_model::{IntegrationNo, Time};
use tokio::sync::{mpsc, oneshot};

use super::SCHEMA;
use super::attempts::AttemptWriter;
use crate::engine::failed;
use crate::sqlite::Options;
use crate::sqlite::conn::{open_writer, overwrite_deleted};
use crate::sqlite::fault::{self, Failure, FaultPoint};
use crate::sqlite::pool::{Cause, Pool};
use crate::sqlite::wal::Wal;
use crate::state::Attempt;
use crate::{Sealer, StoreError};

/// Most calls that wait to be written; who calls while they do waits itself.
const QUEUED_CALLS: usize = 256;
/// Most calls of one commit.
const GROUP_CALLS: usize = 256;

/// Why a call changed nothing.
pub(super) enum Stop<E> {
    /// For a reason of its own, which the caller is told.
    Refused(E),
    /// The engine failed.
    Broken(Cause),
}

impl<E, C: Into<Cause>> From<C> for Stop<E> {
    fn from(cause: C) -> Self {
        Stop::Broken(cause.into())
    }
}

/// What a call works with, inside the group's transaction.
pub(super) struct Work<'a> {
    /// The state.
    pub(super) conn: &'a Connection,
    /// Seals secrets.
    pub(super) sealer: &'a Sealer,
    /// When the group began.
    pub(super) now: Time,
    /// Attempts to be written with the group.
    pub(super) attempts: &'a mut Vec<(IntegrationNo, Attempt)>,
    /// The files they are written to.
    pub(super) attempt_files: &'a mut AttemptWriter,
}

/// How a call ended.
enum Ended {
    Done,
    Refused,
    /// The transaction of the whole group is of no use any more.
    Failed(Failure),
}

trait Job: Send {
    fn run(&mut self, work: &mut Work<'_>) -> Ended;
    fn answer(self: Box<Self>, failed: Option<&str>);
}

struct Call<T, E, F> {
    tried: &'static str,
    call: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for Call<T, E, F>
where
    T: Send,
    E: From<StoreError> + Send,
    F: FnOnce(&mut Work<'_>) -> Result<T, Stop<E>> + Send,
{
    fn run(&mut self, work: &mut Work<'_>) -> Ended {
        let Some(call) = self.call.take() else { return Ended::Refused };
        let (result, ended) = match call(work) {
            Ok(value) => (Ok(value), Ended::Done),
            Err(Stop::Refused(e)) => (Err(e), Ended::Refused),
            Err(Stop::Broken(cause)) => {
                let failure = cause.downcast_ref().map(|e| Failure::of(self.tried, e));
                let ended = match failure {
                    Some(failure @ (Failure::Full | Failure::Fatal(_))) => Ended::Failed(failure),
                    _ => Ended::Refused,
                };
                (Err(failed(self.tried, &cause).into()), ended)
            }
        };
        self.result = Some(result);
        ended
    }

    fn answer(self: Box<Self>, failed: Option<&str>) {
        let result = match (failed, self.result) {
            (Some(cause), _) => Err(store_error(self.tried, cause).into()),
            (None, Some(result)) => result,
            (None, None) => Err(store_error(self.tried, "it was not run").into()),
        };
        // Nobody waits any more when the caller was cancelled.
        let _ = self.reply.send(result);
    }
}

fn store_error(tried: &str, cause: &str) -> StoreError {
    StoreError::new(tried, cause)
}

/// The way to the writer. Dropping it ends the writer after what waits.
pub(super) struct Writer {
    calls: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    /// What a fatal error left without an answer.
    _unanswered: Arc<Mutex<Vec<Box<dyn Job>>>>,
}

impl Writer {
    /// Opens the state to write and starts the thread.
    pub(super) fn start(
        file: &Path,
        options: &Options,
        sealer: Arc<Sealer>,
        attempts: AttemptWriter,
    ) -> Result<Self, Cause> {
        let checkpoints = Pool::start("state-checkpoint", vec![()])?;
        let mut conn = open_writer(file, &SCHEMA)?;
        overwrite_deleted(&conn)?;
        let wal = Wal::of(&mut conn, file, options.on_fatal.clone())?;
        let thread = Thread { conn, wal, checkpoints, sealer, attempts, options: options.clone() };
        let (calls, waiting) = mpsc::channel(QUEUED_CALLS);
        let unanswered = Arc::new(Mutex::new(Vec::new()));
        let left = unanswered.clone();
        let handle = std::thread::Builder::new().name("state-writer".into()).spawn(move || {
            *left.lock().unwrap_or_else(PoisonError::into_inner) = thread.run(waiting);
        })?;
        Ok(Self { calls: Some(calls), thread: Some(handle), _unanswered: unanswered })
    }

    /// Runs a call in the next group; gives its result after the commit.
    pub(super) async fn call<T, E, F>(&self, tried: &'static str, call: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Work<'_>) -> Result<T, Stop<E>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Call { tried, call: Some(call), result: None, reply });
        let sent = match &self.calls {
            Some(calls) => calls.send(job).await.is_ok(),
            None => false,
        };
        let gone = || Err(store_error(tried, "the engine is shutting down").into());
        if sent { answer.await.unwrap_or_else(|_| gone()) } else { gone() }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Thread {
    conn: Connection,
    wal: Arc<Wal>,
    checkpoints: Pool<()>,
    sealer: Arc<Sealer>,
    attempts: AttemptWriter,
    options: Options,
}

impl Thread {
    /// Works until nobody can call any more. Gives back what must not be answered after a fatal error.
    fn run(mut self, mut waiting: mpsc::Receiver<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        while let Some(first) = waiting.blocking_recv() {
            let mut group = vec![first];
            while group.len() < GROUP_CALLS {
                let Ok(job) = waiting.try_recv() else { break };
                group.push(job);
            }
            let failed = match self.write(&mut group) {
                Ok(()) => None,
                Err(Failure::Full) => Some("the disk is full".to_owned()),
                Err(Failure::Refused(reason)) => Some(reason),
                Err(Failure::Fatal(reason)) => {
                    (self.options.on_fatal)(&reason);
                    return group;
                }
            };
            for job in group {
                job.answer(failed.as_deref());
            }
            self.wal.committed(&self.checkpoints);
            self.attempts.committed(&self.checkpoints);
        }
        Vec::new()
    }

    fn write(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), Failure> {
        let wal = self.wal.clone();
        let _still = wal.enter();
        let mut attempts = Vec::new();
        let done = self
            .statement("BEGIN IMMEDIATE")
            .and_then(|()| group.iter_mut().try_for_each(|job| self.run_one(job.as_mut(), &mut attempts)))
            .and_then(|()| self.attempts.write(&attempts))
            .and_then(|()| fault::check(self.options.faults.as_ref(), FaultPoint::StateCommit))
            .and_then(|()| self.conn.execute_batch("COMMIT").map_err(|e| Failure::of_commit("commit the state", &e)));
        if done.is_err() {
            // A full disk may have rolled back already.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        done
    }

    /// A call that is refused takes back what it did and nothing else.
    fn run_one(&mut self, job: &mut dyn Job, attempts: &mut Vec<(IntegrationNo, Attempt)>) -> Result<(), Failure> {
        self.statement("SAVEPOINT call")?;
        let before = attempts.len();
        let now = (self.options.clock)();
        let attempt_files = &mut self.attempts;
        let mut work = Work { conn: &self.conn, sealer: &self.sealer, now, attempts, attempt_files };
        match job.run(&mut work) {
            Ended::Done => {}
            Ended::Refused => {
                attempts.truncate(before);
                self.statement("ROLLBACK TO call")?;
            }
            Ended::Failed(failure) => return Err(failure),
        }
        self.statement("RELEASE call")
    }

    fn statement(&self, sql: &'static str) -> Result<(), Failure> {
        let run = |sql| self.conn.prepare_cached(sql)?.execute([]);
        run(sql).map(drop).map_err(|e| Failure::of(sql, &e))
    }
}
