//! The attempts' side of a backup.

use std::path::{Path, PathBuf};

use super::attempts::{Days, SCHEMA};
use crate::sqlite::conn::{open_reader, open_writer};
use crate::sqlite::copy::{self, Table};
use crate::sqlite::pool::Cause;

const KEY: &[&str] = &["integration", "at", "seq", "number"];
const TABLES: [Table; 2] = [Table { name: "attempts", key: KEY }, Table { name: "failures", key: KEY }];

/// The days with attempts, oldest first, each with its file.
pub(in crate::sqlite) fn attempt_days(folder: &Path) -> Result<Vec<(i64, PathBuf)>, Cause> {
    let days = Days::open(folder.join("attempts"))?;
    Ok(days.all().into_iter().map(|day| (day, days.path(day))).collect())
}

/// Copies the attempts of a day into a new file.
pub(in crate::sqlite) fn copy_attempts(from: &Path, to: &Path, told: &mut dyn FnMut(u64)) -> Result<(), Cause> {
    let (from, to) = (open_reader(from)?, open_writer(to, &SCHEMA)?);
    copy::unsynced(&to)?;
    for table in TABLES {
        copy::table(&from, &to, table, |_| true, told)?;
    }
    Ok(())
}
