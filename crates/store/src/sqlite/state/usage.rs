//! How much companies used.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use tillstream_model::{CompanyNo, Time};

use super::SqliteState;
use super::purge::is_gone;
use super::writer::{Stop, Work};
use crate::sqlite::pool::Cause;
use crate::usage::{Counts, USAGE_DAYS, Usage, Used};
use crate::{Result, Retention, StoreError};

#[async_trait]
impl Usage for SqliteState {
    async fn add_usage(&self, used: Vec<Used>) -> Result<()> {
        self.writer.call("note what was used", move |w| add(w, &used)).await
    }

    async fn usage(&self, company: CompanyNo, from: i64, to: i64) -> Result<Vec<Used>> {
        self.read("look up what was used", move |r| list(&r.conn, company, from, to)).await
    }
}

fn add(work: &mut Work<'_>, used: &[Used]) -> Result<(), Stop<StoreError>> {
    let sql = "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
               events = events + excluded.events, bytes = bytes + excluded.bytes,
               delivered = delivered + excluded.delivered, rejected = rejected + excluded.rejected,
               expired = expired + excluded.expired, attempts = attempts + excluded.attempts";
    for u in used {
        if is_gone(work.conn, u.company.0)? {
            continue;
        }
        let c = &u.counts;
        let [events, bytes, delivered, rejected, expired, attempts] =
            [c.events, c.bytes, c.delivered, c.rejected, c.expired, c.attempts].map(|n| n as i64);
        let class = u.retention.map_or(0, Retention::days);
        let row = params![u.company.0, u.day, class, events, bytes, delivered, rejected, expired, attempts];
        work.conn.prepare_cached(sql)?.execute(row)?;
    }
    Ok(())
}

fn list(conn: &Connection, company: CompanyNo, from: i64, to: i64) -> Result<Vec<Used>, Cause> {
    let sql = "SELECT day, retention, events, bytes, delivered, rejected, expired, attempts FROM usage
               WHERE company = ? AND day >= ? AND day <= ? ORDER BY day, retention";
    let mut stmt = conn.prepare_cached(sql)?;
    let used = |r: &Row| {
        Ok(Used {
            company,
            day: r.get(0)?,
            retention: Retention::from_days(r.get(1)?),
            counts: Counts {
                events: r.get(2)?,
                bytes: r.get(3)?,
                delivered: r.get(4)?,
                rejected: r.get(5)?,
                expired: r.get(6)?,
                attempts: r.get(7)?,
            },
        })
    };
    Ok(stmt.query_map(params![company.0, from, to], used)?.collect::<rusqlite::Result<_>>()?)
}

/// Removes some days whose time has passed; whether there were any.
pub(super) fn remove_old(conn: &Connection, now: Time, rows: usize) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM usage WHERE (company, day, retention) IN
               (SELECT company, day, retention FROM usage WHERE day <= ? LIMIT ?)";
    Ok(conn.prepare_cached(sql)?.execute(params![now.day() - USAGE_DAYS, rows])? > 0)
}
