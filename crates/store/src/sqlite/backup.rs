//! A backup of a folder, also while a hub has it open.
//!
//! The state is copied first, in one snapshot, and the log after it, up to where it ended then: so no cursor is ahead of
//! the log, and everything that was accepted before the backup began is in it. Reading never stops the writer; the log is
//! read in slices, because a snapshot that stays keeps the write-ahead log from being emptied.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use tillstream_model::CompanyNo;

use super::conn::{open_reader, remove_database};
use super::log::backup as log;
use super::pool::Cause;
use super::state::backup as state;
use super::{STATE, epochs, refuse_moved};
use crate::archive::{About, Writer, folder_of};
use crate::engine::segment::day_name;
use crate::transfer::Progress;
use crate::{Clock, Result, StoreError};

/// All pages in one step, which is one snapshot.
const ALL_PAGES: i32 = -1;
/// Pause when a page cannot be read for a moment.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backed {
    /// What it is.
    pub about: About,
    /// Events in it.
    pub events: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Backs a folder up into a new file. A hub may have the folder open. Blocks its thread.
///
/// # Errors
/// When there is no hub's data in the folder, the file exists, or one of them fails; then no file is left.
pub fn backup(folder: &Path, to: &Path, clock: &Clock, told: &mut dyn FnMut(Progress)) -> Result<Backed> {
    let made = backup_inner(folder, to, clock, told);
    made.map_err(|cause| {
        StoreError::new(format!("back up {} to {}", folder.display(), to.display()), cause.to_string())
    })
}

fn backup_inner(folder: &Path, to: &Path, clock: &Clock, told: &mut dyn FnMut(Progress)) -> Result<Backed, Cause> {
    if !folder.join(STATE).is_file() {
        return Err("there is no hub's data in it".into());
    }
    refuse_moved(folder)?;
    let created_at = clock();
    let staging = tempfile::Builder::new().prefix(".tillstream-backup-").tempdir_in(folder_of(to))?;
    let staged = |n: &str| staging.path().join(n);
    let state_file = staged(STATE);
    let mut making = Making { told, done: 0, total: size_of_all(folder) };

    making.part("state", |_| copy_whole(&folder.join(STATE), &state_file))?;
    let state = open_reader(&state_file)?;
    let (companies, epochs, key) = (companies(&state)?, epochs::of(&state)?, key_mark(&state)?);
    drop(state);
    let about = About::new(epochs.current(), created_at, key);
    let mut archive = Writer::begin(to, &about)?;
    archive.add_file(STATE, &state_file)?;
    std::fs::remove_file(&state_file)?;

    let mut source = log::Source::open(folder)?;
    let heads = source.heads(&companies)?;
    let (copy, mut events) = (staged("copy.db"), 0);
    for (id, file) in source.segments() {
        let copied = making.part(&id.name(), |told| log::copy_segment(&file, &copy, &heads, told));
        if let Some(copied) = unless_dropped(&file, copied)?.filter(|copied| *copied > 0) {
            archive.add_file(&format!("log/{}.db", id.name()), &copy)?;
            events += copied;
        }
        remove_database(&copy)?;
    }
    log::copy_directory(folder, &copy)?;
    archive.add_file(&log::directory_name(), &copy)?;
    std::fs::remove_file(&copy)?;
    for (day, file) in state::attempt_days(folder)? {
        let name = format!("attempts/{}", day_name(day));
        let copied = making.part(&name, |told| state::copy_attempts(&file, &copy, told));
        if unless_dropped(&file, copied)?.is_some() {
            archive.add_file(&format!("{name}.db"), &copy)?;
        }
        remove_database(&copy)?;
    }
    Ok(Backed { about, events, bytes: archive.finish()? })
}

/// None when the file went away meanwhile: the time of what was in it has passed.
fn unless_dropped<T>(file: &Path, copied: Result<T, Cause>) -> Result<Option<T>, Cause> {
    match copied {
        Err(_) if !file.exists() => Ok(None),
        copied => copied.map(Some),
    }
}

/// Tells how far it is.
struct Making<'a> {
    told: &'a mut dyn FnMut(Progress),
    done: u64,
    total: u64,
}

impl Making<'_> {
    fn part<T>(&mut self, name: &str, make: impl FnOnce(&mut dyn FnMut(u64)) -> Result<T, Cause>) -> Result<T, Cause> {
        let (total, mut done) = (self.total, self.done);
        let told = &mut *self.told;
        told(Progress { part: name.to_owned(), done, total });
        let made = make(&mut |bytes| {
            done = (done + bytes).min(total);
            told(Progress { part: name.to_owned(), done, total });
        });
        self.done = done;
        made.map_err(|cause| format!("{name}: {cause}").into())
    }
}

/// Copies a file's pages as they are at one moment into an empty one.
pub(super) fn copy_pages(from: &Connection, to: &mut Connection) -> Result<(), Cause> {
    let copying = Backup::new(from, to)?;
    loop {
        match copying.step(ALL_PAGES)? {
            StepResult::Done => return Ok(()),
            _ => std::thread::sleep(PAUSE),
        }
    }
}

/// Copies a file as it is at one moment into a new one that stands alone.
fn copy_whole(from: &Path, to: &Path) -> Result<(), Cause> {
    let (from, mut to) = (open_reader(from)?, Connection::open(to)?);
    to.pragma_update(None, "synchronous", "off")?;
    copy_pages(&from, &mut to)?;
    super::copy::unsynced(&to)
}

pub(super) fn companies(state: &Connection) -> Result<Vec<CompanyNo>, Cause> {
    let mut stmt = state.prepare("SELECT no FROM companies")?;
    Ok(stmt.query_map([], |r| r.get(0).map(CompanyNo))?.collect::<rusqlite::Result<_>>()?)
}

/// `<id>:<check value>` of the key that the secrets are sealed with.
pub(super) fn key_mark(state: &Connection) -> Result<String, Cause> {
    Ok(state.query_row("SELECT value FROM meta WHERE name = 'master_key'", [], |r| r.get(0))?)
}

/// About how much is read.
fn size_of_all(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size_of_all(&entry.path()),
            Ok(meta) if entry.path().extension().is_some_and(|e| e == "db") => meta.len(),
            _ => 0,
        })
        .sum()
}
