//! Application keys.

use futures_util::future::try_join;
use tillstream_model::{CompanyNo, Time};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::gate::refuse_gone;
use super::json;
use super::spell;
use super::tx::Stop;
use crate::StoreError;
use crate::engine::Cause;
use crate::postgres::row;
use crate::postgres::session::Session;
use crate::state::Key;

const COLUMNS: &str = "id, company, name, scopes, hash, created_at, expires_at, last_used_at, bound";

pub(super) async fn create(session: &Session, key: &Key) -> Result<(), Stop<StoreError>> {
    refuse_gone(session, key.company).await?;
    let params = [
        (&spell::text(&key.id) as _, Type::TEXT),
        (&key.company.map(row::stored_company) as _, Type::INT4),
        (&spell::text(&key.name) as _, Type::TEXT),
        (&serde_json::to_string(&key.scopes)? as _, Type::TEXT),
        (&key.hash.as_slice() as _, Type::BYTEA),
        (&key.created_at.millis() as _, Type::INT8),
        (&key.expires_at.map(Time::millis) as _, Type::INT8),
        (&key.last_used_at.map(Time::millis) as _, Type::INT8),
        (&serde_json::to_string(&key.bound)? as _, Type::TEXT),
    ];
    session.execute("INSERT INTO keys VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)", &params).await?;
    Ok(())
}

pub(super) async fn by_hash(session: &Session, hash: &[u8; 32]) -> Result<Option<Key>, Cause> {
    let sql = format!("SELECT {COLUMNS} FROM keys WHERE hash = $1");
    session.row(&sql, &[(&hash.as_slice(), Type::BYTEA)]).await?.as_ref().map(key).transpose()
}

pub(super) async fn of(session: &Session, company: Option<CompanyNo>) -> Result<Vec<Key>, Cause> {
    let sql = format!(
        "SELECT {COLUMNS} FROM keys WHERE company = $1 OR ($1 IS NULL AND company IS NULL)
         ORDER BY created_at, id COLLATE \"C\""
    );
    let params = [(&company.map(row::stored_company) as _, Type::INT4)];
    session.rows(&sql, &params).await?.iter().map(key).collect()
}

pub(super) async fn delete(session: &Session, company: Option<CompanyNo>, id: &str) -> Result<bool, Stop<StoreError>> {
    if !spell::is_storable(id) {
        return Ok(false);
    }
    let sql = "DELETE FROM keys WHERE id = $1 AND (company = $2 OR ($2 IS NULL AND company IS NULL))";
    let params = [(&id as _, Type::TEXT), (&company.map(row::stored_company) as _, Type::INT4)];
    Ok(session.execute(sql, &params).await? > 0)
}

/// Nodes that note the same keys at once take them in the same order, so that none waits for one that waits for it.
pub(super) async fn touch(session: &Session, used: &[(String, Time)]) -> Result<(), Stop<StoreError>> {
    let (ids, times): (Vec<_>, Vec<_>) = used.iter().map(|(id, at)| (spell::text(id), at.millis())).unzip();
    let lock = [(&ids as _, Type::TEXT_ARRAY)];
    let change = [(&ids as _, Type::TEXT_ARRAY), (&times as _, Type::INT8_ARRAY)];
    try_join(
        session.execute("SELECT 1 FROM keys WHERE id = ANY($1) ORDER BY id FOR UPDATE", &lock),
        session.execute(
            "UPDATE keys k SET last_used_at = greatest(k.last_used_at, u.at)
             FROM (SELECT id, max(at) AS at FROM unnest($1, $2) n (id, at) GROUP BY id) u WHERE k.id = u.id",
            &change,
        ),
    )
    .await?;
    Ok(())
}

fn key(row: &Row) -> Result<Key, Cause> {
    Ok(Key {
        id: row.get(0),
        company: row.get::<_, Option<i32>>(1).map(row::company),
        name: row.get(2),
        scopes: json(row, 3)?,
        hash: row.get::<_, &[u8]>(4).try_into()?,
        created_at: Time::from_millis(row.get(5)),
        expires_at: row.get::<_, Option<i64>>(6).map(Time::from_millis),
        last_used_at: row.get::<_, Option<i64>>(7).map(Time::from_millis),
        bound: json(row, 8)?,
    })
}
