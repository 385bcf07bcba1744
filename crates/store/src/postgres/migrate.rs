//! Versions of the tables, forward only, and the checks before anything is used.

use tokio_postgres::types::Type;

use super::session::{Broken, Session};
use crate::MasterKey;
use crate::engine::Cause;

/// One script for each version.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
];
/// Oldest server that is supported, as `server_version_num` says it.
pub(super) const OLDEST: i32 = 140_000;
/// Names the lock under which one node migrates while others wait.
const LOCK: i64 = 0x7469_6c6c;

/// Makes the tables or brings them to the newest version; refuses what it can't work with.
pub(super) async fn run(session: &mut Session, key: &MasterKey) -> Result<(), Cause> {
    check_server(session).await?;
    session.begin().await?;
    session.execute("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)]).await?;
    let version = version(session).await?;
    if version > MIGRATIONS.len() {
        return Err(format!("its tables are of version {version}; this program knows {}", MIGRATIONS.len()).into());
    }
    for script in &MIGRATIONS[version..] {
        session.batch(script).await?;
    }
    put(session, "version", &MIGRATIONS.len().to_string()).await?;
    check_key(session, key).await?;
    session.commit().await.map_err(Broken::cause)
}

async fn check_server(session: &Session) -> Result<(), Cause> {
    let sql = "SELECT current_setting('server_version_num')::int, current_setting('synchronous_commit')";
    let row = session.row(sql, &[]).await?.ok_or("the server does not say its version")?;
    let (number, durable): (i32, &str) = (row.get(0), row.get(1));
    if number < OLDEST {
        return Err(format!("the server is of version {}; 14 or newer is needed", number / 10_000).into());
    }
    if durable == "off" {
        return Err("synchronous_commit is off, so nothing it accepts is safe; set it to on for this role".into());
    }
    Ok(())
}

/// Whether the tables are of the newest version.
pub(super) async fn is_current(session: &Session) -> Result<bool, Cause> {
    Ok(version(session).await? == MIGRATIONS.len())
}

async fn version(session: &Session) -> Result<usize, Cause> {
    let made = session.row("SELECT to_regclass('meta') IS NOT NULL", &[]).await?.is_some_and(|r| r.get(0));
    if !made {
        return Ok(0);
    }
    let found = session.row("SELECT value FROM meta WHERE name = 'version'", &[]).await?;
    let text: String = found.ok_or("there is a table called meta that is not Tillstream's")?.get(0);
    Ok(text.parse()?)
}

/// The first key that opens the database is the only one until it is rotated.
async fn check_key(session: &Session, key: &MasterKey) -> Result<(), Cause> {
    let check = key.mark();
    let sql = "INSERT INTO meta VALUES ('master_key', $1) ON CONFLICT DO NOTHING";
    session.execute(sql, &[(&check, Type::TEXT)]).await?;
    let found = session.row("SELECT value FROM meta WHERE name = 'master_key'", &[]).await?;
    key.known(found.ok_or("the master key's mark is gone")?.get(0))?;
    Ok(())
}

pub(super) async fn put(session: &Session, name: &str, value: &str) -> Result<(), Cause> {
    let sql = "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    session.execute(sql, &[(&name, Type::TEXT), (&value, Type::TEXT)]).await?;
    Ok(())
}
