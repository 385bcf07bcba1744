//! Deleting a company: it is hidden at once, and what it has is removed in slices, between which others go on.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tillstream_model::CompanyNo;
use tillstream_store::state::AuditEntry;
use tillstream_store::{Purged, StoreError};
use tokio::time::Instant;

use super::{Job, Open, Slice, Work};
use crate::documents;
use crate::{Hub, notify};

/// How often the job is saved: what was removed since is removed, whatever the job says.
const SAVE_EVERY: Duration = Duration::from_millis(250);
/// After a slice the purge rests so many times as long as it took …
const REST: u32 = 2;
/// … at least and at most so long …
const LEAST_REST: Duration = Duration::from_millis(1);
const MOST_REST: Duration = Duration::from_millis(250);
/// … and so long when there was nothing to be done just now.
const NOTHING_REST: Duration = Duration::from_millis(5);
/// Names of jobs that are read at once.
const PAGE: usize = 500;

/// Which company.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// Its external id, which somebody else may have by now.
    pub company: String,
    /// Its number.
    pub no: CompanyNo,
}

/// What is removed next. Saved as the job's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing yet: the company may not even be hidden.
    Hide,
    Log,
    Index,
    State,
    /// All of it once more, which should find nothing.
    Check,
}

impl Phase {
    const ALL: [(&'static str, Phase); 4] =
        [("log", Phase::Log), ("index", Phase::Index), ("state", Phase::State), ("check", Phase::Check)];

    fn read(place: Option<&str>) -> Self {
        Self::ALL.into_iter().find(|(name, _)| Some(*name) == place).map_or(Phase::Hide, |(_, phase)| phase)
    }

    fn name(self) -> Option<String> {
        Self::ALL.into_iter().find(|(_, phase)| *phase == self).map(|(name, _)| name.to_owned())
    }

    fn next(self) -> Self {
        match self {
            Phase::Hide => Phase::Log,
            Phase::Log => Phase::Index,
            Phase::Index => Phase::State,
            Phase::State | Phase::Check => Phase::Check,
        }
    }
}

/// Hides a company from everybody on every node; the job that removes it, which may be an earlier one. None: there is no
/// such company. A repeat is fine.
///
/// # Errors
/// When the engine fails; what was done so far stays done.
pub async fn hide(hub: &Hub, no: CompanyNo, job: &str) -> Result<Option<String>, StoreError> {
    let Some(in_force) = hub.state().hide_company(no, job).await? else { return Ok(None) };
    hub.log().close(no).await?;
    hub.deliver().company_changed(no).await?;
    end_jobs(hub, no).await?;
    Ok(Some(in_force))
}

/// Takes the jobs of a hidden company off the list; those that run find at their next step that they are gone.
async fn end_jobs(hub: &Hub, no: CompanyNo) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let page = documents::list::<Open>(hub.state(), None, &after, PAGE).await?;
        for open in page.iter().filter(|open| open.value.company == Some(no)) {
            documents::delete::<Open>(hub.state(), None, &open.id).await?;
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after.clone_from(&last.id),
            _ => return Ok(()),
        }
    }
}

/// Removes for a while.
pub(super) async fn slice(hub: &Hub, id: &str, job: &mut Job) -> Result<Slice, StoreError> {
    let Work::DeleteCompany(deletion) = &job.work else { return Ok(Slice::Done) };
    let (no, mut phase, until) = (deletion.no, Phase::read(job.place.as_deref()), Instant::now() + SAVE_EVERY);
    while Instant::now() < until {
        if !hub.deliver().leads() {
            return Ok(Slice::Over);
        }
        let (started, mut purged) = (Instant::now(), Purged { rows: 0, done: true });
        match phase {
            Phase::Hide => match hide(hub, no, id).await? {
                Some(in_force) if in_force != id => return super::forget(hub.state(), id).await.map(|()| Slice::Over),
                Some(_) => {}
                None => return Ok(Slice::Done),
            },
            Phase::Log | Phase::Index | Phase::State => purged = purge(hub, no, phase).await?,
            Phase::Check => match check(hub, no).await? {
                0 => return finish(hub, no, job).await.map(|()| Slice::Done),
                rows => {
                    job.progress.done += rows;
                    phase = Phase::Hide;
                }
            },
        }
        job.progress.done += purged.rows;
        job.progress.looked_at += if phase == Phase::Log { purged.rows } else { 0 };
        phase = if purged.done { phase.next() } else { phase };
        job.place = phase.name();
        rest(started.elapsed(), purged).await;
    }
    Ok(Slice::More)
}

/// Looks through everything; how many rows it found and removed.
async fn check(hub: &Hub, no: CompanyNo) -> Result<u64, StoreError> {
    let mut rows = 0;
    for phase in [Phase::Log, Phase::Index, Phase::State] {
        loop {
            let started = Instant::now();
            let purged = purge(hub, no, phase).await?;
            rows += purged.rows;
            if purged.done {
                break;
            }
            rest(started.elapsed(), purged).await;
        }
    }
    Ok(rows)
}

/// Removes some of what the phase is about.
async fn purge(hub: &Hub, no: CompanyNo, phase: Phase) -> Result<Purged, StoreError> {
    match phase {
        Phase::Log => hub.log().purge(no).await,
        Phase::Index => hub.stores().index.purge(no).await,
        _ => hub.state().purge_state(no).await,
    }
}

async fn rest(worked: Duration, purged: Purged) {
    let least = if purged.rows == 0 && !purged.done { NOTHING_REST } else { LEAST_REST };
    tokio::time::sleep((worked * REST).clamp(least, MOST_REST)).await;
}

/// The company itself goes last: from then on its external id can be given to another one.
async fn finish(hub: &Hub, no: CompanyNo, job: &Job) -> Result<(), StoreError> {
    let Work::DeleteCompany(deletion) = &job.work else { return Ok(()) };
    notify::forget(hub, no).await?;
    hub.state().remove_company(no).await?;
    hub.access().company_changed();
    let entry = AuditEntry {
        company: None,
        at: hub.now(),
        actor: "system".to_owned(),
        action: "company.purged".to_owned(),
        object: format!("company {}", deletion.company),
        before: None,
        after: Some(serde_json::json!({"rows": job.progress.done}).to_string()),
    };
    hub.state().record(entry).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_is_read_as_it_is_saved_and_anything_else_begins_anew() {
        for (name, phase) in Phase::ALL {
            assert_eq!((Phase::read(Some(name)), phase.name().as_deref()), (phase, Some(name)));
        }
        assert_eq!((Phase::read(None), Phase::read(Some("other"))), (Phase::Hide, Phase::Hide));
        assert_eq!(Phase::Hide.name(), None);
    }
}
