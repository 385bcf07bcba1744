//! Hiding companies, and removing what they have in slices that do not hold up the writer.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tillstream_model::CompanyNo;

use super::SqliteState;
use super::attempts;
use super::companies;
use super::documents::owner;
use super::sweep::remove_leftovers;
use super::writer::{Stop, Work};
use crate::engine::transfer::of_companies;
use crate::sqlite::conn::{empty_wal, open_writer};
use crate::sqlite::pool::Cause;
use crate::{Gone, Leave, Leaving, Purged, Result, StoreError};

/// The writer's time that one slice may take; checked after every few rows.
const SLICE: Duration = Duration::from_millis(4);
/// Rows removed by one statement. A row may hold an event of 1 MB.
const ROWS: usize = 4;

#[async_trait]
impl Leave for SqliteState {
    async fn hide_company(&self, company: CompanyNo, job: &str) -> Result<Option<String>> {
        let job = job.to_owned();
        self.writer.call("hide a company", move |w| hide(w, company, job)).await
    }

    async fn leaving(&self) -> Result<Vec<Leaving>> {
        self.read("list companies that are being deleted", |r| companies::leaving(&r.conn)).await
    }

    async fn purge_state(&self, company: CompanyNo) -> Result<Purged> {
        self.writer.call("remove what a company has", move |w| slice(w, company)).await
    }

    async fn remove_company(&self, company: CompanyNo) -> Result<()> {
        self.writer.call("remove a company", move |w| remove(w, company)).await?;
        // What was overwritten is in the write-ahead logs until they are emptied.
        let days = self.attempt_days();
        let empty = move |conn: &Connection| {
            empty_wal(conn)?;
            days.iter().try_for_each(|(_, file)| empty_wal(&open_writer(file, &attempts::SCHEMA)?))
        };
        self.read("empty the write-ahead logs", move |r| empty(&r.conn)).await
    }
}

/// Refuses to write anything for a company that is hidden.
pub(super) fn refuse_gone(conn: &Connection, of: Option<CompanyNo>) -> Result<(), Cause> {
    match is_gone(conn, owner(of))? {
        true => Err(Gone.into()),
        false => Ok(()),
    }
}

/// Whether a company is hidden.
pub(super) fn is_gone(conn: &Connection, company: u32) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM gone WHERE company = ?")?.exists([company])
}

fn hide(work: &mut Work<'_>, company: CompanyNo, job: String) -> Result<Option<String>, Stop<StoreError>> {
    let mut stmt = work.conn.prepare_cached("SELECT job FROM gone WHERE company = ?")?;
    let known: Option<String> = stmt.query_row([company.0], |r| r.get(0)).optional()?;
    if known.is_some() {
        return Ok(known);
    }
    let sql = "INSERT INTO gone SELECT no, ?2 FROM companies WHERE no = ?1";
    let hidden = work.conn.prepare_cached(sql)?.execute(params![company.0, job])? > 0;
    Ok(hidden.then_some(job))
}

fn slice(work: &mut Work<'_>, company: CompanyNo) -> Result<Purged, Stop<StoreError>> {
    if !is_gone(work.conn, company.0)? {
        return Err(Stop::Broken("it is not hidden".into()));
    }
    let (end, mut rows) = (Instant::now() + SLICE, 0);
    while let Some(removed) = remove_some(work, company)? {
        rows += removed;
        if Instant::now() >= end {
            return Ok(Purged { rows, done: false });
        }
    }
    Ok(Purged { rows, done: true })
}

/// Removes a few rows; how many. None: nothing is left.
fn remove_some(work: &mut Work<'_>, company: CompanyNo) -> Result<Option<u64>, Stop<StoreError>> {
    // Lanes write nothing any more once their integrations are gone.
    let removed = leave_integrations(work.conn, company)?;
    if removed > 0 {
        return Ok(Some(removed));
    }
    for (table, key) in of_companies() {
        let sql = format!(
            "DELETE FROM {table} WHERE company = ?1 AND ({key}) IN (SELECT {key} FROM {table} WHERE company = ?1 LIMIT ?2)"
        );
        let removed = work.conn.prepare_cached(&sql)?.execute(params![company.0, ROWS])?;
        if removed > 0 {
            return Ok(Some(removed as u64));
        }
    }
    remove_leftovers(work)
}

/// Deletes some integrations, as if somebody did so one by one; what hangs on them is left over.
fn leave_integrations(conn: &Connection, company: CompanyNo) -> rusqlite::Result<u64> {
    let sql = "SELECT no FROM integrations WHERE company = ? LIMIT ?";
    let mut stmt = conn.prepare_cached(sql)?;
    let nos: Vec<i64> = stmt.query_map(params![company.0, ROWS], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
    for no in &nos {
        conn.prepare_cached("DELETE FROM integrations WHERE no = ?")?.execute([no])?;
        conn.prepare_cached("INSERT INTO leftovers VALUES (?)")?.execute([no])?;
    }
    Ok(nos.len() as u64)
}

fn remove(work: &mut Work<'_>, company: CompanyNo) -> Result<(), Stop<StoreError>> {
    let sql = "DELETE FROM companies WHERE no = ? AND no IN (SELECT company FROM gone)";
    work.conn.prepare_cached(sql)?.execute([company.0])?;
    Ok(())
}
