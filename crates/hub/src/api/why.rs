//! `GET /v1/why`: why something did not arrive, and the one thing to do (`contracts/hub-api.md`, "Events in").

mod gather;
mod view;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tillstream_model::selection::{Unwanted, wants};
use tillstream_model::why::{self, Answer, Facts, Verdict};
use tillstream_model::{Event, Time};
use tillstream_store::state::{Company, CompanyStatus, Integration};
use utoipa::IntoParams;

use super::docs::{Denied, Missing, WrongQuery};
use super::event_filter::{Filter, business_date};
use super::extract::{Caller, Params};
use super::integrations::{find, of_bound};
use crate::Hub;
use crate::access::Scope;
use crate::problem::Result;
use gather::{Came, came, lane};
use view::{AnswerView, ReceivedView, SiteView, Why, WhyIntegration};

/// Most integrations that are looked at when none is named.
pub const MAX_INTEGRATIONS: usize = 20;
/// Newest events whose outcome is looked up at an integration that is named …
pub const MAX_EVENTS: usize = 200;
/// … and at each of all.
pub const MAX_EVENTS_OF_EACH: usize = 20;

/// What did not arrive. All that is given has to hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct WhyQuery {
    /// Where it did not arrive; left out: the company's first 20 integrations.
    pub integration: Option<String>,
    /// The site it comes from; aliases and store numbers are understood.
    pub site: Option<String>,
    /// The entity, such as `order`.
    pub entity: Option<String>,
    /// The id of the entity.
    pub entity_id: Option<String>,
    /// The trading day, as `YYYY-MM-DD`.
    pub business_date: Option<String>,
    /// Accepted at or after. Left out: everything kept when an id or a trading day is given, else the last 24 hours.
    #[param(value_type = Option<String>, format = DateTime)]
    pub from: Option<Time>,
    /// Accepted before.
    #[param(value_type = Option<String>, format = DateTime)]
    pub to: Option<Time>,
}

/// Ask why something did not arrive
///
/// When the site was last heard from, what came, which rule stopped it and who set that, what was rejected, what waits
/// and until when, what was delivered; and the one thing to do.
#[utoipa::path(
    get, path = "/v1/why", tag = "events",
    params(WhyQuery),
    responses((status = 200, description = "The answer", body = Why), Denied, Missing, WrongQuery)
)]
pub async fn why(State(hub): State<Hub>, caller: Caller, Params(query): Params<WhyQuery>) -> Result<Json<Why>> {
    let company = allowed(&caller, &query)?;
    let site = site(&hub, &caller, company, query.site.as_deref()).await?;
    let (integrations, more_integrations) = integrations(&hub, &caller, company, query.integration.as_deref()).await?;
    let filter = Filter {
        entity: query.entity.clone(),
        entity_id: query.entity_id.clone(),
        business_date: business_date(query.business_date.as_deref())?,
        site: site.as_ref().map(|s| s.id.clone()),
        only: caller.bound_sites().to_vec(),
        ..Filter::default()
    };
    let most = if query.integration.is_some() { MAX_EVENTS } else { MAX_EVENTS_OF_EACH };
    // Who is bound to integrations knows of no event that none of them selects.
    let bound = !caller.bound_integrations().is_empty();
    let selected = |event: &Event, i: &Integration| wants(&i.settings, event) != Err(Unwanted::Events);
    let may_know = |event: &Event| !bound || integrations.iter().any(|i| selected(event, i));
    let came = came(&hub, company, &filter, &query, may_know, most).await?;
    let facts = Facts {
        now: hub.now(),
        suspended: company.rules.status != CompanyStatus::Active,
        received: came.received,
        site,
        no_integrations: integrations.is_empty() && caller.bound_sites().is_empty(),
        lane: None,
    };
    let mut items = Vec::with_capacity(integrations.len());
    for integration in &integrations {
        items.push(at(&hub, integration, &facts, &came).await?);
    }
    let answer = overall(&facts, &items);
    Ok(Json(Why {
        answer: AnswerView::from(&answer),
        site: facts.site.as_ref().map(|site| SiteView::new(site, facts.now)),
        received: ReceivedView::from(&came),
        integrations: items.into_iter().map(|(_, view)| view).collect(),
        more_integrations,
    }))
}

/// Keys that are bound to sites hold no scope of deliveries: they learn what came. Those that are bound to integrations
/// hold none of events: they learn what became of it there.
fn allowed<'c>(caller: &'c Caller, query: &WhyQuery) -> Result<&'c Company> {
    let sees_events = caller.bound_integrations().is_empty();
    let company = caller.company(if sees_events { Scope::EventsRead } else { Scope::DeliveriesRead })?;
    // A person's sites are those of the scope that was asked for first.
    let sees_deliveries = caller.bound_sites().is_empty() || query.integration.is_some();
    if sees_deliveries {
        caller.may(Scope::DeliveriesRead)?;
    }
    Ok(company)
}

async fn at(hub: &Hub, integration: &Integration, facts: &Facts, came: &Came) -> Result<(Answer, WhyIntegration)> {
    let (lane, mut view) = lane(hub, integration, came, facts.now).await?;
    let answer = why::decide(&Facts { lane: Some(lane), ..facts.clone() });
    view.answer = AnswerView::from(&answer);
    Ok((answer, view))
}

/// The gravest answer of the integrations that wanted something, else of all; what came when there is none.
fn overall(facts: &Facts, items: &[(Answer, WhyIntegration)]) -> Answer {
    let refuses = |v: Verdict| {
        matches!(v, Verdict::NotSelected | Verdict::SiteOff | Verdict::ConditionFails | Verdict::BeforeStart)
    };
    let answers = || items.iter().map(|(answer, _)| answer);
    let gravest = answers().filter(|a| !refuses(a.verdict)).min_by_key(|a| a.verdict);
    gravest.or_else(|| answers().min_by_key(|a| a.verdict)).cloned().unwrap_or_else(|| why::decide(facts))
}

/// What is known of the site that is asked about, whatever it is called.
async fn site(hub: &Hub, caller: &Caller, company: &Company, called: Option<&str>) -> Result<Option<why::Site>> {
    let Some(called) = called else { return Ok(None) };
    let directory = hub.sites().directory(company.no, hub.now()).await?;
    let id = directory.resolve(called);
    caller.reaches_site(id)?;
    Ok(Some(gather::site(hub, company, id).await?))
}

/// The integrations that are asked about, and whether there are more.
async fn integrations(
    hub: &Hub,
    caller: &Caller,
    company: &Company,
    named: Option<&str>,
) -> Result<(Vec<Integration>, bool)> {
    if let Some(id) = named {
        return Ok((vec![find(hub, caller, company, id).await?], false));
    }
    if !caller.bound_sites().is_empty() {
        return Ok((Vec::new(), false));
    }
    let mut found = match caller.bound_integrations() {
        [] => hub.state().integrations(company.no, None, MAX_INTEGRATIONS + 1).await?,
        bound => of_bound(hub, company, bound, None).await?,
    };
    let more = found.len() > MAX_INTEGRATIONS;
    found.truncate(MAX_INTEGRATIONS);
    Ok((found, more))
}
