//! Listing attempts: the files of the days backwards, in each of them the integrations merged by time.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use tillstream_model::event::EntityKey;
use tillstream_model::time::DAY_MS;
use tillstream_model::{IntegrationNo, Seq, Time};

use super::attempts::Days;
use crate::Page;
use crate::engine::place::{self, LOOKED_ROWS, Place, SEEK_ROWS};
use crate::sqlite::conn::Recent;
use crate::sqlite::pool::Cause;
use crate::state::{Attempt, AttemptFilter, Failure, Stretch, Tried};

/// Most rows of one integration that are read ahead.
const AHEAD_ROWS: usize = 256;
/// Files that a reader keeps open.
const OPEN_FILES: usize = 8;

/// Connections of one thread that reads attempts.
pub(super) struct Ledger {
    days: Arc<Days>,
    files: Recent<i64>,
}

impl Ledger {
    /// Over these files.
    pub(super) fn new(days: Arc<Days>) -> Self {
        Self { days, files: Recent::new(OPEN_FILES) }
    }

    /// A page of the attempts of these integrations, newest first.
    pub(super) fn page(
        &mut self,
        integrations: &[IntegrationNo],
        filter: &AttemptFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<(IntegrationNo, Attempt)>, Cause> {
        let mut list = List::new(filter, after, limit)?;
        if integrations.is_empty() {
            return Ok(list.finish());
        }
        for day in self.days.all().into_iter().rev() {
            if day > list.place.at.div_euclid(DAY_MS) || day < list.from.div_euclid(DAY_MS) {
                continue;
            }
            let conn = self.file(day)?;
            if list.take_day(conn, integrations)? {
                return Ok(list.finish());
            }
            list.place = list.place.min(Place::start_of(day * DAY_MS));
            if list.looked >= LOOKED_ROWS {
                list.more = true;
                return Ok(list.finish());
            }
        }
        Ok(list.finish())
    }

    /// Every attempt of one event, oldest first.
    pub(super) fn of_event(&mut self, no: IntegrationNo, seq: Seq) -> Result<Vec<Attempt>, Cause> {
        let mut attempts = Vec::new();
        for day in self.days.all() {
            let conn = self.file(day)?;
            let sql = format!("SELECT {COLUMNS} FROM attempts a WHERE integration = ? AND seq = ? ORDER BY at, number");
            let mut stmt = conn.prepare_cached(&sql)?;
            let rows = stmt.query_map(params![no.0, seq], |r| Ok((place(r, no.0 as i64)?, attempt(r)?)))?;
            for row in rows {
                let (place, attempt) = row?;
                attempts.push(with_failure(conn, place, attempt)?);
            }
        }
        Ok(attempts)
    }

    /// Which of these positions, accepted at or after `since`, were delivered.
    pub(super) fn delivered_among(
        &mut self,
        no: IntegrationNo,
        since: Time,
        seqs: &[Seq],
    ) -> Result<BTreeSet<Seq>, Cause> {
        let mut found = BTreeSet::new();
        for day in self.days.all().into_iter().filter(|day| *day >= since.day()) {
            let sql = "SELECT 1 FROM attempts WHERE integration = ? AND seq = ? AND NOT failed LIMIT 1";
            let mut stmt = self.file(day)?.prepare_cached(sql)?;
            for seq in seqs {
                if !found.contains(seq) && stmt.exists(params![no.0, *seq])? {
                    found.insert(*seq);
                }
            }
        }
        Ok(found)
    }

    /// What was tried of a stretch of events, by position. No attempt is older than the events.
    pub(super) fn tried(&mut self, no: IntegrationNo, stretch: Stretch) -> Result<Vec<Tried>, Cause> {
        let first_day = stretch.lowest.time().day();
        let mut tried = BTreeMap::new();
        for day in self.days.all().into_iter().filter(|day| *day >= first_day) {
            let sql = "SELECT seq, count(*), max(at), min(CASE WHEN failed THEN NULL ELSE at END) FROM attempts
                       WHERE integration = ? AND seq BETWEEN ? AND ? GROUP BY seq";
            let mut stmt = self.file(day)?.prepare_cached(sql)?;
            let rows = stmt.query_map(params![no.0, stretch.first, stretch.last], tried_row)?;
            for row in rows {
                place::add_tried(&mut tried, row?);
            }
        }
        Ok(tried.into_values().collect())
    }

    fn file(&mut self, day: i64) -> Result<&Connection, Cause> {
        let days = &self.days;
        self.files.retain(|day| days.contains(day));
        self.files.get(day, || days.path(day))
    }
}

/// A page that is being put together.
struct List<'a> {
    filter: &'a AttemptFilter,
    limit: usize,
    /// Everything from here on was looked at.
    place: Place,
    from: i64,
    looked: usize,
    items: Vec<(Place, Attempt)>,
    more: bool,
}

impl<'a> List<'a> {
    fn new(filter: &'a AttemptFilter, after: Option<&str>, limit: usize) -> Result<Self, Cause> {
        let place = Place::of_page(filter, after)?;
        let from = filter.from.map_or(0, Time::millis);
        Ok(Self { filter, limit, place, from, looked: 0, items: Vec::new(), more: false })
    }

    /// Takes what fits from a day's file; true when the page is complete.
    fn take_day(&mut self, conn: &Connection, integrations: &[IntegrationNo]) -> Result<bool, Cause> {
        // One snapshot for the first look at each integration; it ends before the rows are gone through, so that it
        // stays short however many there are.
        let snapshot = conn.unchecked_transaction()?;
        let mut merge = Merge::open(self, conn, integrations)?;
        snapshot.finish()?;
        self.looked += integrations.len() * SEEK_ROWS;
        while let Some((place, attempt)) = merge.next()? {
            self.looked += 1;
            if !self.wants(&attempt) {
                self.place = place;
            } else if self.items.len() == self.limit {
                self.more = true;
                return Ok(true);
            } else {
                self.place = place;
                self.items.push((place, with_failure(conn, place, attempt)?));
            }
            if self.looked >= LOOKED_ROWS {
                self.more = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn wants(&self, attempt: &Attempt) -> bool {
        let f = self.filter;
        f.success.is_none_or(|success| success == attempt.failure.is_none())
            && f.domain_key.is_none_or(|key| attempt.domain_key == Some(key))
            && f.name_hash.is_none_or(|hash| attempt.name_hash == hash)
    }

    fn finish(self) -> Page<(IntegrationNo, Attempt)> {
        let items = self.items.into_iter().map(|(place, a)| (IntegrationNo(place.integration as u64), a)).collect();
        Page { items, next: self.more.then(|| self.place.text()) }
    }
}

/// The attempts of several integrations in one file, newest first. Reads ahead of each as far as it is used.
struct Merge<'c> {
    conn: &'c Connection,
    sql: String,
    from: i64,
    sources: Vec<Source>,
    /// The next row of each source that has one.
    heads: BinaryHeap<(Place, usize)>,
}

struct Source {
    integration: i64,
    /// Rows that were read, newest last.
    ahead: Vec<(Place, Attempt)>,
    /// How many to read next; 0 when there are no more.
    chunk: usize,
    /// What is read next is older than this.
    end: Place,
}

impl<'c> Merge<'c> {
    fn open(list: &List<'_>, conn: &'c Connection, integrations: &[IntegrationNo]) -> Result<Self, Cause> {
        let failures_only = list.filter.success == Some(false);
        let chunk = (list.limit / integrations.len() + 2).min(AHEAD_ROWS);
        let sources = integrations.iter().map(|no| Source::new(no.0 as i64, list.place, chunk)).collect();
        let (sql, heads) = (query(failures_only), BinaryHeap::new());
        let mut merge = Self { conn, sql, from: list.from, sources, heads };
        for at in 0..merge.sources.len() {
            merge.refill(at)?;
        }
        Ok(merge)
    }

    fn next(&mut self) -> Result<Option<(Place, Attempt)>, Cause> {
        let Some((_, at)) = self.heads.pop() else { return Ok(None) };
        let row = self.sources[at].ahead.pop();
        self.refill(at)?;
        Ok(row)
    }

    /// Puts the source's next row among the heads, reading on when none is left.
    fn refill(&mut self, at: usize) -> Result<(), Cause> {
        let source = &mut self.sources[at];
        if source.ahead.is_empty() && source.chunk > 0 {
            source.read(self.conn, &self.sql, self.from)?;
        }
        self.heads.extend(source.ahead.last().map(|(place, _)| (*place, at)));
        Ok(())
    }
}

impl Source {
    /// Of two attempts at the same place in different integrations, the one of the lower number comes later.
    fn new(integration: i64, place: Place, chunk: usize) -> Self {
        let same_follows = i64::from(integration < place.integration);
        Self { integration, ahead: Vec::new(), chunk, end: Place { number: place.number + same_follows, ..place } }
    }

    fn read(&mut self, conn: &Connection, sql: &str, from: i64) -> Result<(), Cause> {
        let Place { at, seq, number, .. } = self.end;
        let mut stmt = conn.prepare_cached(sql)?;
        let bounds = params![self.integration, at, seq, number, from, self.chunk as i64];
        let rows = stmt.query_map(bounds, |r| Ok((place(r, self.integration)?, attempt(r)?)))?;
        self.ahead = rows.collect::<rusqlite::Result<_>>()?;
        self.end = self.ahead.last().map_or(self.end, |(place, _)| *place);
        self.chunk = if self.ahead.len() < self.chunk { 0 } else { (self.chunk * 2).min(AHEAD_ROWS) };
        self.ahead.reverse();
        Ok(())
    }
}

fn tried_row(row: &Row) -> rusqlite::Result<Tried> {
    Ok(Tried {
        seq: row.get(0)?,
        attempts: row.get(1)?,
        last_at: Time::from_millis(row.get(2)?),
        delivered_at: row.get::<_, Option<i64>>(3)?.map(Time::from_millis),
    })
}

const COLUMNS: &str = "a.at, a.seq, a.number, a.elapsed_ms, a.status, a.remaining, a.domain_key, a.name_hash, a.failed";

/// Failures have a table of their own, so that looking for them does not look at the successes.
fn query(failures_only: bool) -> String {
    let (tables, first) = match failures_only {
        true => ("failures f CROSS JOIN attempts a USING (integration, at, seq, number)", "f"),
        false => ("attempts a", "a"),
    };
    format!(
        "SELECT {COLUMNS} FROM {tables} WHERE {first}.integration = ? AND ({first}.at, {first}.seq, {first}.number) < (?, ?, ?)
         AND {first}.at >= ? ORDER BY {first}.at DESC, {first}.seq DESC, {first}.number DESC LIMIT ?"
    )
}

fn place(row: &Row, integration: i64) -> rusqlite::Result<Place> {
    Ok(Place { at: row.get(0)?, seq: row.get(1)?, number: row.get(2)?, integration })
}

/// A failure's words are read later, and only for attempts that are shown.
fn attempt(row: &Row) -> rusqlite::Result<Attempt> {
    let failed: bool = row.get(8)?;
    let unread = || Failure { cause: String::new(), detail: String::new(), answer: Vec::new() };
    Ok(Attempt {
        at: Time::from_millis(row.get(0)?),
        seq: row.get(1)?,
        number: row.get(2)?,
        elapsed_ms: row.get(3)?,
        status: row.get(4)?,
        remaining: row.get(5)?,
        domain_key: row.get::<_, Option<i64>>(6)?.map(EntityKey),
        name_hash: row.get(7)?,
        failure: failed.then(unread),
    })
}

fn with_failure(conn: &Connection, place: Place, mut attempt: Attempt) -> Result<Attempt, Cause> {
    if attempt.failure.is_some() {
        let sql =
            "SELECT cause, detail, answer FROM failures WHERE integration = ? AND at = ? AND seq = ? AND number = ?";
        let key = params![place.integration, place.at, place.seq, place.number];
        let read = |r: &Row| Ok(Failure { cause: r.get(0)?, detail: r.get(1)?, answer: r.get(2)? });
        attempt.failure = conn.prepare_cached(sql)?.query_row(key, read).optional()?.or(attempt.failure);
    }
    Ok(attempt)
}
