//! Removing what its time has passed, in slices that do not hold up the writer.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};
use tillstream_model::time::DAY_MS;
use tillstream_model::{IntegrationNo, Time};

use super::writer::{Stop, Work};
use super::{answers, usage};
use crate::StoreError;
use crate::state::{AUDIT_DAYS, LOG_ENTRY_DAYS, REJECTED_DAYS};

/// The writer's time that one slice may take; checked after every few rows.
const SLICE: Duration = Duration::from_millis(4);
/// Rows removed by one statement. A row may hold an event of 1 MB.
const ROWS: usize = 8;
/// Compact rows removed by one statement.
const COMPACT_ROWS: usize = 100;

/// Removes for one slice; whether there may be more.
pub(super) fn slice(work: &mut Work<'_>, now: Time) -> Result<bool, Stop<StoreError>> {
    let end = Instant::now() + SLICE;
    while remove_some(work, now)? {
        if Instant::now() >= end {
            return Ok(true);
        }
    }
    Ok(false)
}

fn remove_some(work: &mut Work<'_>, now: Time) -> Result<bool, Stop<StoreError>> {
    Ok(work.attempt_files.drop_due(now)?
        || remove_old(work.conn, "rejected", days_before(now, REJECTED_DAYS))?
        || remove_old(work.conn, "entries", days_before(now, LOG_ENTRY_DAYS))?
        || remove_old(work.conn, "audit", days_before(now, AUDIT_DAYS))?
        || usage::remove_old(work.conn, now, COMPACT_ROWS)?
        || answers::remove_old(work.conn, now, ROWS)?
        || super::statistics::remove_old(work.conn, now, COMPACT_ROWS)?
        || remove_leftovers(work)?.is_some())
}

/// Rows were written in the order of their ids, so only the first few are looked at.
fn remove_old(conn: &Connection, table: &str, before: Time) -> rusqlite::Result<bool> {
    let sql = format!(
        "DELETE FROM {table} WHERE id IN (SELECT id FROM (SELECT id, at FROM {table} ORDER BY id LIMIT ?2) WHERE at <= ?1)"
    );
    Ok(conn.prepare_cached(&sql)?.execute(params![before.millis(), ROWS])? > 0)
}

/// Removes some of what hangs on a deleted integration; how many rows. None: there is none.
pub(super) fn remove_leftovers(work: &mut Work<'_>) -> Result<Option<u64>, Stop<StoreError>> {
    let mut stmt = work.conn.prepare_cached("SELECT integration FROM leftovers LIMIT 1")?;
    let Some(no) = stmt.query_row([], |r| r.get::<_, i64>(0)).optional()? else { return Ok(None) };
    for (table, key) in [("rejected", "id"), ("entries", "id"), ("parked", "seq"), ("versions", "version")] {
        let sql = format!(
            "DELETE FROM {table} WHERE integration = ?1 AND {key} IN (SELECT {key} FROM {table} WHERE integration = ?1 LIMIT ?2)"
        );
        let removed = work.conn.prepare_cached(&sql)?.execute(params![no, ROWS])?;
        if removed > 0 {
            return Ok(Some(removed as u64));
        }
    }
    if let Some(removed) = work.attempt_files.remove_some(IntegrationNo(no as u64), COMPACT_ROWS)? {
        return Ok(Some(removed as u64));
    }
    let mut removed = 0;
    for table in ["replays", "lanes", "leftovers"] {
        let sql = format!("DELETE FROM {table} WHERE integration = ?");
        removed += work.conn.prepare_cached(&sql)?.execute([no])?;
    }
    Ok(Some(removed as u64))
}

fn days_before(now: Time, days: i64) -> Time {
    Time::from_millis(now.millis() - days * DAY_MS)
}
