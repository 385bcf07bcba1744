//! Jobs: long work that somebody asked for, with its progress. It goes on after a restart and can be cancelled.
//!
//! A job is a document; those under way are also named in a list of the instance, which is all that the runner reads.
//! Replays are run by their lanes ([`crate::deliver`]), everything else here, by the node that runs the integration, or
//! the one that leads. Most jobs are a company's; one that deletes a company is the instance's, and outlives it.

pub mod deletion;
mod rejected;
mod runner;
mod work;

use serde::{Deserialize, Serialize};
use tillstream_model::replay::Filter;
use tillstream_model::{CompanyNo, IntegrationNo, Time};
use tillstream_store::state::{Expected, SaveError};
use tillstream_store::{State, StoreError};

pub use deletion::Deletion;
pub use rejected::RejectedFilter;
pub(crate) use runner::{Runner, run};

use crate::documents::{self, Kind, Saved};

/// Jobs of a company that are kept after their end.
pub const MAX_ENDED: usize = 200;
/// Jobs of a company that may be under way at once.
pub const MAX_RUNNING: usize = 20;

/// Long work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// What is done.
    pub work: Work,
    /// For which integration: its id and number.
    pub integration: Option<(String, IntegrationNo)>,
    /// How it stands.
    pub status: Status,
    /// Who asked for it.
    pub by: String,
    /// Only events that were rejected, or jobs that were asked for, until then count.
    pub started_at: Time,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Time>,
    /// Why it failed.
    #[serde(default)]
    pub failure: Option<String>,
    /// How far it is.
    pub progress: Progress,
    /// Where it goes on.
    #[serde(default)]
    pub place: Option<String>,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Sends past events again.
    Replay(Filter),
    /// Tries rejected events again.
    RetryRejected(RejectedFilter),
    /// Deletes rejected events.
    DeleteRejected(RejectedFilter),
    /// Deletes a company with everything it has. Nobody can cancel it, and it does not fail: it tries until it is done.
    DeleteCompany(Deletion),
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is under way, or waits for its turn.
    Running,
    /// It did everything.
    Done,
    /// Somebody ended it before.
    Cancelled,
    /// It could not go on.
    Failed,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What was looked at.
    pub looked_at: u64,
    /// How much there is to look at, when that is known.
    pub of: Option<u64>,
    /// For how many it was done.
    pub done: u64,
    /// For how many it was tried in vain.
    pub failed: u64,
}

impl Kind for Job {
    const KIND: &'static str = "job";
}

/// Names a job that is under way, in the instance's list.
#[derive(Debug, Serialize, Deserialize)]
struct Open {
    /// Whose; None: the instance's.
    company: Option<CompanyNo>,
}

impl Kind for Open {
    const KIND: &'static str = "job.open";
}

impl Job {
    /// One that starts now.
    pub fn new(work: Work, integration: Option<(String, IntegrationNo)>, by: String, now: Time) -> Self {
        let (status, progress) = (Status::Running, Progress::default());
        Self { work, integration, status, by, started_at: now, ended_at: None, failure: None, progress, place: None }
    }

    /// What it does, in a word.
    pub fn name(&self) -> &'static str {
        match self.work {
            Work::Replay(_) => "replay",
            Work::RetryRejected(_) => "retry_rejected",
            Work::DeleteRejected(_) => "delete_rejected",
            Work::DeleteCompany(_) => "delete_company",
        }
    }
}

/// An id that sorts before those of earlier jobs.
pub fn new_id(now: Time, random: u32) -> String {
    const LAST: i64 = (1 << 48) - 1;
    format!("job_{:012x}{random:08x}", LAST - now.millis())
}

/// How a slice of a job ended.
enum Slice {
    /// Nothing is left.
    Done,
    /// It goes on.
    More,
    /// The lane has enough to do.
    Busy,
    /// It is not this node's any more, or there is no such job.
    Over,
}

/// Saves a new job as under way, and lets old ones go. None: too many of the company are under way, or of the instance
/// when none is named.
pub async fn start(
    state: &dyn State,
    of: Option<CompanyNo>,
    id: &str,
    job: &Job,
) -> Result<Option<Saved<Job>>, StoreError> {
    let all = documents::list::<Job>(state, of, "", MAX_ENDED + MAX_RUNNING + 1).await?;
    if all.iter().filter(|j| j.value.status == Status::Running).count() >= MAX_RUNNING {
        return Ok(None);
    }
    for old in all.iter().filter(|j| j.value.status != Status::Running).skip(MAX_ENDED - 1) {
        documents::delete::<Job>(state, of, &old.id).await?;
    }
    // The list first: what is named there and not saved is forgotten, what is saved and not named would never run.
    documents::put(state, None, id, &Open { company: of }, Expected::Anything).await.map_err(broken)?;
    documents::put(state, of, id, job, Expected::New).await.map(Some).map_err(broken)
}

/// Removes a job of the instance that was for nothing.
pub async fn forget(state: &dyn State, id: &str) -> Result<(), StoreError> {
    documents::delete::<Open>(state, None, id).await?;
    documents::delete::<Job>(state, None, id).await?;
    Ok(())
}

/// Ends a job as this, unless it has ended before; how it is then. None: there is no such job.
pub async fn end(
    state: &dyn State,
    of: Option<CompanyNo>,
    id: &str,
    now: Time,
    change: impl Fn(&mut Job),
) -> Result<Option<Saved<Job>>, StoreError> {
    loop {
        let Some(saved) = documents::get::<Job>(state, of, id).await? else { return Ok(None) };
        if saved.value.status != Status::Running {
            return Ok(Some(saved));
        }
        let mut job = saved.value;
        job.ended_at = Some(now);
        change(&mut job);
        match documents::put(state, of, id, &job, Expected::Version(saved.version)).await {
            Ok(saved) => {
                documents::delete::<Open>(state, None, id).await?;
                return Ok(Some(saved));
            }
            Err(SaveError::Changed(_)) => {}
            Err(SaveError::Unknown) => return Ok(None),
            Err(SaveError::Store(e)) => return Err(e),
        }
    }
}

fn broken(e: SaveError) -> StoreError {
    match e {
        SaveError::Store(e) => e,
        other => StoreError::new("save a job", other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_later_jobs_sort_before_those_of_earlier_ones() {
        let id = |ms| new_id(Time::from_millis(ms), 7);
        assert!(id(1_790_000_000_001) < id(1_790_000_000_000));
        assert_eq!(id(0).len(), id(1_790_000_000_000).len());
    }
}
