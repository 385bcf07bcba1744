//! `/v1/integrations/{id}/sites/{site}`: what an integration's settings say about one site.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};
use tillstream_model::integration::{Settings, Wrong as WrongValue};
use tillstream_store::state::Integration;

use super::docs::{Denied, Guarded, Missing, OfIntegration, Stale, Wrong};
use super::etag::{self, IfMatch};
use super::extract::{Caller, Doc, Place};
use super::integration_doc;
use super::integrations::{Edit, find};
use super::schema::SiteValues;
use crate::Hub;
use crate::access::Scope;
use crate::problem::{Kind, Problem, Result};

/// Longest id of a site, in characters.
pub const MAX_SITE: usize = 128;
/// Every setting with values by site: its name here, and where it stands in an integration.
const PER_SITE: [(&str, &str); 2] = [("availability", "/availability"), ("authorization", "/target/authorization")];

/// Read a site's values
///
/// Of all settings that may differ by site; what is missing is as for every site.
#[utoipa::path(
    get, path = "/v1/integrations/{id}/sites/{site}", tag = "integrations",
    params(OfIntegration, ("site" = String, Path, description = "The site's id")),
    responses(
        (status = 200, description = "Its values", body = SiteValues,
            headers(("ETag", description = "Version and status of the integration"))),
        Denied, Missing
    )
)]
pub async fn read_site_values(
    State(hub): State<Hub>,
    caller: Caller,
    Place((id, site)): Place<(String, String)>,
) -> Result<Response> {
    // A key that may write them may read them: one that is bound to sites holds no more.
    let writes = caller.company_in_bounds(Scope::IntegrationsWrite);
    let company = writes.or_else(|_| caller.company(Scope::IntegrationsRead))?;
    caller.reaches_site(&site)?;
    let integration = find(&hub, &caller, company, &id).await?;
    answer(&integration, &site)
}

/// What the settings say about a site, with the integration's tag.
fn answer(integration: &Integration, site: &str) -> Result<Response> {
    let doc = integration_doc::as_written(&integration.settings)?;
    let said = |pointer: &str| doc.pointer(pointer)?.get("sites")?.get(site).cloned();
    let values = PER_SITE.iter().filter_map(|(name, pointer)| Some(((*name).to_owned(), said(pointer)?)));
    let mut response = Json(Value::Object(values.collect())).into_response();
    if let Ok(tag) = HeaderValue::try_from(etag::of(integration)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Set a site's values
///
/// Exactly these: what is left out is as for every site from now on. A masked secret means "unchanged". The site need
/// not be known yet. A key that is bound to sites may do this for its own.
#[utoipa::path(
    put, path = "/v1/integrations/{id}/sites/{site}", tag = "integrations",
    request_body = SiteValues,
    params(OfIntegration, ("site" = String, Path, description = "The site's id"), Guarded),
    responses(
        (status = 200, description = "Its values now", body = SiteValues,
            headers(("ETag", description = "Version and status of the integration"))),
        Denied, Missing, Stale, Wrong
    )
)]
pub async fn save_site_values(
    State(hub): State<Hub>,
    caller: Caller,
    Place((id, site)): Place<(String, String)>,
    if_match: IfMatch,
    Doc(values): Doc<Map<String, Value>>,
) -> Result<Response> {
    check(&values)?;
    let saved = save(&hub, &caller, &id, &site, if_match, &values).await?;
    answer(&saved, &site)
}

/// Remove a site's values
///
/// It is as every other site from now on.
#[utoipa::path(
    delete, path = "/v1/integrations/{id}/sites/{site}", tag = "integrations",
    params(OfIntegration, ("site" = String, Path, description = "The site's id"), Guarded),
    responses((status = 204, description = "Removed, or there were none"), Denied, Missing, Stale)
)]
pub async fn delete_site_values(
    State(hub): State<Hub>,
    caller: Caller,
    Place((id, site)): Place<(String, String)>,
    if_match: IfMatch,
) -> Result<StatusCode> {
    save(&hub, &caller, &id, &site, if_match, &Map::new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn save(
    hub: &Hub,
    caller: &Caller,
    id: &str,
    site: &str,
    if_match: IfMatch,
    values: &Map<String, Value>,
) -> Result<Integration> {
    let company = caller.company_in_bounds(Scope::IntegrationsWrite)?;
    caller.reaches_site(site)?;
    if site.is_empty() || site.chars().count() > MAX_SITE || site.chars().any(char::is_control) {
        return Err(Problem::not_found("site", site));
    }
    let edit = Edit { hub, caller, company, id, if_match };
    let reason = format!("values of site {site}");
    edit.save(|i| with_values(i, site, values), Some(&reason)).await
}

fn check(values: &Map<String, Value>) -> Result<()> {
    let wrong = |(name, value): (&String, &Value)| match name.as_str() {
        "availability" if !value.is_boolean() => Some("true or false"),
        "authorization" if !value.is_string() && !value.is_null() => Some("a text, or null for no such header"),
        name if PER_SITE.iter().all(|(known, _)| *known != name) => Some("there is no such setting by site"),
        _ => None,
    };
    let found = values.iter().filter_map(|entry| Some(WrongValue::new(entry.0, wrong(entry)?)));
    let found: Vec<WrongValue> = found.collect();
    if found.is_empty() { Ok(()) } else { Err(Problem::invalid(found)) }
}

fn with_values(saved: &Integration, site: &str, values: &Map<String, Value>) -> Result<Settings> {
    let mut doc = integration_doc::as_written(&saved.settings)?;
    for (name, pointer) in PER_SITE {
        let value = values.get(name).cloned();
        let Some(of) = doc.pointer_mut(pointer).and_then(Value::as_object_mut) else {
            if value.is_some() {
                return Err(Problem::invalid([WrongValue::new(name, "the integration's target takes none")]));
            }
            continue;
        };
        let sites = of.entry("sites").or_insert_with(|| Value::Object(Map::new()));
        let Some(sites) = sites.as_object_mut() else {
            return Err(Problem::new(Kind::Internal, "the saved settings can't be written").internally(pointer));
        };
        match value {
            Some(value) => sites.insert(site.to_owned(), value),
            None => sites.remove(site),
        };
    }
    integration_doc::for_replacement(doc, &saved.settings, saved.status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_settings_by_site_are_taken_each_in_its_shape() {
        let places = |values: Value| {
            let problem = check(values.as_object().unwrap()).err();
            problem.map_or_else(Vec::new, |p| p.places().map(str::to_owned).collect())
        };
        assert_eq!(places(json!({"availability": true, "authorization": null})), [""; 0]);
        assert_eq!(
            places(json!({"availability": 1, "authorization": 2, "url": "x"})),
            ["authorization", "availability", "url"]
        );
    }
}
