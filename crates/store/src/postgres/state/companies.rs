//! Companies.

use tillstream_model::CompanyNo;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::json;
use super::spell;
use super::tx::Stop;
use crate::engine::Cause;
use crate::leaving::as_leaving;
use crate::postgres::row;
use crate::postgres::session::Session;
use crate::state::{Company, CreateError, Rules};
use crate::{Leaving, Retention, StoreError};

pub(super) async fn create(
    session: &Session,
    external_id: &str,
    name: &str,
    retention: Retention,
    ingest_drop: Vec<String>,
) -> Result<Company, Stop<CreateError>> {
    let (external_id, name) = (spell::text(external_id).into_owned(), spell::text(name).into_owned());
    // Looked up first, because a conflict would use up one of the few numbers.
    let sql = "INSERT INTO companies (external_id, name, retention, ingest_drop)
               SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT 1 FROM companies WHERE external_id = $1)
               ON CONFLICT (external_id) DO NOTHING RETURNING no";
    let params = [
        (&external_id as _, Type::TEXT),
        (&name as _, Type::TEXT),
        (&i32::try_from(retention.days())? as _, Type::INT4),
        (&serde_json::to_string(&ingest_drop)? as _, Type::TEXT),
    ];
    let Some(made) = session.row(sql, &params).await? else { return Err(Stop::Refused(CreateError::Taken)) };
    let no = row::company(made.get(0));
    if no.0 >= CompanyNo::LIMIT {
        return Err(Stop::Broken("there is no room for more companies".into()));
    }
    Ok(Company { no, external_id, name, retention, ingest_drop, rules: Rules::default() })
}

pub(super) async fn save(session: &Session, company: &Company) -> Result<bool, Stop<StoreError>> {
    let sql = "UPDATE companies SET name = $2, retention = $3, ingest_drop = $4, rules = $5 WHERE no = $1
               AND no NOT IN (SELECT company FROM gone)";
    let params = [
        (&row::stored_company(company.no) as _, Type::INT4),
        (&spell::text(&company.name) as _, Type::TEXT),
        (&i32::try_from(company.retention.days())? as _, Type::INT4),
        (&serde_json::to_string(&company.ingest_drop)? as _, Type::TEXT),
        (&serde_json::to_string(&company.rules)? as _, Type::TEXT),
    ];
    Ok(session.execute(sql, &params).await? > 0)
}

pub(super) async fn all(session: &Session) -> Result<Vec<Company>, Cause> {
    let sql = "SELECT no, external_id, name, retention, ingest_drop, rules FROM companies
               WHERE no NOT IN (SELECT company FROM gone) ORDER BY no";
    session.rows(sql, &[]).await?.iter().map(company).collect()
}

/// Those that are hidden.
pub(super) async fn leaving(session: &Session) -> Result<Vec<Leaving>, Cause> {
    let sql = "SELECT no, external_id, name, retention, ingest_drop, rules, job FROM gone
               JOIN companies ON no = company ORDER BY no";
    let leaving = |r: &Row| Ok(Leaving { company: as_leaving(company(r)?), job: r.get(6) });
    session.rows(sql, &[]).await?.iter().map(leaving).collect()
}

fn company(row: &Row) -> Result<Company, Cause> {
    let days: i32 = row.get(3);
    Ok(Company {
        no: row::company(row.get(0)),
        external_id: row.get(1),
        name: row.get(2),
        retention: Retention::from_days(days.into()).ok_or("a stored retention is unknown")?,
        ingest_drop: json(row, 4)?,
        rules: json(row, 5)?,
    })
}
