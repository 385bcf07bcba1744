//! `/v1/sites` (`contracts/hub-api.md`, "The rest").

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tillstream_model::Time;
use tillstream_model::incoming::{MAX_ID, is_id};
use tillstream_model::integration::Wrong as WrongValue;
use tillstream_store::state::{Company, Expected, SaveError};
use utoipa::ToSchema;

use super::audit::{self, Change};
use super::docs::{Denied, Guarded, Missing, Stale, Wrong, WrongQuery};
use super::etag::{self, IfMatch};
use super::extract::{Caller, Doc, Params, Place};
use super::paging::{Listing, Paging, ids_after};
use super::terminals;
use crate::Hub;
use crate::access::Scope;
use crate::documents::{self, Saved};
use crate::problem::{Kind, Problem, Result};
use crate::sites::{Money, Site};

/// Longest name, in characters.
pub const MAX_NAME: usize = 200;
/// Most aliases of a site.
pub const MAX_ALIASES: usize = 20;
/// Longest time after which a site counts as silent: a week.
pub const MAX_SILENT_MINUTES: u32 = 7 * 24 * 60;

/// A site to be saved; what is left out takes its default.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"store_number": "0175", "name": "Main Street", "timezone": "Europe/Vienna", "aliases": ["main"]}))]
pub struct SiteWritten {
    /// Its number among the company's stores; events may name it so.
    #[schema(max_length = 256)]
    pub store_number: Option<String>,
    /// What people call it.
    #[schema(max_length = 200)]
    pub name: Option<String>,
    /// Its IANA time zone; the company's when left out.
    #[schema(example = "Europe/Vienna")]
    pub timezone: Option<String>,
    /// How its amounts are rounded.
    pub money: Money,
    /// Other ids under which events name it.
    #[schema(max_items = 20)]
    pub aliases: Vec<String>,
    /// It counts as silent after so many minutes without an event; never when left out.
    #[schema(minimum = 1, maximum = 10080)]
    pub silent_after_minutes: Option<u32>,
}

/// A site.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Site)]
pub struct SiteView {
    /// As events name it.
    #[schema(example = "175")]
    pub id: String,
    /// Its number among the company's stores.
    #[schema(required = true)]
    pub store_number: Option<String>,
    /// What people call it.
    #[schema(required = true)]
    pub name: Option<String>,
    /// Its IANA time zone; null: the company's.
    #[schema(required = true)]
    pub timezone: Option<String>,
    /// How its amounts are rounded.
    pub money: Money,
    /// Other ids under which events name it.
    pub aliases: Vec<String>,
    /// It counts as silent after so many minutes without an event; null: never.
    #[schema(required = true)]
    pub silent_after_minutes: Option<u32>,
    /// Nobody has made it: an event named it. Saving it says that it is right.
    pub is_new: bool,
    /// When its last event was accepted, to about half a minute on other nodes.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub last_event_at: Option<Time>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub created_at: Time,
    /// When it was last saved.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub updated_at: Time,
}

/// List sites
///
/// By id.
#[utoipa::path(
    get, path = "/v1/sites", tag = "sites",
    params(Paging),
    responses((status = 200, description = "A page", body = Listing<SiteView>), Denied, WrongQuery)
)]
pub async fn list_sites(
    State(hub): State<Hub>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<SiteView>>> {
    let company = caller.company(Scope::SitesRead)?;
    let (limit, after) = (paging.limit.get(), paging.after.as_deref().unwrap_or_default());
    let found = match caller.bound_sites() {
        [] => documents::list::<Site>(hub.state(), Some(company.no), after, limit + 1).await?,
        bound => of_bound(&hub, company, bound, after).await?,
    };
    let page = Listing::of_more(found, &paging, |s| &s.id);
    page.try_map(|site| view(&hub, company, site)).await.map(Json)
}

/// Read a site
#[utoipa::path(
    get, path = "/v1/sites/{site}", tag = "sites",
    params(("site" = String, Path, description = "The site's id")),
    responses(
        (status = 200, description = "The site", body = SiteView, headers(("ETag", description = "Version"))),
        Denied, Missing
    )
)]
pub async fn read_site(State(hub): State<Hub>, caller: Caller, Place(id): Place<String>) -> Result<Response> {
    let company = caller.company(Scope::SitesRead)?;
    caller.reaches_site(&id)?;
    let site = documents::get::<Site>(hub.state(), Some(company.no), &id).await?.ok_or_else(|| unknown(&id))?;
    answer(&hub, company, site, StatusCode::OK).await
}

/// Save a site
///
/// Makes it, or replaces what is known of it. Names that another site has are refused.
#[utoipa::path(
    put, path = "/v1/sites/{site}", tag = "sites",
    request_body = SiteWritten,
    params(("site" = String, Path, description = "The site's id, as events name it"), Guarded),
    responses(
        (status = 200, description = "As it is now", body = SiteView, headers(("ETag", description = "Version"))),
        (status = 201, description = "Made", body = SiteView, headers(("ETag", description = "Version"))),
        Denied, Missing, Stale, Wrong
    )
)]
pub async fn save_site(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    if_match: IfMatch,
    Doc(written): Doc<SiteWritten>,
) -> Result<Response> {
    let company = caller.company(Scope::SitesWrite)?;
    caller.reaches_site(&id)?;
    check(&id, &written)?;
    let before = documents::get::<Site>(hub.state(), Some(company.no), &id).await?;
    if_match.check(&before.as_ref().map_or_else(String::new, etag::of_document))?;
    check_names(&hub, company, &id, &written).await?;
    let expected = before.as_ref().map_or(Expected::New, |b| Expected::Version(b.version));
    let site = Site {
        store_number: written.store_number,
        name: written.name,
        timezone: written.timezone,
        money: written.money,
        aliases: written.aliases,
        silent_after_minutes: written.silent_after_minutes,
        is_new: false,
    };
    let saved = documents::put(hub.state(), Some(company.no), &id, &site, expected).await.map_err(not_saved)?;
    hub.sites().changed(company.no).await.map_err(not_saved)?;
    let mut change = Change::of("site.saved", format!("site {id}")).after(&saved.value);
    change.before = before.as_ref().and_then(|b| serde_json::to_value(&b.value).ok());
    audit::note(&hub, &caller, Some(company.no), change).await?;
    let status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    answer(&hub, company, saved, status).await
}

/// Delete a site
///
/// With its terminals. Its events stay. An event that names it makes it anew.
#[utoipa::path(
    delete, path = "/v1/sites/{site}", tag = "sites",
    params(("site" = String, Path, description = "The site's id"), Guarded),
    responses((status = 204, description = "Deleted"), Denied, Missing, Stale)
)]
pub async fn delete_site(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    if_match: IfMatch,
) -> Result<StatusCode> {
    let company = caller.company(Scope::SitesWrite)?;
    caller.reaches_site(&id)?;
    let site = documents::get::<Site>(hub.state(), Some(company.no), &id).await?.ok_or_else(|| unknown(&id))?;
    if_match.check(&etag::of_document(&site))?;
    documents::delete::<Site>(hub.state(), Some(company.no), &id).await?.ok_or_else(|| unknown(&id))?;
    terminals::delete_of_site(&hub, company, &id).await?;
    hub.sites().changed(company.no).await.map_err(not_saved)?;
    let change = Change::of("site.deleted", format!("site {id}")).before(&site.value);
    audit::note(&hub, &caller, Some(company.no), change).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn of_bound(hub: &Hub, company: &Company, bound: &[String], after: &str) -> Result<Vec<Saved<Site>>> {
    let mut found = Vec::new();
    for id in ids_after(bound, Some(after)) {
        found.extend(documents::get::<Site>(hub.state(), Some(company.no), id).await?);
    }
    Ok(found)
}

async fn view(hub: &Hub, company: &Company, site: Saved<Site>) -> Result<SiteView> {
    let last_event_at = hub.sites().last_heard(company.no, &site.id).await?;
    let Saved { id, value, created_at, updated_at, .. } = site;
    Ok(SiteView {
        id,
        store_number: value.store_number,
        name: value.name,
        timezone: value.timezone,
        money: value.money,
        aliases: value.aliases,
        silent_after_minutes: value.silent_after_minutes,
        is_new: value.is_new,
        last_event_at,
        created_at,
        updated_at,
    })
}

async fn answer(hub: &Hub, company: &Company, site: Saved<Site>, status: StatusCode) -> Result<Response> {
    let tag = etag::of_document(&site);
    Ok(etag::answer(status, tag, view(hub, company, site).await?))
}

/// The 404 of a site.
pub fn unknown(id: &str) -> Problem {
    Problem::not_found("site", id)
}

/// Why a document was not saved.
pub fn not_saved(e: SaveError) -> Problem {
    match e {
        SaveError::Store(e) => e.into(),
        SaveError::Unknown | SaveError::Changed(_) => {
            Problem::new(Kind::Changed, "it was changed in between; read it again")
        }
    }
}

fn check(id: &str, written: &SiteWritten) -> Result<()> {
    let mut wrong = Vec::new();
    let mut name = |path: String, value: &str| {
        if !is_id(value) {
            wrong.push(WrongValue::new(path, format!("1 to {MAX_ID} bytes without control characters")));
        }
    };
    name("site".to_owned(), id);
    if let Some(number) = &written.store_number {
        name("store_number".to_owned(), number);
    }
    for (n, alias) in written.aliases.iter().enumerate() {
        name(format!("aliases[{n}]"), alias);
    }
    if written.aliases.len() > MAX_ALIASES {
        wrong.push(WrongValue::new("aliases", format!("at most {MAX_ALIASES}")));
    }
    if written.name.as_ref().is_some_and(|n| n.trim().is_empty() || n.chars().count() > MAX_NAME) {
        wrong.push(WrongValue::new("name", format!("1 to {MAX_NAME} characters")));
    }
    if let Some(zone) = written.timezone.as_ref().filter(|z| !is_zone(z)) {
        wrong.push(WrongValue::new("timezone", format!("\"{zone}\" is no IANA time zone, such as Europe/Vienna")));
    }
    if ![0, 2, 3].contains(&written.money.precision) {
        wrong.push(WrongValue::new("money.precision", "0, 2 or 3"));
    }
    if written.silent_after_minutes.is_some_and(|m| !(1..=MAX_SILENT_MINUTES).contains(&m)) {
        wrong.push(WrongValue::new("silent_after_minutes", format!("1 to {MAX_SILENT_MINUTES}")));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Problem::invalid(wrong)) }
}

/// Whether this is a time zone that is known here.
pub fn is_zone(name: &str) -> bool {
    jiff::tz::TimeZone::get(name).is_ok()
}

/// One name for two sites would send events to the wrong one.
async fn check_names(hub: &Hub, company: &Company, id: &str, written: &SiteWritten) -> Result<()> {
    let directory = hub.sites().directory(company.no, hub.now()).await?;
    let aliases = written.aliases.iter().enumerate().map(|(n, a)| (format!("aliases[{n}]"), a));
    let names = aliases.chain(written.store_number.iter().map(|s| ("store_number".to_owned(), s)));
    let mut wrong = Vec::new();
    for (path, name) in names {
        let other = directory.resolve(name);
        if other != id && (other != name || directory.has(name)) {
            wrong.push(WrongValue::new(path, format!("\"{name}\" is site \"{other}\" already")));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Problem::invalid(wrong)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(id: &str, written: SiteWritten) -> Vec<String> {
        match check(id, &written) {
            Ok(()) => Vec::new(),
            Err(problem) => problem.places().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn what_is_wrong_with_a_site_is_named_with_its_place() {
        assert!(paths("175", SiteWritten::default()).is_empty());
        let most = SiteWritten {
            name: Some("n".repeat(MAX_NAME)),
            aliases: vec!["a".repeat(MAX_ID); MAX_ALIASES],
            timezone: Some("Europe/Vienna".into()),
            silent_after_minutes: Some(MAX_SILENT_MINUTES),
            ..SiteWritten::default()
        };
        assert!(paths("175", most.clone()).is_empty());
        let wrong = SiteWritten {
            name: Some("n".repeat(MAX_NAME + 1)),
            store_number: Some(String::new()),
            aliases: vec!["a".repeat(MAX_ID + 1); MAX_ALIASES + 1],
            timezone: Some("Vienna".into()),
            money: Money { precision: 1, ..Money::default() },
            silent_after_minutes: Some(MAX_SILENT_MINUTES + 1),
        };
        let found = paths("a\nb", wrong);
        for path in [
            "site",
            "store_number",
            "aliases[20]",
            "aliases",
            "name",
            "timezone",
            "money.precision",
            "silent_after_minutes",
        ] {
            assert!(found.iter().any(|p| p == path), "{path} is not among {found:?}");
        }
    }
}
