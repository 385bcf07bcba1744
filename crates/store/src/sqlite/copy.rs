//! Copying what another process writes: in slices, so that no snapshot is held for long.

use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::pool::Cause;

/// How long rows are read in one snapshot; a snapshot that stays would keep the write-ahead log from being emptied.
const SLICE: Duration = Duration::from_millis(5);
/// Most bytes of rows that are held in memory, but for the last row.
const SLICE_BYTES: usize = 8 << 20;
/// Most rows of a slice.
const SLICE_ROWS: usize = 2_000;

/// A table with its primary key.
#[derive(Clone, Copy)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) key: &'static [&'static str],
}

/// Rows of one slice, and the key of the last one.
struct Slice {
    rows: Vec<Vec<Value>>,
    last: Vec<Value>,
    bytes: usize,
}

/// Makes a connection of a file that nobody else has quick: what is written to it is synced as a whole later.
pub(super) fn unsynced(conn: &Connection) -> Result<(), Cause> {
    conn.pragma_update(None, "synchronous", "off")?;
    for mode in ["delete", "memory"] {
        conn.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(()))?;
    }
    Ok(())
}

/// Copies the rows that `keep` wants, by key; how many. `told` hears how many bytes were looked at.
pub(super) fn table(
    from: &Connection,
    to: &Connection,
    table: Table,
    keep: impl Fn(&[Value]) -> bool,
    told: &mut dyn FnMut(u64),
) -> Result<u64, Cause> {
    let columns = columns(from, table.name)?;
    let keys = table.key.iter().map(|key| columns.iter().position(|c| c == key));
    let keys = keys.collect::<Option<Vec<_>>>().ok_or("a table without its key")?;
    let (mut after, mut copied) = (None, 0);
    loop {
        let slice = read(from, table, &columns, &keys, after.as_deref())?;
        told(slice.bytes as u64);
        if slice.last.is_empty() {
            return Ok(copied);
        }
        let wanted = slice.rows.into_iter().filter(|row| keep(row));
        copied += insert(to, table.name, &columns, wanted)?;
        after = Some(slice.last);
    }
}

/// Inserts rows in one transaction; how many.
pub(super) fn insert(
    to: &Connection,
    table: &str,
    columns: &[String],
    rows: impl Iterator<Item = Vec<Value>>,
) -> Result<u64, Cause> {
    let places = vec!["?"; columns.len()].join(", ");
    let tx = to.unchecked_transaction()?;
    let mut count = 0;
    {
        let sql = format!("INSERT INTO {table} ({}) VALUES ({places})", columns.join(", "));
        let mut stmt = tx.prepare_cached(&sql)?;
        for row in rows {
            stmt.execute(params_from_iter(row))?;
            count += 1;
        }
    }
    tx.commit()?;
    Ok(count)
}

/// The columns of a table.
pub(super) fn columns(conn: &Connection, table: &str) -> Result<Vec<String>, Cause> {
    let stmt = conn.prepare(&format!("SELECT * FROM {table} LIMIT 0"))?;
    Ok(stmt.column_names().map(str::to_owned).collect())
}

/// A row as it is.
pub(super) fn row(row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Vec<Value>> {
    (0..columns).map(|at| row.get(at)).collect()
}

fn read(
    from: &Connection,
    table: Table,
    columns: &[String],
    keys: &[usize],
    after: Option<&[Value]>,
) -> Result<Slice, Cause> {
    let (key, places) = (table.key.join(", "), vec!["?"; keys.len()].join(", "));
    let from_here = after.map(|_| format!("WHERE ({key}) > ({places})")).unwrap_or_default();
    let sql =
        format!("SELECT {} FROM {} {from_here} ORDER BY {key} LIMIT {SLICE_ROWS}", columns.join(", "), table.name);
    let mut stmt = from.prepare_cached(&sql)?;
    let mut found = stmt.query(params_from_iter(after.unwrap_or_default()))?;
    let (started, mut slice) = (Instant::now(), Slice { rows: Vec::new(), last: Vec::new(), bytes: 0 });
    while let Some(next) = found.next()? {
        let values = row(next, columns.len())?;
        slice.bytes += values.iter().map(size).sum::<usize>();
        slice.last = keys.iter().map(|at| values[*at].clone()).collect();
        slice.rows.push(values);
        if slice.bytes >= SLICE_BYTES || started.elapsed() >= SLICE {
            break;
        }
    }
    Ok(slice)
}

fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        Value::Null | Value::Integer(_) | Value::Real(_) => size_of::<i64>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table { name: "t", key: &["a", "b"] };
    const SCHEMA: &str = "CREATE TABLE t (a INTEGER, x TEXT, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID";

    fn filled(rows: usize) -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(SCHEMA).unwrap();
        let tx = conn.unchecked_transaction().unwrap();
        for n in 0..rows {
            tx.execute("INSERT INTO t VALUES (?, 'x', ?)", [n / 7, n % 7]).unwrap();
        }
        tx.commit().unwrap();
        conn
    }

    fn count(conn: &Connection) -> usize {
        conn.query_row("SELECT count(*) FROM t", [], |r| r.get(0)).unwrap()
    }

    #[test]
    fn every_row_is_copied_once_however_many_slices_it_takes() {
        for rows in [0, 1, SLICE_ROWS, 3 * SLICE_ROWS + 5] {
            let (from, to) = (filled(rows), filled(0));
            assert_eq!(table(&from, &to, TABLE, |_| true, &mut |_| ()).unwrap(), rows as u64);
            assert_eq!(count(&to), rows);
        }
    }

    #[test]
    fn only_rows_that_are_wanted_are_copied() {
        let (from, to) = (filled(100), filled(0));
        table(&from, &to, TABLE, |row| row[2] == Value::Integer(3), &mut |_| ()).unwrap();
        assert_eq!(count(&to), (0..100).filter(|n| n % 7 == 3).count());
    }

    #[test]
    fn a_slice_ends_with_the_row_that_reaches_its_bytes() {
        let from = filled(0);
        for n in 0..3 {
            from.execute("INSERT INTO t VALUES (?, zeroblob(?), 0)", [n, SLICE_BYTES as i64]).unwrap();
        }
        let columns = columns(&from, "t").unwrap();
        assert_eq!(read(&from, TABLE, &columns, &[0, 2], None).unwrap().rows.len(), 1);
    }
}
