//! Removing what its time has passed, in transactions that are short. Several nodes may do it at once.

use tillstream_model::Time;
use tillstream_model::time::DAY_MS;
use tokio_postgres::types::Type;

use super::tx::Tx;
use super::{answers, attempts, statistics, usage};
use crate::engine::Cause;
use crate::postgres::days::{self, Known};
use crate::postgres::session::{Session, Sessions};
use crate::state::{AUDIT_DAYS, LOG_ENTRY_DAYS, REJECTED_DAYS};
use crate::{Result, StoreError};

/// Rows that one transaction removes.
const ROWS: i64 = 500;

/// Removes until nothing is left to be removed, or another node is at it.
pub(super) async fn run(sessions: &Sessions, known: &Known, now: Time) -> Result<()> {
    while drop_day(sessions, known, now).await? {}
    while remove_old(sessions, "rejected", days_before(now, REJECTED_DAYS)).await? {}
    while remove_old(sessions, "entries", days_before(now, LOG_ENTRY_DAYS)).await? {}
    while remove_old(sessions, "audit", days_before(now, AUDIT_DAYS)).await? {}
    while usage::remove_old(sessions, now, ROWS).await? {}
    while answers::remove_old(sessions, now, ROWS).await? {}
    while remove_statistics(sessions, now).await? {}
    while remove_leftovers(sessions, ROWS).await?.is_some() {}
    Ok(())
}

/// Drops the attempts of a day that is due; whether there was one.
async fn drop_day(sessions: &Sessions, known: &Known, now: Time) -> Result<bool> {
    let tx = Tx::begin(sessions, "drop old attempts").await?;
    let dropped = async {
        let Some(day) = attempts::days(&tx).await?.into_iter().rfind(|day| attempts::is_due(*day, now)) else {
            return Ok(None);
        };
        attempts::drop_day(&tx, day).await?;
        Ok(Some(day))
    };
    let dropped = dropped.await;
    let day = tx.end::<_, StoreError>(dropped).await?;
    if let Some(day) = day {
        known.forget(&attempts::table(day));
    }
    Ok(day.is_some())
}

/// Rows were written in the order of their ids, so only the first few are looked at; whether any of them went.
async fn remove_old(sessions: &Sessions, table: &'static str, before: Time) -> Result<bool> {
    let tx = Tx::begin(sessions, "remove old rows").await?;
    let sql = format!(
        "DELETE FROM {table} WHERE id = ANY (ARRAY(
             SELECT id FROM {table} WHERE at <= $1
             AND id <= (SELECT max(id) FROM (SELECT id FROM {table} ORDER BY id LIMIT $2) f)
             ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
         ))"
    );
    let removed = tx.execute(&sql, &[(&before.millis(), Type::INT8), (&ROWS, Type::INT8)]).await;
    let removed: u64 = tx.end::<_, StoreError>(removed.map_err(Into::into)).await?;
    Ok(removed > 0)
}

/// Removes buckets that are not kept any more; whether there were any.
async fn remove_statistics(sessions: &Sessions, now: Time) -> Result<bool> {
    let tx = Tx::begin(sessions, "remove old statistics").await?;
    let removed = statistics::remove_old(&tx, now, ROWS).await;
    let removed: u64 = tx.end::<_, StoreError>(removed.map_err(Into::into)).await?;
    Ok(removed > 0)
}

/// Removes at most so many rows of what hangs on a deleted integration; how many. None: there is none, or others are at
/// all of them.
pub(super) async fn remove_leftovers(sessions: &Sessions, most: i64) -> Result<Option<u64>> {
    let tx = Tx::begin(sessions, "remove what is left of deleted integrations").await?;
    let removed = remove_of_one(&tx, most).await;
    tx.end::<_, StoreError>(removed.map_err(Into::into)).await
}

async fn remove_of_one(session: &Session, most: i64) -> Result<Option<u64>, Cause> {
    let sql = "SELECT integration FROM leftovers LIMIT 1 FOR UPDATE SKIP LOCKED";
    let Some(found) = session.row(sql, &[]).await? else { return Ok(None) };
    let (no, mut room): (i64, i64) = (found.get(0), most);
    for table in ["rejected", "entries", "parked", "versions", "replays"] {
        room -= remove_rows(session, table, no, room).await?;
    }
    if room > 0 {
        // No table is dropped meanwhile: that would undo all of this.
        session.execute("SELECT pg_advisory_xact_lock($1)", &[(&days::LOCK, Type::INT8)]).await?;
        for day in attempts::days(session).await? {
            room -= remove_rows(session, &attempts::table(day), no, room).await?;
        }
    }
    if room > 0 {
        session.execute("DELETE FROM leftovers WHERE integration = $1", &[(&no, Type::INT8)]).await?;
    }
    Ok(Some(u64::try_from(most - room)?))
}

/// Removes at most so many rows of an integration from a table; how many.
async fn remove_rows(session: &Session, table: &str, no: i64, most: i64) -> Result<i64, Cause> {
    if most == 0 {
        return Ok(0);
    }
    let sql = format!(
        "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE integration = $1 LIMIT $2))"
    );
    let removed = session.execute(&sql, &[(&no, Type::INT8), (&most, Type::INT8)]).await?;
    Ok(i64::try_from(removed)?)
}

fn days_before(now: Time, days: i64) -> Time {
    Time::from_millis(now.millis().saturating_sub(days * DAY_MS))
}
