//! Application keys.

use rusqlite::{Connection, OptionalExtension, Row, params};
use tillstream_model::{CompanyNo, Time};

use super::json;
use super::purge::refuse_gone;
use super::writer::{Stop, Work};
use crate::StoreError;
use crate::sqlite::pool::Cause;
use crate::state::Key;

const COLUMNS: &str = "id, company, name, scopes, hash, created_at, expires_at, last_used_at, bound";

pub(super) fn create(work: &mut Work<'_>, key: &Key) -> Result<(), Stop<StoreError>> {
    refuse_gone(work.conn, key.company)?;
    work.conn.prepare_cached("INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?.execute(params![
        key.id,
        key.company.map(|c| c.0),
        key.name,
        serde_json::to_string(&key.scopes)?,
        key.hash,
        key.created_at.millis(),
        key.expires_at.map(Time::millis),
        key.last_used_at.map(Time::millis),
        serde_json::to_string(&key.bound)?,
    ])?;
    Ok(())
}

pub(super) fn by_hash(conn: &Connection, hash: &[u8; 32]) -> Result<Option<Key>, Cause> {
    let mut stmt = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM keys WHERE hash = ?"))?;
    Ok(stmt.query_row([hash], key).optional()?)
}

pub(super) fn of(conn: &Connection, company: Option<CompanyNo>) -> Result<Vec<Key>, Cause> {
    let sql = format!("SELECT {COLUMNS} FROM keys WHERE company IS ? ORDER BY created_at, id");
    let mut stmt = conn.prepare_cached(&sql)?;
    Ok(stmt.query_map([company.map(|c| c.0)], key)?.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn delete(work: &mut Work<'_>, company: Option<CompanyNo>, id: &str) -> Result<bool, Stop<StoreError>> {
    let mut stmt = work.conn.prepare_cached("DELETE FROM keys WHERE id = ? AND company IS ?")?;
    Ok(stmt.execute(params![id, company.map(|c| c.0)])? > 0)
}

pub(super) fn touch(work: &mut Work<'_>, used: &[(String, Time)]) -> Result<(), Stop<StoreError>> {
    let sql = "UPDATE keys SET last_used_at = max(coalesce(last_used_at, ?2), ?2) WHERE id = ?1";
    for (id, at) in used {
        work.conn.prepare_cached(sql)?.execute(params![id, at.millis()])?;
    }
    Ok(())
}

fn key(row: &Row) -> rusqlite::Result<Key> {
    Ok(Key {
        id: row.get(0)?,
        company: row.get::<_, Option<u32>>(1)?.map(CompanyNo),
        name: row.get(2)?,
        scopes: json(row, 3)?,
        hash: row.get(4)?,
        created_at: Time::from_millis(row.get(5)?),
        expires_at: row.get::<_, Option<i64>>(6)?.map(Time::from_millis),
        last_used_at: row.get::<_, Option<i64>>(7)?.map(Time::from_millis),
        bound: json(row, 8)?,
    })
}
