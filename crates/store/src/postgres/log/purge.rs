//! Closing a company's log for good, and removing what it has in short transactions.

use std::collections::BTreeMap;
use std::time::Instant;

use tillstream_model::{CompanyNo, Time};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::super::pace::Pace;
use super::super::session::{Broken, Session, Sessions};
use super::super::{days, row};
use super::{known, segments};
use crate::Purged;
use crate::engine::Cause;
use crate::engine::caller::{IdHash, id_hash};
use crate::engine::segment::SegmentId;

/// Closes a log. Whoever appends holds the lock of its row, so what is under way is committed before, and what comes
/// later sees it.
pub(super) async fn close(sessions: &Sessions, company: CompanyNo) -> Result<(), Cause> {
    let mut session = sessions.get().await?;
    session.begin().await?;
    let sql = "INSERT INTO log_heads (company, closed) VALUES ($1, true) ON CONFLICT (company) DO UPDATE SET
               closed = true, head = 0, head_at = 0, floor = 0, segment = ''";
    session.execute(sql, &[(&row::stored_company(company), Type::INT4)]).await?;
    session.commit().await.map_err(Broken::cause)
}

/// Removes some events with their idempotency ids. Every event lies in a stretch, and a stretch goes after its events.
pub(super) async fn slice(sessions: &Sessions, company: CompanyNo, pace: &Pace) -> Result<Purged, Cause> {
    let mut session = sessions.get().await?;
    refuse_open(&session, company).await?;
    session.begin().await?;
    // No table is dropped meanwhile. What is lost is removed again.
    session.batch(&format!("SET LOCAL synchronous_commit = off; SELECT pg_advisory_xact_lock({})", days::LOCK)).await?;
    let (started, most) = (Instant::now(), pace.rows());
    let sql = "SELECT segment FROM log_stretches WHERE company = $1 ORDER BY company, first LIMIT 1";
    let next = session.row(sql, &[(&row::stored_company(company), Type::INT4)]).await?;
    let purged = match next {
        Some(next) => {
            let segment = SegmentId::parse(next.get(0)).ok_or("a stretch names no segment")?;
            let rows = remove_some(&session, company, segment, most).await?;
            pace.took(started.elapsed());
            Purged { rows, done: false }
        }
        None => {
            let sql = "DELETE FROM log_erased WHERE company = $1";
            let rows = session.execute(sql, &[(&row::stored_company(company), Type::INT4)]).await?;
            Purged { rows, done: true }
        }
    };
    session.commit().await.map_err(Broken::cause)?;
    Ok(purged)
}

async fn refuse_open(session: &Session, company: CompanyNo) -> Result<(), Cause> {
    let sql = "SELECT closed FROM log_heads WHERE company = $1";
    match session.row(sql, &[(&row::stored_company(company), Type::INT4)]).await?.is_some_and(|r| r.get(0)) {
        true => Ok(()),
        false => Err("it is not closed".into()),
    }
}

async fn remove_some(session: &Session, company: CompanyNo, segment: SegmentId, most: i64) -> Result<u64, Cause> {
    let table = segments::table(segment);
    let sql = format!(
        "DELETE FROM {table} WHERE company = $1 AND seq = ANY (ARRAY(
             SELECT seq FROM {table} WHERE company = $1 ORDER BY company, seq LIMIT $2
         )) RETURNING accepted_at, site, caller_id"
    );
    let params = [(&row::stored_company(company) as _, Type::INT4), (&most as _, Type::INT8)];
    let removed = session.rows(&sql, &params).await?;
    forget_ids(session, company, &removed).await?;
    if i64::try_from(removed.len())? < most {
        let sql = "DELETE FROM log_stretches WHERE company = $1 AND segment = $2";
        let params = [(&row::stored_company(company) as _, Type::INT4), (&segment.name() as _, Type::TEXT)];
        session.execute(sql, &params).await?;
    }
    Ok(removed.len() as u64)
}

/// Ids do not say whose they are; the events do.
async fn forget_ids(session: &Session, company: CompanyNo, removed: &[Row]) -> Result<(), Cause> {
    let mut by_day: BTreeMap<i64, Vec<IdHash>> = BTreeMap::new();
    for r in removed {
        if let Some(id) = r.get::<_, Option<&str>>(2) {
            let day = Time::from_millis(r.get(0)).day();
            by_day.entry(day).or_default().push(id_hash(company, r.get(1), id));
        }
    }
    let days: Vec<i64> = by_day.keys().copied().collect();
    let kept = session.rows("SELECT day FROM id_days WHERE day = ANY ($1)", &[(&days, Type::INT8_ARRAY)]).await?;
    for day in kept.iter().map(|r| r.get::<_, i64>(0)) {
        let hashes: Vec<&[u8]> = by_day.get(&day).into_iter().flatten().map(|hash| hash.as_slice()).collect();
        let sql = format!("DELETE FROM {} WHERE hash = ANY ($1)", known::table(day));
        session.execute(&sql, &[(&hashes, Type::BYTEA_ARRAY)]).await?;
    }
    Ok(())
}
