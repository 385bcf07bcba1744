//! The logs of integrations.

use tillstream_model::{IntegrationNo, Time};
use tokio_postgres::types::Type;

use super::spell;
use crate::Page;
use crate::engine::{Cause, place};
use crate::postgres::session::Session;
use crate::state::LogEntry;

/// Writes entries of these integrations, in this order.
pub(super) async fn add(session: &Session, entries: &[(i64, &LogEntry)]) -> Result<(), Cause> {
    if entries.is_empty() {
        return Ok(());
    }
    let (mut nos, mut actions, mut reasons, mut actors, mut times) = (vec![], vec![], vec![], vec![], vec![]);
    let news: Vec<bool> = entries.iter().map(|(_, entry)| entry.is_news()).collect();
    for (no, entry) in entries {
        nos.push(*no);
        actions.push(spell::text(&entry.action));
        reasons.push(spell::text(&entry.reason));
        actors.push(spell::text(&entry.actor));
        times.push(entry.at.millis());
    }
    let sql = "INSERT INTO entries (integration, action, reason, actor, at, untold)
               SELECT * FROM unnest($1::int8[], $2::text[], $3::text[], $4::text[], $5::int8[], $6::bool[])";
    let params = [
        (&nos as _, Type::INT8_ARRAY),
        (&actions as _, Type::TEXT_ARRAY),
        (&reasons as _, Type::TEXT_ARRAY),
        (&actors as _, Type::TEXT_ARRAY),
        (&times as _, Type::INT8_ARRAY),
        (&news as _, Type::BOOL_ARRAY),
    ];
    session.execute(sql, &params).await?;
    Ok(())
}

pub(super) async fn list(
    session: &Session,
    no: IntegrationNo,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<LogEntry>, Cause> {
    let below = place::number(after)?;
    // Ordered as the index is, with the integration: by the id alone the server may walk back through everybody's
    // entries until it has found enough.
    let sql =
        "SELECT id, action, reason, actor, at FROM entries WHERE (integration, id) < ($1, $2) AND integration >= $1
               AND EXISTS (SELECT 1 FROM integrations WHERE no = $1) ORDER BY integration DESC, id DESC LIMIT $3";
    let params = [
        (&spell::stored_no(no) as _, Type::INT8),
        (&below as _, Type::INT8),
        (&spell::one_more(limit) as _, Type::INT8),
    ];
    let rows = session.rows(sql, &params).await?.into_iter().map(|r| {
        let at = Time::from_millis(r.get(4));
        (r.get::<_, i64>(0), LogEntry { action: r.get(1), reason: r.get(2), actor: r.get(3), at })
    });
    Ok(Page::of(rows.collect(), limit, |(id, _)| id.to_string()).map(|(_, entry)| entry))
}
