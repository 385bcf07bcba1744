//! Runs jobs in slices: it reads what is under way and does the next bit.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tillstream_model::CompanyNo;
use tillstream_store::StoreError;
use tillstream_store::state::{Expected, SaveError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::rejected::{self, Slice};
use super::{Job, Open, Status, Work};
use crate::Hub;
use crate::documents::{self, Saved};

/// How often the list is read although nobody rang.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Jobs that are run at once.
const AT_ONCE: usize = 4;
/// Most names of the list that are read at once.
const LISTED: usize = 500;
/// Pause while a lane has enough to do, or after an error.
const PAUSE: Duration = Duration::from_millis(500);
/// Errors in a row after which a job failed.
const MAX_ERRORS: u32 = 60;

/// What is run here.
#[derive(Default)]
pub(crate) struct Runner {
    bell: Notify,
    running: Mutex<HashSet<String>>,
}

impl Runner {
    /// A job was started.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs until the hub ends.
pub(crate) async fn run(hub: Hub, ending: CancellationToken) {
    loop {
        tokio::select! {
            () = ending.cancelled() => return,
            () = hub.jobs().bell.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if let Err(e) = look(&hub, &ending).await {
            tracing::warn!(error = %e, "jobs could not be looked up; trying again");
        }
    }
}

async fn look(hub: &Hub, ending: &CancellationToken) -> Result<(), StoreError> {
    for open in documents::list::<Open>(hub.state(), None, "", LISTED).await? {
        let company = open.value.company;
        let full = hub.jobs().running().len() >= AT_ONCE;
        if full || hub.jobs().running().contains(&open.id) {
            continue;
        }
        match documents::get::<Job>(hub.state(), Some(company), &open.id).await? {
            Some(job) if job.value.status == Status::Running => take_up(hub, ending, company, job),
            // Its end was saved, or its beginning never was.
            _ => drop(documents::delete::<Open>(hub.state(), None, &open.id).await?),
        }
    }
    Ok(())
}

fn take_up(hub: &Hub, ending: &CancellationToken, company: CompanyNo, job: Saved<Job>) {
    let mine = job.value.integration.as_ref().is_none_or(|(_, no)| hub.deliver().runs_here(*no));
    if !mine || matches!(job.value.work, Work::Replay(_)) {
        return;
    }
    hub.jobs().running().insert(job.id.clone());
    let (hub, ending) = (hub.clone(), ending.clone());
    hub.clone().spawn(async move {
        let id = job.id.clone();
        tokio::select! {
            () = ending.cancelled() => {}
            () = work_on(&hub, company, job) => {}
        }
        hub.jobs().running().remove(&id);
        hub.jobs().ring();
    });
}

/// Does a job's slices one after the other until it has ended, or somebody else has ended it.
async fn work_on(hub: &Hub, company: CompanyNo, mut saved: Saved<Job>) {
    let mut errors = 0;
    while saved.value.status == Status::Running {
        match slice(hub, company, &saved).await {
            Ok(Some(next)) => (saved, errors) = (next, 0),
            Ok(None) => return,
            Err(e) if errors < MAX_ERRORS => {
                errors += 1;
                tracing::warn!(job = saved.id, error = %e, "a job could not go on; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            Err(e) => return fail(hub, company, &saved.id, &e).await,
        }
    }
}

/// The next slice; the job as it is saved then. None: somebody else saved it in between.
async fn slice(hub: &Hub, company: CompanyNo, saved: &Saved<Job>) -> Result<Option<Saved<Job>>, StoreError> {
    let mut job = saved.value.clone();
    match rejected::slice(hub, company, &mut job).await? {
        Slice::Done => return super::end(hub.state(), company, &saved.id, hub.now(), |j| *j = ended(&job, j)).await,
        Slice::Busy => {
            tokio::time::sleep(PAUSE).await;
            return documents::get::<Job>(hub.state(), Some(company), &saved.id).await;
        }
        Slice::More => {}
    }
    let expected = Expected::Version(saved.version);
    match documents::put(hub.state(), Some(company), &saved.id, &job, expected).await {
        Ok(saved) => Ok(Some(saved)),
        Err(SaveError::Store(e)) => Err(e),
        Err(SaveError::Changed(_) | SaveError::Unknown) => Ok(None),
    }
}

fn ended(done: &Job, saved: &Job) -> Job {
    Job { status: Status::Done, ended_at: saved.ended_at, ..done.clone() }
}

async fn fail(hub: &Hub, company: CompanyNo, id: &str, error: &StoreError) {
    tracing::error!(job = id, error = %error, "a job failed");
    let failed = |job: &mut Job| {
        job.status = Status::Failed;
        job.failure = Some("the hub could not read or write its data for half a minute; start it again".into());
    };
    if let Err(e) = super::end(hub.state(), company, id, hub.now(), failed).await {
        tracing::error!(job = id, error = %e, "a job's failure could not be saved; it goes on after the next start");
    }
}
