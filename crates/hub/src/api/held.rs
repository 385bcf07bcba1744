//! Events of sites that nobody knows (`contracts/hub-api.md`, "Events in"; policy `hold` of a company).

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use tillstream_model::Time;
use tillstream_store::held::HeldSite;
use tillstream_store::state::{Company, Expected, SaveError};
use utoipa::ToSchema;

use super::audit::{self, Change};
use super::docs::{Denied, Missing, WrongQuery};
use super::extract::{Caller, Params, Place};
use super::paging::{Listing, Paging, ids_after};
use super::sites::{not_saved, unknown};
use crate::Hub;
use crate::access::Scope;
use crate::documents;
use crate::problem::Result;
use crate::sites::Site;

/// The events that are held of a site that nobody knows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeldSite)]
pub struct HeldSiteView {
    /// As the events name it.
    #[schema(example = "175")]
    pub site: String,
    /// How many.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first one came.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub first_at: Time,
    /// When the last one came.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub last_at: Time,
}

impl From<HeldSite> for HeldSiteView {
    fn from(h: HeldSite) -> Self {
        HeldSiteView { site: h.site, events: h.events, bytes: h.bytes, first_at: h.first_at, last_at: h.last_at }
    }
}

/// What became of a site's held events.
#[derive(Debug, Serialize, ToSchema)]
pub struct Released {
    /// As the events name it.
    #[schema(example = "175")]
    pub site: String,
    /// Appended to the log now.
    pub appended: u64,
    /// Not appended: they were in the log already, under the same idempotency ids.
    pub duplicates: u64,
    /// Still held: the log has other events under their idempotency ids.
    pub conflicts: u64,
}

/// List sites with held events
///
/// Where a company holds events of sites that nobody has made: such sites by name, with what is held of each.
#[utoipa::path(
    get, path = "/v1/held", tag = "sites",
    params(Paging),
    responses((status = 200, description = "A page", body = Listing<HeldSiteView>), Denied, WrongQuery)
)]
pub async fn list_held(
    State(hub): State<Hub>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<HeldSiteView>>> {
    let company = caller.company(Scope::SitesRead)?;
    let after = paging.after.as_deref().unwrap_or_default();
    let found = match caller.bound_sites() {
        [] => hub.state().held_sites(company.no, after, paging.limit.get() + 1).await?,
        bound => of_bound(&hub, company, bound, after).await?,
    };
    Ok(Json(Listing::of_more(found, &paging, |h| &h.site).map(HeldSiteView::from)))
}

/// Release a site's held events
///
/// Appends them in the order in which they came, with their idempotency ids, and makes the site known. Safe to repeat.
#[utoipa::path(
    post, path = "/v1/sites/{site}/release", tag = "sites",
    params(("site" = String, Path, description = "The site, as the events name it")),
    responses((status = 200, description = "What became of them", body = Released), Denied, Missing)
)]
pub async fn release_site(
    State(hub): State<Hub>,
    caller: Caller,
    Place(site): Place<String>,
) -> Result<Json<Released>> {
    let company = caller.company(Scope::SitesWrite)?;
    find(&hub, &caller, company, &site).await?;
    let mut done = hub.ingest().release(company, &site).await?;
    make_known(&hub, company, &site).await?;
    // What came until the site was known.
    let rest = hub.ingest().release(company, &site).await?;
    done.appended += rest.appended;
    done.duplicates += rest.duplicates;
    done.conflicts = rest.conflicts;
    let released = Released { site, appended: done.appended, duplicates: done.duplicates, conflicts: done.conflicts };
    let change = Change::of("site.released", format!("site {}", released.site)).after(&released);
    audit::note(&hub, &caller, Some(company.no), change).await?;
    Ok(Json(released))
}

/// Delete a site's held events
///
/// They are gone for good. Later ones of the site are held again.
#[utoipa::path(
    delete, path = "/v1/sites/{site}/held", tag = "sites",
    params(("site" = String, Path, description = "The site, as the events name it")),
    responses((status = 204, description = "Deleted"), Denied, Missing)
)]
pub async fn delete_held(State(hub): State<Hub>, caller: Caller, Place(site): Place<String>) -> Result<StatusCode> {
    let company = caller.company(Scope::SitesWrite)?;
    find(&hub, &caller, company, &site).await?;
    let events = hub.ingest().discard(company, &site).await?;
    let change = Change::of("site.held_deleted", format!("site {site}")).before(&json!({"events": events}));
    audit::note(&hub, &caller, Some(company.no), change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// 404 unless the site is known or something is held of it.
async fn find(hub: &Hub, caller: &Caller, company: &Company, site: &str) -> Result<()> {
    caller.reaches_site(site)?;
    if hub.state().held_site(company.no, site).await?.is_some()
        || hub.sites().directory(company.no, hub.now()).await?.has(site)
    {
        return Ok(());
    }
    Err(unknown(site))
}

/// Makes a site of this name, unless one is called so.
async fn make_known(hub: &Hub, company: &Company, name: &str) -> Result<()> {
    let sites = hub.sites().look_again(company.no, hub.now()).await?;
    if sites.has(sites.resolve(name)) {
        return Ok(());
    }
    match documents::put(hub.state(), Some(company.no), name, &Site::default(), Expected::New).await {
        Ok(_) => hub.sites().changed(company.no).await.map_err(not_saved),
        // Somebody made it in this moment.
        Err(SaveError::Changed(_)) => Ok(()),
        Err(e) => Err(not_saved(e)),
    }
}

async fn of_bound(hub: &Hub, company: &Company, bound: &[String], after: &str) -> Result<Vec<HeldSite>> {
    let mut found = Vec::new();
    for site in ids_after(bound, Some(after)) {
        found.extend(hub.state().held_site(company.no, site).await?);
    }
    Ok(found)
}
