//! The log's side of a backup: what is in it up to the heads that were looked up first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::Value;
use tillstream_model::{CompanyNo, Seq};

use super::directory;
use super::read::Reader;
use super::segments::{Catalog, SCHEMA, SegmentId, company_of, seq_of};
use crate::sqlite::conn::{open_reader, open_writer};
use crate::sqlite::copy::{self, Table};
use crate::sqlite::pool::Cause;

const EVENTS: Table = Table { name: "events", key: &["pos"] };
const OLD_IDS: Table = Table { name: "old_ids", key: &["run", "hash"] };
const FRESH_IDS: &str = "fresh_ids";
const ID_RUNS: &str = "id_runs";

/// Where each company's log ends in the backup.
pub(in crate::sqlite) type Heads = BTreeMap<CompanyNo, Seq>;

/// A log that is read beside the hub that writes it.
pub(in crate::sqlite) struct Source {
    catalog: Arc<Catalog>,
    reader: Reader,
}

impl Source {
    /// Of a data folder. Segments that are made later are not seen: nothing in them is older than this moment.
    pub(in crate::sqlite) fn open(folder: &Path) -> Result<Self, Cause> {
        let folder = folder.join("log");
        let directory = open_reader(&folder.join(directory::FILE))?;
        let catalog = Arc::new(Catalog::open(&folder, &directory::segments(&directory)?)?);
        Ok(Self { reader: Reader::open(catalog.clone())?, catalog })
    }

    /// Where the companies' logs end now.
    pub(in crate::sqlite) fn heads(&mut self, companies: &[CompanyNo]) -> Result<Heads, Cause> {
        companies.iter().map(|company| Ok((*company, self.reader.summary(*company)?.head))).collect()
    }

    /// The segments, oldest first, each with its file.
    pub(in crate::sqlite) fn segments(&self) -> Vec<(SegmentId, PathBuf)> {
        self.catalog.all().into_iter().map(|id| (id, self.catalog.path(id))).collect()
    }
}

/// Copies a segment up to the heads into a new file; how many events.
pub(in crate::sqlite) fn copy_segment(
    from: &Path,
    to: &Path,
    heads: &Heads,
    told: &mut dyn FnMut(u64),
) -> Result<u64, Cause> {
    let (from, to) = (open_reader(from)?, open_writer(to, &SCHEMA)?);
    copy::unsynced(&to)?;
    let is_in = |pos: &Value| match pos {
        Value::Integer(pos) => heads.get(&company_of(*pos)).is_some_and(|head| seq_of(*pos) <= *head),
        _ => false,
    };
    // Ids first: they are of events that are there already, and go from one table to the other meanwhile.
    copy_ids(&from, &to, &is_in)?;
    copy::table(&from, &to, EVENTS, |row| is_in(&row[0]), told)
}

/// Copies the log's directory without its list of closed segments, which is made again at the next start: it may name
/// events that are not in the backup.
pub(in crate::sqlite) fn copy_directory(folder: &Path, to: &Path) -> Result<(), Cause> {
    let from = open_reader(&folder.join("log").join(directory::FILE))?;
    let mut to = Connection::open(to)?;
    crate::sqlite::backup::copy_pages(&from, &mut to)?;
    copy::unsynced(&to)?;
    Ok(to.execute_batch("DELETE FROM spans; DELETE FROM segments")?)
}

/// Where the directory is in a data folder.
pub(in crate::sqlite) fn directory_name() -> String {
    format!("log/{}", directory::FILE)
}

/// An id of an event that is not in the backup would make the next event at its position look like a repeat.
fn copy_ids(from: &Connection, to: &Connection, is_in: &impl Fn(&Value) -> bool) -> Result<(), Cause> {
    let (runs, fresh) = {
        // One snapshot: between two, ids might go from memory into a run. They are few, or they would be in one.
        let snapshot = from.unchecked_transaction()?;
        (all(&snapshot, ID_RUNS)?, all(&snapshot, FRESH_IDS)?)
    };
    let known: BTreeSet<i64> = runs.1.iter().filter_map(|row| integer(&row[0])).collect();
    copy::insert(to, ID_RUNS, &runs.0, runs.1.into_iter())?;
    let pos = |columns: &[String]| columns.iter().position(|c| c == "pos").ok_or("ids without positions");
    let at = pos(&fresh.0)?;
    copy::insert(to, FRESH_IDS, &fresh.0, fresh.1.into_iter().filter(|row| is_in(&row[at])))?;
    let at = pos(&copy::columns(from, OLD_IDS.name)?)?;
    let keep = |row: &[Value]| integer(&row[0]).is_some_and(|run| known.contains(&run)) && is_in(&row[at]);
    copy::table(from, to, OLD_IDS, keep, &mut |_| ())?;
    Ok(())
}

type Rows = (Vec<String>, Vec<Vec<Value>>);

fn all(conn: &Connection, table: &str) -> Result<Rows, Cause> {
    let columns = copy::columns(conn, table)?;
    let mut stmt = conn.prepare(&format!("SELECT {} FROM {table}", columns.join(", ")))?;
    let rows = stmt.query_map([], |r| copy::row(r, columns.len()))?.collect::<rusqlite::Result<_>>()?;
    Ok((columns, rows))
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}
