//! `POST /v1/integrations/preview`: what settings that are not saved would have received
//! (`contracts/hub-api.md`, "Integrations").

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tillstream_model::integration::{Settings, Wrong as WrongValue};
use tillstream_model::selection::wants;
use tillstream_model::{Event, Seq, Time};
use tillstream_store::ReadLimit;
use tillstream_store::state::{Company, Integration};
use utoipa::ToSchema;

use super::docs::{Denied, Wrong};
use super::extract::{Caller, Doc};
use super::{integration_doc, schema};
use crate::Hub;
use crate::access::Scope;
use crate::problem::{Kind, Problem, Result};

/// Most events that a preview looks at.
pub const MAX_PREVIEWED: u64 = 1_000_000;
/// What is looked at before others get their turn.
const BATCH: ReadLimit = ReadLimit { events: 1_000, bytes: 4 << 20 };

/// Settings, and the window to try them on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewWish {
    /// As for making an integration; with the `id` of a saved one it is compared with that, and masked secrets stand
    /// for the saved ones.
    #[schema(value_type = schema::IntegrationWritten)]
    pub integration: Value,
    /// Events accepted at or after.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T00:00:00.000Z")]
    pub from: Time,
    /// Events accepted before; up to now when it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<Time>,
}

/// What settings would have received.
#[derive(Debug, Serialize, ToSchema)]
pub struct Preview {
    /// How many events were looked at.
    pub looked_at: u64,
    /// There are more in the window than are looked at; what is said holds up to the last one of these.
    pub truncated: bool,
    /// When the last event that was looked at was accepted.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub looked_to: Option<Time>,
    /// How many events these settings would have received.
    pub events: u64,
    /// How many the saved settings would have received; null when none are saved under this id.
    #[schema(required = true)]
    pub saved: Option<u64>,
    /// The version that is saved.
    #[schema(required = true)]
    pub saved_version: Option<u32>,
    /// The same by entity, in alphabetical order.
    pub entities: Vec<PreviewedEntity>,
}

/// What settings would have received of an entity.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewedEntity {
    /// The entity.
    #[schema(example = "order")]
    pub entity: String,
    /// How many events these settings would have received.
    pub events: u64,
    /// How many the saved settings would have received; null when none are saved under this id.
    #[schema(required = true)]
    pub saved: Option<u64>,
}

/// Try settings on past events
///
/// Counts what these settings would have received in the window, next to the saved ones; saves and sends nothing. Looks
/// at 1,000,000 events at most.
#[utoipa::path(
    post, path = "/v1/integrations/preview", tag = "integrations",
    request_body = PreviewWish,
    responses((status = 200, description = "The counts", body = Preview), Denied, Wrong)
)]
pub async fn preview_integration(
    State(hub): State<Hub>,
    caller: Caller,
    Doc(wish): Doc<PreviewWish>,
) -> Result<Json<Preview>> {
    let company = caller.company(Scope::IntegrationsRead)?;
    caller.may(Scope::EventsRead)?;
    if wish.to.is_some_and(|to| to < wish.from) {
        return Err(Problem::invalid([WrongValue::new("to", "not before from")]));
    }
    let saved = saved(&hub, &caller, company, &wish.integration).await?;
    let settings = match &saved {
        Some(saved) => integration_doc::for_replacement(wish.integration, &saved.settings, saved.status),
        None => integration_doc::for_creation(wish.integration, hub.now()),
    };
    let rules = Rules {
        settings: Arc::new(settings.map_err(|p| p.below("integration"))?),
        saved: saved.as_ref().map(|s| s.settings.clone()),
    };
    let mut after = hub.log().before(company.no, wish.from).await?;
    let to = match wish.to {
        Some(time) => hub.log().before(company.no, time).await?,
        None => hub.log().head(company.no).await?,
    };
    let mut counts = Counts::default();
    while let Some(limit) = next_batch(counts.looked_at).filter(|_| after < to) {
        let events = hub.log().read(company.no, after, limit).await?;
        let Some(last) = events.last().map(|e| e.seq) else { break };
        counts = counted(counts, rules.clone(), events, to).await?;
        after = last;
    }
    Ok(Json(counts.shown(after < to, saved.as_ref())))
}

/// What is read next; None when enough was looked at.
fn next_batch(looked_at: u64) -> Option<ReadLimit> {
    let left = usize::try_from(MAX_PREVIEWED.saturating_sub(looked_at)).unwrap_or(usize::MAX);
    (left > 0).then_some(ReadLimit { events: BATCH.events.min(left), ..BATCH })
}

/// The saved integration that the document names.
async fn saved(hub: &Hub, caller: &Caller, company: &Company, doc: &Value) -> Result<Option<Integration>> {
    let Some(id) = doc["id"].as_str() else { return Ok(None) };
    caller.reaches_integration(id)?;
    Ok(hub.state().integration(company.no, id).await?)
}

/// What counts.
#[derive(Clone)]
struct Rules {
    settings: Arc<Settings>,
    saved: Option<Arc<Settings>>,
}

#[derive(Default)]
struct Counts {
    looked_at: u64,
    looked_to: Option<Time>,
    /// By entity: these settings, and the saved ones.
    entities: BTreeMap<String, (u64, u64)>,
}

/// Conditions may look deep into a thousand payloads: not on a thread that serves others.
async fn counted(mut counts: Counts, rules: Rules, events: Vec<Arc<Event>>, to: Seq) -> Result<Counts> {
    let count = move || {
        for event in events.iter().filter(|e| e.seq <= to) {
            counts.look(&rules, event);
        }
        counts
    };
    let counted = tokio::task::spawn_blocking(count).await;
    counted.map_err(|e| Problem::new(Kind::Internal, "the events could not be counted").internally(e.to_string()))
}

impl Counts {
    fn look(&mut self, rules: &Rules, event: &Event) {
        self.looked_at += 1;
        self.looked_to = Some(event.accepted_at);
        let now = u64::from(wants(&rules.settings, event).is_ok());
        let saved = u64::from(rules.saved.as_ref().is_some_and(|saved| wants(saved, event).is_ok()));
        if now + saved > 0 {
            let entity = self.entities.entry(event.content.entity().to_owned()).or_default();
            *entity = (entity.0 + now, entity.1 + saved);
        }
    }

    fn shown(self, truncated: bool, saved: Option<&Integration>) -> Preview {
        let shown = |count: u64| saved.map(|_| count);
        Preview {
            looked_at: self.looked_at,
            truncated,
            looked_to: self.looked_to,
            events: self.entities.values().map(|(now, _)| now).sum(),
            saved: shown(self.entities.values().map(|(_, saved)| saved).sum()),
            saved_version: saved.map(|s| s.version),
            entities: self
                .entities
                .into_iter()
                .map(|(entity, (events, saved))| PreviewedEntity { entity, events, saved: shown(saved) })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_looks_at_a_million_events_and_at_no_more() {
        let next = |looked_at| next_batch(looked_at).map(|limit| limit.events);
        assert_eq!(next(0), Some(1_000));
        assert_eq!(next(MAX_PREVIEWED - 1_001), Some(1_000));
        assert_eq!(next(MAX_PREVIEWED - 1), Some(1));
        assert_eq!(next(MAX_PREVIEWED), None);
    }
}
