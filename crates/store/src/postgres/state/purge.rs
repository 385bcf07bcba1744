//! Hiding companies, and removing what they have in short transactions.

use std::time::Instant;

use async_trait::async_trait;
use tillstream_model::CompanyNo;
use tokio_postgres::types::Type;

use super::sweep::remove_leftovers;
use super::{PgState, companies, lanes};
use crate::engine::transfer::of_companies;
use crate::engine::{Cause, tried};
use crate::postgres::row;
use crate::postgres::session::Session;
use crate::{Leave, Leaving, Purged, Result, StoreError};

/// Integrations that are deleted at once.
const INTEGRATIONS: i64 = 50;

#[async_trait]
impl Leave for PgState {
    async fn hide_company(&self, company: CompanyNo, job: &str) -> Result<Option<String>> {
        let tx = self.begin("hide a company").await?;
        let hidden = hide(&tx, company, job).await;
        tx.end::<_, StoreError>(hidden.map_err(Into::into)).await
    }

    async fn leaving(&self) -> Result<Vec<Leaving>> {
        let what = "list companies that are being deleted";
        tried(what, companies::leaving(&*self.session(what).await?).await)
    }

    async fn purge_state(&self, company: CompanyNo) -> Result<Purged> {
        let (tx, most) = (self.begin("remove what a company has").await?, self.pace.rows());
        let removed = async {
            let started = Instant::now();
            let removed = remove_some(&tx, company, most).await?;
            self.pace.took(started.elapsed());
            Ok::<_, Cause>(removed)
        };
        let removed = removed.await;
        let rows: u64 = tx.end::<_, StoreError>(removed.map_err(Into::into)).await?;
        if rows > 0 {
            return Ok(Purged { rows, done: false });
        }
        match remove_leftovers(&self.sessions, most).await? {
            Some(rows) => Ok(Purged { rows, done: false }),
            None => Ok(Purged { rows: 0, done: !self.has_leftovers().await? }),
        }
    }

    async fn remove_company(&self, company: CompanyNo) -> Result<()> {
        let tx = self.begin("remove a company").await?;
        let sql = "DELETE FROM companies WHERE no = $1 AND no IN (SELECT company FROM gone)";
        let removed = tx.execute(sql, &[(&row::stored_company(company), Type::INT4)]).await;
        tx.end::<_, StoreError>(removed.map(drop).map_err(Into::into)).await
    }
}

impl PgState {
    /// Whether something of a deleted integration is left, which another node may be about to remove.
    async fn has_leftovers(&self) -> Result<bool> {
        let what = "look for what is left of deleted integrations";
        let found = self.session(what).await?.row("SELECT 1 FROM leftovers LIMIT 1", &[]).await;
        Ok(tried(what, found)?.is_some())
    }
}

/// Whoever writes something for the company shares its row; this waits for them, and whoever comes later sees it.
async fn hide(session: &Session, company: CompanyNo, job: &str) -> Result<Option<String>, Cause> {
    let no = [(&row::stored_company(company) as _, Type::INT4)];
    let found = session.row("SELECT 1 FROM companies WHERE no = $1 FOR UPDATE", &no).await?.is_some();
    let known = session.row("SELECT job FROM gone WHERE company = $1", &no).await?;
    if known.is_some() || !found {
        return Ok(known.map(|r| r.get(0)));
    }
    let params = [(&row::stored_company(company) as _, Type::INT4), (&job as _, Type::TEXT)];
    session.execute("INSERT INTO gone VALUES ($1, $2)", &params).await?;
    Ok(Some(job.to_owned()))
}

/// Removes at most so many rows of what is named after the company; how many.
async fn remove_some(session: &Session, company: CompanyNo, most: i64) -> Result<u64, Cause> {
    let no = row::stored_company(company);
    if session.row("SELECT 1 FROM gone WHERE company = $1", &[(&no, Type::INT4)]).await?.is_none() {
        return Err("it is not hidden".into());
    }
    // What is lost is removed again.
    session.batch("SET LOCAL synchronous_commit = off").await?;
    // Lanes write nothing any more once their integrations are gone.
    let removed = leave_integrations(session, no).await?;
    if removed > 0 {
        return Ok(removed);
    }
    for (table, key) in of_companies() {
        let sql = format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM {table} WHERE company = $1 ORDER BY {key} LIMIT $2))"
        );
        let removed = session.execute(&sql, &[(&no, Type::INT4), (&most, Type::INT8)]).await?;
        if removed > 0 {
            return Ok(removed);
        }
    }
    Ok(0)
}

/// Deletes some integrations, as if somebody did so one by one; what hangs on them is left over.
async fn leave_integrations(session: &Session, company: i32) -> Result<u64, Cause> {
    let sql = "SELECT no FROM integrations WHERE company = $1 ORDER BY id LIMIT $2";
    let found = session.rows(sql, &[(&company, Type::INT4), (&INTEGRATIONS, Type::INT8)]).await?;
    let nos: Vec<i64> = found.iter().map(|r| r.get(0)).collect();
    if nos.is_empty() {
        return Ok(0);
    }
    lanes::lock(session, &nos).await?;
    let about = [(&nos as _, Type::INT8_ARRAY)];
    session.execute("DELETE FROM lanes WHERE integration = ANY ($1)", &about).await?;
    session.execute("INSERT INTO leftovers SELECT unnest($1) ON CONFLICT DO NOTHING", &about).await?;
    session.execute("DELETE FROM integrations WHERE no = ANY ($1)", &about).await
}
