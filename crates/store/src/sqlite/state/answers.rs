//! Answers that are given again.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tillstream_model::{CompanyNo, Time};

use super::SqliteState;
use super::documents::owner;
use super::purge::refuse_gone;
use super::writer::{Stop, Work};
use crate::answers::{ANSWER_BUSY, ANSWER_KEPT, Answers, Begin, Begun, known, place};
use crate::{Result, StoreError};

#[async_trait]
impl Answers for SqliteState {
    async fn begin_answer(&self, asked: Begin) -> Result<Begun> {
        self.writer.call("begin to answer a request", move |w| begin(w, &asked)).await
    }

    async fn keep_answer(&self, of: Option<CompanyNo>, id: &str, answer: &str) -> Result<()> {
        let (id, answer) = (id.to_owned(), answer.to_owned());
        self.writer.call("keep an answer", move |w| keep(w, of, &id, &answer)).await
    }

    async fn forget_answer(&self, of: Option<CompanyNo>, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.writer.call("forget a request", move |w| forget(w, of, &id)).await
    }
}

fn begin(work: &mut Work<'_>, asked: &Begin) -> Result<Begun, Stop<StoreError>> {
    refuse_gone(work.conn, asked.of)?;
    let (company, now) = (owner(asked.of), asked.now);
    let sql = "SELECT fingerprint, answer FROM answers WHERE company = ? AND id = ?
               AND at > CASE WHEN answer IS NULL THEN ? ELSE ? END";
    let bounds = params![company, asked.id, before(now, ANSWER_BUSY), before(now, ANSWER_KEPT)];
    let found = work
        .conn
        .prepare_cached(sql)?
        .query_row(bounds, |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get::<_, Option<String>>(1)?)))
        .optional()?;
    if let Some((fingerprint, answer)) = found {
        let (place, path) = place(asked.of, &asked.id);
        let answer = answer.map(|sealed| work.sealer.open(place, &path, &sealed)).transpose()?;
        return Ok(known(asked, &fingerprint, answer));
    }
    let sql = "SELECT count(*) FROM (SELECT 1 FROM answers WHERE company = ? LIMIT ?)";
    let have: usize = work.conn.prepare_cached(sql)?.query_row(params![company, asked.most], |r| r.get(0))?;
    if have >= asked.most {
        return Ok(Begun::Full);
    }
    let sql = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, NULL)";
    work.conn.prepare_cached(sql)?.execute(params![company, asked.id, now.millis(), asked.fingerprint])?;
    Ok(Begun::New)
}

fn keep(work: &mut Work<'_>, of: Option<CompanyNo>, id: &str, answer: &str) -> Result<(), Stop<StoreError>> {
    let (place, path) = place(of, id);
    let sealed = work.sealer.seal(place, &path, answer)?;
    let sql = "UPDATE answers SET answer = ? WHERE company = ? AND id = ?";
    work.conn.prepare_cached(sql)?.execute(params![sealed, owner(of), id])?;
    Ok(())
}

fn forget(work: &mut Work<'_>, of: Option<CompanyNo>, id: &str) -> Result<(), Stop<StoreError>> {
    let sql = "DELETE FROM answers WHERE company = ? AND id = ? AND answer IS NULL";
    work.conn.prepare_cached(sql)?.execute(params![owner(of), id])?;
    Ok(())
}

/// Removes some whose time has passed; whether there were any.
pub(super) fn remove_old(conn: &Connection, now: Time, rows: usize) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM answers WHERE (company, id) IN (SELECT company, id FROM answers WHERE at <= ? LIMIT ?)";
    Ok(conn.prepare_cached(sql)?.execute(params![before(now, ANSWER_KEPT), rows])? > 0)
}

fn before(now: Time, by: std::time::Duration) -> i64 {
    now.millis().saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}
