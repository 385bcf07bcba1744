//! Sites that were heard from and are silent for longer than they say, each told once per silence.
//!
//! What to watch is read when a company's sites change; when a site was last heard from, only when it could be silent.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tillstream_model::operational;
use tillstream_model::{CompanyNo, Time};
use tillstream_store::state::{Company, CompanyStatus, Expected};

use crate::Hub;
use crate::documents::{self, Kind};

/// What other nodes hear from a site is known here after so long at most, so nobody is called silent before.
const HEARSAY: Duration = Duration::from_secs(90);
/// A silent site is looked at again after so long at most.
const LOOK_AGAIN: Duration = Duration::from_secs(5 * 60);

/// The last silence of a site that was told.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Told {
    /// When it had been heard from last.
    since: Time,
}

impl Kind for Told {
    const KIND: &'static str = "site_silent";
}

/// What is watched.
#[derive(Default)]
pub(super) struct Silence(HashMap<CompanyNo, Watched>);

#[derive(Default)]
struct Watched {
    /// The change of the company's sites that it was read after.
    changes: Option<u32>,
    sites: BTreeMap<String, Watch>,
}

struct Watch {
    name: Option<String>,
    minutes: u32,
    /// Not to be looked at before.
    look_at: Time,
}

/// Looks at the sites that could be silent.
pub(super) async fn round(hub: &Hub) -> anyhow::Result<()> {
    let mut silence = hub.notify().silence.lock().await;
    if !hub.deliver().leads() {
        silence.0.clear();
        return Ok(());
    }
    for company in hub.state().companies().await?.iter().filter(|c| c.rules.status == CompanyStatus::Active) {
        let watched = silence.0.entry(company.no).or_default();
        read_again(hub, company.no, watched).await?;
        look(hub, company, watched).await?;
    }
    Ok(())
}

async fn read_again(hub: &Hub, company: CompanyNo, watched: &mut Watched) -> anyhow::Result<()> {
    let changes = hub.sites().changes(company).await?;
    if watched.changes == Some(changes) {
        return Ok(());
    }
    let mut sites = BTreeMap::new();
    for site in hub.sites().all::<crate::sites::Site>(company).await? {
        if let Some(minutes) = site.value.silent_after_minutes {
            sites.insert(site.id, Watch { name: site.value.name, minutes, look_at: Time::default() });
        }
    }
    *watched = Watched { changes: Some(changes), sites };
    Ok(())
}

async fn look(hub: &Hub, company: &Company, watched: &mut Watched) -> anyhow::Result<()> {
    let now = hub.now();
    for (site, watch) in watched.sites.iter_mut().filter(|(_, watch)| watch.look_at <= now) {
        let after = Duration::from_secs(60 * u64::from(watch.minutes));
        let silent_at = hub.sites().last_heard(company.no, site).await?.map(|last| (last, last + after + HEARSAY));
        match silent_at {
            Some((last, at)) if at <= now => {
                tell_once(hub, company, site, watch, last).await?;
                watch.look_at = now + after.min(LOOK_AGAIN);
            }
            Some((_, at)) => watch.look_at = at,
            // One that never spoke is not silent; it may begin at any time.
            None => watch.look_at = now + after,
        }
    }
    Ok(())
}

/// First the event, then what says that it was told: a crash in between repeats an event that is there already.
async fn tell_once(hub: &Hub, company: &Company, site: &str, watch: &Watch, last: Time) -> anyhow::Result<()> {
    let told = documents::get::<Told>(hub.state(), Some(company.no), site).await?;
    if told.is_some_and(|told| last <= told.value.since) {
        return Ok(());
    }
    let event = operational::silent(site, watch.name.as_deref(), last, watch.minutes);
    super::tell(hub, company, vec![event]).await?;
    documents::put(hub.state(), Some(company.no), site, &Told { since: last }, Expected::Anything).await?;
    Ok(())
}
