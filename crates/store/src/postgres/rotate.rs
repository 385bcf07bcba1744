//! Sealing everything anew while nodes run.
//!
//! First the database says that the new key seals: what nodes began under the one before is waited for, and what they
//! begin later is sealed anew at once ([`super::state::sealing`]). Then every row is, in small transactions, until a
//! whole pass finds none that is behind.

use tillstream_model::{CompanyNo, IntegrationNo};
use tokio_postgres::types::Type;

use super::session::{Broken, Session, Sessions, Target};
use super::{Options, migrate, row};
use crate::engine::Cause;
use crate::engine::transfer::tables;
use crate::reseal::{self, Resealed, Rotated};
use crate::seal::{Owner, PREFIX};
use crate::{MasterKey, Sealer};

/// Rows of one transaction.
const ROWS: i64 = 200;
/// Most passes; nodes that have no longer the key before leave nothing to do after the second.
const PASSES: usize = 5;

/// Seals everything anew.
pub(super) async fn run(options: &Options) -> Result<Rotated, Cause> {
    let (key, sealer) = (&options.master_key, Sealer::new(&options.master_key));
    let sessions = Sessions::new(Target::new(options)?, 1)?;
    let mut session = sessions.get().await?;
    migrate::run(&mut session, key).await?;
    turn(&mut session, key).await?;
    let mut rotated = Rotated::default();
    for _ in 0..PASSES {
        let resealed = versions(&mut session, &sealer).await?
            + documents(&mut session, &sealer).await?
            + answers(&mut session, &sealer).await?;
        rotated.resealed += resealed;
        if resealed == 0 {
            break;
        }
    }
    rotated.left = left(&session, key).await?;
    Ok(rotated)
}

/// From now on the new key seals.
async fn turn(session: &mut Session, key: &MasterKey) -> Result<(), Cause> {
    session.begin().await?;
    let sql = "UPDATE meta SET value = $1 WHERE name = 'master_key'";
    session.execute(sql, &[(&key.mark(), Type::TEXT)]).await?;
    session.commit().await.map_err(Broken::cause)
}

async fn versions(session: &mut Session, sealer: &Sealer) -> Result<u64, Cause> {
    let (mut count, mut after) = (0, (0i64, 0i32));
    loop {
        session.begin().await?;
        let sql = "SELECT v.integration, v.version, i.company, v.settings FROM versions v
                   JOIN integrations i ON i.no = v.integration WHERE (v.integration, v.version) > ($1, $2)
                   ORDER BY v.integration, v.version LIMIT $3 FOR UPDATE OF v";
        let params = [(&after.0 as _, Type::INT8), (&after.1 as _, Type::INT4), (&ROWS as _, Type::INT8)];
        let rows = session.rows(sql, &params).await?;
        for found in &rows {
            after = (found.get(0), found.get(1));
            let owner =
                Owner { company: row::company(found.get(2)), integration: IntegrationNo(u64::try_from(after.0)?) };
            let Some(Resealed { text, count: new }) = reseal::settings(sealer, owner, found.get(3)) else { continue };
            let sql = "UPDATE versions SET settings = $1 WHERE integration = $2 AND version = $3";
            let params = [(&text as _, Type::TEXT), (&after.0 as _, Type::INT8), (&after.1 as _, Type::INT4)];
            session.execute(sql, &params).await?;
            count += new;
        }
        session.commit().await.map_err(Broken::cause)?;
        if rows.is_empty() {
            return Ok(count);
        }
    }
}

async fn documents(session: &mut Session, sealer: &Sealer) -> Result<u64, Cause> {
    let (mut count, mut after) = (0, (-1i32, String::new(), String::new()));
    loop {
        session.begin().await?;
        let sql = "SELECT company, kind, id, body FROM documents
                   WHERE (company, kind, id) > ($1, $2, $3) AND strpos(body, $4) > 0
                   ORDER BY company, kind, id LIMIT $5 FOR UPDATE";
        let key = [(&after.0 as _, Type::INT4), (&after.1 as _, Type::TEXT), (&after.2 as _, Type::TEXT)];
        let params = [&key[..], &[(&PREFIX as _, Type::TEXT), (&ROWS as _, Type::INT8)]].concat();
        let rows = session.rows(sql, &params).await?;
        for found in &rows {
            let (company, kind, id): (i32, String, String) = (found.get(0), found.get(1), found.get(2));
            after = (company, kind, id);
            let company = CompanyNo(u32::try_from(company)?);
            let resealed = reseal::document(sealer, company, &after.1, &after.2, found.get(3));
            let Some(Resealed { text, count: new }) = resealed else { continue };
            let sql = "UPDATE documents SET body = $1 WHERE company = $2 AND kind = $3 AND id = $4";
            let key = [(&after.0 as _, Type::INT4), (&after.1 as _, Type::TEXT), (&after.2 as _, Type::TEXT)];
            session.execute(sql, &[&[(&text as _, Type::TEXT)][..], &key].concat()).await?;
            count += new;
        }
        session.commit().await.map_err(Broken::cause)?;
        if rows.is_empty() {
            return Ok(count);
        }
    }
}

async fn answers(session: &mut Session, sealer: &Sealer) -> Result<u64, Cause> {
    let (mut count, mut after) = (0, (-1i32, String::new()));
    loop {
        session.begin().await?;
        let sql = "SELECT company, id, answer FROM answers WHERE (company, id) > ($1, $2) AND answer IS NOT NULL
                   ORDER BY company, id LIMIT $3 FOR UPDATE";
        let params = [(&after.0 as _, Type::INT4), (&after.1 as _, Type::TEXT), (&ROWS as _, Type::INT8)];
        let rows = session.rows(sql, &params).await?;
        for found in &rows {
            after = (found.get(0), found.get(1));
            let company = CompanyNo(u32::try_from(after.0)?);
            let Some(new) = reseal::answer(sealer, company, &after.1, found.get(2)) else { continue };
            let sql = "UPDATE answers SET answer = $1 WHERE company = $2 AND id = $3";
            let params = [(&new as _, Type::TEXT), (&after.0 as _, Type::INT4), (&after.1 as _, Type::TEXT)];
            session.execute(sql, &params).await?;
            count += 1;
        }
        session.commit().await.map_err(Broken::cause)?;
        if rows.is_empty() {
            return Ok(count);
        }
    }
}

/// Columns with texts that are sealed with another key than the new one.
async fn left(session: &Session, key: &MasterKey) -> Result<Vec<String>, Cause> {
    let sql = "SELECT table_name::text, column_name::text FROM information_schema.columns
               WHERE table_schema = current_schema() AND data_type = 'text' AND table_name = ANY($1) ORDER BY 1, 2";
    let mut left = Vec::new();
    let tables: Vec<&str> = tables().collect();
    for found in session.rows(sql, &[(&tables, Type::TEXT_ARRAY)]).await? {
        let (table, column): (&str, &str) = (found.get(0), found.get(1));
        let sql =
            format!("SELECT EXISTS (SELECT FROM {table} WHERE {column} ~ ('{PREFIX}(?!' || $1 || ':)[0-9a-f]{{8}}:'))");
        if session.row(&sql, &[(&key.id(), Type::TEXT)]).await?.is_some_and(|r| r.get(0)) {
            left.push(format!("{table}.{column}"));
        }
    }
    Ok(left)
}
