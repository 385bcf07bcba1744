//! The index in a file for each day, beside the log: `index/2026-11-21.db`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tillstream_model::lookup::LookupKey;
use tillstream_model::{CompanyNo, Seq};

use super::conn::{Recent, Schema, make_folder, open_writer, remove_database};
use super::log::segments::Catalog;
use super::pool::{Cause, Pool};
use crate::engine::closed::Closed;
use crate::engine::postings::{self, DayRun};
use crate::engine::segment::{day_name, parse_day};
use crate::index::{Entry, Index};
use crate::{Purged, Result, StoreError};

/// Not waited for: what is lost is derived again.
const SCHEMA: Schema = Schema {
    what: "this file of the index",
    page_bytes: 4_096,
    synced: false,
    cache_kib: 4 << 10,
    migrations: &[include_str!("schema/index_1.sql")],
};
/// Pages in the write-ahead log after which a commit moves them; the index has a thread of its own for that.
const CHECKPOINT_PAGES: i64 = 1_000;
/// Files that stay open to be read.
const OPEN_FILES: usize = 16;

/// How long one slice of a purge takes, and rows that one of its statements removes.
const SLICE: Duration = Duration::from_millis(4);
const PURGED_ROWS: usize = 64;

type Stretches = HashMap<CompanyNo, Vec<(Seq, Seq)>>;

/// The embedded index.
pub(super) struct SqliteIndex {
    writer: Pool<Writer>,
    reader: Pool<Reader>,
    days: Arc<Days>,
}

/// Which days have a file, and what is known of them.
struct Days {
    folder: PathBuf,
    log: Arc<Catalog>,
    closed: Arc<Closed>,
    days: Mutex<BTreeSet<i64>>,
    /// What is indexed of the companies that somebody asked about or wrote to.
    covered: Mutex<Stretches>,
}

struct Writer {
    days: Arc<Days>,
    /// The file that was written to last.
    open: Option<(i64, Connection)>,
    /// Days that may have runs to be put together.
    touched: BTreeSet<i64>,
    /// Days that are still to be looked at for companies whose log is closed.
    purges: HashMap<CompanyNo, Vec<i64>>,
}

struct Reader {
    days: Arc<Days>,
    files: Recent<i64>,
}

impl SqliteIndex {
    /// Opens what is in `folder/index`.
    pub(super) fn open(folder: &Path, log: Arc<Catalog>, closed: Arc<Closed>) -> Result<Self, Cause> {
        let folder = folder.join("index");
        make_folder(&folder)?;
        let mut found = BTreeSet::new();
        for entry in std::fs::read_dir(&folder)? {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(|n| n.strip_suffix(".db")).and_then(parse_day));
        }
        found.retain(|day| is_whole(&folder.join(format!("{}.db", day_name(*day)))));
        let days = Arc::new(Days { folder, log, closed, days: Mutex::new(found), covered: Mutex::default() });
        let reader = Reader { days: days.clone(), files: Recent::new(OPEN_FILES) };
        Ok(Self {
            writer: Pool::start(
                "index-writer",
                vec![Writer {
                    touched: days.all().into_iter().collect(),
                    days: days.clone(),
                    open: None,
                    purges: HashMap::new(),
                }],
            )?,
            reader: Pool::start("index-reader", vec![reader])?,
            days,
        })
    }
}

/// Whether a file can be used. One that was being made when the process ended is finished; one that is broken goes, and
/// is derived again.
fn is_whole(path: &Path) -> bool {
    let Err(cause) = open_writer(path, &SCHEMA) else { return true };
    tracing::warn!(file = %path.display(), %cause, "a file of the index is broken and is made again");
    if let Err(e) = remove_database(path) {
        tracing::warn!(file = %path.display(), error = %e, "it could not be removed");
    }
    false
}

impl Days {
    fn path(&self, day: i64) -> PathBuf {
        self.folder.join(format!("{}.db", day_name(day)))
    }

    fn all(&self) -> Vec<i64> {
        lock(&self.days).iter().copied().collect()
    }

    /// Of these days the log has nothing.
    fn unused(&self) -> Vec<i64> {
        let kept: BTreeSet<i64> = self.log.all().into_iter().map(|segment| segment.day).collect();
        self.all().into_iter().filter(|day| !kept.contains(day)).collect()
    }

    fn reached(&self, company: CompanyNo, floor: Seq) -> Option<Seq> {
        lock(&self.covered).get_mut(&company).map(|stretches| postings::reached(stretches, floor))
    }

    /// Notes what was added of companies that are known; of the others the files tell.
    fn note(&self, run: &DayRun) {
        let mut covered = lock(&self.covered);
        for (company, stretch) in &run.covered {
            if let Some(stretches) = covered.get_mut(company) {
                match stretches.iter_mut().find(|s| s.0 <= stretch.0 && stretch.0 <= s.1 + 1) {
                    Some(known) => known.1 = known.1.max(stretch.1),
                    None => stretches.push(*stretch),
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    fn add(&mut self, runs: BTreeMap<i64, DayRun>) -> Result<(), Cause> {
        for (day, run) in runs {
            let conn = self.file(day)?;
            write_run(conn, &run)?;
            self.touched.insert(day);
            self.days.note(&run);
        }
        Ok(())
    }

    fn file(&mut self, day: i64) -> Result<&mut Connection, Cause> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != day) {
            let conn = open_writer(&self.days.path(day), &SCHEMA)?;
            conn.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(()))?;
            lock(&self.days.days).insert(day);
            self.open = Some((day, conn));
        }
        self.open.as_mut().map(|(_, conn)| conn).ok_or_else(|| "no file of the index".into())
    }

    /// Puts some runs of one day together; whether there may be more.
    fn merge(&mut self) -> Result<bool, Cause> {
        let Some(day) = self.touched.last().copied() else { return Ok(false) };
        let conn = self.file(day)?;
        match postings::to_merge(&runs(conn)?) {
            Some(runs) => merge_runs(conn, &runs)?,
            None => drop(self.touched.remove(&day)),
        }
        Ok(true)
    }

    fn drop_unused(&mut self) -> Result<(), Cause> {
        for day in self.days.unused() {
            self.open = self.open.take().filter(|(open, _)| *open != day);
            self.touched.remove(&day);
            lock(&self.days.days).remove(&day);
            // What was covered there is below every floor now; it is read again to be sure.
            lock(&self.days.covered).clear();
            remove_database(&self.days.path(day))?;
        }
        Ok(())
    }

    /// Removes for one slice what is indexed of a company.
    fn purge(&mut self, company: CompanyNo) -> Result<Purged, Cause> {
        let (end, mut rows) = (Instant::now() + SLICE, 0);
        let mut left = self.purges.remove(&company).unwrap_or_else(|| self.days.all());
        while let Some(day) = left.last().copied() {
            let known = lock(&self.days.days).contains(&day);
            let removed = if known { purge_some(self.file(day)?, company)? } else { 0 };
            rows += removed;
            if removed == 0 {
                left.pop();
            }
            if Instant::now() >= end {
                self.purges.insert(company, left);
                return Ok(Purged { rows, done: false });
            }
        }
        lock(&self.days.covered).remove(&company);
        Ok(Purged { rows, done: true })
    }
}

impl Reader {
    fn reached(&mut self, company: CompanyNo, floor: Seq) -> Result<Seq, Cause> {
        if let Some(reached) = self.days.reached(company, floor) {
            return Ok(reached);
        }
        let mut stretches = Vec::new();
        for day in self.days.all() {
            let sql = "SELECT first, last FROM covered WHERE company = ?";
            let mut stmt = self.file(day)?.prepare_cached(sql)?;
            let rows = stmt.query_map([company.0], |r| Ok((r.get(0)?, r.get(1)?)))?;
            stretches.extend(rows.collect::<rusqlite::Result<Vec<(Seq, Seq)>>>()?);
        }
        let reached = postings::reached(&mut stretches, floor);
        lock(&self.days.covered).insert(company, stretches);
        Ok(reached)
    }

    fn positions(&mut self, company: CompanyNo, key: LookupKey, after: Seq, limit: usize) -> Result<Vec<Seq>, Cause> {
        let mut found = Vec::new();
        for day in self.days.all() {
            let conn = self.file(day)?;
            if found.len() < limit && covers(conn, company, after)? {
                of_day(conn, company, key, after, &mut found)?;
            }
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(limit);
        Ok(found)
    }

    fn file(&mut self, day: i64) -> Result<&Connection, Cause> {
        let days = &self.days;
        self.files.retain(|open| lock(&days.days).contains(&open));
        self.files.get(day, || days.path(day))
    }
}

/// Whether a day has anything of a company after a position.
fn covers(conn: &Connection, company: CompanyNo, after: Seq) -> Result<bool, Cause> {
    let sql = "SELECT EXISTS (SELECT 1 FROM covered WHERE company = ? AND last > ?)";
    Ok(conn.prepare_cached(sql)?.query_row(params![company.0, after], |r| r.get(0))?)
}

fn of_day(
    conn: &Connection,
    company: CompanyNo,
    key: LookupKey,
    after: Seq,
    found: &mut Vec<Seq>,
) -> Result<(), Cause> {
    let sql = "SELECT p.seqs FROM runs r CROSS JOIN postings p ON p.run = r.run AND p.company = ? AND p.key = ?
               WHERE p.last > ?";
    let mut stmt = conn.prepare_cached(sql)?;
    let mut rows = stmt.query(params![company.0, key.0, after])?;
    while let Some(row) = rows.next()? {
        postings::read(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?, after, found)?;
    }
    Ok(())
}

fn write_run(conn: &mut Connection, run: &DayRun) -> Result<(), Cause> {
    let tx = conn.transaction()?;
    let number = new_run(&tx, run.events)?;
    for ((company, key), seqs) in &run.postings {
        let last = seqs.last().copied().unwrap_or_default();
        let mut stmt = tx.prepare_cached("INSERT INTO postings VALUES (?, ?, ?, ?, ?)")?;
        stmt.execute(params![number, company.0, key, last, postings::write(seqs)])?;
    }
    for (company, (first, last)) in &run.covered {
        let goes_on = "UPDATE covered SET last = max(last, ?3)
                       WHERE company = ?1 AND first = (SELECT max(first) FROM covered WHERE company = ?1 AND first <= ?2)
                       AND last + 1 >= ?2";
        if tx.prepare_cached(goes_on)?.execute(params![company.0, first, last])? == 0 {
            let mut stmt = tx.prepare_cached("INSERT OR REPLACE INTO covered VALUES (?, ?, ?)")?;
            stmt.execute(params![company.0, first, last])?;
        }
    }
    Ok(tx.commit()?)
}

/// Removes some of what a day has of a company; how many rows.
fn purge_some(conn: &Connection, company: CompanyNo) -> Result<u64, Cause> {
    let sql = "DELETE FROM postings WHERE (run, company, key) IN (
                   SELECT p.run, p.company, p.key FROM runs r CROSS JOIN postings p ON p.run = r.run AND p.company = ?
                   LIMIT ?)";
    let removed = conn.prepare_cached(sql)?.execute(params![company.0, PURGED_ROWS])?;
    if removed > 0 {
        return Ok(removed as u64);
    }
    Ok(conn.prepare_cached("DELETE FROM covered WHERE company = ?")?.execute([company.0])? as u64)
}

fn new_run(conn: &Connection, events: u64) -> rusqlite::Result<i64> {
    conn.prepare_cached("INSERT INTO runs (events) VALUES (?)")?.execute([events])?;
    Ok(conn.last_insert_rowid())
}

fn runs(conn: &Connection) -> Result<Vec<(i64, u64)>, Cause> {
    let mut stmt = conn.prepare_cached("SELECT run, events FROM runs ORDER BY run")?;
    Ok(stmt.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?)
}

/// What belongs to one key is put one behind the other.
fn merge_runs(conn: &mut Connection, merged: &[i64]) -> Result<(), Cause> {
    let tx = conn.transaction()?;
    let list: Vec<String> = merged.iter().map(i64::to_string).collect();
    let list = list.join(", ");
    let events = tx.query_row(&format!("SELECT sum(events) FROM runs WHERE run IN ({list})"), [], |r| r.get(0))?;
    let number = new_run(&tx, events)?;
    let sql = format!("SELECT company, key, last, seqs FROM postings WHERE run IN ({list}) ORDER BY company, key, run");
    let mut insert = tx.prepare_cached("INSERT INTO postings VALUES (?, ?, ?, ?, ?)")?;
    let mut select = tx.prepare(&sql)?;
    let mut rows = select.query([])?;
    let mut open: Option<(u32, i64, i64, Vec<u8>)> = None;
    while let Some(row) = rows.next()? {
        let (company, key, last, seqs): (u32, i64, i64, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        match &mut open {
            Some(same) if (same.0, same.1) == (company, key) => {
                same.2 = same.2.max(last);
                same.3.extend(seqs);
            }
            other => {
                if let Some((company, key, last, seqs)) = other.replace((company, key, last, seqs)) {
                    insert.execute(params![number, company, key, last, seqs])?;
                }
            }
        }
    }
    if let Some((company, key, last, seqs)) = open {
        insert.execute(params![number, company, key, last, seqs])?;
    }
    drop(rows);
    drop((select, insert));
    tx.execute_batch(&format!("DELETE FROM postings WHERE run IN ({list}); DELETE FROM runs WHERE run IN ({list})"))?;
    Ok(tx.commit()?)
}

#[async_trait]
impl Index for SqliteIndex {
    async fn reached(&self, company: CompanyNo, floor: Seq) -> Result<Seq> {
        if let Some(reached) = self.days.reached(company, floor) {
            return Ok(reached);
        }
        let tried = || format!("look how far company {} is indexed", company.0);
        self.reader.run(tried, move |r| r.reached(company, floor)).await
    }

    async fn add(&self, entries: Vec<Entry>) -> Result<()> {
        let closed = self.days.closed.clone();
        let add = move |w: &mut Writer| {
            // Asked here: a purge comes after this, or this after the log was closed.
            let open: Vec<Entry> = entries.into_iter().filter(|e| !closed.has(e.company)).collect();
            w.add(postings::by_day(&open))
        };
        self.writer.run(|| "index events".into(), add).await
    }

    async fn positions(&self, company: CompanyNo, key: LookupKey, after: Seq, limit: usize) -> Result<Vec<Seq>> {
        let tried = || format!("look into the index of company {}", company.0);
        self.reader.run(tried, move |r| r.positions(company, key, after, limit)).await
    }

    async fn merge(&self) -> Result<bool> {
        self.writer.run(|| "put runs of the index together".into(), Writer::merge).await
    }

    async fn drop_unused(&self) -> Result<(), StoreError> {
        self.writer.run(|| "drop days of the index".into(), Writer::drop_unused).await
    }

    async fn purge(&self, company: CompanyNo) -> Result<Purged> {
        let tried = || format!("remove the index of company {}", company.0);
        self.writer.run(tried, move |w| w.purge(company)).await
    }
}
