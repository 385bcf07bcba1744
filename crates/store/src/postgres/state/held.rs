//! Events that are held.

use std::collections::HashMap;

use async_trait::async_trait;
use tillstream_model::{CompanyNo, Content, Time};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::PgState;
use super::gate::refuse_gone;
use super::spell::{self, big, stored_big};
use super::tx::Stop;
use crate::engine::held::{self, Room};
use crate::engine::{Cause, tried};
use crate::held::{Held, HeldEvent, HeldLimits, HeldSite, HoldError, Holding};
use crate::postgres::row;
use crate::postgres::session::Session;
use crate::{ReadLimit, Result, StoreError};

const SITE: &str = "site, events, bytes, first_at, last_at";

#[async_trait]
impl Held for PgState {
    async fn hold(
        &self,
        company: CompanyNo,
        events: Vec<Content>,
        now: Time,
        limits: HeldLimits,
    ) -> Result<Vec<Holding>, HoldError> {
        let tx = self.begin("hold events").await?;
        let held = hold(&tx, company, events, now, limits).await;
        tx.end(held).await
    }

    async fn held_sites(&self, company: CompanyNo, after: &str, limit: usize) -> Result<Vec<HeldSite>> {
        let what = "list sites with held events";
        tried(what, sites(&*self.session(what).await?, company, after, limit).await)
    }

    async fn held_site(&self, company: CompanyNo, name: &str) -> Result<Option<HeldSite>> {
        let what = "look up a site with held events";
        let session = self.session(what).await?;
        let sql = format!("SELECT {SITE} FROM held_sites WHERE company = $1 AND site = $2");
        let params = [(&row::stored_company(company) as _, Type::INT4), (&spell::text(name) as _, Type::TEXT)];
        Ok(tried(what, session.row(&sql, &params).await)?.as_ref().map(site))
    }

    async fn held(&self, company: CompanyNo, site: &str, after: u64, limit: ReadLimit) -> Result<Vec<HeldEvent>> {
        let what = "list held events";
        tried(what, list(&*self.session(what).await?, company, site, after, limit).await)
    }

    async fn unhold(&self, company: CompanyNo, site: &str, ids: Vec<u64>) -> Result<()> {
        let tx = self.begin("let held events go").await?;
        let gone = unhold(&tx, company, site, &ids).await;
        tx.end(gone).await
    }
}

async fn hold(
    session: &Session,
    company: CompanyNo,
    events: Vec<Content>,
    now: Time,
    limits: HeldLimits,
) -> Result<Vec<Holding>, Stop<HoldError>> {
    // Nodes that hold for one company do it one after the other, so that repeats are seen and limits kept.
    let lock = "SELECT 1 FROM companies WHERE no = $1 FOR NO KEY UPDATE";
    session.rows(lock, &[(&row::stored_company(company), Type::INT4)]).await?;
    refuse_gone(session, Some(company)).await?;
    let mut room = Room::of(&sites(session, company, "", usize::MAX).await?, limits);
    let rows = events.into_iter().map(|c| held::Row::of(company, c, now)).collect::<Result<Vec<_>, _>>()?;
    let mut known = known(session, &rows).await?;
    let (mut answers, mut new) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in &rows {
        if let Some(caller) = &row.caller {
            if let Some(fingerprint) = known.get(caller.hash.as_slice()) {
                answers.push(held::repeat(caller, fingerprint));
                continue;
            }
            known.insert(caller.hash.to_vec(), caller.fingerprint.to_vec());
        }
        if !room.take(row) {
            return Err(Stop::Refused(HoldError::Full));
        }
        new.push(row);
        answers.push(Holding::New);
    }
    insert(session, company, &new, now).await?;
    count(session, company, &room, now).await?;
    Ok(answers)
}

/// Fingerprints of what is held under these rows' ids.
async fn known(session: &Session, rows: &[held::Row]) -> Result<HashMap<Vec<u8>, Vec<u8>>, Cause> {
    let hashes: Vec<&[u8]> = rows.iter().filter_map(|r| r.caller.as_ref()).map(|c| c.hash.as_slice()).collect();
    if hashes.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = "SELECT hash, fingerprint FROM held WHERE hash = ANY ($1)";
    let found = session.rows(sql, &[(&hashes, Type::BYTEA_ARRAY)]).await?;
    Ok(found.iter().map(|r| (r.get(0), r.get(1))).collect())
}

async fn insert(session: &Session, company: CompanyNo, rows: &[&held::Row], now: Time) -> Result<(), Cause> {
    let sites: Vec<_> = rows.iter().map(|r| spell::text(&r.site)).collect();
    let sizes: Vec<i64> = rows.iter().map(|r| r.size).collect();
    let hashes: Vec<Option<&[u8]>> = rows.iter().map(|r| r.caller.as_ref().map(|c| c.hash.as_slice())).collect();
    let prints: Vec<Option<&[u8]>> = rows.iter().map(|r| r.caller.as_ref().map(|c| c.fingerprint.as_slice())).collect();
    let events: Vec<&[u8]> = rows.iter().map(|r| r.event.as_slice()).collect();
    let sql = "INSERT INTO held (company, site, at, size, hash, fingerprint, event)
               SELECT $1, n.site, $2, n.size, n.hash, n.print, n.event
               FROM unnest($3::text[], $4::int8[], $5::bytea[], $6::bytea[], $7::bytea[])
                    WITH ORDINALITY n (site, size, hash, print, event, place) ORDER BY n.place";
    let params = [
        (&row::stored_company(company) as _, Type::INT4),
        (&now.millis() as _, Type::INT8),
        (&sites as _, Type::TEXT_ARRAY),
        (&sizes as _, Type::INT8_ARRAY),
        (&hashes as _, Type::BYTEA_ARRAY),
        (&prints as _, Type::BYTEA_ARRAY),
        (&events as _, Type::BYTEA_ARRAY),
    ];
    session.execute(sql, &params).await?;
    Ok(())
}

async fn count(session: &Session, company: CompanyNo, room: &Room, now: Time) -> Result<(), Cause> {
    for (site, events, bytes) in room.came() {
        let sql =
            "INSERT INTO held_sites AS h VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (company, site) DO UPDATE SET
                   events = h.events + $3, bytes = h.bytes + $4, last_at = greatest(h.last_at, $5)";
        let params = [
            (&row::stored_company(company) as _, Type::INT4),
            (&spell::text(site) as _, Type::TEXT),
            (&stored_big(events) as _, Type::INT8),
            (&stored_big(bytes) as _, Type::INT8),
            (&now.millis() as _, Type::INT8),
        ];
        session.execute(sql, &params).await?;
    }
    Ok(())
}

async fn sites(session: &Session, company: CompanyNo, after: &str, limit: usize) -> Result<Vec<HeldSite>, Cause> {
    let sql = format!("SELECT {SITE} FROM held_sites WHERE company = $1 AND site > $2 ORDER BY company, site LIMIT $3");
    let params = [
        (&row::stored_company(company) as _, Type::INT4),
        (&spell::text(after) as _, Type::TEXT),
        (&i64::try_from(limit).unwrap_or(i64::MAX) as _, Type::INT8),
    ];
    Ok(session.rows(&sql, &params).await?.iter().map(site).collect())
}

async fn list(
    session: &Session,
    company: CompanyNo,
    site: &str,
    after: u64,
    limit: ReadLimit,
) -> Result<Vec<HeldEvent>, Cause> {
    let sql = "SELECT id, at, event FROM (
                   SELECT id, at, event, sum(size) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - size AS before FROM (
                       SELECT id, at, size, event FROM held WHERE company = $1 AND site = $2 AND id > $3
                       ORDER BY company, site, id LIMIT $4) f) g
               WHERE before < $5 ORDER BY id";
    let params = [
        (&row::stored_company(company) as _, Type::INT4),
        (&spell::text(site) as _, Type::TEXT),
        (&stored_big(after) as _, Type::INT8),
        (&i64::try_from(limit.events).unwrap_or(i64::MAX) as _, Type::INT8),
        (&i64::try_from(limit.bytes).unwrap_or(i64::MAX) as _, Type::INT8),
    ];
    let event = |r: &Row| {
        let content = held::content(r.get(2))?;
        Ok(HeldEvent { id: big(r.get(0)), at: Time::from_millis(r.get(1)), content })
    };
    session.rows(sql, &params).await?.iter().map(event).collect()
}

async fn unhold(session: &Session, company: CompanyNo, site: &str, ids: &[u64]) -> Result<(), Stop<StoreError>> {
    let ids: Vec<i64> = ids.iter().map(|id| stored_big(*id)).collect();
    let (company, site) = (row::stored_company(company), spell::text(site));
    // The site's row first, as those do who hold, so that nobody waits in a circle.
    let lock = "SELECT 1 FROM held_sites WHERE company = $1 AND site = $2 FOR UPDATE";
    session.rows(lock, &[(&company as _, Type::INT4), (&site as _, Type::TEXT)]).await?;
    let sql = "WITH gone AS (DELETE FROM held WHERE id = ANY ($3) AND company = $1 AND site = $2 RETURNING size)
               UPDATE held_sites h SET events = h.events - n.events, bytes = h.bytes - n.bytes
               FROM (SELECT count(*) AS events, coalesce(sum(size), 0)::int8 AS bytes FROM gone) n
               WHERE company = $1 AND site = $2";
    let params = [(&company as _, Type::INT4), (&site as _, Type::TEXT), (&ids as _, Type::INT8_ARRAY)];
    session.execute(sql, &params).await?;
    let sql = "DELETE FROM held_sites WHERE company = $1 AND site = $2 AND events <= 0";
    session.execute(sql, &[(&company as _, Type::INT4), (&site as _, Type::TEXT)]).await?;
    Ok(())
}

fn site(row: &Row) -> HeldSite {
    HeldSite {
        site: row.get(0),
        events: big(row.get(1)),
        bytes: big(row.get(2)),
        first_at: Time::from_millis(row.get(3)),
        last_at: Time::from_millis(row.get(4)),
    }
}
