//! Checkpoints: moving what was committed from the write-ahead log into the database file, beside the writer.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::fault::{Failure, OnFatal};
use super::pool::{Cause, Pool};

/// A write-ahead log of this many bytes is checkpointed.
pub(super) const CHECKPOINT_BYTES: u64 = 16 << 20;
/// The writer waits while the write-ahead log is longer than this.
pub(super) const WAL_CAP_BYTES: u64 = 64 << 20;
/// How long emptying waits for readers while the writer stands still; after that the next checkpoint tries again.
const EMPTYING_WAIT: Duration = Duration::from_millis(5);
/// How long a writer over the cap waits before it asks for a checkpoint again.
const CAP_WAIT: Duration = Duration::from_millis(250);

/// The write-ahead log of one database file.
///
/// Its file is written again from the beginning after a checkpoint and not cut: growing a file with each commit makes
/// the disk write its metadata too, and costs half as much again as the commit itself.
pub(super) struct Wal {
    database: PathBuf,
    /// Bytes that a checkpoint would have to move.
    bytes: Arc<AtomicU64>,
    /// Held by the writer during a transaction and by the checkpoint's last step, so that neither polls for the other.
    gate: Mutex<()>,
    /// Whether a checkpoint is asked for and not done yet.
    asked: Mutex<bool>,
    done: Condvar,
    on_fatal: OnFatal,
}

impl Wal {
    /// Of the database at this path, which this connection writes.
    pub(super) fn of(conn: &mut Connection, database: &Path, on_fatal: OnFatal) -> Result<Arc<Self>, Cause> {
        let bytes = Arc::new(AtomicU64::new(0));
        let page: u64 = conn.pragma_query_value(None, "page_size", |r| r.get(0))?;
        let length = bytes.clone();
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            length.store(u64::try_from(pages).unwrap_or(0) * page, Ordering::Release);
            Ok(())
        }))?;
        let (gate, asked) = (Mutex::new(()), Mutex::new(false));
        Ok(Arc::new(Self { database: database.to_owned(), bytes, gate, asked, done: Condvar::new(), on_fatal }))
    }

    /// To be held during each transaction of the writer.
    pub(super) fn enter(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After each commit: asks for a checkpoint when one is due, and waits for it when the cap is reached.
    pub(super) fn committed<C: Send + 'static>(self: &Arc<Self>, threads: &Pool<C>) {
        if self.bytes() < CHECKPOINT_BYTES {
            return;
        }
        self.ask(threads);
        while self.bytes() >= WAL_CAP_BYTES {
            self.wait();
            self.ask(threads);
        }
    }

    /// Moves everything into the database file and empties the write-ahead log.
    pub(super) fn checkpoint(&self) {
        if let Err(cause) = self.try_checkpoint() {
            let failure = cause.downcast_ref().map(|e| Failure::of("checkpoint", e));
            match failure {
                Some(Failure::Fatal(reason)) => (self.on_fatal)(&reason),
                _ => tracing::warn!(file = %self.database.display(), %cause, "a checkpoint failed; it is repeated"),
            }
        }
        *self.asked() = false;
        self.done.notify_all();
    }

    fn ask<C: Send + 'static>(self: &Arc<Self>, threads: &Pool<C>) {
        let mut asked = self.asked();
        if !*asked {
            let wal = self.clone();
            *asked = threads.post(move |_| wal.checkpoint());
        }
    }

    fn wait(&self) {
        let asked = self.asked();
        if *asked {
            drop(self.done.wait_timeout(asked, CAP_WAIT));
        }
    }

    fn asked(&self) -> MutexGuard<'_, bool> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The long part beside the writer, then the short rest while the writer stands still.
    fn try_checkpoint(&self) -> Result<(), Cause> {
        let conn = Connection::open(&self.database)?;
        conn.busy_timeout(EMPTYING_WAIT)?;
        conn.pragma_update(None, "synchronous", "full")?;
        conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        let _still = self.enter();
        let busy: bool = conn.query_row("PRAGMA wal_checkpoint(RESTART)", [], |r| r.get(0))?;
        if !busy {
            self.bytes.store(0, Ordering::Release);
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::conn::{Schema, open_writer};

    const BLOBS: Schema = Schema {
        what: "a test",
        page_bytes: 4_096,
        synced: false,
        cache_kib: 1_024,
        migrations: &["CREATE TABLE t (a)"],
    };

    #[test]
    fn the_write_ahead_log_stays_below_its_cap_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let mut conn = open_writer(&path, &BLOBS).unwrap();
        let wal = Wal::of(&mut conn, &path, Arc::new(|reason| panic!("{reason}"))).unwrap();
        let threads = Pool::start("test", vec![()]).unwrap();
        let mut longest = 0;
        for _ in 0..60 {
            let still = wal.enter();
            conn.execute("INSERT INTO t VALUES (zeroblob(2000000))", []).unwrap();
            drop(still);
            longest = longest.max(wal.bytes());
            wal.committed(&threads);
        }
        assert!(longest < WAL_CAP_BYTES + (3 << 20), "{longest}");
        drop(threads);
        let rows: i64 = conn.query_row("SELECT count(*) FROM t", [], |r| r.get(0)).unwrap();
        assert_eq!(rows, 60);
        assert!(std::fs::metadata(&path).unwrap().len() > CHECKPOINT_BYTES, "nothing was moved");
    }
}
