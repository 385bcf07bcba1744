//! The log's epochs, and beginning a new one after the database was restored from a dump or a base backup.

use std::collections::BTreeMap;

use tillstream_model::{Epochs, Time};
use tokio_postgres::types::Type;

use super::session::{Broken, Session, Sessions, Target};
use super::{Options, migrate, row};
use crate::engine::Cause;

/// Where they stand in `meta`.
const NAME: &str = "epochs";

/// As stored; a log that was never restored has none stored.
pub(super) async fn load(session: &Session) -> Result<Epochs, Cause> {
    let found = session.row("SELECT value FROM meta WHERE name = $1", &[(&NAME, Type::TEXT)]).await?;
    Ok(found.map(|row| serde_json::from_str(row.get(0))).transpose()?.unwrap_or_default())
}

/// Stores them.
pub(super) async fn save(session: &Session, epochs: &Epochs) -> Result<(), Cause> {
    migrate::put(session, NAME, &serde_json::to_string(epochs)?).await
}

/// Begins a new epoch where every company's log ends now.
pub(super) async fn begin(options: &Options) -> Result<Epochs, Cause> {
    let sessions = Sessions::new(Target::new(options)?, 1)?;
    let mut session = sessions.get().await?;
    migrate::run(&mut session, &options.master_key).await?;
    session.begin().await?;
    // Two that mark at once would both begin where the first one ended.
    session.execute("LOCK TABLE meta IN EXCLUSIVE MODE", &[]).await?;
    refuse_running(&session).await?;
    let ends = session.rows("SELECT company, head FROM log_heads", &[]).await?;
    let ends: BTreeMap<_, _> = ends.iter().map(|r| (row::company(r.get(0)), row::seq(r.get(1)))).collect();
    let now: Time = (options.clock)();
    let epochs = load(&session).await?.restored(now, ends);
    save(&session, &epochs).await?;
    session.commit().await.map_err(Broken::cause)?;
    Ok(epochs)
}

/// A node that runs hands out positions of the epoch it has read at its start.
async fn refuse_running(session: &Session) -> Result<(), Cause> {
    let sql = "SELECT EXISTS (SELECT FROM nodes WHERE until > clock_timestamp())";
    match session.row(sql, &[]).await?.is_some_and(|r| r.get(0)) {
        true => Err("a node runs on it; stop all nodes first (one that was killed counts as running for 8 s)".into()),
        false => Ok(()),
    }
}
