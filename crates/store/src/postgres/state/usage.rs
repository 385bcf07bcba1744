//! How much companies used.

use async_trait::async_trait;
use tillstream_model::{CompanyNo, Time};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::PgState;
use super::gate;
use super::spell::{big, stored_big};
use super::tx::{Stop, Tx};
use crate::engine::{Cause, tried};
use crate::postgres::row;
use crate::postgres::session::{Session, Sessions};
use crate::usage::{Counts, USAGE_DAYS, Usage, Used};
use crate::{Result, Retention, StoreError};

#[async_trait]
impl Usage for PgState {
    async fn add_usage(&self, used: Vec<Used>) -> Result<()> {
        let tx = self.begin("note what was used").await?;
        let added = add(&tx, used).await;
        tx.end(added).await
    }

    async fn usage(&self, company: CompanyNo, from: i64, to: i64) -> Result<Vec<Used>> {
        let what = "look up what was used";
        tried(what, list(&*self.session(what).await?, company, from, to).await)
    }
}

/// Nodes that add for the same companies at once do it in the same order, so that none waits for one that waits for it.
async fn add(session: &Session, mut used: Vec<Used>) -> Result<(), Stop<StoreError>> {
    let gone = gate::gone(session, &used.iter().map(|u| row::stored_company(u.company)).collect::<Vec<_>>()).await?;
    used.retain(|u| !gone.contains(&row::stored_company(u.company)));
    let class = |u: &Used| u.retention.map_or(0, Retention::days);
    used.sort_by_key(|u| (u.company, u.day, class(u)));
    let companies: Vec<i32> = used.iter().map(|u| row::stored_company(u.company)).collect();
    let days: Vec<i64> = used.iter().map(|u| u.day).collect();
    let classes: Vec<i32> = used.iter().map(|u| i32::try_from(class(u)).unwrap_or_default()).collect();
    let count = |f: fn(&Counts) -> u64| -> Vec<i64> { used.iter().map(|u| stored_big(f(&u.counts))).collect() };
    let sql = "INSERT INTO usage AS u SELECT * FROM unnest($1::int4[], $2::int8[], $3::int4[], $4::int8[], $5::int8[],
               $6::int8[], $7::int8[], $8::int8[], $9::int8[]) n (company, day, retention) ORDER BY 1, 2, 3
               ON CONFLICT (company, day, retention) DO UPDATE SET
               events = u.events + excluded.events, bytes = u.bytes + excluded.bytes,
               delivered = u.delivered + excluded.delivered, rejected = u.rejected + excluded.rejected,
               expired = u.expired + excluded.expired, attempts = u.attempts + excluded.attempts";
    let params = [
        (&companies as _, Type::INT4_ARRAY),
        (&days as _, Type::INT8_ARRAY),
        (&classes as _, Type::INT4_ARRAY),
        (&count(|c| c.events) as _, Type::INT8_ARRAY),
        (&count(|c| c.bytes) as _, Type::INT8_ARRAY),
        (&count(|c| c.delivered) as _, Type::INT8_ARRAY),
        (&count(|c| c.rejected) as _, Type::INT8_ARRAY),
        (&count(|c| c.expired) as _, Type::INT8_ARRAY),
        (&count(|c| c.attempts) as _, Type::INT8_ARRAY),
    ];
    session.execute(sql, &params).await?;
    Ok(())
}

async fn list(session: &Session, company: CompanyNo, from: i64, to: i64) -> Result<Vec<Used>, Cause> {
    // Compared as the key is: by the days alone the server may walk through everybody's.
    let sql = "SELECT day, retention, events, bytes, delivered, rejected, expired, attempts FROM usage
               WHERE (company, day) >= ($1, $2) AND (company, day) <= ($1, $3) ORDER BY company, day, retention";
    let params = [(&row::stored_company(company) as _, Type::INT4), (&from as _, Type::INT8), (&to as _, Type::INT8)];
    let used = |r: &Row| Used {
        company,
        day: r.get(0),
        retention: Retention::from_days(r.get::<_, i32>(1).into()),
        counts: Counts {
            events: big(r.get(2)),
            bytes: big(r.get(3)),
            delivered: big(r.get(4)),
            rejected: big(r.get(5)),
            expired: big(r.get(6)),
            attempts: big(r.get(7)),
        },
    };
    Ok(session.rows(sql, &params).await?.iter().map(used).collect())
}

/// Removes some days whose time has passed; whether there were any.
pub(super) async fn remove_old(sessions: &Sessions, now: Time, rows: i64) -> Result<bool> {
    let tx = Tx::begin(sessions, "remove old days").await?;
    let sql = "DELETE FROM usage WHERE ctid = ANY (ARRAY(
                   SELECT ctid FROM usage WHERE day <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";
    let params = [(&(now.day() - USAGE_DAYS) as _, Type::INT8), (&rows as _, Type::INT8)];
    let removed = tx.execute(sql, &params).await;
    Ok(tx.end::<u64, StoreError>(removed.map_err(Into::into)).await? > 0)
}
