//! Answers that are given again.

use async_trait::async_trait;
use tillstream_model::{CompanyNo, Time};
use tokio_postgres::types::Type;

use super::documents::owner;
use super::gate::refuse_gone;
use super::tx::{Stop, Tx};
use super::{PgState, sealing};
use crate::answers::{ANSWER_BUSY, ANSWER_KEPT, Answers, Begin, Begun, known, place};
use crate::postgres::session::{Session, Sessions};
use crate::{Result, Sealer, StoreError};

#[async_trait]
impl Answers for PgState {
    async fn begin_answer(&self, asked: Begin) -> Result<Begun> {
        let tx = self.begin("begin to answer a request").await?;
        let begun = begin(&tx, &self.sealer, &asked).await;
        tx.end(begun).await
    }

    async fn keep_answer(&self, of: Option<CompanyNo>, id: &str, answer: &str) -> Result<()> {
        let tx = self.begin("keep an answer").await?;
        let kept = keep(&tx, &self.sealer, of, id, answer).await;
        tx.end(kept).await
    }

    async fn forget_answer(&self, of: Option<CompanyNo>, id: &str) -> Result<()> {
        let tx = self.begin("forget a request").await?;
        let forgotten = forget(&tx, of, id).await;
        tx.end(forgotten).await
    }
}

/// Of two that begin at once the second one waits at the row that the first one writes, and finds it.
async fn begin(session: &Session, sealer: &Sealer, asked: &Begin) -> Result<Begun, Stop<StoreError>> {
    refuse_gone(session, asked.of).await?;
    let (company, busy, kept) = (owner(asked.of), before(asked.now, ANSWER_BUSY), before(asked.now, ANSWER_KEPT));
    let sql = "INSERT INTO answers AS a SELECT $1, $2, $3, $4, NULL
               WHERE (SELECT count(*) FROM (SELECT 1 FROM answers WHERE company = $1 LIMIT $5) n) < $5
               OR EXISTS (SELECT 1 FROM answers WHERE company = $1 AND id = $2)
               ON CONFLICT (company, id) DO UPDATE SET
               at = excluded.at, fingerprint = excluded.fingerprint, answer = NULL
               WHERE a.at <= CASE WHEN a.answer IS NULL THEN $6 ELSE $7 END RETURNING 1";
    let params = [
        (&company as _, Type::INT4),
        (&asked.id as _, Type::TEXT),
        (&asked.now.millis() as _, Type::INT8),
        (&asked.fingerprint.as_slice() as _, Type::BYTEA),
        (&i64::try_from(asked.most)? as _, Type::INT8),
        (&busy as _, Type::INT8),
        (&kept as _, Type::INT8),
    ];
    if session.row(sql, &params).await?.is_some() {
        return Ok(Begun::New);
    }
    let sql = "SELECT fingerprint, answer FROM answers WHERE company = $1 AND id = $2";
    let params = [(&company as _, Type::INT4), (&asked.id as _, Type::TEXT)];
    let Some(found) = session.row(sql, &params).await? else { return Ok(Begun::Full) };
    let (place, path) = place(asked.of, &asked.id);
    let sealed: Option<&str> = found.get(1);
    let answer = sealed.map(|sealed| sealer.open(place, &path, sealed)).transpose()?;
    Ok(known(asked, found.get(0), answer))
}

async fn keep(
    session: &Session,
    sealer: &Sealer,
    of: Option<CompanyNo>,
    id: &str,
    answer: &str,
) -> Result<(), Stop<StoreError>> {
    let (place, path) = place(of, id);
    let sealed = sealing::current(session, sealer).await?.seal(place, &path, answer)?;
    let sql = "UPDATE answers SET answer = $3 WHERE company = $1 AND id = $2";
    let params = [(&owner(of) as _, Type::INT4), (&id as _, Type::TEXT), (&sealed as _, Type::TEXT)];
    session.execute(sql, &params).await?;
    Ok(())
}

async fn forget(session: &Session, of: Option<CompanyNo>, id: &str) -> Result<(), Stop<StoreError>> {
    let sql = "DELETE FROM answers WHERE company = $1 AND id = $2 AND answer IS NULL";
    session.execute(sql, &[(&owner(of) as _, Type::INT4), (&id as _, Type::TEXT)]).await?;
    Ok(())
}

/// Removes some whose time has passed; whether there were any.
pub(super) async fn remove_old(sessions: &Sessions, now: Time, rows: i64) -> Result<bool> {
    let tx = Tx::begin(sessions, "remove old answers").await?;
    let sql = "DELETE FROM answers WHERE ctid = ANY (ARRAY(
                   SELECT ctid FROM answers WHERE at <= $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))";
    let params = [(&before(now, ANSWER_KEPT) as _, Type::INT8), (&rows as _, Type::INT8)];
    let removed = tx.execute(sql, &params).await;
    Ok(tx.end::<u64, StoreError>(removed.map_err(Into::into)).await? > 0)
}

fn before(now: Time, by: std::time::Duration) -> i64 {
    now.millis().saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}
