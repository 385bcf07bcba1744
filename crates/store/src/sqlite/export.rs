//! Giving everything to another engine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::conn::open_reader;
use super::pool::Cause;
use super::{Options, log, state};
use crate::Leave;
use crate::engine::transfer::{CHUNK_ROWS, CHUNKS, Cell, Ends, Part, Row, Stream, tables};
use crate::state::State;

/// A folder that no hub has open, to be read only.
pub(crate) struct Export {
    folder: PathBuf,
    log: log::SqliteLog,
    state: state::SqliteState,
}

impl Export {
    /// Opens it and keeps hubs out. Brings its files to the newest version first.
    pub(crate) fn open(folder: &Path, options: &Options) -> Result<Self, Cause> {
        if !folder.join("state.db").is_file() {
            return Err("there is no hub's data in it".into());
        }
        let lock: Arc<File> = Arc::new(super::lock(folder)?);
        let state = state::SqliteState::open(folder, options, Some(lock.clone()))?;
        let log = log::SqliteLog::open(folder, options, lock)?;
        Ok(Self { folder: folder.to_owned(), log, state })
    }

    /// All there is.
    pub(crate) fn parts(&self) -> Result<Vec<Source>, Cause> {
        let mut parts = Vec::new();
        for table in tables() {
            let file = self.folder.join("state.db");
            parts.push(Source { part: Part::State(table), file, select: format!("SELECT * FROM {table}") });
        }
        for (id, file) in self.log.segments() {
            log::export::bring_forward(&file)?;
            parts.push(Source { part: Part::Events(id), file: file.clone(), select: log::export::events() });
            parts.push(Source { part: Part::Ids(id), file, select: log::export::ids() });
        }
        for (day, file) in self.state.attempt_days() {
            parts.push(Source { part: Part::Attempts(day), file, select: state::EXPORT.to_owned() });
        }
        Ok(parts)
    }

    /// What is in no row.
    pub(crate) async fn ends(&self) -> Result<Ends, Cause> {
        let mut logs = Vec::new();
        let leaving = self.state.leaving().await?.into_iter().map(|l| l.company);
        for company in self.state.companies().await?.into_iter().chain(leaving) {
            logs.push((company.no, self.log.summary(company.no).await?));
        }
        let conn = open_reader(&self.folder.join("state.db"))?;
        let mut stmt = conn.prepare("SELECT name, seq FROM sqlite_sequence WHERE seq > 0")?;
        let numbers = stmt.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        let epochs = super::epochs::of(&conn)?;
        Ok(Ends { logs, numbers, epochs })
    }
}

/// Where the rows of a part are.
pub(crate) struct Source {
    pub(crate) part: Part,
    file: PathBuf,
    select: String,
}

impl Source {
    /// About how many bytes its rows have, for progress.
    pub(crate) fn bytes(&self) -> u64 {
        match self.part {
            Part::Events(_) | Part::Attempts(_) => self.file.metadata().map_or(0, |m| m.len()),
            Part::State(_) | Part::Ids(_) => 0,
        }
    }

    /// Its rows; the task says at the end whether all of them came.
    pub(crate) fn read(&self) -> Result<(Stream, JoinHandle<Result<(), Cause>>), Cause> {
        let conn = open_reader(&self.file)?;
        let columns = conn.prepare(&self.select)?.column_names().map(str::to_owned).collect();
        let (sender, rows) = mpsc::channel(CHUNKS);
        let select = self.select.clone();
        let reading = tokio::task::spawn_blocking(move || read(&conn, &select, &sender));
        Ok((Stream { columns, rows }, reading))
    }
}

fn read(conn: &Connection, select: &str, to: &mpsc::Sender<Vec<Row>>) -> Result<(), Cause> {
    let mut stmt = conn.prepare(select)?;
    let columns = stmt.column_count();
    let (mut rows, mut chunk) = (stmt.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        chunk.push((0..columns).map(|at| cell(row.get(at)?)).collect::<Result<Row, Cause>>()?);
        if chunk.len() == CHUNK_ROWS {
            to.blocking_send(std::mem::take(&mut chunk)).map_err(|_| "nobody takes the rows")?;
        }
    }
    to.blocking_send(chunk).map_err(|_| "nobody takes the rows".into())
}

fn cell(value: Value) -> Result<Cell, Cause> {
    Ok(match value {
        Value::Null => Cell::Null,
        Value::Integer(number) => Cell::Integer(number),
        Value::Text(text) => Cell::Text(text),
        Value::Blob(bytes) => Cell::Bytes(bytes),
        Value::Real(number) => return Err(format!("a column holds {number}, which is no whole number").into()),
    })
}
