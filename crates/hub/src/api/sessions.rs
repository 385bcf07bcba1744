//! `/v1/sessions` and `/v1/session`: signing in and out, and who one is (`contracts/hub-api.md`, "Who may do what").

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use tillstream_model::integration::{Secret, Wrong as WrongValue};
use tillstream_model::{CompanyNo, Time};
use tillstream_store::state::Company;
use utoipa::ToSchema;

use super::audit::{self, Change};
use super::credentials::{Way, unauthenticated};
use super::docs::{Denied, Guessed, Stale, Wrong};
use super::extract::{Caller, Doc};
use super::passwords::{check_again, check_new, guess, hash, person, set_password};
use super::users::{not_saved, object};
use crate::Hub;
use crate::access::sessions::PortalSession;
use crate::access::token::{self, Opens};
use crate::access::{Grant, Holder, Scope, Who};
use crate::documents::{self, Saved};
use crate::people::{self, Link, User, UserStatus, password};
use crate::problem::{Kind, Problem, Result};

/// Who signs in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@stores.example", "password": "a long passphrase"}))]
pub struct SignIn {
    /// The company's id; may be left out where there is only one.
    #[serde(default)]
    pub company: Option<String>,
    /// The person's e-mail address, in any case.
    #[schema(max_length = 254)]
    pub email: String,
    /// The password.
    #[schema(value_type = String, max_length = 200)]
    pub password: Secret,
}

/// A first or new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkFollowed {
    /// The token of the link.
    pub token: String,
    /// The password to be set.
    #[schema(value_type = String, min_length = 12, max_length = 200)]
    pub password: Secret,
}

/// Another password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password until now.
    #[schema(value_type = String, max_length = 200)]
    pub password: Secret,
    /// The password from now on.
    #[schema(value_type = String, min_length = 12, max_length = 200)]
    pub new_password: Secret,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionView {
    /// `user`, `portal` (a session inside somebody's page) or `key`.
    #[schema(example = "user")]
    pub kind: &'static str,
    /// The id of the person, the portal's session or the key.
    pub id: String,
    /// The company; null for an operator who named none.
    #[schema(required = true)]
    pub company: Option<String>,
    /// A person's e-mail address.
    #[schema(required = true)]
    pub email: Option<String>,
    /// What people call a person.
    #[schema(required = true)]
    pub name: Option<String>,
    /// What may be done, as people are given it; empty for a key.
    pub privileges: Vec<Grant>,
    /// What may be done, as calls ask for it.
    pub scopes: Vec<ScopeHeld>,
    /// Only with these integrations; with all when empty.
    pub integrations: Vec<String>,
    /// When it ends if nothing more is asked.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub expires_at: Option<Time>,
}

/// A scope that somebody has.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScopeHeld {
    /// Its name.
    #[schema(example = "sites:read")]
    pub scope: &'static str,
    /// Only for these sites; for all when empty.
    pub sites: Vec<String>,
}

/// Sign in
///
/// Sets the cookie `tillstream_session`. The session ends after 12 hours without a request, and after 7 days. Ten
/// failures of an address or from a peer within 15 minutes: 429.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "people", security(()),
    request_body = SignIn,
    responses(
        (status = 201, description = "Signed in", body = SessionView, headers(("Set-Cookie", description = "The session"))),
        Denied, Wrong, Guessed
    )
)]
pub async fn sign_in(State(hub): State<Hub>, way: Way, Doc(written): Doc<SignIn>) -> Result<Response> {
    check_shape(&written)?;
    let company = company_of(&hub, written.company.as_deref()).await?;
    let named = company.as_ref().map_or_else(String::new, |c| c.external_id.clone());
    let found = match &company {
        Some(company) => people::by_email(hub.state(), company.no, &written.email).await?,
        None => None,
    };
    let stored = found.as_ref().and_then(|u| u.value.password.clone());
    let is_right = guess(&hub, &way, (&named, &written.email), written.password.reveal(), stored).await?;
    let found = found.filter(|u| is_right && u.value.status == UserStatus::Active);
    let (Some(company), Some(user)) = (company, found) else {
        tracing::info!(company = named, peer = ?way.peer, "somebody could not sign in");
        return Err(unauthenticated("the address or the password is wrong"));
    };
    begin(&hub, &way, company.no, &user, "user.signed_in").await
}

/// Set a password with a link
///
/// The link is used up, every session of the person ends, and a new one begins: sets the cookie `tillstream_session`.
#[utoipa::path(
    post, path = "/v1/sessions/links", tag = "people", security(()),
    request_body = LinkFollowed,
    responses(
        (status = 201, description = "Signed in", body = SessionView, headers(("Set-Cookie", description = "The session"))),
        Denied, Stale, Wrong, Guessed
    )
)]
pub async fn follow_link(State(hub): State<Hub>, way: Way, Doc(written): Doc<LinkFollowed>) -> Result<Response> {
    let over = || unauthenticated("the link is unknown, used or over; ask for another");
    check_new("password", &written.password)?;
    let (of, id) = token::read(Opens::Password, &written.token).ok_or_else(over)?;
    let link = documents::get::<Link>(hub.state(), Some(of), &id).await?.ok_or_else(over)?.value;
    let is_good = |u: &Saved<User>| u.value.status == UserStatus::Active && u.value.generation == link.generation;
    let user = documents::get::<User>(hub.state(), Some(of), &link.user).await?.filter(is_good).ok_or_else(over)?;
    if link.expires_at <= hub.now() {
        return Err(over());
    }
    let hash = hash(&hub, &written.password).await?;
    // Whoever removes it has it.
    documents::delete::<Link>(hub.state(), Some(of), &id).await?.ok_or_else(over)?;
    let user = set_password(&hub, of, user, hash).await?;
    begin(&hub, &way, of, &user, "user.password_set").await
}

/// Change one's password
///
/// Every other session of the person ends; sets the cookie of a new one.
#[utoipa::path(
    put, path = "/v1/session/password", tag = "people",
    request_body = PasswordChange,
    responses(
        (status = 201, description = "Changed", body = SessionView, headers(("Set-Cookie", description = "The session"))),
        Denied, Stale, Wrong, Guessed
    )
)]
pub async fn change_password(
    State(hub): State<Hub>,
    caller: Caller,
    way: Way,
    Doc(written): Doc<PasswordChange>,
) -> Result<Response> {
    let (company, user) = person(&hub, &caller).await?;
    check_new("new_password", &written.new_password)?;
    check_again(&hub, &way, company, &user, written.password.reveal()).await?;
    let hash = hash(&hub, &written.new_password).await?;
    let user = set_password(&hub, company.no, user, hash).await?;
    begin(&hub, &way, company.no, &user, "user.password_set").await
}

/// Show who asks
///
/// The person, or the key, and what they may do.
#[utoipa::path(
    get, path = "/v1/session", tag = "people",
    responses((status = 200, description = "Who asks", body = SessionView), Denied)
)]
pub async fn read_session(State(hub): State<Hub>, caller: Caller) -> Result<Json<SessionView>> {
    Ok(Json(view(&hub, caller.holder(), caller.named_company()).await?))
}

/// Sign out
///
/// The session ends at once.
#[utoipa::path(
    delete, path = "/v1/session", tag = "people",
    responses((status = 204, description = "Ended"), Denied)
)]
pub async fn sign_out(State(hub): State<Hub>, caller: Caller, way: Way) -> Result<Response> {
    let holder = caller.holder();
    if holder.session.is_none() {
        return Err(Problem::new(Kind::Forbidden, "a key has no session; delete it instead"));
    }
    hub.access().end(holder).await?;
    let change = Change::of("session.ended", holder.actor());
    audit::note(&hub, &caller, caller.named_company().map(|c| c.no), change).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, &way.no_cookie());
    Ok(response)
}

/// Begins a session and answers with it.
async fn begin(hub: &Hub, way: &Way, of: CompanyNo, user: &Saved<User>, action: &'static str) -> Result<Response> {
    let now = hub.now();
    let token = hub.access().begin(of, user, rand::random(), now).await.map_err(|e| not_saved(e.into()))?;
    audit::note_by(hub, object(&user.id), Some(of), Change::of(action, object(&user.id))).await?;
    let holder = hub.access().person(&token, now).await?;
    let holder = holder.ok_or_else(|| unauthenticated("the person was changed in this moment; sign in again"))?;
    let view = view(hub, &holder, holder.company.as_ref()).await?;
    let mut response = (StatusCode::CREATED, Json(view)).into_response();
    set_cookie(&mut response, &way.cookie(&token));
    Ok(response)
}

fn set_cookie(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}

async fn view(hub: &Hub, holder: &Holder, company: Option<&Arc<Company>>) -> Result<SessionView> {
    let of = company.map(|c| c.no);
    let (mut email, mut name, mut privileges) = (None, None, Vec::new());
    match (holder.who, &holder.session) {
        (Who::Person, _) => {
            if let Some(user) = documents::get::<User>(hub.state(), of, &holder.key_id).await? {
                (email, name, privileges) = (Some(user.value.email), Some(user.value.name), user.value.privileges);
            }
        }
        (Who::Portal, Some(session)) => {
            let session = documents::get::<PortalSession>(hub.state(), of, session).await?;
            let capabilities = session.map(|s| s.value.capabilities).unwrap_or_default();
            privileges = capabilities.into_iter().map(Grant::whole).collect();
        }
        _ => {}
    }
    let held = |scope: Scope| ScopeHeld { scope: scope.name(), sites: holder.sites(scope).to_vec() };
    Ok(SessionView {
        kind: match holder.who {
            Who::Key => "key",
            Who::Person => "user",
            Who::Portal => "portal",
        },
        id: holder.key_id.clone(),
        company: company.map(|c| c.external_id.clone()),
        email,
        name,
        privileges,
        scopes: holder.scopes.list().map(held).collect(),
        integrations: holder.bound.integrations.clone(),
        expires_at: holder.expires_at,
    })
}

/// The company that somebody signs in to. One that there is not is answered like a wrong password.
async fn company_of(hub: &Hub, named: Option<&str>) -> Result<Option<Arc<Company>>> {
    if let Some(named) = named {
        return Ok(hub.access().company(named, hub.now()).await?);
    }
    let all = hub.state().companies().await?;
    match all.as_slice() {
        [only] => Ok(hub.access().company(&only.external_id, hub.now()).await?),
        _ => Err(Problem::invalid([WrongValue::new("company", "there are several here; say which")])),
    }
}

fn check_shape(written: &SignIn) -> Result<()> {
    let mut wrong = Vec::new();
    if written.email.len() > people::MAX_EMAIL {
        wrong.push(WrongValue::new("email", format!("at most {} bytes", people::MAX_EMAIL)));
    }
    if written.password.reveal().chars().count() > password::MAX_CHARS {
        wrong.push(WrongValue::new("password", format!("at most {} characters", password::MAX_CHARS)));
    }
    if written.company.as_ref().is_some_and(|c| c.len() > super::companies::MAX_ID) {
        wrong.push(WrongValue::new("company", format!("at most {} bytes", super::companies::MAX_ID)));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Problem::invalid(wrong)) }
}
