//! Replays that are under way, and what they ask of the lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tillstream_model::{Event, EventId, IntegrationNo, Seq, Time};

use super::writer::{Stop, Work};
use super::{SqliteState, entries, integrations, lanes};
use crate::sqlite::pool::Cause;
use crate::state::{LogEntry, Replay};
use crate::{Replays, Result, StoreError};

#[async_trait]
impl Replays for SqliteState {
    async fn send_again(&self, no: IntegrationNo, event: Arc<Event>, now: Time) -> Result<bool> {
        self.writer.call("send an event again", move |w| lanes::send_again(w, no, event, now)).await
    }

    async fn delivered_among(&self, no: IntegrationNo, since: Time, seqs: &[Seq]) -> Result<BTreeSet<Seq>> {
        let seqs = seqs.to_vec();
        self.read("look up what was delivered", move |r| r.ledger.delivered_among(no, since, &seqs)).await
    }

    async fn parked_among(&self, no: IntegrationNo, seqs: &[Seq]) -> Result<BTreeSet<Seq>> {
        let seqs = seqs.to_vec();
        self.read("look up what waits", move |r| parked_among(&r.conn, no, &seqs)).await
    }

    async fn rejected_among(&self, no: IntegrationNo, events: &[EventId]) -> Result<BTreeSet<EventId>> {
        let events = events.to_vec();
        self.read("look up what is rejected", move |r| rejected_among(&r.conn, no, &events)).await
    }

    async fn start_replay(&self, no: IntegrationNo, replay: Replay, entry: LogEntry) -> Result<bool> {
        self.writer.call("start a replay", move |w| start(w, no, &replay, &entry)).await
    }

    async fn replay(&self, no: IntegrationNo) -> Result<Option<Replay>> {
        self.read("look up a replay", move |r| Ok(get(&r.conn, no)?)).await
    }

    async fn end_replay(&self, no: IntegrationNo, id: &str, entry: LogEntry) -> Result<bool> {
        let id = id.to_owned();
        self.writer.call("end a replay", move |w| end(w, no, &id, &entry)).await
    }
}

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
