//! Events that were given up.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use tillstream_model::{EventId, IntegrationNo, Time};

use super::writer::{Stop, Work};
use super::{integrations, lanes};
use crate::engine::{event, place};
use crate::sqlite::pool::Cause;
use crate::state::{Parked, Rejected, RejectedRow};
use crate::{Page, StoreError};

const COLUMNS: &str = "id, at, reason, last_status, detail, attempts, event";

pub(super) fn insert(conn: &Connection, no: IntegrationNo, r: &Rejected) -> Result<(), Cause> {
    let sql = "INSERT INTO rejected (integration, event_id, at, reason, last_status, detail, attempts, event)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    conn.prepare_cached(sql)?.execute(params![
        no.0,
        r.event.id.as_bytes(),
        r.at.millis(),
        r.reason,
        r.last_status,
        r.detail,
        r.attempts,
        event::write(&r.event)?,
    ])?;
    Ok(())
}

pub(super) fn list(
    conn: &Connection,
    no: IntegrationNo,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<RejectedRow>, Cause> {
    let (at, id) = place::rejected(after)?;
    if !integrations::exists(conn, no)? {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM rejected WHERE integration = ? AND (at, id) < (?, ?) ORDER BY at DESC, id DESC LIMIT ?"
    );
    let mut stmt = conn.prepare_cached(&sql)?;
    let mut rows = stmt.query(params![no.0, at, id, limit + 1])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(rejected(row)?);
    }
    Ok(Page::of(found, limit, place::after_rejected))
}

pub(super) fn of_event(conn: &Connection, no: IntegrationNo, id: EventId) -> Result<Option<RejectedRow>, Cause> {
    if !integrations::exists(conn, no)? {
        return Ok(None);
    }
    let sql = format!("SELECT {COLUMNS} FROM rejected WHERE integration = ? AND event_id = ? ORDER BY id DESC LIMIT 1");
    let mut stmt = conn.prepare_cached(&sql)?;
    let mut rows = stmt.query(params![no.0, id.as_bytes()])?;
    rows.next()?.map(rejected).transpose()
}

/// The row is taken away in the same step, so only one of two calls gets it.
pub(super) fn retry(work: &mut Work<'_>, no: IntegrationNo, id: u64, now: Time) -> Result<bool, Stop<StoreError>> {
    if !integrations::exists(work.conn, no)? {
        return Ok(false);
    }
    let sql = "DELETE FROM rejected WHERE integration = ? AND id = ? RETURNING event, last_status, detail";
    let mut stmt = work.conn.prepare_cached(sql)?;
    let row = stmt.query_row(params![no.0, id], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get(1)?, r.get(2)?)));
    let Some((stored, last_status, last_error)) = row.optional()? else { return Ok(false) };
    let event = Arc::new(event::read(&stored)?);
    let (seq, key, accepted_at) = (event.seq, event.content.key(), event.accepted_at);
    let parked = Parked {
        seq,
        key,
        accepted_at,
        attempts: 0,
        next_at: now,
        last_status,
        last_error,
        held: false,
        event: Some(event),
    };
    lanes::park(work.conn, no, &parked)?;
    Ok(true)
}

pub(super) fn delete(work: &mut Work<'_>, no: IntegrationNo, id: u64) -> Result<bool, Stop<StoreError>> {
    let sql = "DELETE FROM rejected WHERE integration = ? AND id = ? RETURNING event";
    let mut stmt = work.conn.prepare_cached(sql)?;
    let Some(stored) = stmt.query_row(params![no.0, id], |r| r.get::<_, Vec<u8>>(0)).optional()? else {
        return Ok(false);
    };
    lanes::let_go(work.conn, no, event::read(&stored)?.seq)?;
    Ok(true)
}

fn rejected(row: &Row) -> Result<RejectedRow, Cause> {
    let stored = row.get_ref(6)?.as_blob().map_err(rusqlite::Error::from)?;
    let rejected = Rejected {
        event: Arc::new(event::read(stored)?),
        at: Time::from_millis(row.get(1)?),
        reason: row.get(2)?,
        last_status: row.get(3)?,
        detail: row.get(4)?,
        attempts: row.get(5)?,
    };
    Ok(RejectedRow { id: row.get(0)?, rejected })
}
