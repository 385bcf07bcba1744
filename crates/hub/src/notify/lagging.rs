//! Integrations whose oldest event has waited too long, each told once and once more when it has caught up.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tillstream_model::operational::{AboutIntegration, LAGGING, RECOVERED};
use tillstream_model::{CompanyNo, Content, IntegrationNo, Time};
use tillstream_store::StoreError;
use tillstream_store::state::{Company, Expected};

use crate::Hub;
use crate::deliver::Standing;
use crate::documents::{self, Kind, Saved};

/// A lane has caught up when its oldest event has waited less than this part of what counts as lagging. With the same
/// bound for both, a lane around it would be told of again and again.
const CAUGHT_UP: u32 = 3;
/// Episodes that are read at once.
const PAGE: usize = 500;
/// Who does what the hub does by itself.
const SYSTEM: &str = "system";

/// An integration is lagging.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Episode {
    company: CompanyNo,
    /// Since when its oldest event waited when it was told of.
    since: Time,
}

impl Kind for Episode {
    const KIND: &'static str = "lagging";
}

/// Holds the lanes of this node against what was told.
pub(super) async fn round(hub: &Hub) -> anyhow::Result<()> {
    let mut episodes = episodes(hub).await?;
    let patience = patience(hub).await?;
    for lane in hub.deliver().standings() {
        let bound = patience.get(&lane.company).copied().unwrap_or(hub.config().notify.lagging_after);
        if let Some(episode) = episodes.remove(&lane.no) {
            if has_waited(hub, &lane).is_some_and(|waited| waited < bound / CAUGHT_UP) {
                end(hub, &lane, &episode).await?;
            }
        } else if has_waited(hub, &lane).is_some_and(|waited| waited >= bound) {
            begin(hub, &lane).await?;
        }
    }
    // What is left belongs to lanes of other nodes, or to some that do not run any more.
    for no in episodes.into_keys().filter(|no| hub.deliver().runs_here(*no)) {
        documents::delete::<Episode>(hub.state(), None, &no.0.to_string()).await?;
    }
    Ok(())
}

/// Removes what was told of a company's lanes, which are no more.
pub(super) async fn forget(hub: &Hub, company: CompanyNo) -> Result<(), StoreError> {
    for episode in episodes(hub).await?.into_values().filter(|e| e.value.company == company) {
        documents::delete::<Episode>(hub.state(), None, &episode.id).await?;
    }
    Ok(())
}

/// What counts as lagging in the companies that say it themselves.
async fn patience(hub: &Hub) -> anyhow::Result<BTreeMap<CompanyNo, Duration>> {
    let said = |c: Company| Some((c.no, Duration::from_secs(c.rules.lagging_after_seconds?.into())));
    Ok(hub.state().companies().await?.into_iter().filter_map(said).collect())
}

/// How long a lane's oldest event has waited; None where nothing flows: that is told of otherwise.
fn has_waited(hub: &Hub, lane: &Standing) -> Option<Duration> {
    lane.flows.then(|| lane.oldest.map_or(Duration::ZERO, |oldest| hub.now().since(oldest)))
}

async fn episodes(hub: &Hub) -> Result<BTreeMap<IntegrationNo, Saved<Episode>>, StoreError> {
    let mut all = BTreeMap::new();
    let mut after = String::new();
    loop {
        let page = documents::list::<Episode>(hub.state(), None, &after, PAGE).await?;
        let last = page.len() < PAGE;
        after = page.last().map_or(after, |e| e.id.clone());
        all.extend(page.into_iter().filter_map(|e| Some((IntegrationNo(e.id.parse().ok()?), e))));
        if last {
            return Ok(all);
        }
    }
}

/// First the event, then what says that it was told: a crash in between tells it once more, never not at all.
async fn begin(hub: &Hub, lane: &Standing) -> anyhow::Result<()> {
    let since = lane.oldest.unwrap_or(hub.now());
    let reason = format!("its oldest event waits since {since}");
    tell(hub, lane, LAGGING, &reason, since, &format!("lagging/{}/{}", lane.no.0, since.millis())).await?;
    let episode = Episode { company: lane.company, since };
    documents::put(hub.state(), None, &lane.no.0.to_string(), &episode, Expected::Anything).await?;
    Ok(())
}

async fn end(hub: &Hub, lane: &Standing, episode: &Saved<Episode>) -> anyhow::Result<()> {
    let key = format!("caught-up/{}/{}", lane.no.0, episode.created_at.millis());
    tell(hub, lane, RECOVERED, "it has caught up", hub.now(), &key).await?;
    documents::delete::<Episode>(hub.state(), None, &episode.id).await?;
    Ok(())
}

async fn tell(
    hub: &Hub,
    lane: &Standing,
    event: &'static str,
    reason: &str,
    since: Time,
    key: &str,
) -> anyhow::Result<()> {
    let (id, name) = (lane.settings.id.as_str(), lane.settings.name.as_str());
    let about = AboutIntegration { event, id, name, reason, by: SYSTEM, since };
    let events: Vec<Content> = vec![about.content(key)];
    let companies: Vec<Company> = hub.state().companies().await?;
    match companies.iter().find(|c| c.no == lane.company) {
        Some(company) => super::tell(hub, company, events).await,
        None => Ok(()),
    }
}
