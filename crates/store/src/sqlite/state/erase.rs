//! Taking a payload out of everything that is kept of an event.

use rusqlite::params;
use tillstream_model::{CompanyNo, EventId, Seq};

use super::writer::{Stop, Work};
use crate::StoreError;
use crate::engine::event;

/// Rewrites waiting and rejected rows of the company's integrations. What was there is overwritten.
pub(super) fn erase(work: &mut Work<'_>, company: CompanyNo, seq: Seq, id: EventId) -> Result<(), Stop<StoreError>> {
    let of_company = "SELECT no FROM integrations WHERE company = ?";
    let sql = format!(
        "SELECT integration, event FROM parked WHERE integration IN ({of_company}) AND seq = ? AND event IS NOT NULL"
    );
    let mut stmt = work.conn.prepare_cached(&sql)?;
    let rows = stmt.query_map(params![company.0, seq], |r| Ok((r.get(0)?, r.get(1)?)))?;
    for (no, stored) in rows.collect::<rusqlite::Result<Vec<(i64, Vec<u8>)>>>()? {
        let mut stmt = work.conn.prepare_cached("UPDATE parked SET event = ? WHERE integration = ? AND seq = ?")?;
        stmt.execute(params![event::erased(&stored)?, no, seq])?;
    }
    let sql = format!("SELECT id, event FROM rejected WHERE integration IN ({of_company}) AND event_id = ?");
    let mut stmt = work.conn.prepare_cached(&sql)?;
    let rows = stmt.query_map(params![company.0, id.as_bytes()], |r| Ok((r.get(0)?, r.get(1)?)))?;
    for (row, stored) in rows.collect::<rusqlite::Result<Vec<(i64, Vec<u8>)>>>()? {
        let mut stmt = work.conn.prepare_cached("UPDATE rejected SET event = ? WHERE id = ?")?;
        stmt.execute(params![event::erased(&stored)?, row])?;
    }
    Ok(())
}
