//! The logs of integrations.

use rusqlite::{Connection, params};
use tillstream_model::{IntegrationNo, Time};

use crate::Page;
use crate::engine::place;
use crate::sqlite::pool::Cause;
use crate::state::LogEntry;

pub(super) fn insert(conn: &Connection, no: IntegrationNo, entry: &LogEntry) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO entries (integration, action, reason, actor, at, untold) VALUES (?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![no.0, entry.action, entry.reason, entry.actor, entry.at.millis(), entry.is_news()])?;
    Ok(())
}

pub(super) fn list(
    conn: &Connection,
    no: IntegrationNo,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<LogEntry>, Cause> {
    let below = place::number(after)?;
    let mut stmt = conn.prepare_cached(
        "SELECT e.id, e.action, e.reason, e.actor, e.at FROM entries e JOIN integrations i ON i.no = e.integration
         WHERE e.integration = ? AND e.id < ? ORDER BY e.id DESC LIMIT ?",
    )?;
    let rows = stmt.query_map(params![no.0, below, limit + 1], |r| {
        let entry =
            LogEntry { action: r.get(1)?, reason: r.get(2)?, actor: r.get(3)?, at: Time::from_millis(r.get(4)?) };
        Ok((r.get::<_, i64>(0)?, entry))
    })?;
    let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    Ok(Page::of(rows, limit, |(id, _)| id.to_string()).map(|(_, entry)| entry))
}
