//! Companies.

use rusqlite::{Connection, Row, params};
use tillstream_model::CompanyNo;

use super::json;
use super::writer::{Stop, Work};
use crate::leaving::as_leaving;
use crate::sqlite::pool::Cause;
use crate::state::{Company, CreateError, Rules};
use crate::{Leaving, Retention, StoreError};

pub(super) fn create(
    work: &mut Work<'_>,
    external_id: String,
    name: String,
    retention: Retention,
    ingest_drop: Vec<String>,
) -> Result<Company, Stop<CreateError>> {
    let sql = "INSERT INTO companies (external_id, name, retention, ingest_drop) VALUES (?, ?, ?, ?)
               ON CONFLICT (external_id) DO NOTHING";
    let row = params![external_id, name, retention.days(), serde_json::to_string(&ingest_drop)?];
    if work.conn.prepare_cached(sql)?.execute(row)? == 0 {
        return Err(Stop::Refused(CreateError::Taken));
    }
    let no = u32::try_from(work.conn.last_insert_rowid()).ok().filter(|no| *no < CompanyNo::LIMIT);
    let no = CompanyNo(no.ok_or("there is no room for more companies")?);
    Ok(Company { no, external_id, name, retention, ingest_drop, rules: Rules::default() })
}

pub(super) fn save(work: &mut Work<'_>, company: &Company) -> Result<bool, Stop<StoreError>> {
    let sql = "UPDATE companies SET name = ?, retention = ?, ingest_drop = ?, rules = ? WHERE no = ?
               AND no NOT IN (SELECT company FROM gone)";
    let (drop, rules) = (serde_json::to_string(&company.ingest_drop)?, serde_json::to_string(&company.rules)?);
    let row = params![company.name, company.retention.days(), drop, rules, company.no.0];
    Ok(work.conn.prepare_cached(sql)?.execute(row)? > 0)
}

pub(super) fn all(conn: &Connection) -> Result<Vec<Company>, Cause> {
    let sql = "SELECT no, external_id, name, retention, ingest_drop, rules FROM companies
               WHERE no NOT IN (SELECT company FROM gone) ORDER BY no";
    let mut stmt = conn.prepare_cached(sql)?;
    Ok(stmt.query_map([], company)?.collect::<rusqlite::Result<_>>()?)
}

/// Those that are hidden.
pub(super) fn leaving(conn: &Connection) -> Result<Vec<Leaving>, Cause> {
    let sql = "SELECT no, external_id, name, retention, ingest_drop, rules, job FROM companies
               JOIN gone ON company = no ORDER BY no";
    let leaving = |r: &Row| Ok(Leaving { company: as_leaving(company(r)?), job: r.get(6)? });
    Ok(conn.prepare_cached(sql)?.query_map([], leaving)?.collect::<rusqlite::Result<_>>()?)
}

fn company(row: &Row) -> rusqlite::Result<Company> {
    let days: i64 = row.get(3)?;
    Ok(Company {
        no: CompanyNo(row.get(0)?),
        external_id: row.get(1)?,
        name: row.get(2)?,
        retention: Retention::from_days(days).ok_or(rusqlite::Error::IntegralValueOutOfRange(3, days))?,
        ingest_drop: json(row, 4)?,
        rules: json(row, 5)?,
    })
}
