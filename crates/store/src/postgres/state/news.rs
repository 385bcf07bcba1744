//! What happened and is still to be told.

use tillstream_model::Time;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::spell;
use super::tx::Stop;
use crate::StoreError;
use crate::engine::Cause;
use crate::postgres::row;
use crate::postgres::session::Session;
use crate::state::{AuditEntry, LogEntry, News};

pub(super) async fn untold(session: &Session, limit: usize) -> Result<Vec<News>, Cause> {
    let entries = "SELECT e.id, i.company, i.no, i.id, e.action, e.reason, e.actor, e.at
                   FROM entries e JOIN integrations i ON i.no = e.integration WHERE e.untold ORDER BY e.id LIMIT $1";
    let audit = "SELECT id, company, at, actor, action, object FROM audit WHERE untold ORDER BY id LIMIT $1";
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let entries = session.rows(entries, &[(&most as _, Type::INT8)]).await?;
    let audit = session.rows(audit, &[(&most as _, Type::INT8)]).await?;
    Ok(entries.iter().map(entry).chain(audit.iter().map(audited)).collect())
}

pub(super) async fn told(session: &Session, news: &[News]) -> Result<(), Stop<StoreError>> {
    let (mut entries, mut audit) = (vec![], vec![]);
    for one in news {
        match one {
            News::Entry { row, .. } => entries.push(*row),
            News::Audited { row, .. } => audit.push(*row),
        }
    }
    for (sql, rows) in [
        ("UPDATE entries SET untold = false WHERE id = ANY($1)", entries),
        ("UPDATE audit SET untold = false WHERE id = ANY($1)", audit),
    ] {
        if !rows.is_empty() {
            session.execute(sql, &[(&rows as _, Type::INT8_ARRAY)]).await?;
        }
    }
    Ok(())
}

fn entry(r: &Row) -> News {
    let entry = LogEntry { action: r.get(4), reason: r.get(5), actor: r.get(6), at: Time::from_millis(r.get(7)) };
    News::Entry { row: r.get(0), company: row::company(r.get(1)), no: spell::no(r.get(2)), id: r.get(3), entry }
}

/// Without what was there before and after: nobody is told that.
fn audited(r: &Row) -> News {
    let entry = AuditEntry {
        company: Some(row::company(r.get(1))),
        at: Time::from_millis(r.get(2)),
        actor: r.get(3),
        action: r.get(4),
        object: r.get(5),
        before: None,
        after: None,
    };
    News::Audited { row: r.get(0), entry }
}
