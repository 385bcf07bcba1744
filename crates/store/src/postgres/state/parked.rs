//! Events that wait.

use std::sync::Arc;

use tillstream_model::event::EntityKey;
use tillstream_model::{Event, IntegrationNo, Seq, Time};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::tx::Stop;
use super::{lanes, spell};
use crate::StoreError;
use crate::engine::{Cause, event};
use crate::postgres::row;
use crate::postgres::session::Session;
use crate::state::Parked;

const COLUMNS: &str = "seq, entity_key, accepted_at, attempts, next_at, last_status, last_error, event, held";

/// A row to be written: whose, what, and its event as stored.
pub(super) type Waiting<'a> = (i64, &'a Parked, Option<&'a [u8]>);

/// Everything that waits, by position.
pub(super) async fn all(session: &Session, no: IntegrationNo) -> Result<Vec<Parked>, Cause> {
    let sql = format!("SELECT {COLUMNS} FROM parked WHERE integration = $1 ORDER BY seq");
    session.rows(&sql, &[(&spell::stored_no(no), Type::INT8)]).await?.iter().map(parked).collect()
}

pub(super) async fn of(session: &Session, no: IntegrationNo, seq: Seq) -> Result<Option<Parked>, Cause> {
    let sql = format!(
        "SELECT {COLUMNS} FROM parked WHERE integration = $1 AND seq = $2
         AND EXISTS (SELECT 1 FROM integrations WHERE no = $1)"
    );
    let params = [(&spell::stored_no(no) as _, Type::INT8), (&row::stored_seq(seq) as _, Type::INT8)];
    session.row(&sql, &params).await?.as_ref().map(parked).transpose()
}

/// Parks an event that is due now, unless it waits already.
pub(super) async fn send_again(
    session: &Session,
    no: IntegrationNo,
    found: Arc<Event>,
    now: Time,
) -> Result<bool, Stop<StoreError>> {
    let stored_no = spell::stored_no(no);
    let there = !lanes::lock(session, &[stored_no]).await?.is_empty();
    if !there || of(session, no, found.seq).await?.is_some() {
        return Ok(false);
    }
    let stored = event::write(&found)?;
    put(session, &[(stored_no, &Parked::due(found, now), Some(&stored))]).await?;
    Ok(true)
}

/// Removes these rows, each an integration and a position.
pub(super) async fn remove(session: &Session, rows: &[(i64, Seq)]) -> Result<(), Cause> {
    if rows.is_empty() {
        return Ok(());
    }
    let (nos, seqs): (Vec<_>, Vec<_>) = rows.iter().map(|(no, seq)| (*no, row::stored_seq(*seq))).unzip();
    let sql = "DELETE FROM parked p USING unnest($1::int8[], $2::int8[]) n (integration, seq)
               WHERE p.integration = n.integration AND p.seq = n.seq";
    session.execute(sql, &[(&nos, Type::INT8_ARRAY), (&seqs, Type::INT8_ARRAY)]).await?;
    Ok(())
}

/// Lets the entity of a rejected event go that was deleted.
pub(super) async fn let_go(session: &Session, no: i64, seq: Seq) -> Result<(), Cause> {
    let sql = "DELETE FROM parked WHERE integration = $1 AND seq = $2 AND held";
    session.execute(sql, &[(&no as _, Type::INT8), (&row::stored_seq(seq) as _, Type::INT8)]).await?;
    Ok(())
}

/// Writes rows, no two of them for one place. An event that is there already stays when the new row has none.
pub(super) async fn put(session: &Session, rows: &[Waiting<'_>]) -> Result<(), Cause> {
    if rows.is_empty() {
        return Ok(());
    }
    let (mut nos, mut seqs, mut keys, mut accepted, mut attempts) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut next, mut statuses, mut errors, mut events, mut held) = (vec![], vec![], vec![], vec![], vec![]);
    for (no, p, event) in rows {
        nos.push(*no);
        seqs.push(row::stored_seq(p.seq));
        keys.push(p.key.map(|key| key.0));
        accepted.push(p.accepted_at.millis());
        attempts.push(spell::stored_count(p.attempts));
        next.push(p.next_at.millis());
        statuses.push(spell::stored_status(p.last_status));
        errors.push(p.last_error.as_deref().map(spell::text));
        events.push(*event);
        held.push(p.held);
    }
    let sql = "INSERT INTO parked SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int4[],
               $6::int8[], $7::int4[], $8::text[], $9::bytea[], $10::bool[]) ON CONFLICT (integration, seq) DO UPDATE SET
               entity_key = excluded.entity_key, accepted_at = excluded.accepted_at, attempts = excluded.attempts,
               next_at = excluded.next_at, last_status = excluded.last_status, last_error = excluded.last_error,
               event = coalesce(excluded.event, parked.event), held = excluded.held";
    let params = [
        (&nos as _, Type::INT8_ARRAY),
        (&seqs as _, Type::INT8_ARRAY),
        (&keys as _, Type::INT8_ARRAY),
        (&accepted as _, Type::INT8_ARRAY),
        (&attempts as _, Type::INT4_ARRAY),
        (&next as _, Type::INT8_ARRAY),
        (&statuses as _, Type::INT4_ARRAY),
        (&errors as _, Type::TEXT_ARRAY),
        (&events as _, Type::BYTEA_ARRAY),
        (&held as _, Type::BOOL_ARRAY),
    ];
    session.execute(sql, &params).await?;
    Ok(())
}

fn parked(r: &Row) -> Result<Parked, Cause> {
    Ok(Parked {
        seq: row::seq(r.get(0)),
        key: r.get::<_, Option<i64>>(1).map(EntityKey),
        accepted_at: Time::from_millis(r.get(2)),
        attempts: spell::count(r.get(3)),
        next_at: Time::from_millis(r.get(4)),
        last_status: spell::status(r.get(5)),
        last_error: r.get(6),
        event: r.get::<_, Option<&[u8]>>(7).map(event::read).transpose()?.map(Arc::new),
        held: r.get(8),
    })
}
