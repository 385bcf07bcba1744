//! The directory `log/meta.db`: which closed segments hold which positions, and what is known of dropped ones.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};
use tillstream_model::{CompanyNo, Seq, Time};

use super::segments::{SegmentId, Span};
use crate::Retention;
use crate::engine::tail::Summary;
use crate::sqlite::conn::{Schema, open_writer};
use crate::sqlite::pool::Cause;

const SCHEMA: Schema = Schema {
    what: "the log's directory",
    page_bytes: 4_096,
    synced: true,
    cache_kib: 1 << 10,
    migrations: &[include_str!("../schema/meta_1.sql"), include_str!("../schema/meta_2.sql")],
};

/// Where it is in the log's folder.
pub(super) const FILE: &str = "meta.db";

/// The last of a company's events in a segment that is about to be dropped.
pub(super) struct Last {
    pub(super) company: CompanyNo,
    pub(super) seq: Seq,
    pub(super) at: Time,
}

/// Opens it to write. It is small and written once a day, so its checkpoints need no thread.
pub(super) fn open(folder: &Path) -> Result<Connection, Cause> {
    let conn = open_writer(&folder.join(FILE), &SCHEMA)?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 1_000, |_| Ok(()))?;
    Ok(conn)
}

/// The segments it lists.
pub(super) fn segments(conn: &Connection) -> rusqlite::Result<Vec<SegmentId>> {
    let mut stmt = conn.prepare_cached("SELECT day, class FROM segments")?;
    stmt.query_map([], |r| segment(r, 0))?.collect()
}

/// A company's spans in listed segments that reach beyond `after`.
pub(super) fn spans(conn: &Connection, company: CompanyNo, after: Seq) -> rusqlite::Result<Vec<Span>> {
    let mut stmt = conn.prepare_cached("SELECT day, class, first, last FROM spans WHERE company = ? AND last > ?")?;
    let rows = stmt.query_map(params![company.0, after as i64], |r| {
        Ok(Span { segment: segment(r, 0)?, first: r.get(2)?, last: r.get(3)? })
    })?;
    rows.collect()
}

/// The companies of a listed segment, each with its last seq in it.
pub(super) fn companies_of(conn: &Connection, id: SegmentId) -> rusqlite::Result<Vec<(CompanyNo, Seq)>> {
    let mut stmt =
        conn.prepare_cached("SELECT company, last FROM spans WHERE day = ? AND class = ? ORDER BY company")?;
    let rows = stmt.query_map(params![id.day, id.class.days()], |r| Ok((CompanyNo(r.get(0)?), r.get(1)?)))?;
    rows.collect()
}

/// What dropped segments left behind of a company.
pub(super) fn summary(conn: &Connection, company: CompanyNo) -> rusqlite::Result<Option<Summary>> {
    let mut stmt = conn.prepare_cached("SELECT head, head_at, floor FROM companies WHERE company = ?")?;
    let row = |r: &Row| Ok(Summary { head: r.get(0)?, head_at: Time::from_millis(r.get(1)?), floor: r.get(2)? });
    stmt.query_row([company.0], row).optional()
}

/// Lists a closed segment.
pub(super) fn list(conn: &mut Connection, id: SegmentId, spans: &[(CompanyNo, Seq, Seq)]) -> rusqlite::Result<()> {
    let tx = conn.transaction()?;
    remove(&tx, id)?;
    tx.execute("INSERT INTO segments VALUES (?, ?)", params![id.day, id.class.days()])?;
    for (company, first, last) in spans {
        tx.prepare_cached("INSERT INTO spans VALUES (?, ?, ?, ?, ?)")?.execute(params![
            company.0,
            id.day,
            id.class.days(),
            *first as i64,
            *last as i64
        ])?;
    }
    tx.commit()
}

/// Takes a segment off the list.
pub(super) fn unlist(conn: &mut Connection, id: SegmentId) -> rusqlite::Result<()> {
    let tx = conn.transaction()?;
    remove(&tx, id)?;
    tx.commit()
}

/// Takes a segment off the list and keeps heads and floors; to be done before its file goes.
pub(super) fn bury(conn: &mut Connection, id: SegmentId, lasts: &[Last]) -> rusqlite::Result<()> {
    let tx = conn.transaction()?;
    remove(&tx, id)?;
    for last in lasts {
        tx.prepare_cached(
            "INSERT INTO companies VALUES (?1, ?2, ?3, ?2) ON CONFLICT (company) DO UPDATE SET
             head = max(head, ?2), head_at = max(head_at, ?3), floor = max(floor, ?2)",
        )?
        .execute(params![last.company.0, last.seq as i64, last.at.millis()])?;
    }
    tx.commit()
}

/// Companies whose log is closed.
pub(super) fn closed(conn: &Connection) -> rusqlite::Result<Vec<CompanyNo>> {
    let mut stmt = conn.prepare_cached("SELECT company FROM closed")?;
    stmt.query_map([], |r| Ok(CompanyNo(r.get(0)?)))?.collect()
}

/// Closes a company's log, and forgets where its events are.
pub(super) fn close(conn: &mut Connection, company: CompanyNo) -> rusqlite::Result<()> {
    let tx = conn.transaction()?;
    tx.execute("INSERT INTO closed VALUES (?) ON CONFLICT DO NOTHING", [company.0])?;
    tx.execute("DELETE FROM spans WHERE company = ?", [company.0])?;
    tx.execute("DELETE FROM companies WHERE company = ?", [company.0])?;
    tx.commit()
}

fn remove(conn: &Connection, id: SegmentId) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM spans WHERE day = ? AND class = ?", params![id.day, id.class.days()])?;
    conn.execute("DELETE FROM segments WHERE day = ? AND class = ?", params![id.day, id.class.days()])?;
    Ok(())
}

fn segment(row: &Row, at: usize) -> rusqlite::Result<SegmentId> {
    let days: i64 = row.get(at + 1)?;
    let class = Retention::from_days(days).ok_or(rusqlite::Error::IntegralValueOutOfRange(at + 1, days))?;
    Ok(SegmentId { day: row.get(at)?, class })
}
