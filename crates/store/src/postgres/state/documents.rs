//! Small things that are looked up by their id.

use tillstream_model::{CompanyNo, Time};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::gate::is_gone;
use super::spell;
use super::tx::Stop;
use crate::engine::{Cause, INSTANCE};
use crate::postgres::row;
use crate::postgres::session::Session;
use crate::state::{Document, Expected, SaveError};
use crate::{Gone, StoreError};

const COLUMNS: &str = "id, body, version, created_at, updated_at";

pub(super) async fn get(
    session: &Session,
    of: Option<CompanyNo>,
    kind: &str,
    id: &str,
    lock: &str,
) -> Result<Option<Document>, Cause> {
    if !spell::is_storable(id) {
        return Ok(None);
    }
    let sql = format!("SELECT {COLUMNS} FROM documents WHERE company = $1 AND kind = $2 AND id = $3 {lock}");
    let params = [(&owner(of) as _, Type::INT4), (&kind as _, Type::TEXT), (&id as _, Type::TEXT)];
    Ok(session.row(&sql, &params).await?.as_ref().map(document))
}

pub(super) async fn list(
    session: &Session,
    of: Option<CompanyNo>,
    kind: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Document>, Cause> {
    let sql = format!(
        "SELECT {COLUMNS} FROM documents WHERE company = $1 AND kind = $2 AND id > $3
         ORDER BY company, kind, id LIMIT $4"
    );
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let params = [
        (&owner(of) as _, Type::INT4),
        (&kind as _, Type::TEXT),
        (&spell::text(after) as _, Type::TEXT),
        (&most as _, Type::INT8),
    ];
    Ok(session.rows(&sql, &params).await?.iter().map(document).collect())
}

pub(super) async fn put(
    session: &Session,
    of: Option<CompanyNo>,
    kind: &str,
    id: &str,
    body: &str,
    expected: Expected,
    now: Time,
) -> Result<Document, Stop<SaveError>> {
    let (id, body) = (spell::text(id), spell::text(body));
    let gone = is_gone(session, of).await?;
    let known = if gone { None } else { get(session, of, kind, &id, "FOR UPDATE").await? };
    expected.check(known.as_ref()).map_err(Stop::Refused)?;
    if gone {
        return Err(Stop::Broken(Gone.into()));
    }
    // Of two that make it at once the second one waits here, and finds that it is not new.
    let sql = format!(
        "INSERT INTO documents VALUES ($1, $2, $3, $4, 1, $5, $5) ON CONFLICT (company, kind, id) DO UPDATE SET
         body = excluded.body, version = documents.version + 1, updated_at = excluded.updated_at
         WHERE NOT $6 RETURNING {COLUMNS}"
    );
    let params = [
        (&owner(of) as _, Type::INT4),
        (&kind as _, Type::TEXT),
        (&id as _, Type::TEXT),
        (&body as _, Type::TEXT),
        (&now.millis() as _, Type::INT8),
        (&(expected == Expected::New) as _, Type::BOOL),
    ];
    let saved = session.row(&sql, &params).await?;
    saved.as_ref().map(document).ok_or(Stop::Refused(SaveError::Changed(1)))
}

pub(super) async fn delete(
    session: &Session,
    of: Option<CompanyNo>,
    kind: &str,
    id: &str,
) -> Result<Option<Document>, Stop<StoreError>> {
    if !spell::is_storable(id) {
        return Ok(None);
    }
    let sql = format!("DELETE FROM documents WHERE company = $1 AND kind = $2 AND id = $3 RETURNING {COLUMNS}");
    let params = [(&owner(of) as _, Type::INT4), (&kind as _, Type::TEXT), (&id as _, Type::TEXT)];
    Ok(session.row(&sql, &params).await?.as_ref().map(document))
}

pub(super) fn owner(of: Option<CompanyNo>) -> i32 {
    row::stored_company(of.unwrap_or(INSTANCE))
}

fn document(row: &Row) -> Document {
    Document {
        id: row.get(0),
        body: row.get(1),
        version: spell::count(row.get(2)),
        created_at: Time::from_millis(row.get(3)),
        updated_at: Time::from_millis(row.get(4)),
    }
}
