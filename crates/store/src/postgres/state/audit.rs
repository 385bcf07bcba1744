//! Who changed what.

use tillstream_model::{CompanyNo, Time};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::documents::owner;
use super::gate::refuse_gone;
use super::spell;
use super::tx::Stop;
use crate::engine::{Cause, place};
use crate::postgres::session::Session;
use crate::state::{AuditEntry, AuditFilter};
use crate::{Page, StoreError};

pub(super) async fn record(session: &Session, entry: &AuditEntry) -> Result<(), Stop<StoreError>> {
    refuse_gone(session, entry.company).await?;
    let sql = "INSERT INTO audit (company, at, actor, action, object, before, after, untold)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let params = [
        (&owner(entry.company) as _, Type::INT4),
        (&entry.at.millis() as _, Type::INT8),
        (&spell::text(&entry.actor) as _, Type::TEXT),
        (&spell::text(&entry.action) as _, Type::TEXT),
        (&spell::text(&entry.object) as _, Type::TEXT),
        (&entry.before.as_deref().map(spell::text) as _, Type::TEXT),
        (&entry.after.as_deref().map(spell::text) as _, Type::TEXT),
        (&entry.company.is_some() as _, Type::BOOL),
    ];
    session.execute(sql, &params).await?;
    Ok(())
}

pub(super) async fn list(
    session: &Session,
    of: Option<CompanyNo>,
    filter: &AuditFilter,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<AuditEntry>, Cause> {
    let below = place::number(after)?;
    // Compared and ordered as the index is that is to be used: by the id alone the server may walk back through
    // everybody's entries until it has found enough.
    let (place, order) = match &filter.object {
        Some(_) => (
            "(company, object, id) < ($1, $5, $2) AND (company, object) >= ($1, $5)",
            "company DESC, object DESC, id DESC",
        ),
        None => ("(company, id) < ($1, $2) AND company >= $1 AND $5::text IS NULL", "company DESC, id DESC"),
    };
    let sql = format!(
        "SELECT id, at, actor, action, object, before, after FROM audit
         WHERE {place} AND at >= $3 AND at < $4 ORDER BY {order} LIMIT $6"
    );
    let (from, to) = filter.span();
    let params = [
        (&owner(of) as _, Type::INT4),
        (&below as _, Type::INT8),
        (&from as _, Type::INT8),
        (&to as _, Type::INT8),
        (&filter.object.as_deref().map(spell::text) as _, Type::TEXT),
        (&spell::one_more(limit) as _, Type::INT8),
    ];
    let rows = session.rows(&sql, &params).await?;
    let rows = rows.iter().map(|r| (r.get::<_, i64>(0), entry(of, r))).collect();
    Ok(Page::of(rows, limit, |(id, _)| id.to_string()).map(|(_, entry)| entry))
}

fn entry(company: Option<CompanyNo>, row: &Row) -> AuditEntry {
    AuditEntry {
        company,
        at: Time::from_millis(row.get(1)),
        actor: row.get(2),
        action: row.get(3),
        object: row.get(4),
        before: row.get(5),
        after: row.get(6),
    }
}
