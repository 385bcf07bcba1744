//! Idempotency ids: a table for each day, looked up for seven days.

use std::collections::HashMap;

use tillstream_model::time::DAY_MS;
use tillstream_model::{EventId, Seq, Time};
use tokio_postgres::types::Type;

use super::super::session::Session;
use super::super::{days, row};
use super::plan::Row;
use crate::engine::Cause;
use crate::engine::caller::IdHash;
use crate::log::IDEMPOTENCY_DAYS;

/// What an id was used for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    /// Tells a repeat from another event.
    pub(super) fingerprint: [u8; 16],
    /// Where the event is.
    pub(super) seq: Seq,
    /// Its id.
    pub(super) id: EventId,
}

/// The name of a day's table.
pub(in crate::postgres) fn table(day: i64) -> String {
    format!("ids_{}", days::suffix(day))
}

/// Which of these ids were used less than seven days before `now`.
pub(super) async fn look_up(session: &Session, hashes: &[&[u8]], now: Time) -> Result<HashMap<IdHash, Used>, Cause> {
    let since = now.millis() - IDEMPOTENCY_DAYS * DAY_MS;
    let sql = "SELECT day FROM id_days WHERE day >= $1 ORDER BY day";
    let listed = session.rows(sql, &[(&Time::from_millis(since).day(), Type::INT8)]).await?;
    let select = |r: &tokio_postgres::Row| {
        let table = table(r.get(0));
        format!(
            "SELECT hash, fingerprint, seq, accepted_at, random FROM {table} WHERE hash = ANY($1) AND accepted_at > $2"
        )
    };
    let selects: Vec<String> = listed.iter().map(select).collect();
    if selects.is_empty() {
        return Ok(HashMap::new());
    }
    let found =
        session.rows(&selects.join(" UNION ALL "), &[(&hashes, Type::BYTEA_ARRAY), (&since, Type::INT8)]).await?;
    let mut known = HashMap::with_capacity(found.len());
    for r in &found {
        let id = EventId::new(Time::from_millis(r.get(3)), row::random(r.get(4))?);
        let used = Used { fingerprint: r.get::<_, &[u8]>(1).try_into()?, seq: row::seq(r.get(2)), id };
        known.insert(r.get::<_, &[u8]>(0).try_into()?, used);
    }
    Ok(known)
}

/// Remembers the ids of new events, each in its day's table.
pub(super) async fn remember(session: &Session, day: i64, rows: &[&Row<'_>]) -> Result<(), Cause> {
    let (mut hashes, mut prints, mut seqs, mut times, mut randoms) = (vec![], vec![], vec![], vec![], vec![]);
    for row in rows {
        if let Some(caller) = &row.new.caller {
            hashes.push(caller.hash.as_slice());
            prints.push(caller.fingerprint.as_slice());
            seqs.push(row::stored_seq(row.seq));
            times.push(row.at.millis());
            randoms.push(row.new.random.as_slice());
        }
    }
    // An id that is older than seven days may be used again on a day that has it already when clocks differ.
    let sql = format!(
        "INSERT INTO {} SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::int8[], $4::int8[], $5::bytea[])
         ON CONFLICT (hash) DO UPDATE SET fingerprint = excluded.fingerprint, seq = excluded.seq,
         accepted_at = excluded.accepted_at, random = excluded.random",
        table(day)
    );
    let params = [
        (&hashes as _, Type::BYTEA_ARRAY),
        (&prints as _, Type::BYTEA_ARRAY),
        (&seqs as _, Type::INT8_ARRAY),
        (&times as _, Type::INT8_ARRAY),
        (&randoms as _, Type::BYTEA_ARRAY),
    ];
    session.execute(&sql, &params).await?;
    Ok(())
}
