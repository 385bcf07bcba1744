//! Finding positions by time and by id, without an index: within a segment the acceptance times never decrease.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use tillstream_model::{CompanyNo, Event, EventId, Seq, Time};

use super::read::Reader;
use super::row;
use super::segments::{Span, pos, seq_of};
use crate::sqlite::pool::Cause;

impl Reader {
    /// The event with this id: the id tells when it was accepted.
    pub(super) fn find(&mut self, company: CompanyNo, id: EventId) -> Result<Option<Arc<Event>>, Cause> {
        let day = id.time().day();
        for span in self.spans(company, 0)?.into_iter().filter(|s| s.segment.day == day) {
            let conn = self.segment(span.segment)?;
            let Some(first) = first_at(conn, company, &span, id.time())? else { continue };
            if let Some(event) = find_from(conn, company, first, &span, id)? {
                return Ok(Some(Arc::new(event)));
            }
        }
        Ok(None)
    }

    /// The last kept position accepted before `time`.
    pub(super) fn before(&mut self, company: CompanyNo, time: Time) -> Result<Option<Seq>, Cause> {
        let mut last = None;
        for span in self.spans(company, 0)? {
            let found = match span.segment.day.cmp(&time.day()) {
                std::cmp::Ordering::Less => Some(span.last),
                std::cmp::Ordering::Greater => None,
                std::cmp::Ordering::Equal => last_before(self.segment(span.segment)?, company, &span, time)?,
            };
            last = last.max(found);
        }
        Ok(last)
    }
}

fn find_from(
    conn: &Connection,
    company: CompanyNo,
    first: Seq,
    span: &Span,
    id: EventId,
) -> Result<Option<Event>, Cause> {
    let range = (pos(company, first), pos(company, span.last));
    let sql = "SELECT pos FROM (SELECT pos, accepted_at, random FROM events WHERE pos BETWEEN ?1 AND ?2 ORDER BY pos)
               WHERE accepted_at > ?3 OR random = ?4 LIMIT 1";
    let mut stmt = conn.prepare_cached(sql)?;
    let found: Option<i64> =
        stmt.query_row(params![range.0, range.1, id.time().millis(), row::random_of(id)], |r| r.get(0)).optional()?;
    let Some(pos) = found else { return Ok(None) };
    let event = row::select(conn, "WHERE pos = ?")?.query_row([pos], row::event)?;
    Ok(Some(event).filter(|e| e.id == id))
}

/// The company's first seq in the span accepted at `time` or later.
fn first_at(conn: &Connection, company: CompanyNo, span: &Span, time: Time) -> Result<Option<Seq>, Cause> {
    let (mut low, mut high) = (span.first, span.last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match row_from(conn, company, middle, high - 1)? {
            Some((seq, at)) if at < time => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(row_from(conn, company, low, span.last)?.map(|(seq, _)| seq))
}

fn last_before(conn: &Connection, company: CompanyNo, span: &Span, time: Time) -> Result<Option<Seq>, Cause> {
    let end = match first_at(conn, company, span, time)? {
        Some(first) => first - 1,
        None => span.last,
    };
    let sql = "SELECT max(pos) FROM events WHERE pos BETWEEN ? AND ?";
    let range = params![pos(company, span.first), pos(company, end)];
    let found: Option<i64> = conn.prepare_cached(sql)?.query_row(range, |r| r.get(0))?;
    Ok(found.map(seq_of))
}

/// The first row from one seq to another, with its time; seqs between may lie in other segments.
fn row_from(conn: &Connection, company: CompanyNo, from: Seq, to: Seq) -> Result<Option<(Seq, Time)>, Cause> {
    let sql = "SELECT pos, accepted_at FROM events WHERE pos BETWEEN ? AND ? ORDER BY pos LIMIT 1";
    let range = params![pos(company, from), pos(company, to)];
    let row = conn.prepare_cached(sql)?.query_row(range, |r| Ok((seq_of(r.get(0)?), Time::from_millis(r.get(1)?))));
    Ok(row.optional()?)
}
