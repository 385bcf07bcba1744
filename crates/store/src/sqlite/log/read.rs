//! Reading events from the segments.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use tillstream_model::{CompanyNo, Event, Seq, Time};

use super::directory;
use super::row;
use super::segments::{Catalog, SegmentId, Span, pos, seq_of};
use crate::ReadLimit;
use crate::engine::tail::Summary;
use crate::sqlite::conn::{Recent, open_reader};
use crate::sqlite::pool::Cause;

/// Segments that a reader keeps open.
const OPEN_SEGMENTS: usize = 8;
/// Most events of one statement, so that its snapshot is short.
const STATEMENT_EVENTS: usize = 1_000;

/// Connections of one thread that reads.
pub(super) struct Reader {
    catalog: Arc<Catalog>,
    directory: Connection,
    segments: Recent<SegmentId>,
}

/// A stretch that one segment can answer alone.
struct Run {
    segment: SegmentId,
    first: Seq,
    last: Seq,
}

impl Reader {
    /// A reader of the log in the catalogue's folder.
    pub(super) fn open(catalog: Arc<Catalog>) -> Result<Self, Cause> {
        let directory = open_reader(&catalog.folder.join(directory::FILE))?;
        Ok(Self { catalog, directory, segments: Recent::new(OPEN_SEGMENTS) })
    }

    /// What the disk says of a company's log.
    pub(super) fn summary(&mut self, company: CompanyNo) -> Result<Summary, Cause> {
        let mut summary = directory::summary(&self.directory, company)?.unwrap_or_default();
        let newest = self.spans(company, summary.head)?.into_iter().max_by_key(|s| s.last);
        if let Some(span) = newest {
            summary.head = span.last;
            let conn = self.segment(span.segment)?;
            summary.head_at = accepted_at(conn, pos(company, span.last))?.max(summary.head_at);
        }
        Ok(summary)
    }

    /// The events after a position up to `head`, within the limit; at least one, if there is one.
    ///
    /// `head` was visible before this call. Segments are looked at one after the other while the writer goes on: without
    /// that bound an event committed after the first look could be seen before one that the first look missed.
    pub(super) fn read(
        &mut self,
        company: CompanyNo,
        after: Seq,
        head: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Event>>, Cause> {
        let mut spans = self.spans(company, after)?;
        spans.retain(|s| s.first <= head);
        spans.iter_mut().for_each(|s| s.last = s.last.min(head));
        let (mut next, mut left, mut events) = (after.saturating_add(1), limit, Vec::new());
        left.events = left.events.max(1);
        while let Some(run) = self.run_from(company, &spans, next)? {
            let asked = left.events.min(STATEMENT_EVENTS);
            let found = self.read_run(company, &run, ReadLimit { events: asked, bytes: left.bytes })?;
            next = if found.len() < asked { run.last + 1 } else { found.last().map_or(next, |e| e.seq + 1) };
            let bytes = found.iter().map(|e| e.content.size()).sum();
            left = ReadLimit { events: left.events - found.len(), bytes: left.bytes.saturating_sub(bytes) };
            events.extend(found);
            if left.events == 0 || left.bytes == 0 && !events.is_empty() {
                break;
            }
        }
        Ok(events)
    }

    /// The events at these positions that are kept.
    pub(super) fn get(&mut self, company: CompanyNo, seqs: &[Seq]) -> Result<Vec<Arc<Event>>, Cause> {
        let Some(lowest) = seqs.iter().min() else { return Ok(Vec::new()) };
        let spans = self.spans(company, lowest.saturating_sub(1))?;
        let mut events = Vec::new();
        for seq in seqs {
            for span in spans.iter().filter(|s| (s.first..=s.last).contains(seq)) {
                let found = self.read_run(company, &Run { segment: span.segment, first: *seq, last: *seq }, ONE)?;
                events.extend(found);
            }
        }
        Ok(events)
    }

    /// The connection of a segment.
    pub(super) fn segment(&mut self, id: SegmentId) -> Result<&Connection, Cause> {
        let catalog = &self.catalog;
        self.segments.retain(|open| catalog.get(open).is_some());
        self.segments.get(id, || catalog.path(id))
    }

    /// The company's spans that reach beyond `after`, in no order. A segment that is being listed may be asked too.
    pub(super) fn spans(&mut self, company: CompanyNo, after: Seq) -> Result<Vec<Span>, Cause> {
        let unlisted = self.catalog.unlisted();
        let mut spans = directory::spans(&self.directory, company, after)?;
        spans.retain(|s| !unlisted.contains(&s.segment) && self.catalog.get(s.segment).is_some());
        for segment in unlisted {
            if let Some((first, last)) = ends(self.segment(segment)?, company)? {
                spans.push(Span { segment, first, last });
            }
        }
        spans.retain(|s| s.last > after);
        Ok(spans)
    }

    /// Where the events from `next` on are: one segment, up to where another one goes on.
    fn run_from(&mut self, company: CompanyNo, spans: &[Span], next: Seq) -> Result<Option<Run>, Cause> {
        let mut starts = Vec::new();
        for span in spans.iter().filter(|s| s.last >= next) {
            let first = match span.first >= next {
                true => Some(span.first),
                false => first_from(self.segment(span.segment)?, company, next)?,
            };
            starts.extend(first.map(|first| (first, span)));
        }
        starts.sort_unstable_by_key(|(first, _)| *first);
        let bound = starts.get(1).map_or(Seq::MAX, |(first, _)| first - 1);
        let run =
            |(first, span): &(Seq, &Span)| Run { segment: span.segment, first: *first, last: span.last.min(bound) };
        Ok(starts.first().map(run))
    }

    fn read_run(&mut self, company: CompanyNo, run: &Run, limit: ReadLimit) -> Result<Vec<Arc<Event>>, Cause> {
        let conn = self.segment(run.segment)?;
        let mut stmt = row::select(conn, "WHERE pos BETWEEN ? AND ? ORDER BY pos LIMIT ?")?;
        let mut rows = stmt.query(params![pos(company, run.first), pos(company, run.last), limit.events as i64])?;
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(found) = rows.next()? {
            let event = row::event(found)?;
            bytes += event.content.size();
            events.push(Arc::new(event));
            if bytes >= limit.bytes {
                break;
            }
        }
        Ok(events)
    }
}

const ONE: ReadLimit = ReadLimit { events: 1, bytes: 1 };

/// The company's first and last seq in a segment.
pub(super) fn ends(conn: &Connection, company: CompanyNo) -> Result<Option<(Seq, Seq)>, Cause> {
    let sql = "SELECT (SELECT min(pos) FROM events WHERE pos BETWEEN ?1 AND ?2),
                      (SELECT max(pos) FROM events WHERE pos BETWEEN ?1 AND ?2)";
    let range = params![pos(company, 0), pos(company, Seq::MAX)];
    let (first, last): (Option<i64>, Option<i64>) =
        conn.prepare_cached(sql)?.query_row(range, |r| Ok((r.get(0)?, r.get(1)?)))?;
    Ok(first.zip(last).map(|(first, last)| (seq_of(first), seq_of(last))))
}

/// When the event in this row was accepted.
pub(super) fn accepted_at(conn: &Connection, pos: i64) -> Result<Time, Cause> {
    let mut stmt = conn.prepare_cached("SELECT accepted_at FROM events WHERE pos = ?")?;
    Ok(Time::from_millis(stmt.query_row([pos], |r| r.get(0))?))
}

fn first_from(conn: &Connection, company: CompanyNo, seq: Seq) -> Result<Option<Seq>, Cause> {
    let sql = "SELECT pos FROM events WHERE pos BETWEEN ? AND ? ORDER BY pos LIMIT 1";
    let range = params![pos(company, seq), pos(company, Seq::MAX)];
    let found: Option<i64> = conn.prepare_cached(sql)?.query_row(range, |r| r.get(0)).optional()?;
    Ok(found.map(seq_of))
}
