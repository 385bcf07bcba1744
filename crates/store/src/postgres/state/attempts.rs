//! The tables of attempts, one for each UTC day, and writing them.

use tillstream_model::Time;
use tokio_postgres::types::Type;

use super::outcome::kept;
use super::spell;
use crate::engine::Cause;
use crate::postgres::days::{self, Known};
use crate::postgres::row;
use crate::postgres::session::Session;
use crate::state::{ATTEMPT_DAYS, Attempt};

/// The name of a day's table.
pub(in crate::postgres) fn table(day: i64) -> String {
    format!("attempts_{}", days::suffix(day))
}

/// Makes sure that a day has its table. Not inside a transaction.
pub(in crate::postgres) async fn ensure(known: &Known, session: &mut Session, day: i64) -> Result<(), Cause> {
    let list = format!("INSERT INTO attempt_days VALUES ({day})");
    known.ensure(session, &table(day), "attempts_template", &list).await
}

/// The days that have a table, newest first. Asked for on every call: other nodes make and drop tables too.
pub(super) async fn days(session: &Session) -> Result<Vec<i64>, Cause> {
    let found = session.rows("SELECT day FROM attempt_days ORDER BY day DESC", &[]).await?;
    Ok(found.iter().map(|r| r.get(0)).collect())
}

/// Whether a statement failed because a table is not there, such as one that was dropped a moment ago.
pub(super) fn is_gone(cause: &Cause) -> bool {
    cause.to_string().ends_with("(42P01)")
}

/// Writes attempts of one day. One that is there already stays.
pub(super) async fn add(session: &Session, day: i64, rows: &[(i64, &Attempt)]) -> Result<(), Cause> {
    let (mut nos, mut times, mut seqs, mut numbers, mut elapsed) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut statuses, mut remaining, mut keys, mut names) = (vec![], vec![], vec![], vec![]);
    let (mut causes, mut details, mut answers) = (vec![], vec![], vec![]);
    for (no, a) in rows {
        nos.push(*no);
        times.push(a.at.millis());
        seqs.push(row::stored_seq(a.seq));
        numbers.push(spell::stored_count(a.number));
        elapsed.push(spell::stored_count(a.elapsed_ms));
        statuses.push(spell::stored_status(a.status));
        remaining.push(spell::stored_count(a.remaining));
        keys.push(a.domain_key.map(|key| key.0));
        names.push(i64::from(a.name_hash));
        let failure = a.failure.as_ref();
        causes.push(failure.map(|f| spell::text(&f.cause)));
        details.push(failure.map(|f| spell::text(&f.detail)));
        answers.push(failure.map(|f| kept(&f.answer)));
    }
    let sql = format!(
        "INSERT INTO {} SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int4[], $5::int4[], $6::int4[],
         $7::int4[], $8::int8[], $9::int8[], $10::text[], $11::text[], $12::bytea[]) ON CONFLICT DO NOTHING",
        table(day)
    );
    let params = [
        (&nos as _, Type::INT8_ARRAY),
        (&times as _, Type::INT8_ARRAY),
        (&seqs as _, Type::INT8_ARRAY),
        (&numbers as _, Type::INT4_ARRAY),
        (&elapsed as _, Type::INT4_ARRAY),
        (&statuses as _, Type::INT4_ARRAY),
        (&remaining as _, Type::INT4_ARRAY),
        (&keys as _, Type::INT8_ARRAY),
        (&names as _, Type::INT8_ARRAY),
        (&causes as _, Type::TEXT_ARRAY),
        (&details as _, Type::TEXT_ARRAY),
        (&answers as _, Type::BYTEA_ARRAY),
    ];
    session.execute(&sql, &params).await?;
    Ok(())
}

/// Whether a day is over for as long as attempts are kept.
pub(super) fn is_due(day: i64, now: Time) -> bool {
    now.day() > day + ATTEMPT_DAYS
}

/// Drops a day's table. In a transaction that the caller ends; the lock keeps others from making or dropping it.
pub(super) async fn drop_day(session: &Session, day: i64) -> Result<(), Cause> {
    let (lock, table) = (days::LOCK, table(day));
    let sql = format!(
        "SELECT pg_advisory_xact_lock({lock}); DROP TABLE IF EXISTS {table}; DELETE FROM attempt_days WHERE day = {day}"
    );
    session.batch(&sql).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tillstream_model::time::DAY_MS;

    #[test]
    fn a_day_is_due_when_its_last_moment_is_older_than_attempts_are_kept() {
        let end = Time::from_millis((100 + 1 + ATTEMPT_DAYS) * DAY_MS);
        assert!(is_due(100, end) && !is_due(100, Time::from_millis(end.millis() - 1)));
    }

    #[test]
    fn a_table_is_named_after_its_day() {
        assert_eq!(table(20_413), "attempts_2025_11_21");
        assert!(is_gone(&"relation \"attempts_2025_11_21\" does not exist (42P01)".into()));
        assert!(!is_gone(&"deadlock detected (40P01)".into()));
    }
}
