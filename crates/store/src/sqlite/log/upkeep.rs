//! Work beside the writer: listing closed segments and dropping due ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use tillstream_model::{CompanyNo, EventId, Seq, Time};

use super::directory::{self, Last};
use super::erase;
use super::purge::Purge;
use super::read::{accepted_at, ends};
use super::segments::{Catalog, SegmentId, company_of, pos};
use crate::engine::tail::Tail;
use crate::sqlite::conn::{open_reader, remove_database};
use crate::sqlite::pool::Cause;
use crate::{DueSegment, Purged};

/// Connections of the thread that does it.
pub(super) struct Upkeep {
    catalog: Arc<Catalog>,
    tail: Arc<Tail>,
    directory: Connection,
    purges: BTreeMap<CompanyNo, Purge>,
}

impl Upkeep {
    /// With a connection that may write to the directory.
    pub(super) fn new(catalog: Arc<Catalog>, tail: Arc<Tail>, directory: Connection) -> Self {
        Self { catalog, tail, directory, purges: BTreeMap::new() }
    }

    /// Lists the spans of a segment that is not written to any more.
    pub(super) fn list(&mut self, id: SegmentId) {
        if self.catalog.get(id) != Some(false) {
            return;
        }
        match self.try_list(id) {
            Ok(()) => self.catalog.set(id, true),
            Err(cause) => tracing::warn!(segment = id.name(), %cause, "not listed; readers ask the segment itself"),
        }
    }

    /// Takes a segment off the list because it is written to again.
    pub(super) fn unlist(&mut self, id: SegmentId) -> Result<(), Cause> {
        directory::unlist(&mut self.directory, id)?;
        self.catalog.set(id, false);
        Ok(())
    }

    /// Segments whose retention has passed. What is old leaves the memory on the way.
    pub(super) fn due(&mut self, now: Time) -> Result<Vec<DueSegment>, Cause> {
        self.tail.forget_old(now);
        let mut due = Vec::new();
        for id in self.catalog.all().into_iter().filter(|id| id.is_due(now)) {
            self.list(id);
            due.push(DueSegment { name: id.name(), companies: directory::companies_of(&self.directory, id)? });
        }
        Ok(due)
    }

    /// Drops a segment; fine when it is gone already.
    pub(super) fn drop_segment(&mut self, name: &str, now: Time) -> Result<(), Cause> {
        let id = SegmentId::parse(name).ok_or("not the name of a segment")?;
        if self.catalog.get(id).is_none() {
            return Ok(());
        }
        if id.day >= now.day() {
            return Err("it is still written to".into());
        }
        let lasts = self.lasts(id)?;
        directory::bury(&mut self.directory, id, &lasts)?;
        self.tail.dropped(lasts.iter().map(|last| (last.company, last.seq)));
        self.catalog.remove(id);
        Ok(remove_database(&self.catalog.path(id))?)
    }

    /// Erases an event's payload on disk, then in memory; whether there is such an event.
    pub(super) fn erase(&mut self, company: CompanyNo, seq: Seq, id: EventId) -> Result<bool, Cause> {
        let found = erase::erase(&self.catalog, pos(company, seq), id)?;
        if found {
            self.tail.erase(company, seq);
        }
        Ok(found)
    }

    /// Closes a company's log. What the writer has begun is committed before it is looked for.
    pub(super) fn close(&mut self, company: CompanyNo) -> Result<(), Cause> {
        directory::close(&mut self.directory, company)?;
        self.tail.close(company);
        drop(self.catalog.turn());
        Ok(())
    }

    /// Removes for one slice what a closed log has.
    pub(super) fn purge(&mut self, company: CompanyNo) -> Result<Purged, Cause> {
        if !self.tail.is_closed(company) {
            return Err("it is not closed".into());
        }
        let begun = self.purges.remove(&company);
        let mut purge = begun.unwrap_or_else(|| Purge::new(company, &self.catalog));
        let purged = purge.slice(&self.catalog)?;
        match purged.done {
            // A segment that was listed meanwhile may have brought it back.
            true => directory::close(&mut self.directory, company)?,
            false => drop(self.purges.insert(company, purge)),
        }
        Ok(purged)
    }

    fn try_list(&mut self, id: SegmentId) -> Result<(), Cause> {
        let conn = open_reader(&self.catalog.path(id))?;
        let mut spans = Vec::new();
        for company in Companies::of(&conn) {
            let company = company?;
            spans.extend(ends(&conn, company)?.map(|(first, last)| (company, first, last)));
        }
        Ok(directory::list(&mut self.directory, id, &spans)?)
    }

    fn lasts(&mut self, id: SegmentId) -> Result<Vec<Last>, Cause> {
        let conn = open_reader(&self.catalog.path(id))?;
        let mut lasts = Vec::new();
        for company in Companies::of(&conn) {
            let company = company?;
            if let Some((_, seq)) = ends(&conn, company)? {
                lasts.push(Last { company, seq, at: accepted_at(&conn, pos(company, seq))? });
            }
        }
        Ok(lasts)
    }
}

/// The companies of a segment: one step in the tree for each.
struct Companies<'a> {
    conn: &'a Connection,
    after: i64,
}

impl<'a> Companies<'a> {
    fn of(conn: &'a Connection) -> Self {
        Self { conn, after: -1 }
    }

    fn step(&mut self) -> Result<Option<CompanyNo>, Cause> {
        let mut stmt = self.conn.prepare_cached("SELECT pos FROM events WHERE pos > ? ORDER BY pos LIMIT 1")?;
        let found: Option<i64> = stmt.query_row([self.after], |r| r.get(0)).optional()?;
        let company = found.map(company_of);
        if let Some(company) = company {
            self.after = pos(company, Seq::MAX);
        }
        Ok(company)
    }
}

impl Iterator for Companies<'_> {
    type Item = Result<CompanyNo, Cause>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
