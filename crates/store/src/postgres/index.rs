//! The index in a table for each day.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use tillstream_model::lookup::LookupKey;
use tillstream_model::{CompanyNo, Seq};
use tokio_postgres::types::Type;

use super::days::{self, Known};
use super::pace::Pace;
use super::row;
use super::session::{Broken, Session, Sessions};
use crate::engine::postings::{self, DayRun};
use crate::engine::segment::SegmentId;
use crate::engine::{Cause, tried};
use crate::index::{Entry, Index};
use crate::{Purged, Result};

/// Names the lock under which the index is written: one node at a time.
const LOCK: i64 = 0x7469_6c78;

/// The index on a server.
pub(super) struct PgIndex {
    sessions: Sessions,
    known: Known,
    pace: Pace,
    /// From which day on the days are still to be looked at for companies whose log is closed.
    purges: Mutex<HashMap<CompanyNo, i64>>,
}

fn table(day: i64) -> String {
    format!("index_{}", days::suffix(day))
}

impl PgIndex {
    /// With connections of its own: people's lists must not wait for it.
    pub(super) fn open(sessions: Sessions) -> Self {
        Self { sessions, known: Known::new(), pace: Pace::new(), purges: Mutex::default() }
    }

    async fn add_days(&self, mut days: BTreeMap<i64, DayRun>) -> Result<(), Cause> {
        let mut session = self.sessions.get().await?;
        for day in days.keys() {
            let list = format!("INSERT INTO index_days VALUES ({day})");
            self.known.ensure(&mut session, &table(*day), "index_template", &list).await?;
        }
        // What is lost is derived again.
        session.begin().await?;
        session.batch(&format!("SET LOCAL synchronous_commit = off; SELECT pg_advisory_xact_lock({LOCK})")).await?;
        leave_out_closed(&session, &mut days).await?;
        for (day, run) in &days {
            write_run(&session, *day, run).await?;
        }
        session.commit().await.map_err(Broken::cause)
    }

    async fn merge_some(&self) -> Result<bool, Cause> {
        let mut session = self.sessions.get().await?;
        let mut all: BTreeMap<i64, Vec<(i64, u64)>> = BTreeMap::new();
        for r in session.rows("SELECT day, run, events FROM index_runs ORDER BY day, run", &[]).await? {
            all.entry(r.get(0)).or_default().push((r.get(1), row::seq(r.get(2))));
        }
        let found = all.into_iter().rev().find_map(|(day, runs)| Some((day, postings::to_merge(&runs)?)));
        let Some((day, runs)) = found else { return Ok(false) };
        session.begin().await?;
        session.batch(&format!("SET LOCAL synchronous_commit = off; SELECT pg_advisory_xact_lock({LOCK})")).await?;
        merge_runs(&session, day, &runs).await?;
        session.commit().await.map_err(Broken::cause)?;
        Ok(true)
    }

    async fn purge_some(&self, company: CompanyNo) -> Result<Purged, Cause> {
        let mut session = self.sessions.get().await?;
        session.begin().await?;
        // What is lost is removed again.
        let locks = format!("pg_advisory_xact_lock({}), pg_advisory_xact_lock({LOCK})", days::LOCK);
        session.batch(&format!("SET LOCAL synchronous_commit = off; SELECT {locks}")).await?;
        let from = self.purges().get(&company).copied().unwrap_or(i64::MIN);
        let (started, most) = (Instant::now(), self.pace.rows());
        let sql = "SELECT day FROM index_days WHERE day >= $1 ORDER BY day LIMIT 1";
        let day = session.row(sql, &[(&from, Type::INT8)]).await?.map(|r| r.get::<_, i64>(0));
        let rows = match day {
            Some(day) => remove_of(&session, day, company, most).await?,
            None => {
                let sql = "DELETE FROM index_reached WHERE company = $1";
                session.execute(sql, &[(&row::stored_company(company), Type::INT4)]).await?
            }
        };
        self.pace.took(started.elapsed());
        session.commit().await.map_err(Broken::cause)?;
        let all = i64::try_from(rows)? < most;
        match day {
            Some(day) => drop(self.purges().insert(company, if all { day + 1 } else { day })),
            None => drop(self.purges().remove(&company)),
        }
        Ok(Purged { rows, done: day.is_none() })
    }

    fn purges(&self) -> MutexGuard<'_, HashMap<CompanyNo, i64>> {
        self.purges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn drop_days(&self) -> Result<(), Cause> {
        let mut session = self.sessions.get().await?;
        let names = session.rows("SELECT name FROM log_segments", &[]).await?;
        let kept: Vec<i64> = names.iter().filter_map(|r| SegmentId::parse(r.get(0))).map(|s| s.day).collect();
        let unused =
            session.rows("SELECT day FROM index_days WHERE day <> ALL ($1)", &[(&kept, Type::INT8_ARRAY)]).await?;
        for day in unused.iter().map(|r| r.get::<_, i64>(0)) {
            let (lock, table) = (days::LOCK, table(day));
            session.begin().await?;
            let sql = format!(
                "SELECT pg_advisory_xact_lock({lock}), pg_advisory_xact_lock({LOCK}); DROP TABLE IF EXISTS {table};
                 DELETE FROM index_runs WHERE day = {day}; DELETE FROM index_days WHERE day = {day}"
            );
            session.batch(&sql).await?;
            session.commit().await.map_err(Broken::cause)?;
            self.known.forget(&table);
        }
        Ok(())
    }
}

/// Nothing is added of companies whose log is closed: a purge comes after this, or this after the log was closed.
async fn leave_out_closed(session: &Session, days: &mut BTreeMap<i64, DayRun>) -> Result<(), Cause> {
    let companies: BTreeSet<i32> =
        days.values().flat_map(|run| run.covered.keys()).map(|company| row::stored_company(*company)).collect();
    let companies: Vec<i32> = companies.into_iter().collect();
    let sql = "SELECT company FROM log_heads WHERE company = ANY ($1) AND closed";
    let found = session.rows(sql, &[(&companies, Type::INT4_ARRAY)]).await?;
    let closed: BTreeSet<CompanyNo> = found.iter().map(|r| row::company(r.get(0))).collect();
    for run in days.values_mut() {
        run.covered.retain(|company, _| !closed.contains(company));
        run.postings.retain(|(company, _), _| !closed.contains(company));
    }
    Ok(())
}

async fn reached(session: &Session, company: CompanyNo, floor: Seq) -> Result<Seq, Cause> {
    let sql = "SELECT seq FROM index_reached WHERE company = $1";
    let found = session.row(sql, &[(&row::stored_company(company), Type::INT4)]).await?;
    Ok(found.map_or(0, |r| row::seq(r.get(0))).max(floor))
}

async fn positions(
    session: &Session,
    company: CompanyNo,
    key: LookupKey,
    after: Seq,
    limit: usize,
) -> Result<Vec<Seq>, Cause> {
    let mut found = Vec::new();
    for day in session.rows("SELECT day FROM index_days ORDER BY day", &[]).await?.iter().map(|r| r.get::<_, i64>(0)) {
        if found.len() >= limit {
            break;
        }
        let sql = format!(
            "SELECT p.seqs FROM index_runs r CROSS JOIN LATERAL (
                 SELECT t.seqs FROM {} t WHERE t.run = r.run AND t.company = $2 AND t.key = $3 AND t.last > $4 LIMIT 1
             ) p WHERE r.day = $1",
            table(day)
        );
        let params = [
            (&day as _, Type::INT8),
            (&row::stored_company(company) as _, Type::INT4),
            (&key.0 as _, Type::INT8),
            (&row::stored_seq(after) as _, Type::INT8),
        ];
        let rows = match session.rows(&sql, &params).await {
            // It was dropped a moment ago.
            Err(cause) if cause.to_string().ends_with("(42P01)") => continue,
            rows => rows?,
        };
        for r in &rows {
            postings::read(r.get(0), after, &mut found)?;
        }
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(limit);
    Ok(found)
}

async fn write_run(session: &Session, day: i64, run: &DayRun) -> Result<(), Cause> {
    let number = new_run(session, day, run.events).await?;
    let (mut companies, mut keys, mut lasts, mut seqs) = (vec![], vec![], vec![], vec![]);
    for ((company, key), positions) in &run.postings {
        companies.push(row::stored_company(*company));
        keys.push(*key);
        lasts.push(row::stored_seq(positions.last().copied().unwrap_or_default()));
        seqs.push(postings::write(positions));
    }
    let sql = format!(
        "INSERT INTO {} SELECT $1, n.* FROM unnest($2::int4[], $3::int8[], $4::int8[], $5::bytea[]) n",
        table(day)
    );
    let params = [
        (&number as _, Type::INT8),
        (&companies as _, Type::INT4_ARRAY),
        (&keys as _, Type::INT8_ARRAY),
        (&lasts as _, Type::INT8_ARRAY),
        (&seqs as _, Type::BYTEA_ARRAY),
    ];
    session.execute(&sql, &params).await?;
    let (companies, reached): (Vec<i32>, Vec<i64>) =
        run.covered.iter().map(|(company, (_, last))| (row::stored_company(*company), row::stored_seq(*last))).unzip();
    let sql = "INSERT INTO index_reached SELECT * FROM unnest($1::int4[], $2::int8[])
               ON CONFLICT (company) DO UPDATE SET seq = greatest(index_reached.seq, excluded.seq)";
    session.execute(sql, &[(&companies, Type::INT4_ARRAY), (&reached, Type::INT8_ARRAY)]).await?;
    Ok(())
}

/// Removes at most so many rows of what a day has of a company; how many.
async fn remove_of(session: &Session, day: i64, company: CompanyNo, most: i64) -> Result<u64, Cause> {
    let table = table(day);
    let sql = format!(
        "DELETE FROM {table} WHERE ctid = ANY (ARRAY(
             SELECT p.row FROM index_runs r CROSS JOIN LATERAL (
                 SELECT t.ctid AS row FROM {table} t WHERE t.run = r.run AND t.company = $2 ORDER BY t.key LIMIT $3
             ) p WHERE r.day = $1 LIMIT $3))"
    );
    let company = row::stored_company(company);
    let params = [(&day as _, Type::INT8), (&company as _, Type::INT4), (&most as _, Type::INT8)];
    session.execute(&sql, &params).await
}

async fn new_run(session: &Session, day: i64, events: u64) -> Result<i64, Cause> {
    let sql = "INSERT INTO index_runs (day, events) VALUES ($1, $2) RETURNING run";
    let made = session.row(sql, &[(&day, Type::INT8), (&row::stored_seq(events), Type::INT8)]).await?;
    Ok(made.ok_or("a run without a number")?.get(0))
}

/// What belongs to one key is put one behind the other. Nothing happens when another node did it already.
async fn merge_runs(session: &Session, day: i64, merged: &[i64]) -> Result<(), Cause> {
    let runs = (&merged as _, Type::INT8_ARRAY);
    let sql = "SELECT count(*), coalesce(sum(events), 0)::int8 FROM index_runs WHERE run = ANY ($1)";
    let found = session.row(sql, std::slice::from_ref(&runs)).await?.ok_or("no count")?;
    if found.get::<_, i64>(0) != i64::try_from(merged.len())? {
        return Ok(());
    }
    let (number, table) = (new_run(session, day, row::seq(found.get(1))).await?, table(day));
    let sql = format!(
        "INSERT INTO {table} SELECT $2, company, key, max(last), string_agg(seqs, ''::bytea ORDER BY run)
         FROM {table} WHERE run = ANY ($1) GROUP BY company, key"
    );
    session.execute(&sql, &[runs.clone(), (&number, Type::INT8)]).await?;
    session.execute(&format!("DELETE FROM {table} WHERE run = ANY ($1)"), std::slice::from_ref(&runs)).await?;
    session.execute("DELETE FROM index_runs WHERE run = ANY ($1)", &[runs]).await?;
    Ok(())
}

#[async_trait]
impl Index for PgIndex {
    async fn reached(&self, company: CompanyNo, floor: Seq) -> Result<Seq> {
        let look = async { reached(&*self.sessions.get().await?, company, floor).await };
        tried("look how far a company is indexed", look.await)
    }

    async fn add(&self, entries: Vec<Entry>) -> Result<()> {
        tried("index events", self.add_days(postings::by_day(&entries)).await)
    }

    async fn positions(&self, company: CompanyNo, key: LookupKey, after: Seq, limit: usize) -> Result<Vec<Seq>> {
        let look = async { positions(&*self.sessions.get().await?, company, key, after, limit).await };
        tried("look into the index", look.await)
    }

    async fn merge(&self) -> Result<bool> {
        tried("put runs of the index together", self.merge_some().await)
    }

    async fn drop_unused(&self) -> Result<()> {
        tried("drop days of the index", self.drop_days().await)
    }

    async fn purge(&self, company: CompanyNo) -> Result<Purged> {
        tried("remove the index of a company", self.purge_some(company).await)
    }
}
