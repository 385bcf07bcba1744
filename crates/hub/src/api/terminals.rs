//! `/v1/sites/{site}/terminals` (`contracts/hub-api.md`, "The rest").

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tillstream_model::Time;
use tillstream_model::incoming::{MAX_ID, is_id};
use tillstream_model::integration::Wrong as WrongValue;
use tillstream_store::state::{Company, Expected};
use utoipa::ToSchema;

use super::audit::{self, Change};
use super::docs::{Denied, Guarded, Missing, Stale, Wrong, WrongQuery};
use super::etag::{self, IfMatch};
use super::extract::{Caller, Doc, Params, Place};
use super::paging::{Listing, Paging};
use super::sites::{self, MAX_NAME, not_saved};
use crate::Hub;
use crate::access::Scope;
use crate::documents::{self, Saved};
use crate::problem::{Kind, Problem, Result};
use crate::terminals::{Heard, MAX_TERMINALS, Terminal, id_of};

/// A terminal to be saved; what is left out takes its default.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"number": "2", "name": "Drive-through"}))]
pub struct TerminalWritten {
    /// Its number within the site; events may name it so.
    #[schema(max_length = 256)]
    pub number: Option<String>,
    /// What people call it.
    #[schema(max_length = 200)]
    pub name: Option<String>,
}

/// A till, kiosk or other device of a site.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Terminal)]
pub struct TerminalView {
    /// As events name it.
    #[schema(example = "till-2")]
    pub id: String,
    /// Its number within the site.
    #[schema(required = true, example = "2")]
    pub number: Option<String>,
    /// What people call it.
    #[schema(required = true)]
    pub name: Option<String>,
    /// The trading day that its newest event names.
    #[schema(required = true, format = Date)]
    pub business_date: Option<String>,
    /// Nobody has made it: an event named it. Saving it says that it is right.
    pub is_new: bool,
    /// When its last event was accepted, to about a minute on other nodes.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub last_event_at: Option<Time>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub created_at: Time,
    /// When it was last saved.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub updated_at: Time,
}

/// List a site's terminals
///
/// By id.
#[utoipa::path(
    get, path = "/v1/sites/{site}/terminals", tag = "sites",
    params(("site" = String, Path, description = "The site's id"), Paging),
    responses((status = 200, description = "A page", body = Listing<TerminalView>), Denied, Missing, WrongQuery)
)]
pub async fn list_terminals(
    State(hub): State<Hub>,
    caller: Caller,
    Place(site): Place<String>,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<TerminalView>>> {
    let company = caller.company(Scope::SitesRead)?;
    find_site(&hub, &caller, company, &site).await?;
    let (start, after) = (id_of(&site, ""), paging.after.as_deref().unwrap_or_default());
    let after = id_of(&site, after);
    let found = documents::list::<Terminal>(hub.state(), Some(company.no), &after, paging.limit.get() + 1).await?;
    let own = found.into_iter().map_while(|t| Some(Saved { id: t.id.strip_prefix(&start)?.to_owned(), ..t }));
    let page = Listing::of_more(own, &paging, |t| &t.id);
    page.try_map(|terminal| view(&hub, company, &site, terminal)).await.map(Json)
}

/// Read a terminal
#[utoipa::path(
    get, path = "/v1/sites/{site}/terminals/{terminal}", tag = "sites",
    params(("site" = String, Path, description = "The site's id"), ("terminal" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "The terminal", body = TerminalView, headers(("ETag", description = "Version"))),
        Denied, Missing
    )
)]
pub async fn read_terminal(
    State(hub): State<Hub>,
    caller: Caller,
    Place((site, id)): Place<(String, String)>,
) -> Result<Response> {
    let company = caller.company(Scope::SitesRead)?;
    find_site(&hub, &caller, company, &site).await?;
    let terminal = find(&hub, company, &site, &id).await?.ok_or_else(|| unknown(&id))?;
    answer(&hub, company, &site, terminal, StatusCode::OK).await
}

/// Save a terminal
///
/// Makes it, or replaces what is known of it. A number that another terminal of the site has is refused.
#[utoipa::path(
    put, path = "/v1/sites/{site}/terminals/{terminal}", tag = "sites",
    request_body = TerminalWritten,
    params(
        ("site" = String, Path, description = "The site's id"),
        ("terminal" = String, Path, description = "Its id, as events name it"),
        Guarded
    ),
    responses(
        (status = 200, description = "As it is now", body = TerminalView, headers(("ETag", description = "Version"))),
        (status = 201, description = "Made", body = TerminalView, headers(("ETag", description = "Version"))),
        Denied, Missing, Stale, Wrong
    )
)]
pub async fn save_terminal(
    State(hub): State<Hub>,
    caller: Caller,
    Place((site, id)): Place<(String, String)>,
    if_match: IfMatch,
    Doc(written): Doc<TerminalWritten>,
) -> Result<Response> {
    let company = caller.company(Scope::SitesWrite)?;
    find_site(&hub, &caller, company, &site).await?;
    check(&id, &written)?;
    let before = find(&hub, company, &site, &id).await?;
    if_match.check(&before.as_ref().map_or_else(String::new, etag::of_document))?;
    check_place(&hub, company, (&site, &id), &written, before.is_none()).await?;
    let expected = before.as_ref().map_or(Expected::New, |b| Expected::Version(b.version));
    let terminal = Terminal { number: written.number, name: written.name, is_new: false };
    let saved = documents::put(hub.state(), Some(company.no), &id_of(&site, &id), &terminal, expected).await;
    let saved = Saved { id: id.clone(), ..saved.map_err(not_saved)? };
    hub.sites().changed(company.no).await.map_err(not_saved)?;
    let mut change = Change::of("terminal.saved", object(&site, &id)).after(&saved.value);
    change.before = before.as_ref().and_then(|b| serde_json::to_value(&b.value).ok());
    audit::note(&hub, &caller, Some(company.no), change).await?;
    let status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    answer(&hub, company, &site, saved, status).await
}

/// Delete a terminal
///
/// Its events stay. An event that names it makes it anew.
#[utoipa::path(
    delete, path = "/v1/sites/{site}/terminals/{terminal}", tag = "sites",
    params(
        ("site" = String, Path, description = "The site's id"),
        ("terminal" = String, Path, description = "Its id"),
        Guarded
    ),
    responses((status = 204, description = "Deleted"), Denied, Missing, Stale)
)]
pub async fn delete_terminal(
    State(hub): State<Hub>,
    caller: Caller,
    Place((site, id)): Place<(String, String)>,
    if_match: IfMatch,
) -> Result<StatusCode> {
    let company = caller.company(Scope::SitesWrite)?;
    find_site(&hub, &caller, company, &site).await?;
    let terminal = find(&hub, company, &site, &id).await?.ok_or_else(|| unknown(&id))?;
    if_match.check(&etag::of_document(&terminal))?;
    remove(&hub, company, &id_of(&site, &id)).await?;
    hub.sites().changed(company.no).await.map_err(not_saved)?;
    let change = Change::of("terminal.deleted", object(&site, &id)).before(&terminal.value);
    audit::note(&hub, &caller, Some(company.no), change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes all terminals of a site that is deleted.
pub async fn delete_of_site(hub: &Hub, company: &Company, site: &str) -> Result<()> {
    let start = id_of(site, "");
    loop {
        let found = documents::list::<Terminal>(hub.state(), Some(company.no), &start, MAX_TERMINALS).await?;
        let own: Vec<_> = found.into_iter().take_while(|t| t.id.starts_with(&start)).collect();
        if own.is_empty() {
            return Ok(());
        }
        for terminal in own {
            remove(hub, company, &terminal.id).await?;
        }
    }
}

async fn remove(hub: &Hub, company: &Company, id: &str) -> Result<()> {
    documents::delete::<Heard>(hub.state(), Some(company.no), id).await?;
    documents::delete::<Terminal>(hub.state(), Some(company.no), id).await?;
    Ok(())
}

async fn find_site(hub: &Hub, caller: &Caller, company: &Company, site: &str) -> Result<()> {
    caller.reaches_site(site)?;
    let known = hub.sites().look_again(company.no, hub.now()).await?.has(site);
    if known { Ok(()) } else { Err(sites::unknown(site)) }
}

async fn find(hub: &Hub, company: &Company, site: &str, id: &str) -> Result<Option<Saved<Terminal>>> {
    let found = documents::get::<Terminal>(hub.state(), Some(company.no), &id_of(site, id)).await?;
    Ok(found.map(|t| Saved { id: id.to_owned(), ..t }))
}

async fn view(hub: &Hub, company: &Company, site: &str, terminal: Saved<Terminal>) -> Result<TerminalView> {
    let heard = hub.terminals().last_heard(company.no, site, &terminal.id).await?;
    let Saved { id, value, created_at, updated_at, .. } = terminal;
    Ok(TerminalView {
        id,
        number: value.number,
        name: value.name,
        business_date: heard.as_ref().and_then(|h| h.business_date.clone()),
        is_new: value.is_new,
        last_event_at: heard.map(|h| h.at),
        created_at,
        updated_at,
    })
}

async fn answer(
    hub: &Hub,
    company: &Company,
    site: &str,
    terminal: Saved<Terminal>,
    status: StatusCode,
) -> Result<Response> {
    let tag = etag::of_document(&terminal);
    Ok(etag::answer(status, tag, view(hub, company, site, terminal).await?))
}

fn unknown(id: &str) -> Problem {
    Problem::not_found("terminal", id)
}

fn object(site: &str, id: &str) -> String {
    format!("terminal {id} of site {site}")
}

fn check(id: &str, written: &TerminalWritten) -> Result<()> {
    let mut wrong = Vec::new();
    for (path, value) in [("terminal", Some(id)), ("number", written.number.as_deref())] {
        if value.is_some_and(|v| !is_id(v)) {
            wrong.push(WrongValue::new(path, format!("1 to {MAX_ID} bytes without control characters")));
        }
    }
    if written.name.as_ref().is_some_and(|n| n.trim().is_empty() || n.chars().count() > MAX_NAME) {
        wrong.push(WrongValue::new("name", format!("1 to {MAX_NAME} characters")));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Problem::invalid(wrong)) }
}

/// One number for two terminals would send events to the wrong one; and a site has so many.
async fn check_place(
    hub: &Hub,
    company: &Company,
    (site, id): (&str, &str),
    written: &TerminalWritten,
    is_new: bool,
) -> Result<()> {
    let directory = hub.sites().look_again(company.no, hub.now()).await?;
    let terminals = directory.terminals();
    if is_new && terminals.count(site) >= MAX_TERMINALS {
        return Err(Problem::new(Kind::Quota, format!("the site has {MAX_TERMINALS} terminals, and may have no more")));
    }
    let Some(number) = &written.number else { return Ok(()) };
    let other = terminals.resolve(site, number);
    if other != id && (other != number || terminals.has(site, number)) {
        let message = format!("\"{number}\" is terminal \"{other}\" already");
        return Err(Problem::invalid([WrongValue::new("number", message)]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_terminal_is_named_with_its_place() {
        let most = TerminalWritten { number: Some("n".repeat(MAX_ID)), name: Some("n".repeat(MAX_NAME)) };
        assert!(check(&"t".repeat(MAX_ID), &most).is_ok());
        let wrong = TerminalWritten { number: Some("n".repeat(MAX_ID + 1)), name: Some("n".repeat(MAX_NAME + 1)) };
        let problem = check("a\nb", &wrong).unwrap_err();
        assert_eq!(problem.places().collect::<Vec<_>>(), ["terminal", "number", "name"]);
    }
}
