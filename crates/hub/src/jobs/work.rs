//! Runs a job in slices.

use std::time::Duration;

use tillstream_model::CompanyNo;
use tillstream_store::StoreError;
use tillstream_store::state::{Expected, SaveError};

use super::{Job, Slice, Status, Work, deletion, rejected};
use crate::Hub;
use crate::documents::{self, Saved};

/// Pause while a lane has enough to do, or after an error.
const PAUSE: Duration = Duration::from_millis(500);
/// Errors in a row after which a job failed.
const MAX_ERRORS: u32 = 60;

/// Does a job's slices one after the other until it has ended, or somebody else has ended it.
pub(super) async fn until_ended(hub: &Hub, of: Option<CompanyNo>, mut saved: Saved<Job>) {
    let mut errors = 0;
    while saved.value.status == Status::Running {
        match slice(hub, of, &saved).await {
            Ok(Some(next)) => (saved, errors) = (next, 0),
            Ok(None) => return,
            Err(e) if errors < MAX_ERRORS || matches!(saved.value.work, Work::DeleteCompany(_)) => {
                errors = errors.saturating_add(1);
                tracing::warn!(job = saved.id, error = %e, "a job could not go on; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            Err(e) => return fail(hub, of, &saved.id, &e).await,
        }
    }
}

/// The next slice; the job as it is saved then. None: somebody else saved it in between.
async fn slice(hub: &Hub, of: Option<CompanyNo>, saved: &Saved<Job>) -> Result<Option<Saved<Job>>, StoreError> {
    let mut job = saved.value.clone();
    let done = match &job.work {
        Work::DeleteCompany(_) => deletion::slice(hub, &saved.id, &mut job).await?,
        _ => rejected::slice(hub, of, &mut job).await?,
    };
    match done {
        Slice::Done => return super::end(hub.state(), of, &saved.id, hub.now(), |j| *j = ended(&job, j)).await,
        Slice::Busy => {
            tokio::time::sleep(PAUSE).await;
            return documents::get::<Job>(hub.state(), of, &saved.id).await;
        }
        Slice::Over => return Ok(None),
        Slice::More => {}
    }
    let expected = Expected::Version(saved.version);
    match documents::put(hub.state(), of, &saved.id, &job, expected).await {
        Ok(saved) => Ok(Some(saved)),
        Err(SaveError::Store(e)) => Err(e),
        Err(SaveError::Changed(_) | SaveError::Unknown) => Ok(None),
    }
}

fn ended(done: &Job, saved: &Job) -> Job {
    Job { status: Status::Done, ended_at: saved.ended_at, ..done.clone() }
}

async fn fail(hub: &Hub, of: Option<CompanyNo>, id: &str, error: &StoreError) {
    tracing::error!(job = id, error = %error, "a job failed");
    let failed = |job: &mut Job| {
        job.status = Status::Failed;
        job.failure = Some("the hub could not read or write its data for half a minute; start it again".into());
    };
    if let Err(e) = super::end(hub.state(), of, id, hub.now(), failed).await {
        tracing::error!(job = id, error = %e, "a job's failure could not be saved; it goes on after the next start");
    }
}
