//! Connections: how they are opened, and the schema of what they open.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::pool::Cause;

/// How long a connection waits for another process, such as the command line beside a running hub.
const BUSY: Duration = Duration::from_secs(5);
/// How long emptying the write-ahead log may keep writers waiting when it is not urgent.
const GENTLE: Duration = Duration::from_millis(5);
/// How often the write-ahead log is tried to be emptied, each time for [`BUSY`].
const EMPTY_TRIES: usize = 3;
/// Prepared statements kept by a connection.
const STATEMENTS: usize = 64;

/// A kind of database file: its forward migrations in order. `user_version` counts those that ran.
pub(super) struct Schema {
    /// What the file is, for errors.
    pub(super) what: &'static str,
    /// Bytes of a page; only counts when the file is made.
    pub(super) page_bytes: u32,
    /// Whether each commit waits for the disk.
    pub(super) synced: bool,
    /// KiB of pages a writer keeps in memory.
    pub(super) cache_kib: i64,
    /// One script for each version.
    pub(super) migrations: &'static [&'static str],
}

/// Opens a file to write, makes it and brings it to the newest version. Checkpoints are left to [`super::wal`].
pub(super) fn open_writer(path: &Path, schema: &Schema) -> Result<Connection, Cause> {
    let conn = Connection::open(path)?;
    prepare(&conn)?;
    conn.pragma_update(None, "page_size", schema.page_bytes)?;
    conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", if schema.synced { "full" } else { "normal" })?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    conn.pragma_update(None, "cache_size", -schema.cache_kib)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    // Nothing that was moved or deleted stays behind in a page; costs no page of its own.
    conn.pragma_update_and_check(None, "secure_delete", "fast", |_| Ok(()))?;
    migrate(&conn, schema)?;
    Ok(conn)
}

/// Opens a file that exists, to read only.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Cause> {
    // Reading beside a writer needs the shared memory file, so the file itself is opened for writing too.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    prepare(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    conn.pragma_update(None, "cache_size", -512)?;
    Ok(conn)
}

/// Has everything that is deleted from now on overwritten with zeros, pages that become free included.
pub(super) fn overwrite_deleted(conn: &Connection) -> Result<(), Cause> {
    Ok(conn.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?)
}

/// Moves everything into the database file and cuts the write-ahead log, so that nothing that was overwritten is left in
/// it. An error when others read or write for too long.
pub(super) fn empty_wal(conn: &Connection) -> Result<(), Cause> {
    for _ in 0..EMPTY_TRIES {
        let busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0))?;
        if !busy {
            return Ok(());
        }
    }
    Err("others read and write all the time; the write-ahead log could not be emptied".into())
}

/// As [`empty_wal`], but holds up others for a moment only; false when they read or write just then.
pub(super) fn try_empty_wal(conn: &Connection) -> Result<bool, Cause> {
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    conn.busy_timeout(GENTLE)?;
    let busy: rusqlite::Result<bool> = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0));
    conn.busy_timeout(BUSY)?;
    Ok(!busy?)
}

/// What every connection needs. Plans must not depend on the values that are bound: otherwise SQLite plans a prepared
/// statement again each time it is used with others, which costs ten times the look-up itself.
fn prepare(conn: &Connection) -> Result<(), Cause> {
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

fn migrate(conn: &Connection, schema: &Schema) -> Result<(), Cause> {
    let version: usize = conn.pragma_query_value(None, "user_version", |r| r.get(0))?;
    let newest = schema.migrations.len();
    if version > newest {
        return Err(format!("{} is of version {version}; this program knows {newest}", schema.what).into());
    }
    if version == newest {
        return Ok(());
    }
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let done = migrate_in_transaction(conn, schema);
    conn.execute_batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    done
}

/// Asks for the version again: another process may have migrated before this one got the lock.
fn migrate_in_transaction(conn: &Connection, schema: &Schema) -> Result<(), Cause> {
    let version: usize = conn.pragma_query_value(None, "user_version", |r| r.get(0))?;
    for script in schema.migrations.iter().skip(version) {
        conn.execute_batch(script)?;
    }
    conn.pragma_update(None, "user_version", schema.migrations.len())?;
    Ok(())
}

/// Connections that were used last, at most a fixed number.
pub(super) struct Recent<K> {
    open: Vec<(K, Connection)>,
    most: usize,
}

impl<K: PartialEq + Copy> Recent<K> {
    /// Keeps at most `most` connections.
    pub(super) fn new(most: usize) -> Self {
        Self { open: Vec::new(), most }
    }

    /// The connection of this key, opened when it is not open.
    pub(super) fn get(&mut self, key: K, path: impl FnOnce() -> std::path::PathBuf) -> Result<&Connection, Cause> {
        let entry = match self.open.iter().position(|(k, _)| *k == key) {
            Some(at) => self.open.remove(at),
            None => (key, open_reader(&path())?),
        };
        if self.open.len() >= self.most {
            self.open.remove(0);
        }
        self.open.push(entry);
        self.open.last().map(|(_, conn)| conn).ok_or_else(|| Cause::from("no connection"))
    }

    /// Closes the others.
    pub(super) fn retain(&mut self, keep: impl Fn(K) -> bool) {
        self.open.retain(|(key, _)| keep(*key));
    }
}

/// Makes a folder; its name is on disk when this returns.
pub(super) fn make_folder(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => std::fs::File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// Removes a database file with what belongs to it; fine when it is gone.
pub(super) fn remove_database(path: &Path) -> std::io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Schema =
        Schema { what: "a test", page_bytes: 8_192, synced: true, cache_kib: 64, migrations: &["CREATE TABLE t (a)"] };
    const TWO: Schema = Schema { migrations: &["CREATE TABLE t (a)", "ALTER TABLE t ADD COLUMN b DEFAULT 7"], ..ONE };

    #[test]
    fn a_file_of_an_older_version_is_brought_forward_and_a_newer_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        open_writer(&path, &ONE).unwrap().execute("INSERT INTO t VALUES (1)", []).unwrap();
        let b: i64 = open_writer(&path, &TWO).unwrap().query_row("SELECT b FROM t", [], |r| r.get(0)).unwrap();
        assert_eq!(b, 7);
        let refused = open_writer(&path, &ONE).unwrap_err().to_string();
        assert_eq!(refused, "a test is of version 2; this program knows 1");
    }

    #[test]
    fn pages_and_safety_are_as_asked() {
        let dir = tempfile::tempdir().unwrap();
        let conn = open_writer(&dir.path().join("x.db"), &ONE).unwrap();
        let ask = |name| conn.pragma_query_value(None, name, |r| r.get::<_, i64>(0)).unwrap();
        assert_eq!((ask("page_size"), ask("synchronous"), ask("wal_autocheckpoint")), (8_192, 2, 0));
    }

    #[test]
    fn only_the_connections_used_last_stay_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        open_writer(&path, &ONE).unwrap();
        let mut recent = Recent::new(2);
        for key in [1, 2, 1, 3] {
            recent.get(key, || path.clone()).unwrap();
        }
        assert_eq!(recent.open.iter().map(|(k, _)| *k).collect::<Vec<_>>(), [1, 3]);
    }
}
