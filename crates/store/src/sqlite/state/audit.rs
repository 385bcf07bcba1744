//! Who changed what.

use rusqlite::{Connection, Row, params};
use tillstream_model::{CompanyNo, Time};

use super::documents::owner;
use super::purge::refuse_gone;
use super::writer::{Stop, Work};
use crate::engine::place;
use crate::sqlite::pool::Cause;
use crate::state::{AuditEntry, AuditFilter};
use crate::{Page, StoreError};

pub(super) fn record(work: &mut Work<'_>, entry: &AuditEntry) -> Result<(), Stop<StoreError>> {
    refuse_gone(work.conn, entry.company)?;
    let sql = "INSERT INTO audit (company, at, actor, action, object, before, after, untold)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    work.conn.prepare_cached(sql)?.execute(params![
        owner(entry.company),
        entry.at.millis(),
        entry.actor,
        entry.action,
        entry.object,
        entry.before,
        entry.after,
        entry.company.is_some(),
    ])?;
    Ok(())
}

pub(super) fn list(
    conn: &Connection,
    of: Option<CompanyNo>,
    filter: &AuditFilter,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<AuditEntry>, Cause> {
    let below = place::number(after)?;
    let object = if filter.object.is_some() { "AND object = ?5" } else { "AND ?5 IS NULL" };
    let sql = format!(
        "SELECT id, at, actor, action, object, before, after FROM audit
         WHERE company = ?1 AND id < ?2 AND at >= ?3 AND at < ?4 {object} ORDER BY id DESC LIMIT ?6"
    );
    let mut stmt = conn.prepare_cached(&sql)?;
    let (from, to) = filter.span();
    let bounds = params![owner(of), below, from, to, filter.object, limit + 1];
    let rows: Vec<_> = stmt.query_map(bounds, |r| Ok((r.get(0)?, entry(of, r)?)))?.collect::<rusqlite::Result<_>>()?;
    Ok(Page::of(rows, limit, |(id, _): &(i64, _)| id.to_string()).map(|(_, entry)| entry))
}

fn entry(company: Option<CompanyNo>, row: &Row) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        company,
        at: Time::from_millis(row.get(1)?),
        actor: row.get(2)?,
        action: row.get(3)?,
        object: row.get(4)?,
        before: row.get(5)?,
        after: row.get(6)?,
    })
}
