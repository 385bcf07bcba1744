//! Removing what a company whose log is closed has in the segments, in slices between which the writer goes on.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};
use tillstream_model::{CompanyNo, Seq};

use super::read::ends;
use super::segments::{Catalog, SCHEMA, SegmentId, pos};
use crate::Purged;
use crate::sqlite::conn::{empty_wal, open_reader, open_writer, overwrite_deleted, try_empty_wal};
use crate::sqlite::pool::Cause;

/// How long the writer may be kept waiting by one slice; the commit comes on top, and waits for no disk.
const SLICE: Duration = Duration::from_millis(3);
/// Idempotency ids that one statement looks through: they are not found by their company.
const IDS: i64 = 128;
/// Slices after which the write-ahead log is moved into the file, beside the writer.
const CHECKPOINT_SLICES: u32 = 8;
/// Slices that try to empty a segment's write-ahead log without keeping anybody waiting.
const GENTLE_TRIES: u32 = 100;

/// A purge under way. It finds by itself what is left when it is begun again.
pub(super) struct Purge {
    company: CompanyNo,
    /// Segments that are still to be looked at, the next one last.
    left: Vec<SegmentId>,
    /// The next one, once it turned out to have something.
    open: Option<Open>,
}

/// A segment with events of the company. Its ids go first: while there are events the segment is looked at again after
/// an interruption.
struct Open {
    conn: Connection,
    company: CompanyNo,
    stage: Stage,
    /// Since the last checkpoint.
    slices: u32,
}

/// What is removed next.
enum Stage {
    /// Ids in the order they came, after this one.
    Fresh(i64),
    /// Ids in sorted runs, after this one.
    Old(i64, Vec<u8>),
    Events,
    /// Nothing that was overwritten is to be left in the write-ahead log; so often that was tried.
    Empty(u32),
    Over,
}

impl Purge {
    /// Of everything that the company has.
    pub(super) fn new(company: CompanyNo, catalog: &Catalog) -> Self {
        Self { company, left: catalog.all(), open: None }
    }

    /// Removes for one slice.
    pub(super) fn slice(&mut self, catalog: &Catalog) -> Result<Purged, Cause> {
        let (end, mut rows) = (Instant::now() + SLICE, 0);
        while let Some(id) = self.left.last().copied() {
            if self.open.is_none() {
                self.open = Open::of(catalog, id, self.company)?;
            }
            if let Some(open) = &mut self.open {
                rows += open.slice(catalog, end)?;
                if !matches!(open.stage, Stage::Over) {
                    return Ok(Purged { rows, done: false });
                }
            }
            self.open = None;
            self.left.pop();
            if Instant::now() >= end {
                return Ok(Purged { rows, done: false });
            }
        }
        Ok(Purged { rows, done: true })
    }
}

impl Open {
    /// None: the segment is gone, or has no event of the company.
    fn of(catalog: &Catalog, id: SegmentId, company: CompanyNo) -> Result<Option<Self>, Cause> {
        let path = catalog.path(id);
        if catalog.get(id).is_none() || ends(&open_reader(&path)?, company)?.is_none() {
            return Ok(None);
        }
        let conn = open_writer(&path, &SCHEMA)?;
        overwrite_deleted(&conn)?;
        // A slice that is lost is done again.
        conn.pragma_update(None, "synchronous", "normal")?;
        Ok(Some(Self { conn, company, stage: Stage::Fresh(0), slices: 0 }))
    }

    fn slice(&mut self, catalog: &Catalog, end: Instant) -> Result<u64, Cause> {
        if let Stage::Empty(tries) = self.stage {
            self.stage = self.emptied(tries)?;
            return Ok(0);
        }
        self.slices += 1;
        if self.slices > CHECKPOINT_SLICES {
            self.slices = 0;
            self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
            return Ok(0);
        }
        let _turn = catalog.turn();
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let done = self.steps(end).and_then(|rows| {
            self.conn.execute_batch("COMMIT")?;
            Ok(rows)
        });
        if done.is_err() {
            // A full disk may have rolled back already.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        done
    }

    fn steps(&mut self, end: Instant) -> Result<u64, Cause> {
        let mut rows = 0;
        while !matches!(self.stage, Stage::Empty(_) | Stage::Over) {
            rows += self.step()?;
            if Instant::now() >= end {
                break;
            }
        }
        Ok(rows)
    }

    fn step(&mut self) -> Result<u64, Cause> {
        // Only events count: their ids go with them.
        let (removed, next) = match &self.stage {
            Stage::Fresh(after) => (0, self.fresh(*after)?),
            Stage::Old(run, hash) => (0, self.old(*run, hash)?),
            Stage::Events => self.event()?,
            Stage::Empty(_) | Stage::Over => return Ok(0),
        };
        self.stage = next;
        Ok(removed as u64)
    }

    fn fresh(&self, after: i64) -> Result<Stage, Cause> {
        let mut stmt = self.conn.prepare_cached("SELECT n FROM fresh_ids WHERE n > ? ORDER BY n LIMIT 1")?;
        let Some(first) = stmt.query_row([after], |r| r.get::<_, i64>(0)).optional()? else {
            return Ok(Stage::Old(-1, Vec::new()));
        };
        let sql = "DELETE FROM fresh_ids WHERE n >= ? AND n < ? AND pos BETWEEN ? AND ?";
        let (low, high) = self.range();
        self.conn.prepare_cached(sql)?.execute(params![first, first + IDS, low, high])?;
        Ok(Stage::Fresh(first + IDS - 1))
    }

    fn old(&self, run: i64, hash: &[u8]) -> Result<Stage, Cause> {
        let sql = "SELECT run, hash FROM old_ids WHERE (run, hash) > (?, ?) ORDER BY run, hash LIMIT 1 OFFSET ?";
        let mut stmt = self.conn.prepare_cached(sql)?;
        let last = stmt.query_row(params![run, hash, IDS - 1], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
        let (to, next): ((i64, Vec<u8>), _) = match last {
            Some((run, hash)) => ((run, Vec::clone(&hash)), Stage::Old(run, hash)),
            None => ((i64::MAX, Vec::new()), Stage::Events),
        };
        let sql = "DELETE FROM old_ids WHERE (run, hash) > (?, ?) AND (run, hash) <= (?, ?) AND pos BETWEEN ? AND ?";
        let (low, high) = self.range();
        self.conn.prepare_cached(sql)?.execute(params![run, hash, to.0, to.1, low, high])?;
        Ok(next)
    }

    /// One by one: an event may have 1 MB.
    fn event(&self) -> Result<(usize, Stage), Cause> {
        let sql = "DELETE FROM events WHERE pos = (SELECT min(pos) FROM events WHERE pos BETWEEN ? AND ?)";
        let (low, high) = self.range();
        let removed = self.conn.prepare_cached(sql)?.execute(params![low, high])?;
        Ok((removed, if removed > 0 { Stage::Events } else { Stage::Empty(0) }))
    }

    /// Afterwards what was done is on disk, too.
    fn emptied(&self, tries: u32) -> Result<Stage, Cause> {
        match tries {
            GENTLE_TRIES => empty_wal(&self.conn).map(|()| Stage::Over),
            _ if try_empty_wal(&self.conn)? => Ok(Stage::Over),
            _ => Ok(Stage::Empty(tries + 1)),
        }
    }

    fn range(&self) -> (i64, i64) {
        (pos(self.company, 0), pos(self.company, Seq::MAX))
    }
}
