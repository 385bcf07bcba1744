//! Idempotency ids of one segment.
//!
//! New ids are written in the order they come and looked up in memory. When there are [`RUN_IDS`] of them they are
//! written once more, sorted, and leave the memory but for a small filter. A random index would write a page for
//! nearly every id.

use std::collections::HashMap;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Row, params};
use tillstream_model::{CompanyNo, EventId, Time};

use super::filter::Filter;
use super::segments::company_of;
use crate::engine::caller::{Caller, IdHash};
use crate::sqlite::conn::open_reader;
use crate::sqlite::pool::Cause;

/// Ids kept in memory for each segment before they become a sorted run.
pub(super) const RUN_IDS: usize = 65_536;

/// Where an id was used first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    /// The event's row.
    pub(super) pos: i64,
    /// The event's fingerprint.
    pub(super) fingerprint: [u8; 16],
}

/// The ids of one segment.
pub(super) struct Ids {
    path: PathBuf,
    conn: Option<Connection>,
    fresh: HashMap<IdHash, Used>,
    runs: Vec<Filter>,
}

impl Ids {
    /// Of the segment at this path, which exists.
    pub(super) fn load(path: PathBuf) -> Result<Self, Cause> {
        let conn = open_reader(&path)?;
        let fresh = {
            let mut stmt = conn.prepare("SELECT pos, fingerprint, hash FROM fresh_ids")?;
            stmt.query_map([], |r| Ok((r.get(2)?, used(r)?)))?.collect::<rusqlite::Result<_>>()?
        };
        let runs = {
            let mut stmt = conn.prepare("SELECT filter FROM id_runs ORDER BY run")?;
            let filters = stmt.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
            filters
                .into_iter()
                .map(|f| Filter::from_bytes(f).ok_or("a filter of ids is broken"))
                .collect::<Result<_, _>>()?
        };
        Ok(Self { path, conn: Some(conn), fresh, runs })
    }

    /// Where an id was used in this segment.
    pub(super) fn find(&mut self, hash: &IdHash) -> Result<Option<Used>, Cause> {
        if let Some(used) = self.fresh.get(hash) {
            return Ok(Some(*used));
        }
        for run in 0..self.runs.len() {
            if self.runs[run].may_hold(hash) {
                let sql = "SELECT pos, fingerprint FROM old_ids WHERE run = ? AND hash = ?";
                let found = self.conn()?.prepare_cached(sql)?.query_row(params![run as i64, hash], used).optional()?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    /// The id and acceptance of a row; None when it is not there.
    pub(super) fn event(&mut self, pos: i64) -> Result<Option<(EventId, Time)>, Cause> {
        let mut stmt = self.conn()?.prepare_cached("SELECT accepted_at, random FROM events WHERE pos = ?")?;
        let row = stmt.query_row([pos], |r| {
            let at = Time::from_millis(r.get(0)?);
            Ok((EventId::new(at, r.get(1)?), at))
        });
        Ok(row.optional()?)
    }

    /// Notes ids that are committed.
    pub(super) fn committed(&mut self, new: impl Iterator<Item = (IdHash, Used)>) {
        self.fresh.extend(new);
    }

    /// Moves the ids from memory into a sorted run when there are enough, but for those of companies whose log is
    /// closed; in a transaction of its own.
    pub(super) fn tidy(
        &mut self,
        writer: &mut Connection,
        is_closed: impl Fn(CompanyNo) -> bool,
    ) -> rusqlite::Result<()> {
        if self.fresh.len() < RUN_IDS {
            return Ok(());
        }
        let mut sorted: Vec<_> = self.fresh.iter().filter(|(_, used)| !is_closed(company_of(used.pos))).collect();
        sorted.sort_unstable_by_key(|(hash, _)| **hash);
        let filter = Filter::of(sorted.iter().map(|(hash, _)| *hash));
        let (run, tx) = (self.runs.len() as i64, writer.transaction()?);
        for (hash, used) in sorted {
            tx.prepare_cached("INSERT INTO old_ids VALUES (?, ?, ?, ?)")?.execute(params![
                run,
                hash,
                used.pos,
                used.fingerprint
            ])?;
        }
        tx.execute("INSERT INTO id_runs VALUES (?, ?)", params![run, filter.as_bytes()])?;
        tx.execute("DELETE FROM fresh_ids", [])?;
        tx.commit()?;
        self.runs.push(filter);
        self.fresh = HashMap::new();
        Ok(())
    }

    fn conn(&mut self) -> Result<&Connection, Cause> {
        match &mut self.conn {
            Some(conn) => Ok(conn),
            none => Ok(none.insert(open_reader(&self.path)?)),
        }
    }
}

/// Writes an id in the transaction of its event.
pub(super) fn insert(writer: &Connection, caller: &Caller, pos: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO fresh_ids (hash, pos, fingerprint) VALUES (?, ?, ?)";
    writer.prepare_cached(sql)?.execute(params![caller.hash, pos, caller.fingerprint])?;
    Ok(())
}

fn used(row: &Row) -> rusqlite::Result<Used> {
    Ok(Used { pos: row.get(0)?, fingerprint: row.get(1)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::conn::open_writer;
    use crate::sqlite::log::segments::SCHEMA;
    use sha2::{Digest, Sha256};

    fn id(n: usize) -> IdHash {
        let mut id = [0; 16];
        id.copy_from_slice(&Sha256::digest(n.to_be_bytes())[..16]);
        id
    }

    #[test]
    fn ids_are_found_in_memory_in_runs_and_after_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let mut writer = open_writer(&path, &SCHEMA).unwrap();
        let mut ids = Ids::load(path.clone()).unwrap();
        for range in [0..RUN_IDS, RUN_IDS..RUN_IDS + 10] {
            writer.execute_batch("BEGIN").unwrap();
            for n in range {
                let caller = Caller { hash: id(n), fingerprint: [7; 16] };
                insert(&writer, &caller, n as i64).unwrap();
                ids.committed([(caller.hash, Used { pos: n as i64, fingerprint: [7; 16] })].into_iter());
            }
            writer.execute_batch("COMMIT").unwrap();
            ids.tidy(&mut writer, |_| false).unwrap();
        }
        assert_eq!((ids.runs.len(), ids.fresh.len()), (1, 10));
        for mut ids in [ids, Ids::load(path).unwrap()] {
            for n in [0, RUN_IDS - 1, RUN_IDS, RUN_IDS + 9] {
                assert_eq!(ids.find(&id(n)).unwrap().map(|u| u.pos), Some(n as i64));
            }
            assert!(ids.find(&id(RUN_IDS + 10)).unwrap().is_none());
        }
    }
}
