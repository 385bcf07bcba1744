//! SQLite alone: WAL, `synchronous=FULL`, the same rows in commits of the same size, no HTTP, one thread.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::{Connection, params};

use crate::child::Measured;
use crate::clock;
use crate::event::{DEFAULT_NAME, Stamp, Template};

const SCHEMA: &str = "create table event(seq integer primary key, company integer not null, id blob not null, \
     accepted_at integer not null, name text not null, site text not null, terminal text not null, \
     entity_id text not null, data blob not null)";
const INSERT: &str = "insert into event values(?1,?2,?3,?4,?5,?6,?7,?8,?9)";

/// Inserts into a new database in `folder`, `rows_per_commit` at a time, for `time`.
pub fn run(folder: &Path, rows_per_commit: u64, time: Duration) -> Result<Measured> {
    let mut connection = open(&folder.join("baseline.sqlite"))?;
    let template = Template::new(DEFAULT_NAME);
    let started = clock::now();
    let mut done = 0;
    while started.elapsed() < time {
        commit(&mut connection, &template, done..done + rows_per_commit.max(1))?;
        done += rows_per_commit.max(1);
    }
    Ok(Measured { done, seconds: started.elapsed().as_secs_f64() })
}

fn open(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path).with_context(|| format!("opening {}", path.display()))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

fn commit(connection: &mut Connection, template: &Template, seqs: std::ops::Range<u64>) -> Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare_cached(INSERT)?;
        let mut event = template.json().to_vec();
        for seq in seqs {
            template.places().stamp(&mut event, Stamp { key: seq % 10_000, number: seq / 10_000, sent_us: seq });
            let entity = format!("ord-{:010}", seq % 10_000);
            let id = u128::from(seq).to_be_bytes();
            let data = template.data_of(&event);
            insert.execute(params![seq as i64, 1, id, seq as i64, DEFAULT_NAME, "175", "2", entity, data])?;
        }
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_durable_in_whole_commits() {
        let folder = tempfile::tempdir().expect("a folder");
        let measured = run(folder.path(), 100, Duration::from_millis(100)).expect("a run");
        let connection = Connection::open(folder.path().join("baseline.sqlite")).expect("the database");
        let (rows, bytes): (i64, i64) = connection
            .query_row("select count(*), min(length(data)) from event", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("a count");
        assert_eq!(measured.done, rows as u64);
        assert_eq!(measured.done % 100, 0);
        assert!(bytes > 900, "{bytes} bytes of data in a row");
    }
}
