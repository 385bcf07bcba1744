//! Looking at a database without changing anything in it.

use tillstream_model::Time;
use tokio_postgres::types::Type;

use super::Options;
use super::session::{Session, Sessions, Target};
use crate::engine::Cause;

/// What can be told of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// The server's version, such as 16.4.
    pub version: String,
    /// Whether it is one that a hub works with.
    pub is_new_enough: bool,
    /// The server's time.
    pub now: Time,
    /// `synchronous_commit` of the role.
    pub synchronous_commit: String,
    /// Standbys that a commit waits for, as the server's settings name them; empty for none.
    pub standbys: String,
    /// Whether there are a hub's tables in it, and if so, whether the key opens its secrets.
    pub key: Option<Result<(), String>>,
    /// Whether its tables are of the version that this program works with; opening it would change them otherwise.
    pub is_current: bool,
}

/// Looks at it.
pub(super) async fn run(options: &Options) -> Result<Examined, Cause> {
    let sessions = Sessions::new(Target::new(options)?, 1)?;
    let session = sessions.get().await?;
    let sql = "SELECT current_setting('server_version'), current_setting('server_version_num')::int,
               (extract(epoch FROM clock_timestamp()) * 1000)::int8, current_setting('synchronous_commit'),
               current_setting('synchronous_standby_names'), to_regclass('meta') IS NOT NULL";
    let row = session.row(sql, &[]).await?.ok_or("the server does not tell its settings")?;
    let (key, is_current) = match row.get(5) {
        true => (key(&session, options).await?, super::migrate::is_current(&session).await?),
        false => (None, false),
    };
    Ok(Examined {
        version: row.get(0),
        is_new_enough: row.get::<_, i32>(1) >= super::migrate::OLDEST,
        now: Time::from_millis(row.get(2)),
        synchronous_commit: row.get(3),
        standbys: row.get(4),
        key,
        is_current,
    })
}

async fn key(session: &Session, options: &Options) -> Result<Option<Result<(), String>>, Cause> {
    let sql = "SELECT value FROM meta WHERE name = $1";
    let found = session.row(sql, &[(&"master_key", Type::TEXT)]).await?;
    Ok(found.map(|row| options.master_key.known(row.get(0)).map(drop).map_err(|e| e.to_string())))
}
