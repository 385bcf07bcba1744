//! Reading events from the segments.

use std::sync::Arc;

use tillstream_model::{CompanyNo, Event, EventId, Seq, Time};
use tokio_postgres::types::Type;

use super::super::row;
use super::super::session::{Session, Sessions};
use super::segments;
use crate::ReadLimit;
use crate::engine::Cause;
use crate::engine::segment::SegmentId;
use crate::engine::tail::Tail;

/// Most events of one statement.
const STATEMENT_EVENTS: usize = 1_000;

/// Reads on connections that are shared.
#[derive(Clone)]
pub(super) struct Reader {
    sessions: Sessions,
    tail: Arc<Tail>,
}

/// What is kept of a company's log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    /// The last position.
    pub(super) head: Seq,
    /// The last position that is no longer kept.
    pub(super) floor: Seq,
    /// It is closed for good.
    pub(super) closed: bool,
}

/// Positions of a company that lie in one segment.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    segment: SegmentId,
    first: Seq,
    last: Seq,
}

impl Reader {
    /// What is read at the head goes into memory for others.
    pub(super) fn new(sessions: Sessions, tail: Arc<Tail>) -> Self {
        Self { sessions, tail }
    }

    /// Where a company's log begins and ends.
    pub(super) async fn ends(&self, company: CompanyNo) -> Result<Ends, Cause> {
        ends(&*self.sessions.get().await?, company).await
    }

    /// The events after a position, within the limit; at least one, if there is one. The head is looked at first:
    /// segments are asked one after the other while others write, and without that bound an event could be seen before
    /// one that an earlier look missed.
    pub(super) async fn read(
        &self,
        company: CompanyNo,
        after: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Event>>, Cause> {
        let session = self.sessions.get().await?;
        let head = ends(&session, company).await?.head;
        if after >= head {
            return Ok(Vec::new());
        }
        let mut events: Vec<Arc<Event>> = Vec::new();
        let mut left = ReadLimit { events: limit.events.max(1), bytes: limit.bytes };
        for stretch in stretches(&session, company, after + 1, head).await? {
            let mut next = stretch.first.max(after + 1);
            while next <= stretch.last && left.events > 0 && (left.bytes > 0 || events.is_empty()) {
                let found = read_some(&session, company, Stretch { first: next, ..stretch }, left).await?;
                let Some(last) = found.last() else { break };
                next = last.seq + 1;
                let bytes = found.iter().map(|e| e.content.size()).sum();
                left = ReadLimit { events: left.events - found.len(), bytes: left.bytes.saturating_sub(bytes) };
                events.extend(found);
            }
        }
        self.keep(company, &events, head);
        Ok(events)
    }

    /// What goes on from the events in memory is kept there too, and what reaches the head.
    fn keep(&self, company: CompanyNo, events: &[Arc<Event>], head: Seq) {
        let known = self.tail.summary(company).map_or(0, |s| s.head);
        let new: Vec<_> = events.iter().filter(|e| e.seq > known).cloned().collect();
        let goes_on = new.first().is_some_and(|first| known > 0 && first.seq == known + 1);
        if goes_on || new.last().is_some_and(|last| last.seq == head) {
            self.tail.publish(new);
        }
    }

    /// Reads what others wrote behind the events in memory.
    pub(super) async fn catch_up(&self, company: CompanyNo, head: Seq) -> Result<(), Cause> {
        const LIMIT: ReadLimit = ReadLimit { events: 1_000, bytes: 1 << 20 };
        while let Some(known) = self.tail.summary(company).map(|s| s.head).filter(|known| *known < head) {
            if self.read(company, known, LIMIT).await?.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// The events at these positions, which are in order, that are kept.
    pub(super) async fn get(&self, company: CompanyNo, seqs: &[Seq]) -> Result<Vec<Arc<Event>>, Cause> {
        let (Some(first), Some(last)) = (seqs.first(), seqs.last()) else { return Ok(Vec::new()) };
        let session = self.sessions.get().await?;
        let head = ends(&session, company).await?.head;
        let mut events = Vec::new();
        for stretch in stretches(&session, company, *first, head.min(*last)).await? {
            let wanted: Vec<i64> = seqs
                .iter()
                .filter(|seq| (stretch.first..=stretch.last).contains(seq))
                .map(|seq| row::stored_seq(*seq))
                .collect();
            if !wanted.is_empty() {
                events.extend(get_some(&session, company, stretch.segment, &wanted).await?);
            }
        }
        Ok(events)
    }

    /// The event with this id: the id tells when it was accepted.
    pub(super) async fn find(&self, company: CompanyNo, id: EventId) -> Result<Option<Arc<Event>>, Cause> {
        let session = self.sessions.get().await?;
        let head = ends(&session, company).await?.head;
        let all = stretches(&session, company, 1, head).await?;
        for stretch in all.into_iter().filter(|s| s.segment.day == id.time().day()) {
            let Some(first) = first_at(&session, company, stretch, id.time()).await? else { continue };
            if let Some(event) = find_from(&session, company, Stretch { first, ..stretch }, id).await? {
                return Ok(Some(Arc::new(event)));
            }
        }
        Ok(None)
    }

    /// The last position accepted before `time`; the floor when everything kept is younger.
    pub(super) async fn before(&self, company: CompanyNo, time: Time) -> Result<Seq, Cause> {
        let session = self.sessions.get().await?;
        let ends = ends(&session, company).await?;
        let mut last = ends.floor;
        for stretch in stretches(&session, company, 1, ends.head).await? {
            let found = match stretch.segment.day.cmp(&time.day()) {
                std::cmp::Ordering::Less => stretch.last,
                std::cmp::Ordering::Greater => 0,
                std::cmp::Ordering::Equal => match first_at(&session, company, stretch, time).await? {
                    Some(first) if first > stretch.first => first - 1,
                    Some(_) => 0,
                    None => stretch.last,
                },
            };
            last = last.max(found);
        }
        Ok(last)
    }
}

async fn ends(session: &Session, company: CompanyNo) -> Result<Ends, Cause> {
    let sql = "SELECT head, floor, closed FROM log_heads WHERE company = $1";
    let row = session.row(sql, &[(&row::stored_company(company), Type::INT4)]).await?;
    let ends = |r: tokio_postgres::Row| Ends { head: row::seq(r.get(0)), floor: row::seq(r.get(1)), closed: r.get(2) };
    Ok(row.map_or_else(Ends::default, ends))
}

/// Where the positions from `first` to `last` are, in order. Those that were dropped are in none.
async fn stretches(session: &Session, company: CompanyNo, first: Seq, last: Seq) -> Result<Vec<Stretch>, Cause> {
    let sql = "SELECT first, segment FROM log_stretches WHERE company = $1 AND first <= $3 AND first >= coalesce(
                   (SELECT max(first) FROM log_stretches WHERE company = $1 AND first <= $2), 0) ORDER BY first";
    let params = [
        (&row::stored_company(company) as _, Type::INT4),
        (&row::stored_seq(first) as _, Type::INT8),
        (&row::stored_seq(last) as _, Type::INT8),
    ];
    let rows = session.rows(sql, &params).await?;
    let firsts: Vec<Seq> = rows.iter().map(|r| row::seq(r.get(0))).collect();
    let mut found = Vec::with_capacity(rows.len());
    for (at, r) in rows.iter().enumerate() {
        let segment = SegmentId::parse(r.get(1)).ok_or("a stretch names no segment")?;
        let end = firsts.get(at + 1).map_or(last, |next| next - 1);
        found.push(Stretch { segment, first: firsts[at], last: end });
    }
    Ok(found)
}

/// Some events from the beginning of a stretch: as many as fit, at least one. The sizes are added up by the server, so
/// that it does not send what is not wanted.
async fn read_some(
    session: &Session,
    company: CompanyNo,
    stretch: Stretch,
    limit: ReadLimit,
) -> Result<Vec<Arc<Event>>, Cause> {
    let (table, columns) = (segments::table(stretch.segment), row::COLUMNS);
    let sql = format!(
        "SELECT {columns} FROM (
             SELECT *, sum(size) OVER (ORDER BY seq) - size AS before FROM (
                 SELECT * FROM {table} WHERE company = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq LIMIT $4) AS few
         ) AS sized WHERE before < $5 ORDER BY seq"
    );
    let events = i64::try_from(limit.events.min(STATEMENT_EVENTS)).unwrap_or(i64::MAX);
    let bytes = i64::try_from(limit.bytes.max(1)).unwrap_or(i64::MAX);
    let params = [
        (&row::stored_company(company) as _, Type::INT4),
        (&row::stored_seq(stretch.first) as _, Type::INT8),
        (&row::stored_seq(stretch.last) as _, Type::INT8),
        (&events as _, Type::INT8),
        (&bytes as _, Type::INT8),
    ];
    session.rows(&sql, &params).await?.iter().map(|r| Ok(Arc::new(row::event(company, r)?))).collect()
}

async fn get_some(
    session: &Session,
    company: CompanyNo,
    segment: SegmentId,
    seqs: &[i64],
) -> Result<Vec<Arc<Event>>, Cause> {
    let (table, columns) = (segments::table(segment), row::COLUMNS);
    // Each position by itself: of a day that has just begun the server knows little, and would rather read all of the
    // company's events than look for many at once.
    let sql = format!(
        "SELECT e.* FROM unnest($2::int8[]) n (seq) CROSS JOIN LATERAL (
             SELECT {columns} FROM {table} t WHERE t.company = $1 AND t.seq = n.seq LIMIT 1
         ) e ORDER BY e.seq"
    );
    let params = [(&row::stored_company(company) as _, Type::INT4), (&seqs as _, Type::INT8_ARRAY)];
    session.rows(&sql, &params).await?.iter().map(|r| Ok(Arc::new(row::event(company, r)?))).collect()
}

/// Looks through the events of the id's moment only.
async fn find_from(
    session: &Session,
    company: CompanyNo,
    stretch: Stretch,
    id: EventId,
) -> Result<Option<Event>, Cause> {
    let (table, columns) = (segments::table(stretch.segment), row::COLUMNS);
    let sql = format!(
        "SELECT {columns} FROM {table} WHERE company = $1 AND seq BETWEEN $2 AND $3 AND (accepted_at > $4 OR random = $5)
         ORDER BY seq LIMIT 1"
    );
    let random = &id.as_bytes()[6..];
    let params = [
        (&row::stored_company(company) as _, Type::INT4),
        (&row::stored_seq(stretch.first) as _, Type::INT8),
        (&row::stored_seq(stretch.last) as _, Type::INT8),
        (&id.time().millis() as _, Type::INT8),
        (&random as _, Type::BYTEA),
    ];
    let found = session.row(&sql, &params).await?.map(|r| row::event(company, &r)).transpose()?;
    Ok(found.filter(|event| event.id == id))
}

/// The first position of a stretch that was accepted at `time` or later: times never decrease within it.
async fn first_at(session: &Session, company: CompanyNo, stretch: Stretch, time: Time) -> Result<Option<Seq>, Cause> {
    let sql = format!("SELECT accepted_at FROM {} WHERE company = $1 AND seq = $2", segments::table(stretch.segment));
    let (mut low, mut high) = (stretch.first, stretch.last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let params = [(&row::stored_company(company) as _, Type::INT4), (&row::stored_seq(middle) as _, Type::INT8)];
        let at = session.row(&sql, &params).await?.map(|r| Time::from_millis(r.get(0)));
        match at {
            Some(at) if at < time => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(Some(low).filter(|first| *first <= stretch.last))
}
