//! Lanes: cursors, what is settled ahead of them, and what waits.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};
use tillstream_model::event::EntityKey;
use tillstream_model::integration::Status;
use tillstream_model::{Event, IntegrationNo, Seq, Time};

use super::writer::{Stop, Work};
use super::{entries, integrations, rejected, replays};
use crate::StoreError;
use crate::engine::{event, settled};
use crate::sqlite::pool::Cause;
use crate::state::{LaneCommit, LaneFigures, LaneState, Parked, Totals};

const PARKED: &str = "seq, entity_key, accepted_at, attempts, next_at, last_status, last_error, event, held";

pub(super) fn state(conn: &Connection, no: IntegrationNo) -> Result<LaneState, Cause> {
    if !integrations::exists(conn, no)? {
        return Ok(LaneState::default());
    }
    let mut stmt = conn.prepare_cached("SELECT cursor, settled FROM lanes WHERE integration = ?")?;
    let (cursor, ranges): (Seq, Vec<u8>) = stmt.query_row([no.0], |r| Ok((r.get(0)?, r.get(1)?)))?;
    let mut stmt = conn.prepare_cached(&format!("SELECT {PARKED} FROM parked WHERE integration = ? ORDER BY seq"))?;
    let mut rows = stmt.query([no.0])?;
    let mut waiting = Vec::new();
    while let Some(row) = rows.next()? {
        waiting.push(parked(row)?);
    }
    Ok(LaneState { cursor, settled: settled::read(&ranges)?, parked: waiting, replay: replays::get(conn, no)? })
}

pub(super) fn figures(conn: &Connection, no: IntegrationNo) -> Result<LaneFigures, Cause> {
    if !integrations::exists(conn, no)? {
        return Ok(LaneFigures::default());
    }
    let sql = "SELECT cursor, delivered, rejected, expired, failures,
               (SELECT count(*) FROM parked WHERE integration = ?1) FROM lanes WHERE integration = ?1";
    let row = |r: &Row| {
        let totals = Totals { delivered: r.get(1)?, rejected: r.get(2)?, expired: r.get(3)?, failures: r.get(4)? };
        Ok(LaneFigures { cursor: r.get(0)?, parked: r.get(5)?, totals })
    };
    Ok(conn.prepare_cached(sql)?.query_row([no.0], row)?)
}

pub(super) fn parked_of(conn: &Connection, no: IntegrationNo, seq: Seq) -> Result<Option<Parked>, Cause> {
    let sql = format!(
        "SELECT {PARKED} FROM parked WHERE integration = ?1 AND seq = ?2 AND EXISTS (SELECT 1 FROM integrations WHERE no = ?1)"
    );
    let mut stmt = conn.prepare_cached(&sql)?;
    let mut rows = stmt.query(params![no.0, seq])?;
    rows.next()?.map(parked).transpose()
}

pub(super) fn commit(work: &mut Work<'_>, no: IntegrationNo, commit: LaneCommit) -> Result<(), Stop<StoreError>> {
    if !move_on(work.conn, no, &commit)? {
        return Ok(());
    }
    for seq in &commit.unpark {
        let mut stmt = work.conn.prepare_cached("DELETE FROM parked WHERE integration = ? AND seq = ?")?;
        stmt.execute(params![no.0, *seq])?;
    }
    for waiting in &commit.park {
        park(work.conn, no, waiting)?;
    }
    for event in &commit.unreject {
        let mut stmt = work.conn.prepare_cached("DELETE FROM rejected WHERE integration = ? AND event_id = ?")?;
        stmt.execute(params![no.0, event.as_bytes()])?;
    }
    for given_up in &commit.reject {
        rejected::insert(work.conn, no, given_up)?;
    }
    for entry in &commit.log {
        entries::insert(work.conn, no, entry)?;
    }
    if let Some(replay) = &commit.replay {
        replays::move_on(work.conn, no, replay)?;
    }
    if let Some(reason) = &commit.stop {
        integrations::put_status(work.conn, no, Status::Stopped, reason, work.now)?;
    }
    work.attempts.extend(commit.attempts.into_iter().map(|attempt| (no, attempt)));
    Ok(())
}

/// Moves only the cursor. Ranges that it passes stay until the next commit of the lane, which reads over them.
pub(super) fn advance(work: &mut Work<'_>, no: IntegrationNo, cursor: Seq) -> Result<(), Stop<StoreError>> {
    let sql = "UPDATE lanes SET cursor = max(cursor, ?2) WHERE integration = ?1";
    work.conn.prepare_cached(sql)?.execute(params![no.0, cursor])?;
    Ok(())
}

/// Parks an event that is due now, unless it waits already.
pub(super) fn send_again(
    work: &mut Work<'_>,
    no: IntegrationNo,
    event: Arc<Event>,
    now: Time,
) -> Result<bool, Stop<StoreError>> {
    if !integrations::exists(work.conn, no)? || parked_of(work.conn, no, event.seq)?.is_some() {
        return Ok(false);
    }
    park(work.conn, no, &Parked::due(event, now))?;
    Ok(true)
}

/// Writes a waiting row. An event that is there already stays when the new row has none.
pub(super) fn park(conn: &Connection, no: IntegrationNo, p: &Parked) -> Result<(), Cause> {
    let sql = "INSERT INTO parked VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
               entity_key = excluded.entity_key, accepted_at = excluded.accepted_at, attempts = excluded.attempts, next_at = excluded.next_at,
               last_status = excluded.last_status, last_error = excluded.last_error, event = coalesce(excluded.event, event),
               held = excluded.held";
    conn.prepare_cached(sql)?.execute(params![
        no.0,
        p.seq,
        p.key.map(|k| k.0),
        p.accepted_at.millis(),
        p.attempts,
        p.next_at.millis(),
        p.last_status,
        p.last_error,
        p.event.as_deref().map(event::write).transpose()?,
        p.held,
    ])?;
    Ok(())
}

/// Lets the entity of a rejected event go that was deleted.
pub(super) fn let_go(conn: &Connection, no: IntegrationNo, seq: Seq) -> Result<(), Cause> {
    let sql = "DELETE FROM parked WHERE integration = ? AND seq = ? AND held";
    conn.prepare_cached(sql)?.execute(params![no.0, seq])?;
    Ok(())
}

/// A cursor that is lower than the saved one changes only the rest. False: the integration is deleted.
fn move_on(conn: &Connection, no: IntegrationNo, commit: &LaneCommit) -> rusqlite::Result<bool> {
    let add = &commit.add;
    let changed = conn
        .prepare_cached(
            "UPDATE lanes SET cursor = max(cursor, ?2), settled = ?3, delivered = delivered + ?4,
         rejected = rejected + ?5, expired = expired + ?6, failures = failures + ?7
         WHERE integration = ?1 AND EXISTS (SELECT 1 FROM integrations WHERE no = ?1)",
        )?
        .execute(params![
            no.0,
            commit.cursor,
            settled::write(&commit.settled),
            add.delivered,
            add.rejected,
            add.expired,
            add.failures,
        ])?;
    Ok(changed > 0)
}

fn parked(row: &Row) -> Result<Parked, Cause> {
    let event = row.get_ref(7)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
    Ok(Parked {
        seq: row.get(0)?,
        key: row.get::<_, Option<i64>>(1)?.map(EntityKey),
        accepted_at: Time::from_millis(row.get(2)?),
        attempts: row.get(3)?,
        next_at: Time::from_millis(row.get(4)?),
        last_status: row.get(5)?,
        last_error: row.get(6)?,
        event: event.map(event::read).transpose()?.map(Arc::new),
        held: row.get(8)?,
    })
}
