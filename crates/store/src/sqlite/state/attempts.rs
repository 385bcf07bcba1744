//! The files of attempts, one for each UTC day, and writing them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};
use tillstream_model::time::DAY_MS;
use tillstream_model::{IntegrationNo, Time};

use crate::engine::segment::{day_name, parse_day};
use crate::sqlite::conn::{Schema, make_folder, open_writer, overwrite_deleted, remove_database};
use crate::sqlite::fault::{Failure, OnFatal};
use crate::sqlite::pool::{Cause, Pool};
use crate::sqlite::wal::Wal;
use crate::state::{ATTEMPT_DAYS, Attempt, KEPT_ANSWER_BYTES};

/// The newest attempts may be lost when the power fails: they are told, not promised.
pub(super) const SCHEMA: Schema = Schema {
    what: "this file of attempts",
    page_bytes: 4_096,
    synced: false,
    cache_kib: 4 << 10,
    migrations: &[include_str!("../schema/attempts_1.sql")],
};

/// The attempts of a file, as another engine takes them.
pub(in crate::sqlite) const EXPORT: &str =
    "SELECT a.integration, a.at, a.seq, a.number, a.elapsed_ms, a.status, a.remaining, a.domain_key, a.name_hash,
     CASE WHEN a.failed THEN coalesce(f.cause, '') END AS cause, CASE WHEN a.failed THEN coalesce(f.detail, '') END AS detail,
     CASE WHEN a.failed THEN coalesce(f.answer, x'') END AS answer
     FROM attempts a LEFT JOIN failures f USING (integration, at, seq, number)";

/// Days whose file stays open to write: today's and, around midnight, yesterday's.
const OPEN_DAYS: usize = 2;

/// Which days have a file.
pub(super) struct Days {
    folder: PathBuf,
    days: Mutex<BTreeSet<i64>>,
}

impl Days {
    /// Looks into the folder, which is made when it is missing.
    pub(super) fn open(folder: PathBuf) -> Result<Self, Cause> {
        make_folder(&folder)?;
        let mut days = BTreeSet::new();
        for entry in std::fs::read_dir(&folder)? {
            let name = entry?.file_name();
            days.extend(name.to_str().and_then(|n| n.strip_suffix(".db")).and_then(parse_day));
        }
        Ok(Self { folder, days: Mutex::new(days) })
    }

    /// Oldest first.
    pub(super) fn all(&self) -> Vec<i64> {
        self.lock().iter().copied().collect()
    }

    /// Whether this day has a file.
    pub(super) fn contains(&self, day: i64) -> bool {
        self.lock().contains(&day)
    }

    /// Where a day's file is.
    pub(super) fn path(&self, day: i64) -> PathBuf {
        self.folder.join(format!("{}.db", day_name(day)))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Open {
    day: i64,
    conn: Connection,
    wal: Arc<Wal>,
}

/// Writes attempts; belongs to the thread that writes the state.
pub(super) struct AttemptWriter {
    days: Arc<Days>,
    open: Vec<Open>,
    /// Up to which day the attempts of a deleted integration are removed.
    cleared: Option<(IntegrationNo, i64)>,
    on_fatal: OnFatal,
}

impl AttemptWriter {
    /// Opens a file when it is needed.
    pub(super) fn new(days: Arc<Days>, on_fatal: OnFatal) -> Self {
        Self { days, open: Vec::new(), cleared: None, on_fatal }
    }

    /// Writes the attempts of a group, each into its day's file.
    pub(super) fn write(&mut self, attempts: &[(IntegrationNo, Attempt)]) -> Result<(), Failure> {
        let mut by_day: BTreeMap<i64, Vec<&(IntegrationNo, Attempt)>> = BTreeMap::new();
        for attempt in attempts {
            by_day.entry(attempt.1.at.day()).or_default().push(attempt);
        }
        for (day, attempts) in by_day {
            let file = self.file(day).map_err(|cause| match cause.downcast_ref() {
                Some(e) => Failure::of("open a file of attempts", e),
                None => Failure::Refused(format!("open a file of attempts: {cause}")),
            })?;
            let _still = file.wal.enter();
            write_day(&mut file.conn, &attempts)?;
        }
        Ok(())
    }

    /// After each group: sees to checkpoints.
    pub(super) fn committed(&self, checkpoints: &Pool<()>) {
        for file in &self.open {
            file.wal.committed(checkpoints);
        }
    }

    /// Removes the files of days that are over for as long as attempts are kept; whether there was one.
    pub(super) fn drop_due(&mut self, now: Time) -> Result<bool, Cause> {
        let due = |day: &i64| now.millis() >= (day + 1 + ATTEMPT_DAYS) * DAY_MS;
        let Some(day) = self.days.all().into_iter().find(due) else { return Ok(false) };
        self.open.retain(|file| file.day != day);
        self.days.lock().remove(&day);
        remove_database(&self.days.path(day))?;
        Ok(true)
    }

    /// Removes some attempts of a deleted integration, which gets no more, from one day's file; how many. None: it has
    /// none left.
    pub(super) fn remove_some(&mut self, no: IntegrationNo, rows: usize) -> Result<Option<usize>, Cause> {
        let from = self.cleared.filter(|(of, _)| *of == no).map_or(i64::MIN, |(_, day)| day + 1);
        let Some(day) = self.days.all().into_iter().find(|day| *day >= from) else {
            self.cleared = None;
            return Ok(None);
        };
        let file = self.file(day)?;
        let mut removed = 0;
        for table in ["failures", "attempts"] {
            let _still = file.wal.enter();
            removed += remove_rows(&file.conn, table, no, rows)?;
        }
        if removed == 0 {
            self.cleared = Some((no, day));
        }
        Ok(Some(removed))
    }

    fn file(&mut self, day: i64) -> Result<&mut Open, Cause> {
        let file = match self.open.iter().position(|f| f.day == day) {
            Some(at) => self.open.remove(at),
            None => self.open_day(day)?,
        };
        if self.open.len() >= OPEN_DAYS {
            self.open.remove(0);
        }
        self.open.push(file);
        self.open.last_mut().ok_or_else(|| "no file of attempts".into())
    }

    fn open_day(&self, day: i64) -> Result<Open, Cause> {
        let path: &Path = &self.days.path(day);
        let mut conn = open_writer(path, &SCHEMA)?;
        overwrite_deleted(&conn)?;
        let wal = Wal::of(&mut conn, path, self.on_fatal.clone())?;
        self.days.lock().insert(day);
        Ok(Open { day, conn, wal })
    }
}

fn write_day(conn: &mut Connection, attempts: &[&(IntegrationNo, Attempt)]) -> Result<(), Failure> {
    let insert = |conn: &Connection| attempts.iter().try_for_each(|(no, attempt)| insert(conn, *no, attempt));
    let tx = conn.transaction().map_err(|e| Failure::of("begin attempts", &e))?;
    insert(&tx).map_err(|e| Failure::of("write attempts", &e))?;
    tx.commit().map_err(|e| Failure::of_commit("commit attempts", &e))
}

fn insert(conn: &Connection, no: IntegrationNo, a: &Attempt) -> rusqlite::Result<()> {
    let key = (no.0 as i64, a.at.millis(), a.seq as i64, a.number);
    let sql = "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    conn.prepare_cached(sql)?.execute(params![
        key.0,
        key.1,
        key.2,
        key.3,
        a.elapsed_ms,
        a.status,
        a.remaining,
        a.domain_key.map(|k| k.0),
        a.name_hash,
        a.failure.is_some(),
    ])?;
    if let Some(f) = &a.failure {
        let answer = &f.answer[..f.answer.len().min(KEPT_ANSWER_BYTES)];
        conn.prepare_cached("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?, ?)")?
            .execute(params![key.0, key.1, key.2, key.3, f.cause, f.detail, answer])?;
    }
    Ok(())
}

fn remove_rows(conn: &Connection, table: &str, no: IntegrationNo, rows: usize) -> rusqlite::Result<usize> {
    let sql = format!(
        "DELETE FROM {table} WHERE integration = ?1 AND (at, seq, number) IN
         (SELECT at, seq, number FROM {table} WHERE integration = ?1 LIMIT ?2)"
    );
    conn.prepare_cached(&sql)?.execute(params![no.0, rows])
}
