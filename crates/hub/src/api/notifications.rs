//! `/v1/notifications`: contacts, who are told what happens (`contracts/hub-api.md`, "The rest").

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use tillstream_model::CompanyNo;
use tillstream_model::integration::SigningSecret;
use tillstream_store::state::{Expected, SaveError};

use super::audit::{self, Change};
use super::contact_doc::{ChannelWritten, ContactTest, ContactView, ContactWritten, check, view};
use super::docs::{Denied, Guarded, Missing, Stale, Wrong, WrongQuery};
use super::etag::IfMatch;
use super::extract::{Caller, Doc, Params, Place};
use super::paging::{Listing, Paging};
use crate::Hub;
use crate::access::Scope;
use crate::documents::{self, Saved};
use crate::notify;
use crate::notify::contacts::{Channel, Contact, MAX_CONTACTS};
use crate::problem::{Kind, Problem, Result};

/// List contacts
///
/// By id. An operator who names no company sees the instance's.
#[utoipa::path(
    get, path = "/v1/notifications", tag = "notifications",
    params(Paging),
    responses((status = 200, description = "A page", body = Listing<ContactView>), Denied, WrongQuery)
)]
pub async fn list_contacts(
    State(hub): State<Hub>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<ContactView>>> {
    caller.may(Scope::IntegrationsRead)?;
    let after = paging.after.as_deref().unwrap_or_default();
    let mut found = documents::list::<Contact>(hub.state(), owner(&caller), after, MAX_CONTACTS).await?;
    found.retain(|c| reaches(&caller, &c.value));
    let page = Listing::of_more(found, &paging, |c| &c.id);
    page.try_map(|contact| view(&hub, owner(&caller), contact, false)).await.map(Json)
}

/// Make a contact
///
/// It is told at once when something happens, and then about the same thing at most every 15 minutes, with what happened
/// meanwhile. A webhook gets `{id, company, contact, sent_at, notices: [{name, subject, count, first_at, last_at,
/// newest: [{at, data}]}], left_out}`, signed by Standard Webhooks. The contacts of the instance are told of
/// `storage.low`, those of a company of everything else.
#[utoipa::path(
    post, path = "/v1/notifications", tag = "notifications",
    request_body = ContactWritten,
    responses(
        (status = 201, description = "Made; a webhook's key in full", body = ContactView,
            headers(("ETag", description = "Version"))),
        Denied, Wrong
    )
)]
pub async fn create_contact(
    State(hub): State<Hub>,
    caller: Caller,
    Doc(written): Doc<ContactWritten>,
) -> Result<Response> {
    caller.may(Scope::IntegrationsWrite)?;
    let of = owner(&caller);
    check(&hub, &written)?;
    if documents::list::<Contact>(hub.state(), of, "", MAX_CONTACTS).await?.len() >= MAX_CONTACTS {
        return Err(Problem::new(Kind::Quota, format!("there are {MAX_CONTACTS} contacts already; delete one first")));
    }
    let id = format!("con_{:016x}", rand::random::<u64>());
    save(&hub, &caller, &id, written, None).await
}

/// Read a contact
#[utoipa::path(
    get, path = "/v1/notifications/{id}", tag = "notifications",
    params(("id" = String, Path, description = "The contact's id")),
    responses(
        (status = 200, description = "The contact", body = ContactView, headers(("ETag", description = "Version"))),
        Denied, Missing
    )
)]
pub async fn read_contact(State(hub): State<Hub>, caller: Caller, Place(id): Place<String>) -> Result<Response> {
    caller.may(Scope::IntegrationsRead)?;
    let contact = find(&hub, &caller, &id).await?;
    answer(&hub, owner(&caller), contact, StatusCode::OK, false).await
}

/// Replace a contact
#[utoipa::path(
    put, path = "/v1/notifications/{id}", tag = "notifications",
    request_body = ContactWritten,
    params(("id" = String, Path, description = "The contact's id"), Guarded),
    responses(
        (status = 200, description = "Saved; a new key in full", body = ContactView,
            headers(("ETag", description = "Version"))),
        Denied, Missing, Stale, Wrong
    )
)]
pub async fn replace_contact(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    if_match: IfMatch,
    Doc(written): Doc<ContactWritten>,
) -> Result<Response> {
    caller.may(Scope::IntegrationsWrite)?;
    let before = find(&hub, &caller, &id).await?;
    if_match.check(&tag(&before))?;
    check(&hub, &written)?;
    save(&hub, &caller, &id, written, Some(before)).await
}

/// Delete a contact
///
/// It is told nothing more, also not what was waiting.
#[utoipa::path(
    delete, path = "/v1/notifications/{id}", tag = "notifications",
    params(("id" = String, Path, description = "The contact's id"), Guarded),
    responses((status = 204, description = "Deleted"), Denied, Missing, Stale)
)]
pub async fn delete_contact(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    if_match: IfMatch,
) -> Result<StatusCode> {
    caller.may(Scope::IntegrationsWrite)?;
    let contact = find(&hub, &caller, &id).await?;
    if_match.check(&tag(&contact))?;
    documents::delete::<Contact>(hub.state(), owner(&caller), &id).await?.ok_or_else(|| unknown(&id))?;
    let before = view(&hub, owner(&caller), contact, false).await?;
    let change = Change::of("contact.deleted", object(&id)).before(&before);
    audit::note(&hub, &caller, owner(&caller), change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Test a contact
///
/// Sends a message at once, also to a contact that is not enabled, and says how that went.
#[utoipa::path(
    post, path = "/v1/notifications/{id}/test", tag = "notifications",
    params(("id" = String, Path, description = "The contact's id")),
    responses((status = 200, description = "How it went", body = ContactTest), Denied, Missing)
)]
pub async fn test_contact(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<ContactTest>> {
    caller.may(Scope::IntegrationsWrite)?;
    let contact = find(&hub, &caller, &id).await?;
    audit::note(&hub, &caller, owner(&caller), Change::of("contact.tested", object(&id))).await?;
    let company = caller.named_company().map(AsRef::as_ref);
    let outcome = notify::test(&hub, company, &contact, hub.now()).await;
    Ok(Json(ContactTest { delivered: outcome.failed.is_none(), detail: outcome.failed }))
}

fn owner(caller: &Caller) -> Option<CompanyNo> {
    caller.named_company().map(|c| c.no)
}

fn object(id: &str) -> String {
    format!("contact {id}")
}

fn unknown(id: &str) -> Problem {
    Problem::not_found("contact", id)
}

fn tag(contact: &Saved<Contact>) -> String {
    format!("\"{}\"", contact.version)
}

async fn find(hub: &Hub, caller: &Caller, id: &str) -> Result<Saved<Contact>> {
    let found = documents::get::<Contact>(hub.state(), owner(caller), id).await?;
    found.filter(|c| reaches(caller, &c.value)).ok_or_else(|| unknown(id))
}

/// A key that is bound to integrations reads the contacts that are told of those and of nothing else (bound keys write
/// none); one that is bound to sites reads none, because nobody is told of single sites only.
fn reaches(caller: &Caller, contact: &Contact) -> bool {
    let bound = caller.bound_integrations();
    let within = !contact.integrations.is_empty()
        && contact.integrations.iter().all(|id| bound.contains(id))
        && !contact.on.is_empty()
        && contact.on.iter().all(|name| name.starts_with("integration."));
    caller.bound_sites().is_empty() && (bound.is_empty() || within)
}

async fn save(
    hub: &Hub,
    caller: &Caller,
    id: &str,
    written: ContactWritten,
    before: Option<Saved<Contact>>,
) -> Result<Response> {
    let of = owner(caller);
    let (contact, is_new_key) = contact(hub, of, id, written, before.as_ref()).await?;
    let expected = before.as_ref().map_or(Expected::New, |b| Expected::Version(b.version));
    let saved = documents::put(hub.state(), of, id, &contact, expected).await.map_err(not_saved)?;
    let (action, status) = match &before {
        None => ("contact.created", StatusCode::CREATED),
        Some(_) => ("contact.saved", StatusCode::OK),
    };
    let mut change = Change::of(action, object(id)).after(&view(hub, of, saved.clone(), false).await?);
    if let Some(before) = before {
        change = change.before(&view(hub, of, before, false).await?);
    }
    audit::note(hub, caller, of, change).await?;
    answer(hub, of, saved, status, is_new_key).await
}

/// What is stored, and whether its key is a new one.
async fn contact(
    hub: &Hub,
    of: Option<CompanyNo>,
    id: &str,
    written: ContactWritten,
    before: Option<&Saved<Contact>>,
) -> Result<(Contact, bool)> {
    let ContactWritten { name, channel, on, integrations, enabled } = written;
    let (channel, secret) = match channel {
        ChannelWritten::Email { to } => (Channel::Email { to }, None),
        ChannelWritten::Webhook { url, secret } => {
            (Channel::Webhook { url }, Some(secret.filter(|s| !s.looks_masked())))
        }
    };
    let mut contact = Contact { name, channel, on, integrations, enabled, ..Contact::default() };
    let Some(given) = secret else { return Ok((contact, false)) };
    let kept = before.map(|b| b.value.secrets.clone()).filter(|s| given.is_none() && !s.is_empty());
    if let Some(kept) = kept {
        contact.secrets = kept;
        return Ok((contact, false));
    }
    let secret = given.unwrap_or_else(|| SigningSecret::generate(rand::random()).secret);
    contact.seal(hub.state(), of, id, &secret).await?;
    Ok((contact, true))
}

async fn answer(
    hub: &Hub,
    of: Option<CompanyNo>,
    contact: Saved<Contact>,
    status: StatusCode,
    in_full: bool,
) -> Result<Response> {
    let tag = tag(&contact);
    let mut response = (status, Json(view(hub, of, contact, in_full).await?)).into_response();
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

fn not_saved(e: SaveError) -> Problem {
    match e {
        SaveError::Store(e) => e.into(),
        SaveError::Unknown | SaveError::Changed(_) => {
            Problem::new(Kind::Changed, "it was changed in between; read it again")
        }
    }
}
