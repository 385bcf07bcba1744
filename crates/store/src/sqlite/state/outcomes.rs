//! What became of a stretch of events at an integration.

use rusqlite::{Connection, Row, params};
use tillstream_model::{EventId, IntegrationNo, Time};

use super::{Reader, integrations};
use crate::engine::settled;
use crate::sqlite::pool::Cause;
use crate::state::{GivenUp, Outcomes, Stretch, Waits};

/// The rows of the state in one snapshot, then the attempts, which are written before them.
pub(super) fn of(reader: &mut Reader, no: IntegrationNo, stretch: Stretch) -> Result<Outcomes, Cause> {
    let snapshot = reader.conn.unchecked_transaction()?;
    if !integrations::exists(&snapshot, no)? {
        return Ok(Outcomes::default());
    }
    let mut outcomes = cursor(&snapshot, no)?;
    outcomes.parked = parked(&snapshot, no, stretch)?;
    outcomes.rejected = rejected(&snapshot, no, stretch)?;
    snapshot.finish()?;
    outcomes.tried = reader.ledger.tried(no, stretch)?;
    Ok(outcomes)
}

fn cursor(conn: &Connection, no: IntegrationNo) -> Result<Outcomes, Cause> {
    let mut stmt = conn.prepare_cached("SELECT cursor, settled FROM lanes WHERE integration = ?")?;
    let (cursor, ranges): (_, Vec<u8>) = stmt.query_row([no.0], |r| Ok((r.get(0)?, r.get(1)?)))?;
    Ok(Outcomes { cursor, settled: settled::read(&ranges)?, ..Outcomes::default() })
}

fn parked(conn: &Connection, no: IntegrationNo, stretch: Stretch) -> Result<Vec<Waits>, Cause> {
    let sql = "SELECT seq, attempts, next_at, last_status, last_error FROM parked
               WHERE integration = ? AND seq BETWEEN ? AND ? ORDER BY seq";
    let row = |r: &Row| {
        Ok(Waits {
            seq: r.get(0)?,
            attempts: r.get(1)?,
            next_at: Time::from_millis(r.get(2)?),
            last_status: r.get(3)?,
            last_error: r.get(4)?,
        })
    };
    let mut stmt = conn.prepare_cached(sql)?;
    let rows = stmt.query_map(params![no.0, stretch.first, stretch.last], row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn rejected(conn: &Connection, no: IntegrationNo, stretch: Stretch) -> Result<Vec<GivenUp>, Cause> {
    let sql = "SELECT event_id, at, reason, last_status FROM rejected
               WHERE integration = ? AND event_id BETWEEN ? AND ? ORDER BY event_id, id";
    let row = |r: &Row| {
        Ok(GivenUp {
            event: EventId::from_bytes(r.get(0)?),
            at: Time::from_millis(r.get(1)?),
            reason: r.get(2)?,
            last_status: r.get(3)?,
        })
    };
    let mut stmt = conn.prepare_cached(sql)?;
    let rows = stmt.query_map(params![no.0, stretch.lowest.as_bytes(), stretch.highest.as_bytes()], row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
