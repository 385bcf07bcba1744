//! The one thread of a node that writes events: everything waiting becomes one commit.
//!
//! When the connection breaks in the middle of a commit nobody knows whether it happened. Then the same group is tried
//! again: under the companies' locks it shows whether its first event is there. So an append is answered once and for
//! all, also across a fail-over; only when that takes too long it is answered that nobody knows.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tillstream_model::{CompanyNo, Event, Time};
use tokio::runtime::Handle;
use tokio_postgres::types::Type;

use super::super::row;
use super::super::session::{Broken, Session, Sessions};
use super::plan::{Answers, Plan, Row};
use super::segments::{self, Segments};
use super::{Down, heads, known};
use crate::engine::Cause;
use crate::engine::queue::{self, Job, Waiting};
use crate::engine::segment::SegmentId;
use crate::engine::tail::Tail;
use crate::{AppendError, Appended, Bell, Clock};

/// How long a group is tried again when it certainly did not happen …
const TRY_FOR: Duration = Duration::from_secs(3);
/// … and when nobody knows whether it did.
const FIND_OUT_FOR: Duration = Duration::from_secs(30);
/// Pause between two tries, and between two looks at a server that is gone.
const PAUSE: Duration = Duration::from_millis(100);

/// The writer's own state.
pub(super) struct Writer {
    pub(super) runtime: Handle,
    pub(super) sessions: Sessions,
    pub(super) segments: Arc<Segments>,
    pub(super) clock: Clock,
    pub(super) tail: Arc<Tail>,
    pub(super) bell: Arc<Bell>,
    /// Companies whose log has grown, for other nodes.
    pub(super) grown: Arc<Bell>,
    pub(super) down: Down,
}

/// A commit of which nobody knows whether it happened.
struct Doubt {
    segment: SegmentId,
    company: CompanyNo,
    first: i64,
    random: [u8; 10],
    answers: Answers,
}

impl Writer {
    /// Works until the queue is closed.
    pub(super) fn run(self, mut waiting: Waiting) {
        while let Some(group) = waiting.group() {
            let bytes = group.iter().map(|j| j.bytes).sum();
            let started = Instant::now();
            match self.runtime.block_on(self.append(&group)) {
                Ok(answers) => self.tell(group, answers),
                Err(error) => self.refuse(group, error, &waiting),
            }
            waiting.done(bytes, started.elapsed());
        }
    }

    /// Tries until there is an answer, or it takes too long.
    async fn append(&self, group: &[Job]) -> Result<Answers, AppendError> {
        let (started, mut doubt) = (Instant::now(), None);
        loop {
            let cause = match self.try_append(group, &mut doubt).await {
                Ok(answers) => return Ok(answers),
                Err(cause) => cause,
            };
            tracing::warn!(%cause, unsure = doubt.is_some(), "events could not be written; trying again");
            match &doubt {
                None if started.elapsed() > TRY_FOR => return Err(AppendError::Unavailable(cause.to_string())),
                Some(_) if started.elapsed() > FIND_OUT_FOR => return Err(AppendError::Unsure(cause.to_string())),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn try_append(&self, group: &[Job], doubt: &mut Option<Doubt>) -> Result<Answers, Cause> {
        let mut session = self.sessions.get().await?;
        loop {
            session.begin().await?;
            let plan = match self.plan(&session, group, doubt.as_ref()).await? {
                Planned::Write(plan) => plan,
                // It is there. A commit of our own says that it will stay.
                Planned::Done => {
                    session.commit().await.map_err(Broken::cause)?;
                    return doubt.take().map(|d| d.answers).ok_or_else(|| "no doubt".into());
                }
            };
            if !self.segments.has_all(&plan) {
                let (segments, ids): (Vec<_>, Vec<_>) =
                    (plan.by_segment().into_keys().collect(), plan.ids_by_day().into_keys().collect());
                session.rollback().await?;
                self.segments.ensure(&mut session, &segments, &ids).await?;
                continue;
            }
            *doubt = None;
            if plan.rows.is_empty() {
                session.rollback().await?;
                return Ok(plan.answers);
            }
            write(&session, &plan).await?;
            return match session.commit().await {
                Ok(()) => Ok(plan.answers),
                Err(Broken::Undone(cause)) => Err(cause),
                Err(Broken::Unsure(cause)) => {
                    *doubt = Doubt::of(plan);
                    Err(cause)
                }
            };
        }
    }

    async fn plan<'a>(&self, session: &Session, group: &'a [Job], doubt: Option<&Doubt>) -> Result<Planned<'a>, Cause> {
        let mut companies: Vec<CompanyNo> = group.iter().map(|j| j.company).collect();
        companies.sort_unstable();
        companies.dedup();
        let locked = heads::lock(session, &companies).await?;
        if let Some(doubt) = doubt
            && doubt.happened(session).await?
        {
            return Ok(Planned::Done);
        }
        let now = (self.clock)();
        let hashes: Vec<&[u8]> =
            group.iter().flat_map(|j| &j.events).filter_map(|e| e.caller.as_ref()).map(|c| c.hash.as_slice()).collect();
        let latest = locked.values().map(|h| h.at).fold(now, Time::max);
        let used =
            if hashes.is_empty() { Default::default() } else { known::look_up(session, &hashes, latest).await? };
        Ok(Planned::Write(Plan::new(group, &locked, used, now)))
    }

    /// The tail first, so that who is answered finds the events; the bells last.
    fn tell(&self, group: Vec<Job>, answers: Answers) {
        let (mut events, mut replies, mut companies) = (Vec::new(), Vec::new(), Vec::new());
        for (mut job, answers) in group.into_iter().zip(answers) {
            let contents = std::mem::take(&mut job.events).into_iter().map(|new| new.content);
            for (content, answer) in contents.zip(answers.iter().flatten()) {
                if let Appended::New { seq, id } = *answer {
                    events.push(Arc::new(Event { company: job.company, seq, id, accepted_at: id.time(), content }));
                }
            }
            companies.push(job.company);
            replies.push((job.reply, answers.ok_or(AppendError::Gone)));
        }
        self.tail.publish(events);
        queue::tell(replies);
        companies.sort_unstable();
        companies.dedup();
        for company in companies {
            self.bell.ring(company);
            self.grown.ring(company);
        }
    }

    /// Nothing is taken until the server answers again.
    fn refuse(&self, group: Vec<Job>, error: AppendError, waiting: &Waiting) {
        tracing::error!(%error, "events are refused until the database answers again");
        *self.down() = Some(error.to_string());
        queue::tell(group.into_iter().map(|job| (job.reply, Err(error.again()))).collect());
        loop {
            let others = waiting.take_all();
            queue::tell(
                others.into_iter().map(|j| (j.reply, Err(AppendError::Unavailable(error.to_string())))).collect(),
            );
            if waiting.is_closed() || self.runtime.block_on(self.answers()) {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        *self.down() = None;
        tracing::info!("the database answers again");
    }

    async fn answers(&self) -> bool {
        match self.sessions.get().await {
            Ok(session) => session.rows("SELECT 1", &[]).await.is_ok(),
            Err(_) => false,
        }
    }

    fn down(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Planned<'a> {
    Write(Plan<'a>),
    /// What was in doubt has happened.
    Done,
}

impl Doubt {
    fn of(plan: Plan<'_>) -> Option<Self> {
        let row = plan.rows.first()?;
        let (segment, company, first, random) = (row.segment, row.company, row::stored_seq(row.seq), row.new.random);
        Some(Self { segment, company, first, random, answers: plan.answers })
    }

    /// Whether the first event is there; the company's lock is held, so it does not come later.
    async fn happened(&self, session: &Session) -> Result<bool, Cause> {
        let table = segments::table(self.segment);
        let sql = format!("SELECT 1 FROM {table} WHERE company = $1 AND seq = $2 AND random = $3");
        let company = row::stored_company(self.company);
        let random = self.random.as_slice();
        let params = [(&company as _, Type::INT4), (&self.first as _, Type::INT8), (&random as _, Type::BYTEA)];
        if session.row(&sql, &params).await?.is_none() {
            return Ok(false);
        }
        // A change of our own, so that our commit waits for everything before it.
        let sql = "UPDATE log_heads SET head = head WHERE company = $1";
        session.execute(sql, &[(&company, Type::INT4)]).await?;
        Ok(true)
    }
}

/// Sends all statements at once; the server works through them in order.
async fn write(session: &Session, plan: &Plan<'_>) -> Result<(), Cause> {
    let (segments, ids) = (plan.by_segment(), plan.ids_by_day());
    let events = try_join_all(segments.iter().map(|(id, rows)| insert(session, *id, rows)));
    let known = try_join_all(ids.iter().map(|(day, rows)| known::remember(session, *day, rows)));
    let stretches = heads::begin_stretches(session, plan.stretches.iter().map(|s| (s.company, s.first, s.segment)));
    futures_util::try_join!(events, known, stretches, heads::put(session, &plan.heads))?;
    Ok(())
}

async fn insert(session: &Session, id: SegmentId, rows: &[&Row<'_>]) -> Result<(), Cause> {
    let companies: Vec<i32> = rows.iter().map(|r| row::stored_company(r.company)).collect();
    let seqs: Vec<i64> = rows.iter().map(|r| row::stored_seq(r.seq)).collect();
    let times: Vec<i64> = rows.iter().map(|r| r.at.millis()).collect();
    let randoms: Vec<&[u8]> = rows.iter().map(|r| r.new.random.as_slice()).collect();
    let sizes: Vec<i32> = rows.iter().map(|r| i32::try_from(r.new.content.size()).unwrap_or(i32::MAX)).collect();
    let text = |f: fn(&tillstream_model::Content) -> Option<&str>| -> Vec<Option<&str>> {
        rows.iter().map(|r| f(&r.new.content)).collect()
    };
    let occurred: Vec<Option<i64>> = rows.iter().map(|r| r.new.content.occurred_at.map(Time::millis)).collect();
    let correlations: Vec<Option<&[u8]>> =
        rows.iter().map(|r| r.new.content.correlation.as_ref().map(|c| c.get().as_bytes())).collect();
    let traces: Vec<Option<Vec<u8>>> =
        rows.iter().map(|r| r.new.content.trace.map(|t| t.to_bytes().to_vec())).collect();
    let data: Vec<&[u8]> = rows.iter().map(|r| r.new.content.data.get().as_bytes()).collect();
    let sql = format!(
        "INSERT INTO {} SELECT * FROM unnest($1::int4[], $2::int8[], $3::int8[], $4::bytea[], $5::int4[], $6::text[],
         $7::text[], $8::text[], $9::text[], $10::int8[], $11::text[], $12::text[], $13::bytea[], $14::bytea[],
         $15::bytea[])",
        segments::table(id)
    );
    let params = [
        (&companies as _, Type::INT4_ARRAY),
        (&seqs as _, Type::INT8_ARRAY),
        (&times as _, Type::INT8_ARRAY),
        (&randoms as _, Type::BYTEA_ARRAY),
        (&sizes as _, Type::INT4_ARRAY),
        (&text(|c| Some(&c.name)) as _, Type::TEXT_ARRAY),
        (&text(|c| c.site.as_deref()) as _, Type::TEXT_ARRAY),
        (&text(|c| c.terminal.as_deref()) as _, Type::TEXT_ARRAY),
        (&text(|c| c.entity_id.as_deref()) as _, Type::TEXT_ARRAY),
        (&occurred as _, Type::INT8_ARRAY),
        (&text(|c| c.business_date.as_deref()) as _, Type::TEXT_ARRAY),
        (&text(|c| c.caller_id.as_deref()) as _, Type::TEXT_ARRAY),
        (&correlations as _, Type::BYTEA_ARRAY),
        (&data as _, Type::BYTEA_ARRAY),
        (&traces as _, Type::BYTEA_ARRAY),
    ];
    session.execute(&sql, &params).await?;
    Ok(())
}
