//! Segments: tables of one retention class and one day, made when they are first written to and dropped whole.

use tillstream_model::time::DAY_MS;
use tillstream_model::{CompanyNo, Seq, Time};
use tokio_postgres::types::Type;

use super::super::days::{self, Known};
use super::super::row;
use super::super::session::{Broken, Session, Sessions};
use super::erase;
use super::known;
use super::plan::Plan;
use crate::DueSegment;
use crate::engine::Cause;
use crate::engine::segment::SegmentId;
use crate::log::IDEMPOTENCY_DAYS;

/// Makes and drops segments.
pub(in crate::postgres) struct Segments {
    sessions: Sessions,
    known: Known,
}

/// The name of a segment's table.
pub(in crate::postgres) fn table(id: SegmentId) -> String {
    format!("events_{}d_{}", id.class.days(), days::suffix(id.day))
}

impl Segments {
    /// Nothing is known to be there yet.
    pub(in crate::postgres) fn new(sessions: Sessions) -> Self {
        Self { sessions, known: Known::new() }
    }

    /// Whether every table that a plan writes to is known to be there.
    pub(super) fn has_all(&self, plan: &Plan<'_>) -> bool {
        plan.by_segment().keys().all(|id| self.known.has(&table(*id)))
            && plan.ids_by_day().keys().all(|day| self.known.has(&known::table(*day)))
    }

    /// Makes the tables of a day for these events.
    pub(in crate::postgres) async fn ensure(
        &self,
        session: &mut Session,
        segments: &[SegmentId],
        ids: &[i64],
    ) -> Result<(), Cause> {
        for id in segments {
            let list = format!("INSERT INTO log_segments VALUES ('{}')", id.name());
            self.known.ensure(session, &table(*id), "events_template", &list).await?;
        }
        for day in ids {
            let list = format!("INSERT INTO id_days VALUES ({day})");
            self.known.ensure(session, &known::table(*day), "ids_template", &list).await?;
        }
        Ok(())
    }

    /// Segments whose retention has passed, oldest first, with the last position of each company in them. Forgets old
    /// idempotency ids on the way.
    pub(super) async fn due(&self, now: Time) -> Result<Vec<DueSegment>, Cause> {
        let mut session = self.sessions.get().await?;
        self.drop_old_ids(&mut session, now).await?;
        erase::forget_old(&session).await?;
        let names = session.rows("SELECT name FROM log_segments", &[]).await?;
        let mut due: Vec<SegmentId> =
            names.iter().filter_map(|r| SegmentId::parse(r.get(0))).filter(|id| id.is_due(now)).collect();
        due.sort_unstable();
        let mut segments = Vec::new();
        for id in due {
            segments.push(DueSegment { name: id.name(), companies: lasts(&session, id).await? });
        }
        Ok(segments)
    }

    /// Drops a segment; fine when it is gone already. Floors move in the same transaction.
    pub(super) async fn drop_segment(&self, name: &str, now: Time) -> Result<(), Cause> {
        let id = SegmentId::parse(name).ok_or("not the name of a segment")?;
        if id.day >= now.day() {
            return Err("it is still written to".into());
        }
        let mut session = self.sessions.get().await?;
        session.begin().await?;
        session.execute("SELECT pg_advisory_xact_lock($1)", &[(&days::LOCK, Type::INT8)]).await?;
        let lasts = lasts(&session, id).await?;
        let (companies, floors): (Vec<i32>, Vec<i64>) =
            lasts.iter().map(|(c, seq)| (row::stored_company(*c), row::stored_seq(*seq))).unzip();
        let lock = "SELECT 1 FROM log_heads WHERE company = ANY($1) ORDER BY company FOR UPDATE";
        session.rows(lock, &[(&companies, Type::INT4_ARRAY)]).await?;
        let floor = "UPDATE log_heads h SET floor = greatest(h.floor, n.floor), segment = CASE h.segment WHEN $3 THEN '' ELSE h.segment END
                     FROM unnest($1::int4[], $2::int8[]) n (company, floor) WHERE h.company = n.company";
        let params = [(&companies as _, Type::INT4_ARRAY), (&floors as _, Type::INT8_ARRAY), (&name as _, Type::TEXT)];
        session.execute(floor, &params).await?;
        session.execute("DELETE FROM log_stretches WHERE segment = $1", &[(&name, Type::TEXT)]).await?;
        session.execute("DELETE FROM log_segments WHERE name = $1", &[(&name, Type::TEXT)]).await?;
        session.batch(&format!("DROP TABLE IF EXISTS {}", table(id))).await?;
        session.commit().await.map_err(Broken::cause)?;
        self.known.forget(&table(id));
        Ok(())
    }

    async fn drop_old_ids(&self, session: &mut Session, now: Time) -> Result<(), Cause> {
        let before = Time::from_millis(now.millis() - (IDEMPOTENCY_DAYS + 1) * DAY_MS).day();
        let old = session.rows("SELECT day FROM id_days WHERE day < $1", &[(&before, Type::INT8)]).await?;
        for day in old.iter().map(|r| r.get::<_, i64>(0)) {
            let table = known::table(day);
            session.begin().await?;
            let sql = format!(
                "SELECT pg_advisory_xact_lock({}); DROP TABLE IF EXISTS {table}; DELETE FROM id_days WHERE day = {day}",
                days::LOCK
            );
            session.batch(&sql).await?;
            session.commit().await.map_err(Broken::cause)?;
            self.known.forget(&table);
        }
        Ok(())
    }
}

/// The last position of each company in a segment. A stretch ends where the company's next one begins.
async fn lasts(session: &Session, id: SegmentId) -> Result<Vec<(CompanyNo, Seq)>, Cause> {
    let sql = "SELECT s.company, max(coalesce(
                   (SELECT n.first - 1 FROM log_stretches n WHERE n.company = s.company AND n.first > s.first ORDER BY n.first LIMIT 1),
                   h.head))
               FROM log_stretches s JOIN log_heads h USING (company) WHERE s.segment = $1 GROUP BY s.company ORDER BY s.company";
    let rows = session.rows(sql, &[(&id.name(), Type::TEXT)]).await?;
    Ok(rows.iter().map(|r| (row::company(r.get(0)), row::seq(r.get(1)))).collect())
}
