//! What happened and is still to be told.

use rusqlite::{Connection, Row, params};
use tillstream_model::{CompanyNo, IntegrationNo, Time};

use super::writer::{Stop, Work};
use crate::StoreError;
use crate::sqlite::pool::Cause;
use crate::state::{AuditEntry, LogEntry, News};

pub(super) fn untold(conn: &Connection, limit: usize) -> Result<Vec<News>, Cause> {
    let entries = "SELECT e.id, i.company, i.no, i.id, e.action, e.reason, e.actor, e.at
                   FROM entries e JOIN integrations i ON i.no = e.integration WHERE e.untold = 1 ORDER BY e.id LIMIT ?";
    let audit = "SELECT id, company, at, actor, action, object FROM audit WHERE untold = 1 ORDER BY id LIMIT ?";
    let mut news: Vec<News> =
        conn.prepare_cached(entries)?.query_map([limit], entry)?.collect::<rusqlite::Result<_>>()?;
    let mut stmt = conn.prepare_cached(audit)?;
    for audited in stmt.query_map([limit], audited)? {
        news.push(audited?);
    }
    Ok(news)
}

pub(super) fn told(work: &mut Work<'_>, news: &[News]) -> Result<(), Stop<StoreError>> {
    for one in news {
        let (sql, row) = match one {
            News::Entry { row, .. } => ("UPDATE entries SET untold = 0 WHERE id = ?", row),
            News::Audited { row, .. } => ("UPDATE audit SET untold = 0 WHERE id = ?", row),
        };
        work.conn.prepare_cached(sql)?.execute(params![row])?;
    }
    Ok(())
}

fn entry(r: &Row) -> rusqlite::Result<News> {
    let entry = LogEntry { action: r.get(4)?, reason: r.get(5)?, actor: r.get(6)?, at: Time::from_millis(r.get(7)?) };
    let (company, no) = (CompanyNo(r.get(1)?), IntegrationNo(r.get(2)?));
    Ok(News::Entry { row: r.get(0)?, company, no, id: r.get(3)?, entry })
}

/// Without what was there before and after: nobody is told that.
fn audited(r: &Row) -> rusqlite::Result<News> {
    let entry = AuditEntry {
        company: Some(CompanyNo(r.get(1)?)),
        at: Time::from_millis(r.get(2)?),
        actor: r.get(3)?,
        action: r.get(4)?,
        object: r.get(5)?,
        before: None,
        after: None,
    };
    Ok(News::Audited { row: r.get(0)?, entry })
}
