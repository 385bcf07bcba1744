//! What happened by minute and by hour.

use rusqlite::{Connection, Row, params};
use tillstream_model::{CompanyNo, IntegrationNo, Time};

use super::purge::is_gone;
use super::writer::{Stop, Work};
use crate::StoreError;
use crate::sqlite::pool::Cause;
use crate::state::{Bucket, Counts, LaneSummary, Resolution};

pub(super) fn add(work: &mut Work<'_>, buckets: &[Bucket]) -> Result<(), Stop<StoreError>> {
    let sql = "INSERT INTO statistics VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
               accepted = accepted + excluded.accepted, delivered = delivered + excluded.delivered,
               rejected = rejected + excluded.rejected, expired = expired + excluded.expired,
               failures = failures + excluded.failures";
    let mut stmt = work.conn.prepare_cached(sql)?;
    for Bucket { company, resolution, at, counts } in buckets {
        if is_gone(work.conn, company.0)? {
            continue;
        }
        let Counts { accepted, delivered, rejected, expired, failures } = counts;
        let row =
            params![company.0, resolution.seconds(), at.millis(), accepted, delivered, rejected, expired, failures];
        stmt.execute(row)?;
    }
    Ok(())
}

pub(super) fn list(
    conn: &Connection,
    company: CompanyNo,
    resolution: Resolution,
    from: Time,
    to: Time,
) -> Result<Vec<(Time, Counts)>, Cause> {
    let sql = "SELECT at, accepted, delivered, rejected, expired, failures FROM statistics
               WHERE company = ? AND resolution = ? AND at >= ? AND at < ? ORDER BY at";
    let row = |r: &Row| {
        let counts = Counts {
            accepted: r.get(1)?,
            delivered: r.get(2)?,
            rejected: r.get(3)?,
            expired: r.get(4)?,
            failures: r.get(5)?,
        };
        Ok((Time::from_millis(r.get(0)?), counts))
    };
    let bounds = params![company.0, resolution.seconds(), from.millis(), to.millis()];
    Ok(conn.prepare_cached(sql)?.query_map(bounds, row)?.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn lanes(conn: &Connection, company: CompanyNo) -> Result<Vec<LaneSummary>, Cause> {
    let sql = "SELECT i.no, i.running, l.cursor, (SELECT count(*) FROM parked p WHERE p.integration = i.no),
                   (SELECT accepted_at FROM parked p WHERE p.integration = i.no ORDER BY seq LIMIT 1)
               FROM integrations i JOIN lanes l ON l.integration = i.no WHERE i.company = ? ORDER BY i.no";
    let row = |r: &Row| {
        Ok(LaneSummary {
            no: IntegrationNo(r.get(0)?),
            running: r.get(1)?,
            cursor: r.get(2)?,
            parked: r.get(3)?,
            oldest_parked: r.get::<_, Option<i64>>(4)?.map(Time::from_millis),
        })
    };
    Ok(conn.prepare_cached(sql)?.query_map([company.0], row)?.collect::<rusqlite::Result<_>>()?)
}

/// Removes at most so many buckets that are not kept any more; whether there were any.
pub(super) fn remove_old(conn: &Connection, now: Time, most: usize) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM statistics WHERE (company, resolution, at) IN (
                   SELECT company, resolution, at FROM statistics WHERE resolution = ? AND at <= ? LIMIT ?)";
    let mut stmt = conn.prepare_cached(sql)?;
    for resolution in Resolution::ALL {
        if stmt.execute(params![resolution.seconds(), resolution.swept_to(now).millis(), most])? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}
