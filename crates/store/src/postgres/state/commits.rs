//! Writing outcomes: commits that wait at the same time share a transaction.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use futures_util::future::{try_join, try_join_all, try_join3, try_join5};
use tillstream_model::Time;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::fence::Fence;
use super::outcome::Outcome;
use super::{attempts, entries, integrations, lanes, parked, rejected, replays};
use crate::engine::Cause;
use crate::postgres::days::Known;
use crate::postgres::session::{Broken, Session, Sessions};
use crate::state::Attempt;
use crate::{Clock, Result, StoreError};

/// Most commits that wait to be written; who commits while they do waits itself.
const QUEUED_COMMITS: usize = 1_024;
/// Most commits of one transaction.
const GROUP_COMMITS: usize = 256;
/// A group ends with the commit whose payloads reach this many bytes.
const GROUP_BYTES: usize = 4 << 20;

struct Job {
    outcome: Outcome,
    reply: oneshot::Sender<Result<(), String>>,
}

/// The way to the task that writes outcomes. The task ends with it; who waits for an answer holds it.
pub(super) struct Commits {
    jobs: mpsc::Sender<Job>,
    _task: JoinSet<()>,
}

impl Commits {
    /// Starts the task.
    pub(super) fn start(sessions: Sessions, known: Arc<Known>, clock: Clock) -> Self {
        let (jobs, arriving) = mpsc::channel(QUEUED_COMMITS);
        let writer = Writer { sessions, known, clock };
        let mut task = JoinSet::new();
        task.spawn(writer.run(Line { arriving, waiting: VecDeque::new() }));
        Self { jobs, _task: task }
    }

    /// Writes an outcome in the next group; returns after the commit.
    pub(super) async fn write(&self, tried: &'static str, outcome: Outcome) -> Result<()> {
        let error = |cause: String| StoreError::new(tried, cause);
        let gone = || error("the engine is shutting down".into());
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job { outcome, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?.map_err(error)
    }
}

/// Commits on their way into groups.
struct Line {
    arriving: mpsc::Receiver<Job>,
    /// Taken, but not part of a group yet.
    waiting: VecDeque<Job>,
}

impl Line {
    /// Waits for a commit and takes all that wait with it. None when nobody can commit any more.
    async fn group(&mut self) -> Option<Vec<Job>> {
        if self.waiting.is_empty() {
            self.waiting.push_back(self.arriving.recv().await?);
        }
        while self.waiting.len() < GROUP_COMMITS {
            let Ok(job) = self.arriving.try_recv() else { break };
            self.waiting.push_back(job);
        }
        Some(take_group(&mut self.waiting))
    }
}

/// Takes what fits together, at most one commit of each integration: the second one counts on the first.
fn take_group(waiting: &mut VecDeque<Job>) -> Vec<Job> {
    let (mut group, mut bytes, mut nos) = (Vec::new(), 0, HashSet::new());
    for job in std::mem::take(waiting) {
        if bytes < GROUP_BYTES && nos.insert(job.outcome.no) {
            bytes += job.outcome.bytes;
            group.push(job);
        } else {
            waiting.push_back(job);
        }
    }
    group
}

struct Writer {
    sessions: Sessions,
    known: Arc<Known>,
    clock: Clock,
}

impl Writer {
    async fn run(self, mut line: Line) {
        while let Some(group) = line.group().await {
            let (outcomes, replies): (Vec<_>, Vec<_>) = group.into_iter().map(|j| (j.outcome, j.reply)).unzip();
            let written = self.write(&outcomes).await.map_err(|cause| cause.to_string());
            for (outcome, reply) in outcomes.iter().zip(replies) {
                let told = written.as_ref().map_err(Clone::clone).and_then(|fence| fence.check(outcome));
                // Nobody waits any more when the caller was cancelled.
                let _ = reply.send(told);
            }
        }
    }

    async fn write(&self, outcomes: &[Outcome]) -> Result<Fence, Cause> {
        let days: BTreeSet<i64> = outcomes.iter().flat_map(|o| &o.attempts).map(|a| a.at.day()).collect();
        let written = self.write_group(outcomes, &days).await;
        if written.is_err() {
            // Another node may have dropped one of the tables.
            days.iter().for_each(|day| self.known.forget(&attempts::table(*day)));
        }
        written
    }

    /// Writes a group but for what the fence holds back, and for deleted integrations: their lanes' rows are gone.
    async fn write_group(&self, outcomes: &[Outcome], days: &BTreeSet<i64>) -> Result<Fence, Cause> {
        let mut session = self.sessions.get().await?;
        for day in days {
            attempts::ensure(&self.known, &mut session, *day).await?;
        }
        session.begin().await?;
        let nos: Vec<i64> = outcomes.iter().map(|o| o.no).collect();
        let (fence, locked) = try_join(Fence::share(&session, outcomes), lanes::lock(&session, &nos)).await?;
        let mut outcomes: Vec<_> = outcomes.iter().collect();
        outcomes.retain(|o| locked.contains(&o.no) && fence.check(o).is_ok());
        if outcomes.is_empty() {
            session.rollback().await?;
            return Ok(fence);
        }
        send(&session, &outcomes, (self.clock)()).await?;
        session.commit().await.map_err(Broken::cause)?;
        Ok(fence)
    }
}

/// Sends all statements of a group at once. They are polled, and so sent, in this order.
async fn send(session: &Session, outcomes: &[&Outcome], now: Time) -> Result<(), Cause> {
    let unpark: Vec<_> = outcomes.iter().flat_map(|o| o.unpark.iter().map(|seq| (o.no, *seq))).collect();
    let park: Vec<_> = outcomes.iter().flat_map(|o| o.park.iter().map(|(p, e)| (o.no, p, e.as_deref()))).collect();
    let reject: Vec<_> = outcomes.iter().flat_map(|o| o.reject.iter().map(|(r, e)| (o.no, r, e.as_slice()))).collect();
    let unreject: Vec<_> = outcomes.iter().flat_map(|o| o.unreject.iter().map(|id| (o.no, *id))).collect();
    let replay: Vec<_> = outcomes.iter().filter_map(|o| Some((o.no, o.replay.as_ref()?))).collect();
    let log: Vec<_> = outcomes.iter().flat_map(|o| o.log.iter().map(|entry| (o.no, entry))).collect();
    let stops: Vec<_> = outcomes.iter().filter_map(|o| Some((o.no, o.stop.as_deref()?))).collect();
    let mut days: BTreeMap<i64, Vec<(i64, &Attempt)>> = BTreeMap::new();
    for (no, attempt) in outcomes.iter().flat_map(|o| o.attempts.iter().map(|a| (o.no, a))) {
        days.entry(attempt.at.day()).or_default().push((no, attempt));
    }
    let moving = async {
        // The rows that wait are taken away before others are put in their places.
        try_join5(
            lanes::move_on(session, outcomes),
            parked::remove(session, &unpark),
            parked::put(session, &park),
            async {
                try_join(replays::unreject(session, &unreject), rejected::add(session, &reject)).await.map(|_| ())
            },
            async { try_join(replays::move_on(session, &replay), entries::add(session, &log)).await.map(|_| ()) },
        )
        .await
    };
    let stopping = integrations::stop(session, &stops, now);
    let trying = try_join_all(days.iter().map(|(day, rows)| attempts::add(session, *day, rows)));
    try_join3(moving, stopping, trying).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(no: i64, bytes: usize) -> Job {
        Job { outcome: Outcome { no, bytes, ..Outcome::default() }, reply: oneshot::channel().0 }
    }

    fn groups(jobs: Vec<Job>) -> Vec<Vec<i64>> {
        let mut waiting = VecDeque::from(jobs);
        let mut groups = Vec::new();
        while !waiting.is_empty() {
            groups.push(take_group(&mut waiting).iter().map(|j| j.outcome.no).collect());
        }
        groups
    }

    #[test]
    fn a_group_has_one_commit_of_each_integration_and_the_others_follow_in_order() {
        assert_eq!(groups([1, 2, 1, 3, 1, 2].map(|no| job(no, 1)).into()), [vec![1, 2, 3], vec![1, 2], vec![1]]);
    }

    #[test]
    fn a_group_ends_when_its_payloads_are_heavy() {
        let jobs = vec![job(1, GROUP_BYTES - 1), job(2, 1), job(3, 0), job(4, 2 * GROUP_BYTES), job(3, 0)];
        assert_eq!(groups(jobs), [vec![1, 2], vec![3, 4], vec![3]]);
    }
}
