//! Small things that are looked up by their id.

use rusqlite::{Connection, OptionalExtension, Row, params};
use tillstream_model::{CompanyNo, Time};

use super::purge::is_gone;
use super::writer::{Stop, Work};
use crate::Gone;
use crate::engine::INSTANCE;
use crate::sqlite::pool::Cause;
use crate::state::{Document, Expected, SaveError};

const COLUMNS: &str = "id, body, version, created_at, updated_at";

pub(super) fn get(conn: &Connection, of: Option<CompanyNo>, kind: &str, id: &str) -> Result<Option<Document>, Cause> {
    let sql = format!("SELECT {COLUMNS} FROM documents WHERE company = ? AND kind = ? AND id = ?");
    Ok(conn.prepare_cached(&sql)?.query_row(params![owner(of), kind, id], document).optional()?)
}

pub(super) fn list(
    conn: &Connection,
    of: Option<CompanyNo>,
    kind: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Document>, Cause> {
    let sql = format!("SELECT {COLUMNS} FROM documents WHERE company = ? AND kind = ? AND id > ? ORDER BY id LIMIT ?");
    let mut stmt = conn.prepare_cached(&sql)?;
    Ok(stmt.query_map(params![owner(of), kind, after, limit], document)?.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn put(
    work: &mut Work<'_>,
    of: Option<CompanyNo>,
    kind: &str,
    id: &str,
    body: String,
    expected: Expected,
) -> Result<Document, Stop<SaveError>> {
    let gone = is_gone(work.conn, owner(of))?;
    let known = if gone { None } else { get(work.conn, of, kind, id)? };
    expected.check(known.as_ref()).map_err(Stop::Refused)?;
    if gone {
        return Err(Stop::Broken(Gone.into()));
    }
    let now = work.now;
    let (version, created_at) = known.map_or((1, now), |d| (d.version + 1, d.created_at));
    let sql = "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
               body = excluded.body, version = excluded.version, updated_at = excluded.updated_at";
    let row = params![owner(of), kind, id, body, version, created_at.millis(), now.millis()];
    work.conn.prepare_cached(sql)?.execute(row)?;
    Ok(Document { id: id.to_owned(), body, version, created_at, updated_at: now })
}

pub(super) fn delete(
    work: &mut Work<'_>,
    of: Option<CompanyNo>,
    kind: &str,
    id: &str,
) -> Result<Option<Document>, Stop<crate::StoreError>> {
    let sql = format!("DELETE FROM documents WHERE company = ? AND kind = ? AND id = ? RETURNING {COLUMNS}");
    Ok(work.conn.prepare_cached(&sql)?.query_row(params![owner(of), kind, id], document).optional()?)
}

pub(super) fn owner(of: Option<CompanyNo>) -> u32 {
    of.unwrap_or(INSTANCE).0
}

fn document(row: &Row) -> rusqlite::Result<Document> {
    Ok(Document {
        id: row.get(0)?,
        body: row.get(1)?,
        version: row.get(2)?,
        created_at: Time::from_millis(row.get(3)?),
        updated_at: Time::from_millis(row.get(4)?),
    })
}
