//! `/v1/keys`: application keys (`contracts/hub-api.md`, "Who may do what").

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tillstream_model::incoming::is_id;
use tillstream_model::integration::Wrong as WrongValue;
use tillstream_model::{CompanyNo, Time};
use tillstream_store::state::{Bound, Key};
use utoipa::ToSchema;

use super::audit::{self, Change};
use super::docs::{Denied, Missing, Wrong, WrongQuery};
use super::extract::{Caller, Doc, Params, Place};
use super::paging::{Listing, Paging};
use crate::Hub;
use crate::access::{NewKey, Scope, Scopes};
use crate::problem::{Kind, Problem, Result};
use crate::rates::MAX_RATE;

/// Most keys of a company.
pub const MAX_KEYS: usize = 1_000;
/// Longest name, in characters.
pub const MAX_NAME: usize = 200;
/// Most sites or integrations that a key is bound to.
pub const MAX_BOUND: usize = 100;
/// Most scopes in one list, repeats counted.
pub const MAX_SCOPES: usize = 32;

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "POS uplink", "scopes": ["events:write"]}))]
pub struct KeyWritten {
    /// What people call it; 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// What it may do: names of scopes, or `all`. Not more than the caller's key may.
    #[schema(min_items = 1, max_items = 32)]
    pub scopes: Vec<String>,
    /// Only for these sites; such a key may hold scopes of events and sites only.
    #[serde(default)]
    #[schema(max_items = 100, example = json!(["175"]))]
    pub sites: Vec<String>,
    /// Only for these integrations; such a key may hold scopes of integrations and deliveries only.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub integrations: Vec<String>,
    /// At most so many events in a second, on all nodes together.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub events_per_second: Option<u32>,
    /// Not valid from then on.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, required = false)]
    pub expires_at: Option<Time>,
}

/// A key as it is listed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyView {
    /// Its id.
    #[schema(example = "key_9f86d081884c7d65")]
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Only for these sites; all when empty.
    pub sites: Vec<String>,
    /// Only for these integrations; all when empty.
    pub integrations: Vec<String>,
    /// At most so many events in a second; null: as many as the company may.
    #[schema(required = true)]
    pub events_per_second: Option<u32>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub created_at: Time,
    /// Not valid from then on.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub expires_at: Option<Time>,
    /// Roughly when it was last used.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub last_used_at: Option<Time>,
}

impl From<Key> for KeyView {
    fn from(k: Key) -> Self {
        KeyView {
            id: k.id,
            name: k.name,
            scopes: k.scopes,
            sites: k.bound.sites,
            integrations: k.bound.integrations,
            events_per_second: k.bound.events_per_second,
            created_at: k.created_at,
            expires_at: k.expires_at,
            last_used_at: k.last_used_at,
        }
    }
}

/// A key that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyMade {
    /// The key itself; shown only here.
    #[schema(example = "tsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")]
    pub key: String,
    /// As it is listed.
    #[serde(flatten)]
    pub listed: KeyView,
}

/// Make a key
///
/// For the company of the caller; with the scope `instance`, which only an operator can give, for the operator.
#[utoipa::path(
    post, path = "/v1/keys", tag = "keys",
    request_body = KeyWritten,
    responses((status = 201, description = "Made", body = KeyMade), Denied, Wrong)
)]
pub async fn create_key(
    State(hub): State<Hub>,
    caller: Caller,
    Doc(doc): Doc<KeyWritten>,
) -> Result<(StatusCode, Json<KeyMade>)> {
    caller.may(Scope::KeysWrite)?;
    let now = hub.now();
    let scopes = check(&doc, now)?;
    check_grant(&caller, scopes)?;
    check_reach(&caller, scopes, &doc)?;
    let company = if scopes.is_operator() { None } else { Some(caller.company(Scope::KeysWrite)?.no) };
    check_quota(&hub, company).await?;
    let bound = Bound { sites: doc.sites, integrations: doc.integrations, events_per_second: doc.events_per_second };
    let new = NewKey { company, name: doc.name, scopes: doc.scopes, bound, expires_at: doc.expires_at };
    let (text, key) = new.make(rand::random(), rand::random(), now);
    hub.state().create_key(key.clone()).await?;
    let listed = KeyView::from(key);
    let change = Change::of("key.created", format!("key {}", listed.id)).after(&listed);
    audit::note(&hub, &caller, company, change).await?;
    Ok((StatusCode::CREATED, Json(KeyMade { key: text, listed })))
}

/// List keys
///
/// Oldest first. An operator who names no company sees the operators' keys.
#[utoipa::path(
    get, path = "/v1/keys", tag = "keys",
    params(Paging),
    responses((status = 200, description = "A page", body = Listing<KeyView>), Denied, WrongQuery)
)]
pub async fn list_keys(
    State(hub): State<Hub>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<KeyView>>> {
    caller.may(Scope::KeysWrite)?;
    let keys = hub.state().keys(company_of(&caller)).await?;
    Ok(Json(Listing::of_all(keys, &paging, |k| &k.id).map(KeyView::from)))
}

/// Delete a key
///
/// It stops working at once.
#[utoipa::path(
    delete, path = "/v1/keys/{id}", tag = "keys",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 204, description = "Deleted"), Denied, Missing)
)]
pub async fn delete_key(State(hub): State<Hub>, caller: Caller, Place(id): Place<String>) -> Result<StatusCode> {
    caller.may(Scope::KeysWrite)?;
    if !hub.state().delete_key(company_of(&caller), &id).await? {
        return Err(Problem::not_found("key", &id));
    }
    hub.access().forget(&id);
    audit::note(&hub, &caller, company_of(&caller), Change::of("key.deleted", format!("key {id}"))).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn company_of(caller: &Caller) -> Option<CompanyNo> {
    caller.named_company().map(|c| c.no)
}

fn check(doc: &KeyWritten, now: Time) -> Result<Scopes> {
    let mut wrong = Vec::new();
    if doc.name.trim().is_empty() || doc.name.chars().count() > MAX_NAME {
        wrong.push(WrongValue::new("name", format!("1 to {MAX_NAME} characters")));
    }
    if !(1..=MAX_SCOPES).contains(&doc.scopes.len()) {
        wrong.push(WrongValue::new("scopes", format!("1 to {MAX_SCOPES} scopes")));
    }
    for (path, bound) in [("sites", &doc.sites), ("integrations", &doc.integrations)] {
        if bound.len() > MAX_BOUND || bound.iter().any(|id| !is_id(id)) {
            wrong.push(WrongValue::new(path, format!("at most {MAX_BOUND} ids")));
        }
    }
    if doc.events_per_second.is_some_and(|n| !(1..=MAX_RATE).contains(&n)) {
        wrong.push(WrongValue::new("events_per_second", format!("1 to {MAX_RATE}")));
    }
    if doc.expires_at.is_some_and(|t| t <= now) {
        wrong.push(WrongValue::new("expires_at", "not in the past"));
    }
    let scopes = Scopes::parse(&doc.scopes).map_err(|e| WrongValue::new(format!("scopes[{}]", e.index), e.to_string()));
    match scopes {
        Ok(scopes) if wrong.is_empty() => Ok(scopes),
        Ok(_) => Err(Problem::invalid(wrong)),
        Err(e) => {
            wrong.push(e);
            Err(Problem::invalid(wrong))
        }
    }
}

/// A key gives only what it holds.
fn check_grant(caller: &Caller, wanted: Scopes) -> Result<()> {
    let missing = caller.holder().scopes.missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.into_iter().map(Scope::name).collect();
    Err(Problem::new(Kind::Forbidden, format!("a key gives only what it holds; it lacks {}", names.join(", "))))
}

/// A bound key holds only scopes whose calls know the bounds, and a bound caller gives no more than it reaches.
fn check_reach(caller: &Caller, scopes: Scopes, doc: &KeyWritten) -> Result<()> {
    use Scope::{
        DeliveriesRead, DeliveriesWrite, EventsPayload, EventsRead, EventsWrite, IntegrationsRead, IntegrationsWrite,
        SitesRead, SitesWrite,
    };
    let of_sites: &[Scope] = &[EventsWrite, EventsRead, EventsPayload, SitesRead, SitesWrite, IntegrationsWrite];
    let of_integrations: &[Scope] = &[IntegrationsRead, DeliveriesRead, DeliveriesWrite, EventsPayload];
    let mut wrong = Vec::new();
    for (path, bound, fitting) in
        [("sites", &doc.sites, of_sites), ("integrations", &doc.integrations, of_integrations)]
    {
        let others: Vec<&str> =
            Scope::LIST.into_iter().filter(|s| scopes.holds(*s) && !fitting.contains(s)).map(Scope::name).collect();
        if !bound.is_empty() && !others.is_empty() {
            wrong.push(WrongValue::new(
                path,
                format!("a key that is bound to {path} may not hold {}", others.join(", ")),
            ));
        }
    }
    let beyond = |reach: &[String], wanted: &[String]| {
        !reach.is_empty() && (wanted.is_empty() || wanted.iter().any(|id| !reach.contains(id)))
    };
    if scopes.list().any(|scope| beyond(caller.holder().sites(scope), &doc.sites)) {
        wrong.push(WrongValue::new("sites", "a key gives only what it reaches"));
    }
    if beyond(caller.bound_integrations(), &doc.integrations) {
        wrong.push(WrongValue::new("integrations", "a key gives only what it reaches"));
    }
    if let (_, Some(most)) = caller.rate()
        && doc.events_per_second.is_none_or(|n| n > most)
    {
        wrong.push(WrongValue::new("events_per_second", format!("a key gives no more than it may: {most}")));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Problem::invalid(wrong)) }
}

async fn check_quota(hub: &Hub, company: Option<CompanyNo>) -> Result<()> {
    let have = hub.state().keys(company).await?.len();
    if have < MAX_KEYS {
        return Ok(());
    }
    Err(Problem::new(Kind::Quota, format!("there are {have} keys; at most {MAX_KEYS}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, scopes: &[&str], expires_at: Option<Time>) -> Result<Scopes> {
        let scopes = scopes.iter().map(|s| (*s).to_owned()).collect();
        let (sites, integrations) = (Vec::new(), Vec::new());
        let events_per_second = None;
        let doc = KeyWritten { name: name.to_owned(), scopes, sites, integrations, events_per_second, expires_at };
        check(&doc, Time::from_millis(10))
    }

    #[test]
    fn a_key_has_a_name_scopes_and_a_future() {
        let longest = "n".repeat(MAX_NAME);
        assert!(written(&longest, &["all"], Some(Time::from_millis(11))).is_ok());
        assert!(written("x", &["all"; MAX_SCOPES], None).is_ok());
        assert!(written("x", &["all"; MAX_SCOPES + 1], None).is_err());
        assert!(written(&format!("{longest}n"), &["all"], None).is_err());
        assert!(written(" ", &["all"], None).is_err());
        assert!(written("x", &[], None).is_err());
        assert!(written("x", &["events"], None).is_err());
        assert!(written("x", &["all"], Some(Time::from_millis(10))).is_err());
    }
}
