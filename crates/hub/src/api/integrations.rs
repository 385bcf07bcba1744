//! `/v1/integrations`: make, read, edit and delete (`contracts/hub-api.md`, "Integrations").

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;
use tillstream_model::Seq;
use tillstream_model::integration::{Settings, SigningSecret};
use tillstream_store::state::{Company, CreateError, Integration, LogEntry, SaveError};

use super::audit::{self, Change};
use super::docs::{Denied, Guarded, Missing, OfIntegration, Stale, Wrong, WrongQuery};
use super::etag::{self, IfMatch};
use super::extract::{Caller, Doc, Params, Place};
use super::integration_view::{IntegrationView, Show, answer, view};
use super::paging::{Listing, Paging, ids_after};
use super::{integration_doc, jobs, schema};
use crate::Hub;
use crate::access::Scope;
use crate::problem::{Kind, Problem, ProblemBody, Result};

/// Most integrations of a company (`contracts/event-stream.md`, "Integration").
pub const MAX_INTEGRATIONS: usize = 1_000;
/// How often an edit starts again because somebody else saved in between.
const SAVE_TRIES: usize = 3;

/// Make an integration
///
/// It runs at once, from the end of the log or from `starts_at`. Only this answer shows the signing key in full.
#[utoipa::path(
    post, path = "/v1/integrations", tag = "integrations",
    request_body = schema::IntegrationWritten,
    responses(
        (status = 201, description = "Made", body = IntegrationView,
            headers(("ETag", description = "Version and status"), ("Location", description = "Its path"))),
        (status = 409, description = "The id is taken", body = ProblemBody, content_type = "application/problem+json"),
        Denied, Wrong
    )
)]
pub async fn create_integration(State(hub): State<Hub>, caller: Caller, Doc(doc): Doc<Value>) -> Result<Response> {
    let company = caller.company(Scope::IntegrationsWrite)?;
    let mut settings = integration_doc::for_creation(doc, hub.now())?;
    integration_doc::check_address(hub.outbound(), &settings).await?;
    if settings.signing.secrets.is_empty() {
        settings.signing.secrets.push(SigningSecret::generate(rand::random()));
    }
    check_quota(&hub, company).await?;
    let cursor = first_position(&hub, company, &settings).await?;
    let entry = entry(&hub, &caller, "created", "");
    let id = settings.id.clone();
    let made = hub.state().create_integration(company.no, settings, cursor, entry).await;
    let made = made.map_err(|e| not_made(e, &id))?;
    hub.deliver().changed(company.no, made.no, &id).await?;
    let change = Change::of("integration.created", object(&id)).after(&*made.settings);
    audit::note(&hub, &caller, Some(company.no), change).await?;
    let mut response = answer(&hub, &made, StatusCode::CREATED, Show::Full).await?;
    if let Ok(path) = HeaderValue::try_from(format!("/v1/integrations/{id}")) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    Ok(response)
}

/// List integrations
///
/// By id.
#[utoipa::path(
    get, path = "/v1/integrations", tag = "integrations",
    params(Paging),
    responses((status = 200, description = "A page", body = Listing<IntegrationView>), Denied, WrongQuery)
)]
pub async fn list_integrations(
    State(hub): State<Hub>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Response> {
    let company = caller.company(Scope::IntegrationsRead)?;
    let limit = paging.limit.get();
    let found = match caller.bound_integrations() {
        [] => hub.state().integrations(company.no, paging.after.as_deref(), limit + 1).await?,
        bound => of_bound(&hub, company, bound, paging.after.as_deref()).await?,
    };
    let page = Listing::of_more(found, &paging, |i| &i.settings.id);
    let head = hub.log().head(company.no).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for integration in &page.items {
        items.push(view(&hub, integration, head, Show::Masked).await?);
    }
    Ok(Json(Listing { items, next: page.next }).into_response())
}

/// Read an integration
#[utoipa::path(
    get, path = "/v1/integrations/{id}", tag = "integrations",
    params(OfIntegration),
    responses(
        (status = 200, description = "The integration", body = IntegrationView,
            headers(("ETag", description = "Version and status"))),
        Denied, Missing
    )
)]
pub async fn read_integration(State(hub): State<Hub>, caller: Caller, Place(id): Place<String>) -> Result<Response> {
    let company = caller.company(Scope::IntegrationsRead)?;
    let integration = find(&hub, &caller, company, &id).await?;
    answer(&hub, &integration, StatusCode::OK, Show::Masked).await
}

/// Edit an integration
///
/// A JSON merge patch (RFC 7396) on the whole document. Takes effect without a stop; masked secrets mean "unchanged".
#[utoipa::path(
    patch, path = "/v1/integrations/{id}", tag = "integrations",
    params(OfIntegration, Guarded),
    request_body(content = Value, content_type = "application/merge-patch+json",
        example = json!({"delivery": {"rate_per_second": 20}})),
    responses(
        (status = 200, description = "As it is now", body = IntegrationView,
            headers(("ETag", description = "Version and status"))),
        Denied, Missing, Stale, Wrong
    )
)]
pub async fn patch_integration(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    if_match: IfMatch,
    Doc(patch): Doc<Value>,
) -> Result<Response> {
    let company = caller.company(Scope::IntegrationsWrite)?;
    let edit = Edit { hub: &hub, caller: &caller, company, id: &id, if_match };
    let saved = edit.save(|i| integration_doc::for_patch(patch.clone(), &i.settings, i.status), None).await?;
    answer(&hub, &saved, StatusCode::OK, Show::Masked).await
}

/// Replace an integration
///
/// With a whole document. Its signing keys stay when the document names none.
#[utoipa::path(
    put, path = "/v1/integrations/{id}", tag = "integrations",
    request_body = schema::IntegrationWritten,
    params(OfIntegration, Guarded),
    responses(
        (status = 200, description = "As it is now", body = IntegrationView,
            headers(("ETag", description = "Version and status"))),
        Denied, Missing, Stale, Wrong
    )
)]
pub async fn replace_integration(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    if_match: IfMatch,
    Doc(doc): Doc<Value>,
) -> Result<Response> {
    let company = caller.company(Scope::IntegrationsWrite)?;
    let edit = Edit { hub: &hub, caller: &caller, company, id: &id, if_match };
    let saved = edit.save(|i| integration_doc::for_replacement(doc.clone(), &i.settings, i.status), None).await?;
    answer(&hub, &saved, StatusCode::OK, Show::Masked).await
}

/// Delete an integration
///
/// With its attempts, rejected events and log. What waits for it is not delivered any more.
#[utoipa::path(
    delete, path = "/v1/integrations/{id}", tag = "integrations",
    params(OfIntegration, Guarded),
    responses((status = 204, description = "Deleted"), Denied, Missing, Stale)
)]
pub async fn delete_integration(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    if_match: IfMatch,
) -> Result<StatusCode> {
    let company = caller.company(Scope::IntegrationsWrite)?;
    let integration = find(&hub, &caller, company, &id).await?;
    if_match.check(&etag::of(&integration))?;
    if !hub.state().delete_integration(company.no, &id).await? {
        return Err(unknown(&id));
    }
    hub.deliver().changed(company.no, integration.no, &id).await?;
    jobs::end_of(&hub, company.no, integration.no).await?;
    let change = Change::of("integration.deleted", object(&id)).before(&*integration.settings);
    audit::note(&hub, &caller, Some(company.no), change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Those of these integrations that there are, by id, after one.
pub async fn of_bound(hub: &Hub, company: &Company, bound: &[String], after: Option<&str>) -> Result<Vec<Integration>> {
    let mut found = Vec::new();
    for id in ids_after(bound, after) {
        found.extend(hub.state().integration(company.no, id).await?);
    }
    Ok(found)
}

/// The company's integration with this id, or 404; that also for one that the caller's key does not reach.
pub async fn find(hub: &Hub, caller: &Caller, company: &Company, id: &str) -> Result<Integration> {
    caller.reaches_integration(id)?;
    hub.state().integration(company.no, id).await?.ok_or_else(|| unknown(id))
}

/// The 404 of an integration.
pub fn unknown(id: &str) -> Problem {
    Problem::not_found("integration", id)
}

/// An integration as the audit names it.
pub fn object(id: &str) -> String {
    format!("integration {id}")
}

/// An entry for an integration's log, by this caller, now.
pub fn entry(hub: &Hub, caller: &Caller, action: &str, reason: &str) -> LogEntry {
    LogEntry { action: action.to_owned(), reason: reason.to_owned(), actor: caller.holder().actor(), at: hub.now() }
}

/// An edit of saved settings.
pub struct Edit<'a> {
    /// The hub.
    pub hub: &'a Hub,
    /// Who edits.
    pub caller: &'a Caller,
    /// Whose integration.
    pub company: &'a Company,
    /// Which one.
    pub id: &'a str,
    /// What the edit was made from, if the request says so.
    pub if_match: IfMatch,
}

impl Edit<'_> {
    /// Makes new settings of the saved ones and saves them as the next version. Starts again when somebody else saved
    /// in between, unless the request names the state it was made from. `reason` goes into the log; None: what changed.
    pub async fn save(
        &self,
        make: impl Fn(&Integration) -> Result<Settings>,
        reason: Option<&str>,
    ) -> Result<Integration> {
        let mut version_now = 0;
        for _ in 0..SAVE_TRIES {
            let saved = find(self.hub, self.caller, self.company, self.id).await?;
            self.if_match.check(&etag::of(&saved))?;
            let settings = make(&saved)?;
            if settings == *saved.settings {
                return Ok(saved);
            }
            integration_doc::check_address(self.hub.outbound(), &settings).await?;
            match self.save_over(&saved, settings, reason).await {
                Err(SaveError::Changed(version)) if !self.if_match.is_given() => version_now = version,
                Err(SaveError::Changed(version)) => return Err(changed(version)),
                Err(SaveError::Unknown) => return Err(unknown(self.id)),
                Err(SaveError::Store(e)) => return Err(e.into()),
                Ok(integration) => {
                    let change = Change::of("integration.edited", object(self.id));
                    let change = change.before(&*saved.settings).after(&*integration.settings);
                    audit::note(self.hub, self.caller, Some(self.company.no), change).await?;
                    return Ok(integration);
                }
            }
        }
        Err(changed(version_now))
    }

    /// The lane takes no events meanwhile, so that the settings take effect at a definite position (`design.md`,
    /// "History").
    async fn save_over(
        &self,
        saved: &Integration,
        settings: Settings,
        reason: Option<&str>,
    ) -> Result<Integration, SaveError> {
        let what = integration_doc::changes(&saved.settings, &settings).join(", ");
        let reason = reason.map_or_else(|| format!("changed: {what}"), str::to_owned);
        let entry = entry(self.hub, self.caller, "edited", &reason);
        let company = self.company.no;
        let held = self.hub.deliver().hold(company, saved.no).await?;
        let now = self.hub.state().save_settings(company, settings, Some(saved.version), held.at, entry).await?;
        self.hub.deliver().changed(company, now.no, self.id).await?;
        Ok(now)
    }
}

async fn first_position(hub: &Hub, company: &Company, settings: &Settings) -> Result<Seq> {
    Ok(match settings.starts_at {
        Some(time) => hub.log().before(company.no, time).await?,
        None => hub.log().head(company.no).await?,
    })
}

async fn check_quota(hub: &Hub, company: &Company) -> Result<()> {
    let most = company.rules.limits.integrations.map_or(MAX_INTEGRATIONS, |n| n as usize);
    let have = hub.state().integrations(company.no, None, most).await?.len();
    if have < most {
        return Ok(());
    }
    Err(Problem::new(Kind::Quota, format!("the company has {have} integrations; at most {most}")))
}

fn not_made(e: CreateError, id: &str) -> Problem {
    match e {
        CreateError::Taken => {
            Problem::new(Kind::Taken, format!("there is an integration \"{id}\" already")).at("id", "is taken")
        }
        CreateError::Store(e) => e.into(),
    }
}

fn changed(version: u32) -> Problem {
    Problem::new(Kind::Changed, format!("version {version} has been saved in between; read it again"))
}
