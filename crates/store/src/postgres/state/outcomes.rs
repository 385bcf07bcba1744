//! What became of a stretch of events at an integration.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use tillstream_model::{EventId, IntegrationNo, Seq, Time};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{attempts, spell};
use crate::engine::{Cause, place, settled};
use crate::postgres::row;
use crate::postgres::session::{Param, Session};
use crate::state::{GivenUp, Outcomes, Stretch, Tried, Waits};

/// The lane first, its rows in the same statement's moment or later, the attempts last: what the cursor has passed
/// shows how it ended.
pub(super) async fn of(session: &Session, no: IntegrationNo, stretch: Stretch) -> Result<Outcomes, Cause> {
    let no = spell::stored_no(no);
    let sql = "SELECT l.cursor, l.settled FROM lanes l JOIN integrations i ON i.no = l.integration
               WHERE l.integration = $1";
    let Some(lane) = session.row(sql, &[(&no, Type::INT8)]).await? else { return Ok(Outcomes::default()) };
    let (first, last) = (row::stored_seq(stretch.first), row::stored_seq(stretch.last));
    let between = [(&no as _, Type::INT8), (&first as _, Type::INT8), (&last as _, Type::INT8)];
    Ok(Outcomes {
        cursor: row::seq(lane.get(0)),
        settled: settled::read(lane.get(1))?,
        parked: parked(session, &between).await?,
        rejected: rejected(session, no, stretch).await?,
        tried: tried(session, &between, stretch).await?,
    })
}

async fn parked(session: &Session, between: &[Param<'_>; 3]) -> Result<Vec<Waits>, Cause> {
    let sql = "SELECT seq, attempts, next_at, last_status, last_error FROM parked
               WHERE integration = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq";
    let waits = |r: &Row| Waits {
        seq: row::seq(r.get(0)),
        attempts: spell::count(r.get(1)),
        next_at: Time::from_millis(r.get(2)),
        last_status: spell::status(r.get(3)),
        last_error: r.get(4),
    };
    Ok(session.rows(sql, between).await?.iter().map(waits).collect())
}

async fn rejected(session: &Session, no: i64, stretch: Stretch) -> Result<Vec<GivenUp>, Cause> {
    let sql = "SELECT event_id, at, reason, last_status FROM rejected
               WHERE integration = $1 AND event_id BETWEEN $2 AND $3 ORDER BY event_id, id";
    let (lowest, highest) = (stretch.lowest.as_bytes().as_slice(), stretch.highest.as_bytes().as_slice());
    let params = [(&no as _, Type::INT8), (&lowest as _, Type::BYTEA), (&highest as _, Type::BYTEA)];
    session.rows(sql, &params).await?.iter().map(given_up).collect()
}

fn given_up(r: &Row) -> Result<GivenUp, Cause> {
    let id: [u8; 16] = r.get::<_, &[u8]>(0).try_into().map_err(|_| "a stored id is broken")?;
    Ok(GivenUp {
        event: EventId::from_bytes(id),
        at: Time::from_millis(r.get(1)),
        reason: r.get(2),
        last_status: spell::status(r.get(3)),
    })
}

/// No attempt is older than the events.
async fn tried(session: &Session, between: &[Param<'_>; 3], stretch: Stretch) -> Result<Vec<Tried>, Cause> {
    let first_day = stretch.lowest.time().day();
    let days = attempts::days(session).await?.into_iter().filter(|day| *day >= first_day);
    let found = try_join_all(days.map(|day| tried_on(session, between, day))).await?;
    let mut tried: BTreeMap<Seq, Tried> = BTreeMap::new();
    found.into_iter().flatten().for_each(|day| place::add_tried(&mut tried, day));
    Ok(tried.into_values().collect())
}

async fn tried_on(session: &Session, between: &[Param<'_>; 3], day: i64) -> Result<Vec<Tried>, Cause> {
    let sql = format!(
        "SELECT seq, count(*), max(at), min(at) FILTER (WHERE cause IS NULL) FROM {}
         WHERE integration = $1 AND seq BETWEEN $2 AND $3 GROUP BY seq",
        attempts::table(day)
    );
    let row = |r: &Row| Tried {
        seq: row::seq(r.get(0)),
        attempts: spell::big(r.get(1)),
        last_at: Time::from_millis(r.get(2)),
        delivered_at: r.get::<_, Option<i64>>(3).map(Time::from_millis),
    };
    match session.rows(&sql, between).await {
        Err(cause) if attempts::is_gone(&cause) => Ok(Vec::new()),
        found => Ok(found?.iter().map(row).collect()),
    }
}
