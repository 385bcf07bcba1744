//! Sessions of the portal inside somebody's own page (`contracts/hub-api.md`, "Who may do what").

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tillstream_model::Time;
use tillstream_model::incoming::is_id;
use tillstream_model::integration::Wrong as WrongValue;
use tillstream_store::state::{Expected, SaveError};
use utoipa::ToSchema;

use super::audit::{self, Change};
use super::credentials::{Way, unauthenticated};
use super::docs::{Denied, Missing, Wrong};
use super::extract::{Caller, Doc, Place};
use super::users::not_saved;
use crate::Hub;
use crate::access::sessions::PortalSession;
use crate::access::token::{self, Opens};
use crate::access::{Powers, Privilege, Scope, Scopes};
use crate::documents;
use crate::people::{PORTAL_LINK_LIFE, PortalLink};
use crate::problem::{Kind, Problem, Result};

/// Longest session: a day.
pub const MAX_PORTAL_SECONDS: u32 = 24 * 3_600;
/// Shortest session: a minute.
pub const MIN_PORTAL_SECONDS: u32 = 60;
/// A session when nothing is said: an hour.
const DEFAULT_PORTAL_SECONDS: u32 = 3_600;
/// Most integrations that a session is for.
pub const MAX_INTEGRATIONS: usize = 100;
/// The page of the portal that is put into other pages.
const EMBED_PAGE: &str = "embed";

/// A session to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"capabilities": ["tools.view"], "integrations": ["erp-orders"], "expires_in": 3600}))]
pub struct PortalSessionWritten {
    /// What may be done in it; not more than the caller may, and neither `users.manage` nor `all`.
    #[schema(min_items = 1, max_items = 8)]
    pub capabilities: Vec<Privilege>,
    /// Only with these integrations; with all when left out.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub integrations: Vec<String>,
    /// Its length in seconds.
    #[serde(default)]
    #[schema(minimum = 60, maximum = 86_400, default = 3_600)]
    pub expires_in: Option<u32>,
}

/// Where a session begins.
#[derive(Debug, Serialize, ToSchema)]
pub struct PortalSessionMade {
    /// Opens the portal, once, within ten minutes; shown only here.
    #[schema(example = "https://hub.example/embed#token=tsp_…")]
    pub url: String,
    /// When the session ends.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T11:00:00.000Z")]
    pub expires_at: Time,
}

/// A session to begin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PortalSessionBegun {
    /// The token in the URL.
    pub token: String,
}

/// A session that began.
#[derive(Debug, Serialize, ToSchema)]
pub struct PortalToken {
    /// To be sent as `Authorization: Bearer`; shown only here.
    #[schema(example = "tss_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AAAAB")]
    pub token: String,
    /// What may be done in it.
    pub capabilities: Vec<Privilege>,
    /// Only with these integrations; with all when empty.
    pub integrations: Vec<String>,
    /// When it ends.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T11:00:00.000Z")]
    pub expires_at: Time,
}

/// Make a session of the portal
///
/// For somebody who uses the portal inside your own page, without an account here.
#[utoipa::path(
    post, path = "/v1/companies/{id}/portal-sessions", tag = "people",
    request_body = PortalSessionWritten,
    params(("id" = String, Path, description = "The company's external id")),
    responses((status = 201, description = "Made", body = PortalSessionMade), Denied, Missing, Wrong)
)]
pub async fn create_portal_session(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    way: Way,
    Doc(written): Doc<PortalSessionWritten>,
) -> Result<(StatusCode, Json<PortalSessionMade>)> {
    caller.may(Scope::UsersWrite)?;
    let own = caller.named_company().filter(|c| c.external_id == id).cloned();
    let found = match own {
        None if caller.named_company().is_none() => hub.access().company(&id, hub.now()).await?,
        own => own,
    };
    let company = found.ok_or_else(|| Problem::not_found("company", &id))?;
    let seconds = check(&written)?;
    check_grant(&caller, &written)?;
    let now = hub.now();
    let session = PortalSession {
        capabilities: written.capabilities,
        integrations: written.integrations,
        expires_at: now + Duration::from_secs(seconds.into()),
    };
    let expires_at = session.expires_at;
    let (text, link_id) = token::make(Opens::PortalStart, company.no, rand::random());
    let link = PortalLink { expires_at: expires_at.min(now + PORTAL_LINK_LIFE), session };
    documents::put(hub.state(), Some(company.no), &link_id, &link, Expected::New).await.map_err(refused)?;
    let change = Change::of("portal_session.created", format!("company {id}")).after(&link.session);
    audit::note(&hub, &caller, Some(company.no), change).await?;
    Ok((StatusCode::CREATED, Json(PortalSessionMade { url: way.url(EMBED_PAGE, &text), expires_at })))
}

/// Begin a session of the portal
///
/// With the token of its URL, once.
#[utoipa::path(
    post, path = "/v1/sessions/portal", tag = "people", security(()),
    request_body = PortalSessionBegun,
    responses((status = 201, description = "Begun", body = PortalToken), Denied, Wrong)
)]
pub async fn begin_portal_session(
    State(hub): State<Hub>,
    Doc(written): Doc<PortalSessionBegun>,
) -> Result<(StatusCode, Json<PortalToken>)> {
    let over = || unauthenticated("the link is unknown, used or over; ask for another");
    let (of, id) = token::read(Opens::PortalStart, &written.token).ok_or_else(over)?;
    // Whoever removes it has it.
    let link = documents::delete::<PortalLink>(hub.state(), Some(of), &id).await?.ok_or_else(over)?.value;
    if link.expires_at <= hub.now() {
        return Err(over());
    }
    let session = link.session;
    let token = hub.access().begin_portal(of, &session, rand::random()).await.map_err(refused)?;
    let holder = hub.access().holder(&token, hub.now()).await?.ok_or_else(over)?;
    let change = Change::of("portal_session.begun", holder.actor()).after(&session);
    audit::note_by(&hub, holder.actor(), Some(of), change).await?;
    let PortalSession { capabilities, integrations, expires_at } = session;
    Ok((StatusCode::CREATED, Json(PortalToken { token, capabilities, integrations, expires_at })))
}

fn refused(e: SaveError) -> Problem {
    not_saved(e.into())
}

fn check(written: &PortalSessionWritten) -> Result<u32> {
    let mut wrong = Vec::new();
    if !(1..=Privilege::LIST.len()).contains(&written.capabilities.len()) {
        wrong.push(WrongValue::new("capabilities", format!("1 to {} privileges", Privilege::LIST.len())));
    }
    for (n, privilege) in written.capabilities.iter().enumerate() {
        let is_lasting = matches!(privilege, Privilege::UsersManage | Privilege::All);
        let is_empty = !written.integrations.is_empty() && privilege.scopes_of_integrations() == Scopes::default();
        if is_lasting || is_empty {
            let why =
                if is_lasting { "could make what lasts longer than the session" } else { "is for no integration" };
            wrong.push(WrongValue::new(format!("capabilities[{n}]"), format!("{} {why}", privilege.name())));
        }
    }
    if written.integrations.len() > MAX_INTEGRATIONS || written.integrations.iter().any(|id| !is_id(id)) {
        wrong.push(WrongValue::new("integrations", format!("at most {MAX_INTEGRATIONS} ids")));
    }
    let seconds = written.expires_in.unwrap_or(DEFAULT_PORTAL_SECONDS);
    if !(MIN_PORTAL_SECONDS..=MAX_PORTAL_SECONDS).contains(&seconds) {
        wrong.push(WrongValue::new("expires_in", format!("{MIN_PORTAL_SECONDS} to {MAX_PORTAL_SECONDS} seconds")));
    }
    if wrong.is_empty() { Ok(seconds) } else { Err(Problem::invalid(wrong)) }
}

/// Nobody gives what they do not hold.
fn check_grant(caller: &Caller, written: &PortalSessionWritten) -> Result<()> {
    let lacks = |p: &&Privilege| {
        let powers = Powers::within(std::slice::from_ref(*p), &written.integrations);
        !caller.holder().lacks(&powers).is_empty()
    };
    let more: Vec<&str> = written.capabilities.iter().filter(lacks).map(|p| p.name()).collect();
    if more.is_empty() {
        return Ok(());
    }
    Err(Problem::new(Kind::Forbidden, format!("nobody gives what they do not hold: {}", more.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(capabilities: &[Privilege], integrations: usize, expires_in: u32) -> PortalSessionWritten {
        PortalSessionWritten {
            capabilities: capabilities.to_vec(),
            integrations: (0..integrations).map(|n| format!("i{n}")).collect(),
            expires_in: Some(expires_in),
        }
    }

    fn paths(written: &PortalSessionWritten) -> Vec<String> {
        check(written).err().map_or_else(Vec::new, |p| p.places().map(str::to_owned).collect())
    }

    #[test]
    fn a_session_has_an_end_capabilities_and_what_they_are_for() {
        let view = [Privilege::ToolsView];
        assert!(paths(&wish(&view, MAX_INTEGRATIONS, MAX_PORTAL_SECONDS)).is_empty());
        assert!(paths(&wish(&view, 0, MIN_PORTAL_SECONDS)).is_empty());
        assert_eq!(paths(&wish(&[], MAX_INTEGRATIONS + 1, 59)), ["capabilities", "integrations", "expires_in"]);
        assert_eq!(paths(&wish(&view, 0, MAX_PORTAL_SECONDS + 1)), ["expires_in"]);
        let lasting = [Privilege::UsersManage, Privilege::ToolsManage, Privilege::All];
        assert_eq!(paths(&wish(&lasting, 0, 60)), ["capabilities[0]", "capabilities[2]"]);
        assert_eq!(paths(&wish(&[Privilege::SiteServicesView], 1, 60)), ["capabilities[0]"]);
    }
}
