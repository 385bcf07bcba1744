//! Events as rows.

use rusqlite::{CachedStatement, Connection, Row, params};
use tillstream_model::json::Json;
use tillstream_model::{Content, Event, EventId, Time, Trace};

use super::segments::{company_of, pos, seq_of};

/// The columns that [`event`] reads, in its order, without the last one: the trace.
const COLUMNS: &str = "pos, accepted_at, random, name, site, terminal, entity_id, occurred_at, business_date, caller_id, correlation, data";

/// A statement for rows that [`event`] reads; `which` comes after the table's name. Only a segment that is written to is
/// brought to the newest version: those of earlier days may lack the trace.
pub(super) fn select<'c>(conn: &'c Connection, which: &str) -> rusqlite::Result<CachedStatement<'c>> {
    let from = |trace: &str| conn.prepare_cached(&format!("SELECT {COLUMNS}, {trace} FROM events {which}"));
    from("trace").or_else(|_| from("NULL"))
}

/// Writes an event.
pub(super) fn insert(conn: &Connection, event: &Event) -> rusqlite::Result<()> {
    let c = &event.content;
    conn.prepare_cached("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?.execute(params![
        pos(event.company, event.seq),
        event.accepted_at.millis(),
        random_of(event.id),
        &c.name,
        c.site.as_deref(),
        c.terminal.as_deref(),
        c.entity_id.as_deref(),
        c.occurred_at.map(Time::millis),
        c.business_date.as_deref(),
        c.caller_id.as_deref(),
        c.correlation.as_ref().map(Json::get),
        c.data.get(),
        c.trace.map(Trace::to_bytes),
    ])?;
    Ok(())
}

/// Reads an event.
pub(super) fn event(row: &Row) -> rusqlite::Result<Event> {
    let pos: i64 = row.get(0)?;
    let accepted_at = Time::from_millis(row.get(1)?);
    let content = Content {
        name: row.get(3)?,
        site: row.get(4)?,
        terminal: row.get(5)?,
        entity_id: row.get(6)?,
        occurred_at: row.get::<_, Option<i64>>(7)?.map(Time::from_millis),
        business_date: row.get(8)?,
        caller_id: row.get(9)?,
        correlation: row.get::<_, Option<Box<str>>>(10)?.map(Json::trusted),
        data: Json::trusted(row.get::<_, Box<str>>(11)?),
        trace: row.get_ref(12)?.as_blob_or_null()?.and_then(Trace::from_bytes),
    };
    let id = EventId::new(accepted_at, row.get(2)?);
    Ok(Event { company: company_of(pos), seq: seq_of(pos), id, accepted_at, content })
}

/// The part of an id that is stored; its time is the row's.
pub(super) fn random_of(id: EventId) -> [u8; 10] {
    let mut random = [0; 10];
    random.copy_from_slice(&id.as_bytes()[6..]);
    random
}
