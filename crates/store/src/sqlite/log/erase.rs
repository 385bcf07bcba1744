//! Taking a payload out of a segment's file.

use rusqlite::{Connection, params};
use tillstream_model::EventId;
use tillstream_model::event::ERASED;

use super::row::random_of;
use super::segments::{Catalog, SCHEMA, SegmentId};
use crate::Retention;
use crate::sqlite::conn::{empty_wal, open_writer, overwrite_deleted};
use crate::sqlite::pool::Cause;

/// Erases the event in this row; whether there is one. The id tells the day of its segment. Beside the writer, which
/// waits for the few milliseconds that this takes.
pub(super) fn erase(catalog: &Catalog, pos: i64, id: EventId) -> Result<bool, Cause> {
    for class in Retention::ALL {
        let segment = SegmentId { day: id.time().day(), class };
        if catalog.get(segment).is_none() {
            continue;
        }
        let conn = open_writer(&catalog.path(segment), &SCHEMA)?;
        if erase_row(&conn, pos, id)? {
            empty_wal(&conn)?;
            return Ok(true);
        }
    }
    Ok(false)
}

fn erase_row(conn: &Connection, pos: i64, id: EventId) -> Result<bool, Cause> {
    overwrite_deleted(conn)?;
    let sql = "UPDATE events SET data = ?, correlation = NULL WHERE pos = ? AND random = ?";
    Ok(conn.execute(sql, params![ERASED, pos, random_of(id)])? > 0)
}
