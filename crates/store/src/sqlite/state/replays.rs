//! Replays that are under way, and what they ask of the lists.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, params};
use tillstream_model::{EventId, IntegrationNo, Seq};

use super::writer::{Stop, Work};
use super::{entries, integrations};
use crate::StoreError;
use crate::sqlite::pool::Cause;
use crate::state::{LogEntry, Replay};

pub(super) fn start(
    work: &mut Work<'_>,
    no: IntegrationNo,
    replay: &Replay,
    entry: &LogEntry,
) -> Result<bool, Stop<StoreError>> {
    if !integrations::exists(work.conn, no)? {
        return Ok(false);
    }
    let sql = "INSERT INTO replays (integration, id, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    let started = work.conn.prepare_cached(sql)?.execute(params![no.0, replay.id, replay.body])? > 0;
    if started {
        entries::insert(work.conn, no, entry)?;
    }
    Ok(started)
}

pub(super) fn get(conn: &Connection, no: IntegrationNo) -> rusqlite::Result<Option<Replay>> {
    let mut stmt = conn.prepare_cached("SELECT id, body FROM replays WHERE integration = ?")?;
    stmt.query_row([no.0], |r: &Row| Ok(Replay { id: r.get(0)?, body: r.get(1)? })).optional()
}

pub(super) fn move_on(conn: &Connection, no: IntegrationNo, replay: &Replay) -> rusqlite::Result<()> {
    let sql = "UPDATE replays SET body = ?3 WHERE integration = ?1 AND id = ?2";
    conn.prepare_cached(sql)?.execute(params![no.0, replay.id, replay.body])?;
    Ok(())
}

pub(super) fn end(
    work: &mut Work<'_>,
    no: IntegrationNo,
    id: &str,
    entry: &LogEntry,
) -> Result<bool, Stop<StoreError>> {
    let sql = "DELETE FROM replays WHERE integration = ? AND id = ?";
    let ended = work.conn.prepare_cached(sql)?.execute(params![no.0, id])? > 0;
    if ended {
        entries::insert(work.conn, no, entry)?;
    }
    Ok(ended)
}

pub(super) fn parked_among(conn: &Connection, no: IntegrationNo, seqs: &[Seq]) -> Result<BTreeSet<Seq>, Cause> {
    let mut stmt = conn.prepare_cached("SELECT 1 FROM parked WHERE integration = ? AND seq = ?")?;
    let mut found = BTreeSet::new();
    for seq in seqs {
        if stmt.exists(params![no.0, *seq])? {
            found.insert(*seq);
        }
    }
    Ok(found)
}

pub(super) fn rejected_among(
    conn: &Connection,
    no: IntegrationNo,
    events: &[EventId],
) -> Result<BTreeSet<EventId>, Cause> {
    let mut stmt = conn.prepare_cached("SELECT 1 FROM rejected WHERE integration = ? AND event_id = ?")?;
    let mut found = BTreeSet::new();
    for id in events {
        if stmt.exists(params![no.0, id.as_bytes()])? {
            found.insert(*id);
        }
    }
    Ok(found)
}
