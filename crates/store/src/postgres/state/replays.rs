//! Replays that are under way, and what they ask of the lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use tillstream_model::{Event, EventId, IntegrationNo, Seq, Time};
use tokio_postgres::types::Type;

use super::tx::Stop;
use super::{PgState, attempts, entries, lanes, parked, spell};
use crate::engine::{Cause, tried};
use crate::postgres::row;
use crate::postgres::session::Session;
use crate::state::{LogEntry, Replay};
use crate::{Replays, Result, StoreError};

#[async_trait]
impl Replays for PgState {
    async fn send_again(&self, no: IntegrationNo, event: Arc<Event>, now: Time) -> Result<bool> {
        let tx = self.begin("send an event again").await?;
        let parked = parked::send_again(&tx, no, event, now).await;
        tx.end(parked).await
    }

    async fn delivered_among(&self, no: IntegrationNo, since: Time, seqs: &[Seq]) -> Result<BTreeSet<Seq>> {
        let what = "look up what was delivered";
        tried(what, delivered_among(&*self.session(what).await?, no, since, seqs).await)
    }

    async fn parked_among(&self, no: IntegrationNo, seqs: &[Seq]) -> Result<BTreeSet<Seq>> {
        let what = "look up what waits";
        tried(what, parked_among(&*self.session(what).await?, no, seqs).await)
    }

    async fn rejected_among(&self, no: IntegrationNo, events: &[EventId]) -> Result<BTreeSet<EventId>> {
        let what = "look up what is rejected";
        tried(what, rejected_among(&*self.session(what).await?, no, events).await)
    }

    async fn start_replay(&self, no: IntegrationNo, replay: Replay, entry: LogEntry) -> Result<bool> {
        let tx = self.begin("start a replay").await?;
        let started = start(&tx, no, &replay, &entry).await;
        tx.end(started).await
    }

    async fn replay(&self, no: IntegrationNo) -> Result<Option<Replay>> {
        let what = "look up a replay";
        tried(what, get(&*self.session(what).await?, no).await)
    }

    async fn end_replay(&self, no: IntegrationNo, id: &str, entry: LogEntry) -> Result<bool> {
        let tx = self.begin("end a replay").await?;
        let ended = end(&tx, no, id, &entry).await;
        tx.end(ended).await
    }
}

pub(super) async fn start(
    session: &Session,
    no: IntegrationNo,
    replay: &Replay,
    entry: &LogEntry,
) -> Result<bool, Stop<StoreError>> {
    let no = spell::stored_no(no);
    if lanes::lock(session, &[no]).await?.is_empty() {
        return Ok(false);
    }
    let sql = "INSERT INTO replays (integration, id, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let params = [(&no as _, Type::INT8), (&replay.id as _, Type::TEXT), (&replay.body as _, Type::TEXT)];
    let started = session.execute(sql, &params).await? > 0;
    if started {
        entries::add(session, &[(no, entry)]).await?;
    }
    Ok(started)
}

pub(super) async fn get(session: &Session, no: IntegrationNo) -> Result<Option<Replay>, Cause> {
    let sql = "SELECT id, body FROM replays WHERE integration = $1";
    let found = session.row(sql, &[(&spell::stored_no(no), Type::INT8)]).await?;
    Ok(found.map(|r| Replay { id: r.get(0), body: r.get(1) }))
}

/// Moves replays on of lanes that are locked.
pub(super) async fn move_on(session: &Session, replays: &[(i64, &Replay)]) -> Result<(), Cause> {
    if replays.is_empty() {
        return Ok(());
    }
    let nos: Vec<i64> = replays.iter().map(|(no, _)| *no).collect();
    let ids: Vec<&str> = replays.iter().map(|(_, r)| r.id.as_str()).collect();
    let bodies: Vec<&str> = replays.iter().map(|(_, r)| r.body.as_str()).collect();
    let sql = "UPDATE replays r SET body = n.body FROM unnest($1::int8[], $2::text[], $3::text[]) n (no, id, body)
               WHERE r.integration = n.no AND r.id = n.id";
    let params = [(&nos as _, Type::INT8_ARRAY), (&ids as _, Type::TEXT_ARRAY), (&bodies as _, Type::TEXT_ARRAY)];
    session.execute(sql, &params).await?;
    Ok(())
}

pub(super) async fn end(
    session: &Session,
    no: IntegrationNo,
    id: &str,
    entry: &LogEntry,
) -> Result<bool, Stop<StoreError>> {
    let sql = "DELETE FROM replays WHERE integration = $1 AND id = $2";
    let no = spell::stored_no(no);
    let ended = session.execute(sql, &[(&no as _, Type::INT8), (&id as _, Type::TEXT)]).await? > 0;
    if ended {
        entries::add(session, &[(no, entry)]).await?;
    }
    Ok(ended)
}

/// Events that are not rejected any more.
pub(super) async fn unreject(session: &Session, events: &[(i64, EventId)]) -> Result<(), Cause> {
    if events.is_empty() {
        return Ok(());
    }
    let nos: Vec<i64> = events.iter().map(|(no, _)| *no).collect();
    let ids: Vec<&[u8]> = events.iter().map(|(_, id)| id.as_bytes().as_slice()).collect();
    let sql = "DELETE FROM rejected r USING unnest($1::int8[], $2::bytea[]) n (no, id)
               WHERE r.integration = n.no AND r.event_id = n.id";
    session.execute(sql, &[(&nos as _, Type::INT8_ARRAY), (&ids as _, Type::BYTEA_ARRAY)]).await?;
    Ok(())
}

/// Each position by itself: of a day that has just begun the server knows little.
pub(super) async fn delivered_among(
    session: &Session,
    no: IntegrationNo,
    since: Time,
    seqs: &[Seq],
) -> Result<BTreeSet<Seq>, Cause> {
    let seqs: Vec<i64> = seqs.iter().map(|seq| row::stored_seq(*seq)).collect();
    let days = attempts::days(session).await?;
    let looked = days.into_iter().filter(|day| *day >= since.day()).map(|day| {
        let sql = format!(
            "SELECT n.seq FROM unnest($2::int8[]) n (seq) CROSS JOIN LATERAL (
                 SELECT 1 FROM {} a WHERE a.integration = $1 AND a.seq = n.seq AND a.cause IS NULL LIMIT 1) found",
            attempts::table(day)
        );
        of_day(session, sql, no, &seqs)
    });
    Ok(try_join_all(looked).await?.into_iter().flatten().collect())
}

async fn of_day(session: &Session, sql: String, no: IntegrationNo, seqs: &[i64]) -> Result<Vec<Seq>, Cause> {
    let params = [(&spell::stored_no(no) as _, Type::INT8), (&seqs as _, Type::INT8_ARRAY)];
    match session.rows(&sql, &params).await {
        Err(cause) if attempts::is_gone(&cause) => Ok(Vec::new()),
        found => Ok(found?.iter().map(|r| row::seq(r.get(0))).collect()),
    }
}

pub(super) async fn parked_among(session: &Session, no: IntegrationNo, seqs: &[Seq]) -> Result<BTreeSet<Seq>, Cause> {
    let seqs: Vec<i64> = seqs.iter().map(|seq| row::stored_seq(*seq)).collect();
    let sql = "SELECT n.seq FROM unnest($2::int8[]) n (seq) CROSS JOIN LATERAL (
                   SELECT 1 FROM parked p WHERE p.integration = $1 AND p.seq = n.seq LIMIT 1) found";
    let params = [(&spell::stored_no(no) as _, Type::INT8), (&seqs as _, Type::INT8_ARRAY)];
    Ok(session.rows(sql, &params).await?.iter().map(|r| row::seq(r.get(0))).collect())
}

pub(super) async fn rejected_among(
    session: &Session,
    no: IntegrationNo,
    events: &[EventId],
) -> Result<BTreeSet<EventId>, Cause> {
    let ids: Vec<&[u8]> = events.iter().map(|id| id.as_bytes().as_slice()).collect();
    let sql = "SELECT n.id FROM unnest($2::bytea[]) WITH ORDINALITY n (id, at) CROSS JOIN LATERAL (
                   SELECT 1 FROM rejected r WHERE r.integration = $1 AND r.event_id = n.id LIMIT 1) found";
    let params = [(&spell::stored_no(no) as _, Type::INT8), (&ids as _, Type::BYTEA_ARRAY)];
    let id = |r: &tokio_postgres::Row| <[u8; 16]>::try_from(r.get::<_, &[u8]>(0)).map(EventId::from_bytes);
    Ok(session.rows(sql, &params).await?.iter().map(id).collect::<Result<_, _>>()?)
}
