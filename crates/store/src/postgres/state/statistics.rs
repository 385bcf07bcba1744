//! What happened by minute and by hour.

use tillstream_model::{CompanyNo, Time};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::gate;
use super::spell;
use super::tx::Stop;
use crate::StoreError;
use crate::engine::Cause;
use crate::postgres::row;
use crate::postgres::session::Session;
use crate::state::{Bucket, Counts, LaneSummary, Resolution};

/// Nodes that add to the same buckets at once take them in the same order, so that none waits for one that waits for it.
pub(super) async fn add(session: &Session, mut buckets: Vec<Bucket>) -> Result<(), Stop<StoreError>> {
    let gone = gate::gone(session, &buckets.iter().map(|b| row::stored_company(b.company)).collect::<Vec<_>>()).await?;
    buckets.retain(|b| !gone.contains(&row::stored_company(b.company)));
    buckets.sort_unstable_by_key(|b| (b.company, b.resolution, b.at));
    let companies: Vec<i32> = buckets.iter().map(|b| row::stored_company(b.company)).collect();
    let resolutions: Vec<i32> = buckets.iter().map(|b| stored(b.resolution)).collect();
    let starts: Vec<i64> = buckets.iter().map(|b| b.at.millis()).collect();
    let column = |of: fn(&Counts) -> u64| buckets.iter().map(|b| spell::stored_big(of(&b.counts))).collect::<Vec<_>>();
    let counts: [Vec<i64>; 5] = [
        column(|c| c.accepted),
        column(|c| c.delivered),
        column(|c| c.rejected),
        column(|c| c.expired),
        column(|c| c.failures),
    ];
    let [accepted, delivered, rejected, expired, failures] = &counts;
    let sql = "INSERT INTO statistics AS s
               SELECT * FROM unnest($1::int4[], $2::int4[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int8[])
               ON CONFLICT (company, resolution, at) DO UPDATE SET
               accepted = s.accepted + excluded.accepted, delivered = s.delivered + excluded.delivered,
               rejected = s.rejected + excluded.rejected, expired = s.expired + excluded.expired,
               failures = s.failures + excluded.failures";
    let params = [
        (&companies as _, Type::INT4_ARRAY),
        (&resolutions as _, Type::INT4_ARRAY),
        (&starts as _, Type::INT8_ARRAY),
        (accepted as _, Type::INT8_ARRAY),
        (delivered as _, Type::INT8_ARRAY),
        (rejected as _, Type::INT8_ARRAY),
        (expired as _, Type::INT8_ARRAY),
        (failures as _, Type::INT8_ARRAY),
    ];
    session.execute(sql, &params).await?;
    Ok(())
}

pub(super) async fn list(
    session: &Session,
    company: CompanyNo,
    resolution: Resolution,
    from: Time,
    to: Time,
) -> Result<Vec<(Time, Counts)>, Cause> {
    let sql = "SELECT at, accepted, delivered, rejected, expired, failures FROM statistics
               WHERE company = $1 AND resolution = $2 AND at >= $3 AND at < $4 ORDER BY company, resolution, at";
    let params = [
        (&row::stored_company(company) as _, Type::INT4),
        (&stored(resolution) as _, Type::INT4),
        (&from.millis() as _, Type::INT8),
        (&to.millis() as _, Type::INT8),
    ];
    let bucket = |r: &Row| {
        let count = |column: usize| spell::big(r.get(column));
        let counts = Counts {
            accepted: count(1),
            delivered: count(2),
            rejected: count(3),
            expired: count(4),
            failures: count(5),
        };
        (Time::from_millis(r.get(0)), counts)
    };
    Ok(session.rows(sql, &params).await?.iter().map(bucket).collect())
}

pub(super) async fn lanes(session: &Session, company: CompanyNo) -> Result<Vec<LaneSummary>, Cause> {
    let sql = "SELECT i.no, i.running, l.cursor, (SELECT count(*) FROM parked p WHERE p.integration = i.no),
                   (SELECT accepted_at FROM parked p WHERE p.integration = i.no ORDER BY integration, seq LIMIT 1)
               FROM integrations i JOIN lanes l ON l.integration = i.no WHERE i.company = $1 ORDER BY i.no";
    let summary = |r: &Row| LaneSummary {
        no: spell::no(r.get(0)),
        running: r.get(1),
        cursor: row::seq(r.get(2)),
        parked: spell::big(r.get(3)),
        oldest_parked: r.get::<_, Option<i64>>(4).map(Time::from_millis),
    };
    let found = session.rows(sql, &[(&row::stored_company(company) as _, Type::INT4)]).await?;
    Ok(found.iter().map(summary).collect())
}

/// Removes at most so many buckets that are not kept any more; how many.
pub(super) async fn remove_old(session: &Session, now: Time, most: i64) -> Result<u64, Cause> {
    let sql = "DELETE FROM statistics WHERE ctid = ANY (ARRAY(
                   SELECT ctid FROM statistics WHERE resolution = $1 AND at <= $2
                   ORDER BY resolution, at LIMIT $3 FOR UPDATE SKIP LOCKED))";
    let mut removed = 0;
    for resolution in Resolution::ALL {
        let params = [
            (&stored(resolution) as _, Type::INT4),
            (&resolution.swept_to(now).millis() as _, Type::INT8),
            (&most as _, Type::INT8),
        ];
        removed += session.execute(sql, &params).await?;
    }
    Ok(removed)
}

fn stored(resolution: Resolution) -> i32 {
    spell::stored_count(resolution.seconds())
}
