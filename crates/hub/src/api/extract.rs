//! What handlers take from a request; whatever is wrong with it becomes a [`Problem`].

use std::error::Error;
use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::HeaderMap;
use http::request::Parts;
use serde::de::DeserializeOwned;
use tillstream_model::integration::Wrong;
use tillstream_model::told;
use tillstream_store::state::{Company, CompanyStatus};

use super::body;
use super::credentials::{self, Credentials, unauthenticated};
use crate::Hub;
use crate::access::{Holder, Privilege, Scope, Who};
use crate::problem::{Kind, Problem, Result};

/// By this header an operator's key names the company (its external id).
pub const COMPANY_HEADER: &str = "tillstream-company";

/// Media types of JSON documents.
const JSON_TYPES: [&str; 2] = ["application/json", "application/merge-patch+json"];

/// Sites of nobody: what a person reaches with a call that asks for no scope.
static NOWHERE: [String; 1] = [String::new()];

/// Who asks, and for which company. Taking it answers 401 without a valid key or session.
pub struct Caller {
    holder: Arc<Holder>,
    company: Option<Arc<Company>>,
    /// The scope that the call asked for first: what it is about. People have some scopes for some sites only.
    asked: OnceLock<Scope>,
}

impl Caller {
    /// The company, if the caller holds the scope; 403 naming what is missing when not.
    pub fn company(&self, scope: Scope) -> Result<&Arc<Company>> {
        self.may(scope)?;
        self.some_company()
    }

    /// As [`Caller::company`], for a call that holds the key to its bounds by itself: a scope that a bound key has for
    /// such calls only counts here.
    pub fn company_in_bounds(&self, scope: Scope) -> Result<&Arc<Company>> {
        self.may_in_bounds(scope)?;
        self.some_company()
    }

    fn some_company(&self) -> Result<&Arc<Company>> {
        self.company.as_ref().ok_or_else(|| {
            Problem::new(Kind::CompanyRequired, "an operator's key names the company in the header Tillstream-Company")
        })
    }

    /// Answers 403 unless the caller holds the scope. Each call asks first for the scope that it is about.
    pub fn may(&self, scope: Scope) -> Result<()> {
        self.may_in_bounds(scope)?;
        let bound = match scope {
            Scope::IntegrationsWrite if !self.holder.sites(scope).is_empty() => "sites",
            Scope::EventsPayload if !self.holder.bound.integrations.is_empty() => "integrations",
            _ => return Ok(()),
        };
        Err(Problem::new(Kind::Forbidden, format!("bound to {bound}: {scope} reaches only what is theirs")))
    }

    /// As [`Caller::may`], for a call that holds the key to its bounds by itself.
    pub fn may_in_bounds(&self, scope: Scope) -> Result<()> {
        self.asked.get_or_init(|| scope);
        if self.holder.scopes.has(scope) {
            return Ok(());
        }
        Err(Problem::new(
            Kind::Forbidden,
            match self.holder.who {
                Who::Key => format!("the key lacks the scope {scope}"),
                _ => format!("this needs the privilege {} ({scope})", Privilege::behind(scope)),
            },
        ))
    }

    /// The company that was named or that the caller belongs to; None for an operator who named none.
    pub fn named_company(&self) -> Option<&Arc<Company>> {
        self.company.as_ref()
    }

    /// The only sites that the caller reaches with the scope that the call asked for first; all when empty.
    pub fn bound_sites(&self) -> &[String] {
        match self.asked.get() {
            Some(scope) => self.holder.sites(*scope),
            None if self.holder.who == Who::Person => &NOWHERE,
            None => &self.holder.bound.sites,
        }
    }

    /// Answers 404 for a site that the caller does not reach, as for one that there is not.
    pub fn reaches_site(&self, site: &str) -> Result<()> {
        reached_by(self.bound_sites(), "site", site)
    }

    /// Answers 404 for an integration that the caller does not reach, as for one that there is not.
    pub fn reaches_integration(&self, id: &str) -> Result<()> {
        reached_by(&self.holder.bound.integrations, "integration", id)
    }

    /// The only integrations that the caller reaches; all when empty.
    pub fn bound_integrations(&self) -> &[String] {
        &self.holder.bound.integrations
    }

    /// Whether the key reaches only some sites or integrations.
    pub fn is_bound(&self) -> bool {
        !(self.holder.bound.sites.is_empty() && self.holder.bound.integrations.is_empty())
    }

    /// The key's id, and how many events a second it may send.
    pub fn rate(&self) -> (&str, Option<u32>) {
        (&self.holder.key_id, self.holder.bound.events_per_second)
    }

    /// Whether the caller may see the payload of an event of this site.
    pub fn sees_payload(&self, site: Option<&str>) -> bool {
        self.holder.bound.integrations.is_empty() && self.sees_payload_in_bounds(site)
    }

    /// As [`Caller::sees_payload`], for a call about one integration that holds the caller to it by itself.
    pub fn sees_payload_in_bounds(&self, site: Option<&str>) -> bool {
        let only = self.holder.sites(Scope::EventsPayload);
        let reached = only.is_empty() || site.is_some_and(|site| only.iter().any(|o| o == site));
        self.holder.scopes.has(Scope::EventsPayload) && reached
    }

    /// Who asks.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }
}

fn reached_by(bound: &[String], what: &str, id: &str) -> Result<()> {
    match bound.is_empty() || bound.iter().any(|b| b == id) {
        true => Ok(()),
        false => Err(Problem::not_found(what, id)),
    }
}

impl FromRequestParts<Hub> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Self> {
        let (found, unknown) = match credentials::of(parts)? {
            Credentials::Bearer(key) => {
                (hub.access().holder(key, hub.now()).await?, "the key is unknown, deleted or expired")
            }
            Credentials::Session(token) => {
                (hub.access().person(token, hub.now()).await?, "the session has ended; sign in again")
            }
        };
        let holder = found.ok_or_else(|| unauthenticated(unknown))?;
        let company = reached(hub, &holder, &parts.headers).await?;
        refuse_suspended(&holder, company.as_deref())?;
        Ok(Caller { holder, company, asked: OnceLock::new() })
    }
}

/// Whoever is suspended can do nothing but an operator's work.
fn refuse_suspended(holder: &Holder, company: Option<&Company>) -> Result<()> {
    let works = company.is_none_or(|c| c.rules.status == CompanyStatus::Active);
    if works || holder.scopes.is_operator() {
        return Ok(());
    }
    Err(Problem::new(Kind::Suspended, "the company is suspended; its operator can say why"))
}

/// The company of the request: the key's own, or the one that an operator names. Any other is as unknown as none.
async fn reached(hub: &Hub, holder: &Holder, headers: &HeaderMap) -> Result<Option<Arc<Company>>> {
    let Some(named) = headers.get(COMPANY_HEADER) else { return Ok(holder.company.clone()) };
    let named = String::from_utf8_lossy(named.as_bytes());
    let found = match &holder.company {
        Some(own) => Some(own.clone()).filter(|c| c.external_id == *named),
        None if holder.scopes.is_operator() => hub.access().company(&named, hub.now()).await?,
        None => None,
    };
    found.map(Some).ok_or_else(|| Problem::not_found("company", &named))
}

/// Query parameters; unknown and wrong ones are answered with 400.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Params(params)),
            Err(rejection) => Err(wrong_query(&rejection)),
        }
    }
}

fn wrong_query(rejection: &dyn Error) -> Problem {
    let text = rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string);
    let (path, message) = text.split_once(": ").unwrap_or(("", &text));
    Problem::new(Kind::InvalidQuery, text.clone()).at(path, message)
}

/// A wrong query parameter that only shows when the parameters are looked at together.
pub fn wrong_param(path: &str, message: &str) -> Problem {
    Problem::new(Kind::InvalidQuery, format!("{path}: {message}")).at(path, message)
}

/// Parts of the path.
pub struct Place<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Place<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(place)) => Ok(Place(place)),
            Err(_) => Err(Problem::new(Kind::NotFound, "there is nothing at this path")),
        }
    }
}

/// A JSON body of at most [`body::MAX_DOCUMENT_BYTES`].
pub struct Doc<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Doc<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let (parts, body) = request.into_parts();
        body::expect_type(&parts.headers, &JSON_TYPES)?;
        let bytes = body::document(&parts.headers, body).await?;
        parse(&bytes).map(Doc)
    }
}

/// Like [`Doc`], but an empty body stands for the default, whatever its content type.
pub struct MaybeDoc<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for MaybeDoc<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let bytes = body::document(&parts.headers, body).await?;
        if bytes.is_empty() {
            return Ok(MaybeDoc(T::default()));
        }
        body::expect_type(&parts.headers, &JSON_TYPES)?;
        parse(&bytes).map(MaybeDoc)
    }
}

/// Text that is no JSON is 400; JSON that doesn't fit is 422.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let doc = serde_path_to_error::deserialize(&mut reader).map_err(|e| {
        let path = Some(e.path().to_string()).filter(|p| p != ".").unwrap_or_default();
        match e.inner().classify() {
            serde_json::error::Category::Data => {
                Problem::invalid([Wrong::new(path, told::without_text(&e.inner().to_string()))])
            }
            _ => no_json(e.inner()),
        }
    })?;
    reader.end().map_err(|e| no_json(&e))?;
    Ok(doc)
}

fn no_json(e: &serde_json::Error) -> Problem {
    Problem::new(Kind::InvalidBody, format!("the body is no JSON: {e}"))
}
