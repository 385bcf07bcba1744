//! `/v1/users`: the people of a company (`contracts/hub-api.md`, "Who may do what").

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use tillstream_model::Time;
use tillstream_model::incoming::is_id;
use tillstream_model::integration::Wrong as WrongValue;
use tillstream_store::state::{Company, SaveError};
use utoipa::ToSchema;

use super::audit::{self, Change};
use super::credentials::Way;
use super::docs::{Conflict, Denied, Guarded, Missing, Stale, Wrong, WrongQuery};
use super::etag::IfMatch;
use super::extract::{Caller, Doc, Params, Place};
use super::paging::{Listing, Paging};
use crate::Hub;
use crate::access::sessions::Presence;
use crate::access::{Grant, Powers, Scope, Scopes};
use crate::documents::{self, Saved};
use crate::people::{self, MAX_NAME, NotSaved, User, UserStatus, is_email, is_name};
use crate::problem::{Kind, Problem, Result};

/// Most people of a company.
pub const MAX_USERS: usize = 1_000;
/// Most privileges of somebody, counted with their sites.
pub const MAX_PRIVILEGES: usize = 32;
/// Most sites of one privilege.
pub const MAX_SITES: usize = 100;
/// The page of the portal where a password is set.
const SIGN_IN_PAGE: &str = "sign-in";

/// Somebody to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@stores.example", "name": "Ada", "privileges": [
    {"privilege": "tools.view"}, {"privilege": "site_services.view", "sites": ["175"]}]}))]
pub struct UserWritten {
    /// Their e-mail address; unique in the company, whatever its case.
    #[schema(max_length = 254)]
    pub email: String,
    /// What people call them.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub name: String,
    /// What they may do; not more than the caller.
    #[serde(default)]
    #[schema(max_items = 32)]
    pub privileges: Vec<Grant>,
}

/// What is to change of somebody; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"status": "disabled"}))]
pub struct UserPatch {
    /// Their e-mail address.
    #[schema(max_length = 254)]
    pub email: Option<String>,
    /// What people call them.
    #[schema(max_length = 200)]
    pub name: Option<String>,
    /// What they may do, all of it.
    #[schema(max_items = 32)]
    pub privileges: Option<Vec<Grant>>,
    /// Whether they may sign in.
    pub status: Option<UserStatus>,
}

/// Somebody who signs in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserView {
    /// Their id.
    #[schema(example = "usr_9f86d081884c7d65")]
    pub id: String,
    /// Their e-mail address.
    pub email: String,
    /// What people call them.
    pub name: String,
    /// What they may do.
    pub privileges: Vec<Grant>,
    /// Whether they may sign in.
    pub status: UserStatus,
    /// Whether they have set a password yet.
    pub has_password: bool,
    /// When they signed in last.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub last_signed_in_at: Option<Time>,
    /// When they were made.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub created_at: Time,
    /// When they were last saved.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub updated_at: Time,
}

/// A link with which somebody sets their password, once.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignInLink {
    /// The page to open; shown only here.
    #[schema(example = "https://hub.example/sign-in#token=tsl_…")]
    pub url: String,
    /// The token alone, for `POST /v1/sessions/links`.
    pub token: String,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub expires_at: Time,
}

/// Somebody who was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserMade {
    /// As they are listed.
    #[serde(flatten)]
    pub listed: UserView,
    /// With what they set their password.
    pub link: SignInLink,
}

impl UserView {
    fn new(user: &Saved<User>, last_signed_in_at: Option<Time>) -> Self {
        UserView {
            id: user.id.clone(),
            email: user.value.email.clone(),
            name: user.value.name.clone(),
            privileges: user.value.privileges.clone(),
            status: user.value.status,
            has_password: user.value.password.is_some(),
            last_signed_in_at,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// List people
///
/// By id.
#[utoipa::path(
    get, path = "/v1/users", tag = "people",
    params(Paging),
    responses((status = 200, description = "A page", body = Listing<UserView>), Denied, WrongQuery)
)]
pub async fn list_users(
    State(hub): State<Hub>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<UserView>>> {
    let company = caller.company(Scope::UsersWrite)?;
    let after = paging.after.as_deref().unwrap_or_default();
    let found = documents::list::<User>(hub.state(), Some(company.no), after, paging.limit.get() + 1).await?;
    let page = Listing::of_more(found, &paging, |u| &u.id);
    let mut items = Vec::with_capacity(page.items.len());
    for user in &page.items {
        items.push(view(&hub, company, user).await?);
    }
    Ok(Json(Listing { items, next: page.next }))
}

/// Read somebody
#[utoipa::path(
    get, path = "/v1/users/{id}", tag = "people",
    params(("id" = String, Path, description = "The person's id")),
    responses(
        (status = 200, description = "The person", body = UserView, headers(("ETag", description = "Version"))),
        Denied, Missing
    )
)]
pub async fn read_user(State(hub): State<Hub>, caller: Caller, Place(id): Place<String>) -> Result<Response> {
    let company = caller.company(Scope::UsersWrite)?;
    let user = find(&hub, company, &id).await?;
    answer(&user, &view(&hub, company, &user).await?, StatusCode::OK)
}

/// Make somebody
///
/// They get no password but a link with which they set one, once, within a day.
#[utoipa::path(
    post, path = "/v1/users", tag = "people",
    request_body = UserWritten,
    responses(
        (status = 201, description = "Made", body = UserMade, headers(("ETag", description = "Version"))),
        Denied, Conflict, Wrong
    )
)]
pub async fn create_user(
    State(hub): State<Hub>,
    caller: Caller,
    way: Way,
    Doc(written): Doc<UserWritten>,
) -> Result<Response> {
    let company = caller.company(Scope::UsersWrite)?;
    let user = User::new(written.email, written.name, written.privileges);
    check(&user)?;
    may_govern(&caller, &user)?;
    check_quota(&hub, company).await?;
    let id = people::new_id(rand::random());
    let saved = people::create(hub.state(), company.no, &id, &user, hub.now()).await.map_err(not_saved)?;
    let listed = UserView::new(&saved, None);
    audit::note(&hub, &caller, Some(company.no), Change::of("user.created", object(&id)).after(&listed)).await?;
    let link = link(&hub, company, &saved, &way).await?;
    answer(&saved, &UserMade { listed, link }, StatusCode::CREATED)
}

/// Change somebody
///
/// Takes effect on their sessions at once; who is disabled has none any more. Nobody changes somebody who may do more
/// than they may themselves.
#[utoipa::path(
    patch, path = "/v1/users/{id}", tag = "people",
    request_body(content = UserPatch, content_type = "application/merge-patch+json"),
    params(("id" = String, Path, description = "The person's id"), Guarded),
    responses(
        (status = 200, description = "As they are now", body = UserView, headers(("ETag", description = "Version"))),
        Denied, Missing, Conflict, Stale, Wrong
    )
)]
pub async fn patch_user(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    if_match: IfMatch,
    Doc(patch): Doc<UserPatch>,
) -> Result<Response> {
    let company = caller.company(Scope::UsersWrite)?;
    let known = find(&hub, company, &id).await?;
    if_match.check(&tag(&known))?;
    may_govern(&caller, &known.value)?;
    let user = patched(&known.value, patch);
    check(&user)?;
    may_govern(&caller, &user)?;
    if user == known.value {
        return answer(&known, &view(&hub, company, &known).await?, StatusCode::OK);
    }
    let saved = people::save(hub.state(), company.no, &known, &user, hub.now()).await.map_err(not_saved)?;
    hub.access().person_changed(&id);
    let (before, after) = (view(&hub, company, &known).await?, view(&hub, company, &saved).await?);
    let change = Change::of("user.changed", object(&id)).before(&before).after(&after);
    audit::note(&hub, &caller, Some(company.no), change).await?;
    answer(&saved, &after, StatusCode::OK)
}

/// Delete somebody
///
/// Their sessions end at once.
#[utoipa::path(
    delete, path = "/v1/users/{id}", tag = "people",
    params(("id" = String, Path, description = "The person's id"), Guarded),
    responses((status = 204, description = "Deleted"), Denied, Missing, Stale)
)]
pub async fn delete_user(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    if_match: IfMatch,
) -> Result<StatusCode> {
    let company = caller.company(Scope::UsersWrite)?;
    let known = find(&hub, company, &id).await?;
    if_match.check(&tag(&known))?;
    may_govern(&caller, &known.value)?;
    let before = view(&hub, company, &known).await?;
    people::delete(hub.state(), company.no, &id).await?.ok_or_else(|| unknown(&id))?;
    hub.access().person_changed(&id);
    audit::note(&hub, &caller, Some(company.no), Change::of("user.deleted", object(&id)).before(&before)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a sign-in link
///
/// For somebody new, or who has forgotten their password: with it they set one, once, within a day.
#[utoipa::path(
    post, path = "/v1/users/{id}/links", tag = "people",
    params(("id" = String, Path, description = "The person's id")),
    responses((status = 201, description = "Made", body = SignInLink), Denied, Missing)
)]
pub async fn create_link(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    way: Way,
) -> Result<(StatusCode, Json<SignInLink>)> {
    let company = caller.company(Scope::UsersWrite)?;
    let user = find(&hub, company, &id).await?;
    // Whoever has the link becomes that person.
    may_govern(&caller, &user.value)?;
    let link = link(&hub, company, &user, &way).await?;
    audit::note(&hub, &caller, Some(company.no), Change::of("user.link_created", object(&id))).await?;
    Ok((StatusCode::CREATED, Json(link)))
}

/// A person as the audit names them.
pub fn object(id: &str) -> String {
    format!("user {id}")
}

/// Why a person was not saved, as the caller reads it.
pub fn not_saved(e: NotSaved) -> Problem {
    match e {
        NotSaved::Taken(_) => Problem::new(Kind::Taken, e.to_string()).at("email", "is taken"),
        NotSaved::Save(SaveError::Store(e)) => e.into(),
        NotSaved::Save(_) => Problem::new(Kind::Changed, "it was changed in between; read it again"),
    }
}

/// Nobody gives what they do not hold, nor takes the place of somebody who holds more.
pub fn may_govern(caller: &Caller, user: &User) -> Result<()> {
    let lacks = |grant: &&Grant| !caller.holder().lacks(&Powers::of(std::slice::from_ref(grant))).is_empty();
    let more: Vec<&str> = user.privileges.iter().filter(lacks).map(|g| g.privilege.name()).collect();
    if more.is_empty() {
        return Ok(());
    }
    Err(Problem::new(Kind::Forbidden, format!("nobody gives or governs what they do not hold: {}", more.join(", "))))
}

async fn find(hub: &Hub, company: &Company, id: &str) -> Result<Saved<User>> {
    documents::get::<User>(hub.state(), Some(company.no), id).await?.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Problem {
    Problem::not_found("user", id)
}

async fn view(hub: &Hub, company: &Company, user: &Saved<User>) -> Result<UserView> {
    let presence = documents::get::<Presence>(hub.state(), Some(company.no), &user.id).await?;
    Ok(UserView::new(user, presence.map(|p| p.value.signed_in_at)))
}

async fn link(hub: &Hub, company: &Company, user: &Saved<User>, way: &Way) -> Result<SignInLink> {
    let made = people::make_link(hub.state(), company.no, user, rand::random(), hub.now()).await;
    let (token, expires_at) = made.map_err(|e| not_saved(e.into()))?;
    Ok(SignInLink { url: way.url(SIGN_IN_PAGE, &token), token, expires_at })
}

fn answer(user: &Saved<User>, body: &impl Serialize, status: StatusCode) -> Result<Response> {
    let mut response = (status, Json(body)).into_response();
    if let Ok(tag) = HeaderValue::try_from(tag(user)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

fn tag(user: &Saved<User>) -> String {
    format!("\"{}\"", user.version)
}

/// Who is disabled loses their sessions and links for good, not only until they are enabled again.
fn patched(known: &User, patch: UserPatch) -> User {
    let status = patch.status.unwrap_or(known.status);
    let ends = status == UserStatus::Disabled && known.status == UserStatus::Active;
    User {
        email: patch.email.unwrap_or_else(|| known.email.clone()),
        name: patch.name.unwrap_or_else(|| known.name.clone()),
        privileges: patch.privileges.unwrap_or_else(|| known.privileges.clone()),
        status,
        password: known.password.clone(),
        generation: known.generation + u32::from(ends),
    }
}

fn check(user: &User) -> Result<()> {
    let mut wrong = Vec::new();
    if !is_email(&user.email) {
        wrong.push(WrongValue::new("email", "an e-mail address of at most 254 bytes"));
    }
    if !is_name(&user.name) {
        wrong.push(WrongValue::new("name", format!("at most {MAX_NAME} characters")));
    }
    if user.privileges.len() > MAX_PRIVILEGES {
        wrong.push(WrongValue::new("privileges", format!("at most {MAX_PRIVILEGES}")));
    }
    for (n, grant) in user.privileges.iter().enumerate() {
        let path = format!("privileges[{n}].sites");
        if grant.sites.len() > MAX_SITES || grant.sites.iter().any(|id| !is_id(id)) {
            wrong.push(WrongValue::new(path, format!("at most {MAX_SITES} ids")));
        } else if !grant.sites.is_empty() && grant.privilege.scopes_of_sites() == Scopes::default() {
            wrong.push(WrongValue::new(path, format!("{} is always for the whole company", grant.privilege.name())));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Problem::invalid(wrong)) }
}

async fn check_quota(hub: &Hub, company: &Company) -> Result<()> {
    let have = documents::list::<User>(hub.state(), Some(company.no), "", MAX_USERS).await?.len();
    if have < MAX_USERS {
        return Ok(());
    }
    Err(Problem::new(Kind::Quota, format!("the company has {have} people; at most {MAX_USERS}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Privilege;

    fn somebody(privileges: Vec<Grant>) -> User {
        User::new("ada@stores.example".into(), "Ada".into(), privileges)
    }

    fn paths(user: &User) -> Vec<String> {
        check(user).err().map_or_else(Vec::new, |p| p.places().map(str::to_owned).collect())
    }

    #[test]
    fn what_is_wrong_with_somebody_is_named_with_its_place() {
        let sites = |n: usize| (0..n).map(|n| n.to_string()).collect();
        let grant = |privilege, n| Grant { privilege, sites: sites(n) };
        let most = vec![grant(Privilege::ToolsView, MAX_SITES); MAX_PRIVILEGES];
        assert!(paths(&User { name: "n".repeat(MAX_NAME), ..somebody(most.clone()) }).is_empty());
        let wrong = User {
            email: "ada".into(),
            name: "n".repeat(MAX_NAME + 1),
            ..somebody(vec![grant(Privilege::UsersManage, 1), grant(Privilege::ToolsView, MAX_SITES + 1)])
        };
        assert_eq!(paths(&wrong), ["email", "name", "privileges[0].sites", "privileges[1].sites"]);
        let many = [most, vec![Grant::whole(Privilege::ToolsView)]].concat();
        assert_eq!(paths(&somebody(many)), ["privileges"]);
    }

    #[test]
    fn who_is_disabled_loses_their_sessions_for_good() {
        let known = somebody(Vec::new());
        let to = |known: &User, status| patched(known, UserPatch { status: Some(status), ..UserPatch::default() });
        let disabled = to(&known, UserStatus::Disabled);
        assert_eq!((disabled.generation, to(&disabled, UserStatus::Disabled).generation), (1, 1));
        assert_eq!(to(&disabled, UserStatus::Active).generation, 1);
        assert_eq!(patched(&known, UserPatch::default()), known);
    }
}
