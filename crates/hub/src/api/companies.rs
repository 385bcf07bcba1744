//! `/v1/companies`: the outermost walls, and what their operator sets (`contracts/hub-api.md`, "Who may do what").

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tillstream_model::integration::Wrong as WrongValue;
use tillstream_model::path::Path;
use tillstream_store::Retention;
use tillstream_store::state::{Company, CompanyStatus, CreateError, Rules, UnknownSites};
use utoipa::ToSchema;

use super::audit::{self, Change};
use super::company_deletion::{self, DeletionView};
use super::company_limits::LimitsView;
use super::docs::{Denied, Leaving, Missing, Wrong, WrongQuery};
use super::extract::{Caller, Doc, Params, Place};
use super::paging::{Listing, Paging};
use super::schema;
use super::sites::is_zone;
use crate::Hub;
use crate::access::Scope;
use crate::problem::{Problem, Result};

/// Longest external id, in bytes.
pub const MAX_ID: usize = 64;
/// Longest name, in characters.
pub const MAX_NAME: usize = 200;
/// Most paths that are removed before the log.
pub const MAX_DROPPED: usize = 100;
/// Longest wait that a company may call usual, in seconds: 30 days.
pub const MAX_LAGGING_AFTER: u32 = 30 * 24 * 3_600;

/// A company.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Company)]
pub struct CompanyView {
    /// The id people and other systems know.
    #[schema(example = "acme")]
    pub id: String,
    /// What people call it.
    pub name: String,
    /// How long its events are kept.
    #[schema(example = 30)]
    pub retention_days: i64,
    /// `active`, or `suspended`: then it sends and receives nothing, and everything is kept. An operator also sees those
    /// that are `deleting`.
    #[schema(value_type = String, example = "active")]
    pub status: CompanyStatus,
    /// The IANA time zone of its days.
    #[schema(example = "UTC")]
    pub timezone: String,
    /// How much it may use.
    pub limits: LimitsView,
    /// What is done with events of sites that nobody has made: they are accepted, and the site is flagged as new, or
    /// they are held until a person releases them.
    #[schema(value_type = schema::UnknownSites)]
    pub unknown_sites: UnknownSites,
    /// An integration whose oldest event has waited so long is told of as lagging; null: as the instance says.
    #[schema(required = true)]
    pub lagging_after_seconds: Option<u32>,
    /// Paths inside `data` that are removed before the log.
    pub ingest_drop: Vec<String>,
    /// What it uses now; missing for a key that is bound to sites or integrations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageView>,
    /// How far its deletion is; only while it is being deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion: Option<DeletionView>,
}

/// What a company uses now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CompanyUsage)]
pub struct UsageView {
    /// Bytes of its events in the log, as they count for `limits.stored_bytes`.
    #[schema(example = 120_000_000)]
    pub stored_bytes: u64,
}

/// A company to be saved; what is left out takes its default.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Acme Stores", "retention_days": 30, "timezone": "Europe/Vienna"}))]
pub struct CompanyWritten {
    /// What people call it.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// How long events are kept that are accepted from now on: 7, 30, 90 or 400 days.
    #[serde(default)]
    #[schema(example = 30)]
    pub retention_days: Option<i64>,
    /// The IANA time zone of its days; UTC when left out.
    #[serde(default)]
    pub timezone: Option<String>,
    /// How much it may use.
    #[serde(default)]
    pub limits: LimitsView,
    /// What is done with events of sites that nobody has made; `accept` when left out.
    #[serde(default)]
    #[schema(value_type = schema::UnknownSites, required = false)]
    pub unknown_sites: UnknownSites,
    /// An integration whose oldest event has waited so long is told of as lagging; as the instance says when left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 2_592_000, example = 900)]
    pub lagging_after_seconds: Option<u32>,
    /// Paths inside `data` that are removed before the log; card data when left out.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub ingest_drop: Option<Vec<String>>,
}

impl From<&Company> for CompanyView {
    fn from(c: &Company) -> Self {
        let timezone = Some(c.rules.timezone.as_str()).filter(|z| !z.is_empty()).unwrap_or("UTC");
        CompanyView {
            id: c.external_id.clone(),
            name: c.name.clone(),
            retention_days: c.retention.days(),
            status: c.rules.status,
            timezone: timezone.to_owned(),
            limits: c.rules.limits.into(),
            unknown_sites: c.rules.unknown_sites,
            lagging_after_seconds: c.rules.lagging_after_seconds,
            ingest_drop: c.ingest_drop.clone(),
            usage: None,
            deletion: None,
        }
    }
}

/// List companies
///
/// An application's key sees its own, an operator's all.
#[utoipa::path(
    get, path = "/v1/companies", tag = "companies",
    params(Paging),
    responses((status = 200, description = "A page", body = Listing<CompanyView>), Denied, WrongQuery)
)]
pub async fn list_companies(
    State(hub): State<Hub>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<CompanyView>>> {
    let mut all: Vec<Company> = match caller.named_company() {
        Some(own) => vec![(**own).clone()],
        None if caller.holder().scopes.is_operator() => {
            let leaving = hub.state().leaving().await?.into_iter().map(|l| l.company);
            hub.state().companies().await?.into_iter().chain(leaving).collect()
        }
        None => Vec::new(),
    };
    all.sort_by(|a, b| a.external_id.cmp(&b.external_id));
    all.retain(|c| paging.after.as_ref().is_none_or(|after| *after < c.external_id));
    let page = Listing::of_more(all, &paging, |c| &c.external_id);
    let mut items = Vec::with_capacity(page.items.len());
    for company in &page.items {
        items.push(shown(&hub, &caller, company).await?);
    }
    Ok(Json(Listing { items, next: page.next }))
}

/// Read a company
///
/// An application's key reads its own, an operator's any.
#[utoipa::path(
    get, path = "/v1/companies/{id}", tag = "companies",
    params(("id" = String, Path, description = "The company's external id")),
    responses((status = 200, description = "The company", body = CompanyView), Denied, Missing)
)]
pub async fn read_company(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<CompanyView>> {
    let company = match company_deletion::leaving(&hub, &id).await? {
        Some(leaving) if is_operators(&caller) => leaving.company,
        _ => reached(&hub, &caller, &id).await?,
    };
    Ok(Json(shown(&hub, &caller, &company).await?))
}

/// The company with this external id, or 404; that also for one that the caller does not reach.
pub async fn reached(hub: &Hub, caller: &Caller, id: &str) -> Result<Company> {
    let own = caller.named_company().filter(|c| c.external_id == id);
    let found = match own {
        Some(own) => Some((**own).clone()),
        None if is_operators(caller) => find(hub, id).await?,
        None => None,
    };
    found.ok_or_else(|| unknown(id))
}

/// Whether an operator asks, for no company.
fn is_operators(caller: &Caller) -> bool {
    caller.holder().scopes.is_operator() && caller.named_company().is_none()
}

/// A company as this caller sees it.
pub async fn shown(hub: &Hub, caller: &Caller, company: &Company) -> Result<CompanyView> {
    if company.rules.status == CompanyStatus::Deleting {
        let deletion = match company_deletion::leaving(hub, &company.external_id).await? {
            Some(leaving) => Some(company_deletion::progress(hub, leaving).await?),
            None => None,
        };
        return Ok(CompanyView { deletion, ..CompanyView::from(company) });
    }
    let usage = match caller.is_bound() {
        true => None,
        false => Some(UsageView { stored_bytes: hub.usage().stored_bytes(company.no, hub.now()).await? }),
    };
    Ok(CompanyView { usage, ..CompanyView::from(company) })
}

/// Save a company
///
/// Makes it, or replaces what its operator set; repeating it changes nothing. Needs the scope `instance`.
#[utoipa::path(
    put, path = "/v1/companies/{id}", tag = "companies",
    request_body = CompanyWritten,
    params(("id" = String, Path, description = "The company's external id: letters, digits, `_`, `-` and `.`")),
    responses(
        (status = 200, description = "As it is now", body = CompanyView),
        (status = 201, description = "Made", body = CompanyView),
        Denied, Wrong, Leaving
    )
)]
pub async fn save_company(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    Doc(written): Doc<CompanyWritten>,
) -> Result<Response> {
    caller.may(Scope::Instance)?;
    let retention = check(&id, &written)?;
    let dropped = written.ingest_drop.clone().unwrap_or_else(never_stored);
    let (before, company) = match find(&hub, &id).await? {
        Some(known) => (Some(known.clone()), known),
        None => (None, make(&hub, &id, &written.name, retention, &dropped).await?),
    };
    let rules = Rules {
        status: company.rules.status,
        limits: written.limits.into(),
        unknown_sites: written.unknown_sites,
        timezone: written.timezone.unwrap_or_default(),
        lagging_after_seconds: written.lagging_after_seconds,
    };
    let company = Company { name: written.name, retention, ingest_drop: dropped, rules, ..company };
    let status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    save(&hub, &caller, before, &company, "company.saved").await?;
    Ok((status, Json(shown(&hub, &caller, &company).await?)).into_response())
}

/// Saves a company that was changed, and notes it.
pub async fn save(
    hub: &Hub,
    caller: &Caller,
    before: Option<Company>,
    company: &Company,
    action: &'static str,
) -> Result<()> {
    if before.as_ref() != Some(company) {
        let view = CompanyView::from(company);
        if !hub.state().save_company(company.clone()).await? {
            return Err(missing(hub, &view.id).await);
        }
        hub.access().company_changed();
        let mut change = Change::of(action, format!("company {}", view.id)).after(&view);
        change.before = before.as_ref().and_then(|b| serde_json::to_value(CompanyView::from(b)).ok());
        audit::note(hub, caller, Some(company.no), change).await?;
    }
    Ok(())
}

async fn make(hub: &Hub, id: &str, name: &str, retention: Retention, dropped: &[String]) -> Result<Company> {
    match hub.state().create_company(id, name, retention, dropped.to_vec()).await {
        Ok(company) => Ok(company),
        // Somebody made it in this moment.
        Err(CreateError::Taken) => found(hub, id).await,
        Err(CreateError::Store(e)) => Err(e.into()),
    }
}

/// The company with this external id; why not, when there is none.
pub async fn found(hub: &Hub, id: &str) -> Result<Company> {
    match find(hub, id).await? {
        Some(company) => Ok(company),
        None => Err(missing(hub, id).await),
    }
}

/// Why there is no company of this id.
async fn missing(hub: &Hub, id: &str) -> Problem {
    match company_deletion::leaving(hub, id).await {
        Ok(Some(leaving)) => company_deletion::refused(&leaving),
        Ok(None) => unknown(id),
        Err(problem) => problem,
    }
}

/// The company with this external id, unless it is being deleted.
pub async fn find(hub: &Hub, id: &str) -> Result<Option<Company>> {
    Ok(hub.state().companies().await?.into_iter().find(|c| c.external_id == id))
}

fn unknown(id: &str) -> Problem {
    Problem::not_found("company", id)
}

/// What a company never wants stored when it says nothing else: card numbers, track data and verification codes of
/// payments (`contracts/hub-api.md`, `ingest_drop`).
pub fn never_stored() -> Vec<String> {
    let fields = ["number", "track_data", "track1", "track2", "cvv", "cvc", "verification_code"];
    fields.map(|field| format!("payment_info.payments[].card.{field}")).to_vec()
}

fn check(id: &str, written: &CompanyWritten) -> Result<Retention> {
    let mut wrong = Vec::new();
    let plain = |c: char| c.is_ascii_alphanumeric() || ['_', '-', '.'].contains(&c);
    if !(1..=MAX_ID).contains(&id.len()) || !id.chars().all(plain) {
        wrong.push(WrongValue::new("id", format!("1 to {MAX_ID} letters, digits, _, - and .")));
    }
    if written.name.trim().is_empty() || written.name.chars().count() > MAX_NAME {
        wrong.push(WrongValue::new("name", format!("1 to {MAX_NAME} characters")));
    }
    if let Some(zone) = written.timezone.as_ref().filter(|z| !is_zone(z)) {
        wrong.push(WrongValue::new("timezone", format!("\"{zone}\" is no IANA time zone, such as Europe/Vienna")));
    }
    wrong.extend(written.limits.wrong());
    if written.lagging_after_seconds.is_some_and(|n| !(1..=MAX_LAGGING_AFTER).contains(&n)) {
        wrong.push(WrongValue::new("lagging_after_seconds", format!("1 to {MAX_LAGGING_AFTER}")));
    }
    let dropped = written.ingest_drop.as_deref().unwrap_or_default();
    if dropped.len() > MAX_DROPPED {
        wrong.push(WrongValue::new("ingest_drop", format!("at most {MAX_DROPPED} paths")));
    }
    for (n, path) in dropped.iter().enumerate() {
        if let Err(e) = Path::parse(path) {
            wrong.push(WrongValue::new(format!("ingest_drop[{n}]"), e.to_string()));
        }
    }
    let retention = Retention::from_days(written.retention_days.unwrap_or(Retention::Month.days()));
    match retention {
        Some(retention) if wrong.is_empty() => Ok(retention),
        Some(_) => Err(Problem::invalid(wrong)),
        None => {
            wrong.push(WrongValue::new("retention_days", "7, 30, 90 or 400"));
            Err(Problem::invalid(wrong))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::company_limits::MAX_STORED_BYTES;
    use crate::rates::MAX_RATE;

    fn written() -> CompanyWritten {
        CompanyWritten {
            name: "Acme".into(),
            retention_days: None,
            timezone: None,
            limits: LimitsView::default(),
            unknown_sites: UnknownSites::default(),
            lagging_after_seconds: None,
            ingest_drop: None,
        }
    }

    fn paths(id: &str, written: &CompanyWritten) -> Vec<String> {
        check(id, written).err().map_or_else(Vec::new, |p| p.places().map(str::to_owned).collect())
    }

    #[test]
    fn what_is_wrong_with_a_company_is_named_with_its_place() {
        assert!(paths(&"a".repeat(MAX_ID), &written()).is_empty());
        let wrong = CompanyWritten {
            name: " ".into(),
            retention_days: Some(31),
            timezone: Some("Mars/Base".into()),
            limits: LimitsView {
                events_per_second: Some(0),
                stored_bytes: Some(MAX_STORED_BYTES + 1),
                integrations: Some(1_001),
            },
            unknown_sites: UnknownSites::Hold,
            lagging_after_seconds: Some(0),
            ingest_drop: Some(vec!["ok".into(), "a..b".into()]),
        };
        let found = paths("a b", &wrong);
        let limits = ["limits.integrations", "limits.events_per_second", "limits.stored_bytes"];
        let rest = ["lagging_after_seconds", "ingest_drop[1]", "retention_days"];
        assert_eq!(found, [&["id", "name", "timezone"][..], &limits, &rest].concat());
        let most = LimitsView {
            events_per_second: Some(MAX_RATE),
            stored_bytes: Some(MAX_STORED_BYTES),
            integrations: Some(1_000),
        };
        let lagging_after = |n| CompanyWritten { limits: most, lagging_after_seconds: Some(n), ..written() };
        assert!(paths("a", &lagging_after(MAX_LAGGING_AFTER)).is_empty());
        assert_eq!(paths("a", &lagging_after(MAX_LAGGING_AFTER + 1)), ["lagging_after_seconds"]);
        assert_eq!(paths(&"a".repeat(MAX_ID + 1), &written()), ["id"]);
    }

    #[test]
    fn what_is_never_stored_is_written_as_paths() {
        assert!(never_stored().iter().all(|p| Path::parse(p).is_ok()));
    }
}
