//! Lanes: cursors, and what is settled ahead of them. An integration has a lane's row for as long as it is there.

use std::collections::HashSet;

use futures_util::future::try_join3;
use tillstream_model::{IntegrationNo, Seq};
use tokio_postgres::types::Type;

use super::outcome::Outcome;
use super::{parked, replays, spell};
use crate::engine::{Cause, settled};
use crate::postgres::row;
use crate::postgres::session::Session;
use crate::state::{LaneFigures, LaneState, Totals};

pub(super) async fn create(session: &Session, no: i64, cursor: Seq) -> Result<(), Cause> {
    let sql = "INSERT INTO lanes (integration, cursor, settled) VALUES ($1, $2, '')";
    session.execute(sql, &[(&no, Type::INT8), (&row::stored_seq(cursor), Type::INT8)]).await?;
    Ok(())
}

/// What a lane knows. A commit of which nobody knows whether it happened may still wait for the standby; the lock waits
/// for it, so that what is seen stays.
pub(super) async fn state(session: &Session, no: IntegrationNo) -> Result<LaneState, Cause> {
    let sql = "SELECT cursor, settled FROM lanes WHERE integration = $1 FOR UPDATE";
    let params = [(&spell::stored_no(no) as _, Type::INT8)];
    let (lane, parked, replay) =
        try_join3(session.row(sql, &params), parked::all(session, no), replays::get(session, no)).await?;
    let Some(lane) = lane else { return Ok(LaneState::default()) };
    Ok(LaneState { cursor: row::seq(lane.get(0)), settled: settled::read(lane.get(1))?, parked, replay })
}

pub(super) async fn figures(session: &Session, no: IntegrationNo) -> Result<LaneFigures, Cause> {
    let sql = "SELECT cursor, delivered, rejected, expired, failures,
               (SELECT count(*) FROM parked WHERE integration = $1) FROM lanes WHERE integration = $1";
    let found = session.row(sql, &[(&spell::stored_no(no), Type::INT8)]).await?;
    let Some(r) = found else { return Ok(LaneFigures::default()) };
    let count = |column: usize| spell::big(r.get(column));
    let totals = Totals { delivered: count(1), rejected: count(2), expired: count(3), failures: count(4) };
    Ok(LaneFigures { cursor: row::seq(r.get(0)), parked: count(5), totals })
}

/// Locks lanes, always in the same order, and tells which of them are there.
pub(super) async fn lock(session: &Session, nos: &[i64]) -> Result<HashSet<i64>, Cause> {
    let sql = "SELECT integration FROM lanes WHERE integration = ANY($1) ORDER BY integration FOR UPDATE";
    let found = session.rows(sql, &[(&nos, Type::INT8_ARRAY)]).await?;
    Ok(found.iter().map(|r| r.get(0)).collect())
}

/// Moves lanes on that are locked. A cursor that is lower than the saved one changes only the rest; ranges that a lone
/// cursor passes stay until the next commit of the lane, which reads over them.
pub(super) async fn move_on(session: &Session, outcomes: &[&Outcome]) -> Result<(), Cause> {
    let (mut nos, mut cursors, mut settled) = (vec![], vec![], vec![]);
    let mut add: [Vec<i64>; 4] = Default::default();
    for outcome in outcomes {
        nos.push(outcome.no);
        cursors.push(row::stored_seq(outcome.cursor));
        settled.push(outcome.settled.as_deref());
        let Totals { delivered, rejected, expired, failures } = outcome.add;
        for (column, count) in add.iter_mut().zip([delivered, rejected, expired, failures]) {
            column.push(spell::stored_big(count));
        }
    }
    let sql = "UPDATE lanes l SET cursor = greatest(l.cursor, n.cursor), settled = coalesce(n.settled, l.settled),
               delivered = l.delivered + n.delivered, rejected = l.rejected + n.rejected,
               expired = l.expired + n.expired, failures = l.failures + n.failures
               FROM unnest($1::int8[], $2::int8[], $3::bytea[], $4::int8[], $5::int8[], $6::int8[], $7::int8[])
               n (integration, cursor, settled, delivered, rejected, expired, failures)
               WHERE l.integration = n.integration";
    let [delivered, rejected, expired, failures] = &add;
    let params = [
        (&nos as _, Type::INT8_ARRAY),
        (&cursors as _, Type::INT8_ARRAY),
        (&settled as _, Type::BYTEA_ARRAY),
        (delivered as _, Type::INT8_ARRAY),
        (rejected as _, Type::INT8_ARRAY),
        (expired as _, Type::INT8_ARRAY),
        (failures as _, Type::INT8_ARRAY),
    ];
    session.execute(sql, &params).await?;
    Ok(())
}
