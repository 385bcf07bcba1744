//! Events that were given up.

use std::sync::Arc;

use tillstream_model::{EventId, IntegrationNo, Time};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::tx::Stop;
use super::{lanes, parked, spell};
use crate::engine::{Cause, event, place};
use crate::postgres::session::Session;
use crate::state::{Parked, Rejected, RejectedRow};
use crate::{Page, StoreError};

const COLUMNS: &str = "r.id, r.at, r.reason, r.last_status, r.detail, r.attempts, r.event";
const TABLES: &str = "rejected r JOIN integrations i ON i.no = r.integration";

/// A row to be written: whose, what, and its event as stored.
pub(super) type GivenUp<'a> = (i64, &'a Rejected, &'a [u8]);

/// Writes rows, in this order.
pub(super) async fn add(session: &Session, rows: &[GivenUp<'_>]) -> Result<(), Cause> {
    if rows.is_empty() {
        return Ok(());
    }
    let (mut nos, mut ids, mut times, mut reasons) = (vec![], vec![], vec![], vec![]);
    let (mut statuses, mut details, mut attempts, mut events) = (vec![], vec![], vec![], vec![]);
    for (no, r, event) in rows {
        nos.push(*no);
        ids.push(r.event.id.as_bytes().as_slice());
        times.push(r.at.millis());
        reasons.push(spell::text(&r.reason));
        statuses.push(spell::stored_status(r.last_status));
        details.push(r.detail.as_deref().map(spell::text));
        attempts.push(spell::stored_count(r.attempts));
        events.push(*event);
    }
    let sql = "INSERT INTO rejected (integration, event_id, at, reason, last_status, detail, attempts, event)
               SELECT * FROM unnest($1::int8[], $2::bytea[], $3::int8[], $4::text[], $5::int4[], $6::text[],
               $7::int4[], $8::bytea[])";
    let params = [
        (&nos as _, Type::INT8_ARRAY),
        (&ids as _, Type::BYTEA_ARRAY),
        (&times as _, Type::INT8_ARRAY),
        (&reasons as _, Type::TEXT_ARRAY),
        (&statuses as _, Type::INT4_ARRAY),
        (&details as _, Type::TEXT_ARRAY),
        (&attempts as _, Type::INT4_ARRAY),
        (&events as _, Type::BYTEA_ARRAY),
    ];
    session.execute(sql, &params).await?;
    Ok(())
}

pub(super) async fn list(
    session: &Session,
    no: IntegrationNo,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<RejectedRow>, Cause> {
    let (at, id) = place::rejected(after)?;
    let sql = format!(
        "SELECT {COLUMNS} FROM {TABLES} WHERE r.integration = $1 AND (r.at, r.id) < ($2, $3)
         ORDER BY r.at DESC, r.id DESC LIMIT $4"
    );
    let params = [
        (&spell::stored_no(no) as _, Type::INT8),
        (&at as _, Type::INT8),
        (&id as _, Type::INT8),
        (&spell::one_more(limit) as _, Type::INT8),
    ];
    let found = session.rows(&sql, &params).await?.iter().map(rejected).collect::<Result<_, _>>()?;
    Ok(Page::of(found, limit, place::after_rejected))
}

pub(super) async fn of_event(session: &Session, no: IntegrationNo, id: EventId) -> Result<Option<RejectedRow>, Cause> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {TABLES} WHERE r.integration = $1 AND r.event_id = $2 ORDER BY r.id DESC LIMIT 1"
    );
    let params = [(&spell::stored_no(no) as _, Type::INT8), (&id.as_bytes().as_slice() as _, Type::BYTEA)];
    session.row(&sql, &params).await?.as_ref().map(rejected).transpose()
}

/// The row is taken away in the same step, so only one of two calls gets it.
pub(super) async fn retry(session: &Session, no: IntegrationNo, id: u64, now: Time) -> Result<bool, Stop<StoreError>> {
    let stored_no = spell::stored_no(no);
    if lanes::lock(session, &[stored_no]).await?.is_empty() {
        return Ok(false);
    }
    let sql = "DELETE FROM rejected WHERE integration = $1 AND id = $2 RETURNING event, last_status, detail";
    let params = [(&stored_no as _, Type::INT8), (&spell::stored_big(id) as _, Type::INT8)];
    let Some(row) = session.row(sql, &params).await? else { return Ok(false) };
    let stored: &[u8] = row.get(0);
    let event = event::read(stored)?;
    let parked = Parked {
        seq: event.seq,
        key: event.content.key(),
        accepted_at: event.accepted_at,
        attempts: 0,
        next_at: now,
        last_status: spell::status(row.get(1)),
        last_error: row.get(2),
        held: false,
        event: None,
    };
    parked::put(session, &[(stored_no, &parked, Some(stored))]).await?;
    Ok(true)
}

pub(super) async fn delete(session: &Session, no: IntegrationNo, id: u64) -> Result<bool, Stop<StoreError>> {
    let stored_no = spell::stored_no(no);
    if lanes::lock(session, &[stored_no]).await?.is_empty() {
        return Ok(false);
    }
    let sql = "DELETE FROM rejected WHERE integration = $1 AND id = $2 RETURNING event";
    let params = [(&stored_no as _, Type::INT8), (&spell::stored_big(id) as _, Type::INT8)];
    let Some(row) = session.row(sql, &params).await? else { return Ok(false) };
    parked::let_go(session, stored_no, event::read(row.get(0))?.seq).await?;
    Ok(true)
}

fn rejected(row: &Row) -> Result<RejectedRow, Cause> {
    let rejected = Rejected {
        event: Arc::new(event::read(row.get(6))?),
        at: Time::from_millis(row.get(1)),
        reason: row.get(2),
        last_status: spell::status(row.get(3)),
        detail: row.get(4),
        attempts: spell::count(row.get(5)),
    };
    Ok(RejectedRow { id: spell::big(row.get(0)), rejected })
}
