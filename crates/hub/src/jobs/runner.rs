//! Takes up jobs: it reads what is under way and runs here what nobody runs yet.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tillstream_model::CompanyNo;
use tillstream_store::StoreError;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Job, Open, Status, Work, work};
use crate::Hub;
use crate::documents::{self, Saved};

/// How often the list is read although nobody rang.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Jobs that are run at once.
const AT_ONCE: usize = 4;
/// Names of the list that are read at once.
const LISTED: usize = 500;

/// A job that is named in the list is given so long to be saved, also by a node whose clock is another.
const BEGINNING: Duration = Duration::from_secs(60);

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
    let mut after = String::new();
    loop {
        let page = documents::list::<Open>(hub.state(), None, &after, LISTED).await?;
        let next = page.last().filter(|_| page.len() == LISTED).map(|open| open.id.clone());
        look_at(hub, ending, page).await?;
        match next {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

async fn look_at(hub: &Hub, ending: &CancellationToken, page: Vec<Saved<Open>>) -> Result<(), StoreError> {
    for open in page {
        let company = open.value.company;
        let full = hub.jobs().running().len() >= AT_ONCE;
        if full || hub.jobs().running().contains(&open.id) {
            continue;
        }
        let job = documents::get::<Job>(hub.state(), company, &open.id).await?;
        match next(job, hub.now().since(open.created_at)) {
            Next::TakeUp(job) => take_up(hub, ending, company, *job),
            Next::Wait => {}
            Next::Forget => drop(documents::delete::<Open>(hub.state(), None, &open.id).await?),
        }
    }
    Ok(())
}

/// What is to be done about a job that the list names.
#[derive(Debug, PartialEq)]
enum Next {
    /// It is under way.
    TakeUp(Box<Saved<Job>>),
    /// It is named and not saved yet.
    Wait,
    /// Its end was saved, or its beginning never was.
    Forget,
}

fn next(job: Option<Saved<Job>>, named_since: Duration) -> Next {
    match job {
        Some(job) if job.value.status == Status::Running => Next::TakeUp(Box::new(job)),
        None if named_since < BEGINNING => Next::Wait,
        _ => Next::Forget,
    }
}

fn take_up(hub: &Hub, ending: &CancellationToken, company: Option<CompanyNo>, job: Saved<Job>) {
    let mine = match &job.value.integration {
        Some((_, no)) => hub.deliver().runs_here(*no),
        None => hub.deliver().leads(),
    };
    if !mine || matches!(job.value.work, Work::Replay(_)) {
        return;
    }
    hub.jobs().running().insert(job.id.clone());
    let (hub, ending) = (hub.clone(), ending.clone());
    hub.clone().spawn(async move {
        let id = job.id.clone();
        tokio::select! {
            () = ending.cancelled() => {}
            () = work::until_ended(&hub, company, job) => {}
        }
        hub.jobs().running().remove(&id);
        hub.jobs().ring();
    });
}

#[cfg(test)]
mod tests {
    use tillstream_model::Time;

    use super::*;

    fn saved(status: Status) -> Option<Saved<Job>> {
        let at = Time::from_millis(0);
        let job = Job { status, ..Job::new(Work::RetryRejected(Default::default()), None, "a test".into(), at) };
        Some(Saved { id: "job_1".into(), value: job, version: 1, created_at: at, updated_at: at })
    }

    #[test]
    fn a_job_that_is_named_and_not_saved_yet_is_left_alone_for_a_minute() {
        assert_eq!(next(None, Duration::ZERO), Next::Wait);
        assert_eq!(next(None, BEGINNING - Duration::from_millis(1)), Next::Wait);
        assert_eq!(next(None, BEGINNING), Next::Forget);
    }

    #[test]
    fn a_job_is_taken_up_until_it_has_ended() {
        assert!(matches!(next(saved(Status::Running), BEGINNING), Next::TakeUp(_)));
        for ended in [Status::Done, Status::Cancelled, Status::Failed] {
            assert_eq!(next(saved(ended), Duration::ZERO), Next::Forget);
        }
    }
}
