//! Events that are held.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tillstream_model::{CompanyNo, Content, Time};

use super::SqliteState;
use super::purge::refuse_gone;
use super::writer::{Stop, Work};
use crate::engine::held::{self, Room};
use crate::held::{Held, HeldEvent, HeldLimits, HeldSite, HoldError, Holding};
use crate::sqlite::pool::Cause;
use crate::{ReadLimit, Result, StoreError};

const SITE: &str = "site, events, bytes, first_at, last_at";

#[async_trait]
impl Held for SqliteState {
    async fn hold(
        &self,
        company: CompanyNo,
        events: Vec<Content>,
        now: Time,
        limits: HeldLimits,
    ) -> Result<Vec<Holding>, HoldError> {
        self.writer.call("hold events", move |w| hold(w, company, events, now, limits)).await
    }

    async fn held_sites(&self, company: CompanyNo, after: &str, limit: usize) -> Result<Vec<HeldSite>> {
        let after = after.to_owned();
        self.read("list sites with held events", move |r| sites(&r.conn, company, &after, limit)).await
    }

    async fn held_site(&self, company: CompanyNo, name: &str) -> Result<Option<HeldSite>> {
        let name = name.to_owned();
        let look = move |conn: &Connection| -> Result<Option<HeldSite>, Cause> {
            let sql = format!("SELECT {SITE} FROM held_sites WHERE company = ? AND site = ?");
            Ok(conn.prepare_cached(&sql)?.query_row(params![company.0, name], site).optional()?)
        };
        self.read("look up a site with held events", move |r| look(&r.conn)).await
    }

    async fn held(&self, company: CompanyNo, site: &str, after: u64, limit: ReadLimit) -> Result<Vec<HeldEvent>> {
        let site = site.to_owned();
        self.read("list held events", move |r| list(&r.conn, company, &site, after, limit)).await
    }

    async fn unhold(&self, company: CompanyNo, site: &str, ids: Vec<u64>) -> Result<()> {
        let site = site.to_owned();
        self.writer.call("let held events go", move |w| unhold(w, company, &site, &ids)).await
    }
}

fn hold(
    work: &mut Work<'_>,
    company: CompanyNo,
    events: Vec<Content>,
    now: Time,
    limits: HeldLimits,
) -> Result<Vec<Holding>, Stop<HoldError>> {
    refuse_gone(work.conn, Some(company))?;
    let mut room = Room::of(&sites(work.conn, company, "", usize::MAX)?, limits);
    let mut answers = Vec::with_capacity(events.len());
    for content in events {
        let row = held::Row::of(company, content, now)?;
        if let Some(caller) = &row.caller {
            let mut stmt = work.conn.prepare_cached("SELECT fingerprint FROM held WHERE hash = ?")?;
            let known: Option<Vec<u8>> = stmt.query_row([caller.hash], |r| r.get(0)).optional()?;
            if let Some(fingerprint) = known {
                answers.push(held::repeat(caller, &fingerprint));
                continue;
            }
        }
        if !room.take(&row) {
            return Err(Stop::Refused(HoldError::Full));
        }
        let sql = "INSERT INTO held (company, site, at, size, hash, fingerprint, event) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let (hash, fingerprint) = (row.caller.map(|c| c.hash), row.caller.map(|c| c.fingerprint));
        let values = params![company.0, row.site, now.millis(), row.size, hash, fingerprint, row.event];
        work.conn.prepare_cached(sql)?.execute(values)?;
        answers.push(Holding::New);
    }
    for (site, events, bytes) in room.came() {
        let sql = "INSERT INTO held_sites VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT DO UPDATE SET
                   events = events + ?3, bytes = bytes + ?4, last_at = max(last_at, ?5)";
        let row = params![company.0, site, events as i64, bytes as i64, now.millis()];
        work.conn.prepare_cached(sql)?.execute(row)?;
    }
    Ok(answers)
}

fn sites(conn: &Connection, company: CompanyNo, after: &str, limit: usize) -> Result<Vec<HeldSite>, Cause> {
    let sql = format!("SELECT {SITE} FROM held_sites WHERE company = ? AND site > ? ORDER BY site LIMIT ?");
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut stmt = conn.prepare_cached(&sql)?;
    Ok(stmt.query_map(params![company.0, after, most], site)?.collect::<rusqlite::Result<_>>()?)
}

fn list(
    conn: &Connection,
    company: CompanyNo,
    site: &str,
    after: u64,
    limit: ReadLimit,
) -> Result<Vec<HeldEvent>, Cause> {
    let sql = "SELECT id, at, event FROM held WHERE company = ? AND site = ? AND id > ? ORDER BY id LIMIT ?";
    let mut stmt = conn.prepare_cached(sql)?;
    let mut rows = stmt.query(params![company.0, site, i64::try_from(after).unwrap_or(i64::MAX), limit.events])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while bytes < limit.bytes
        && let Some(row) = rows.next()?
    {
        let content = held::content(row.get_ref(2)?.as_blob()?)?;
        bytes += content.size();
        found.push(HeldEvent { id: row.get(0)?, at: Time::from_millis(row.get(1)?), content });
    }
    Ok(found)
}

fn unhold(work: &mut Work<'_>, company: CompanyNo, site: &str, ids: &[u64]) -> Result<(), Stop<StoreError>> {
    let (mut events, mut bytes) = (0_i64, 0_i64);
    for id in ids {
        let sql = "DELETE FROM held WHERE id = ? AND company = ? AND site = ? RETURNING size";
        let row = params![i64::try_from(*id)?, company.0, site];
        let size: Option<i64> = work.conn.prepare_cached(sql)?.query_row(row, |r| r.get(0)).optional()?;
        events += i64::from(size.is_some());
        bytes += size.unwrap_or_default();
    }
    let sql = "UPDATE held_sites SET events = events - ?3, bytes = bytes - ?4 WHERE company = ?1 AND site = ?2";
    work.conn.prepare_cached(sql)?.execute(params![company.0, site, events, bytes])?;
    let sql = "DELETE FROM held_sites WHERE company = ? AND site = ? AND events <= 0";
    work.conn.prepare_cached(sql)?.execute(params![company.0, site])?;
    Ok(())
}

fn site(row: &Row) -> rusqlite::Result<HeldSite> {
    Ok(HeldSite {
        site: row.get(0)?,
        events: row.get(1)?,
        bytes: row.get(2)?,
        first_at: Time::from_millis(row.get(3)?),
        last_at: Time::from_millis(row.get(4)?),
    })
}
