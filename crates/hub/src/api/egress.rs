//! `GET /v1/egress`: what the guard of outgoing calls allows (`contracts/hub-api.md`, "Every outgoing call").

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tillstream_outbound::{ALLOW_NETWORKS, Cause, Client, check_url};
use utoipa::{IntoParams, ToSchema};

use super::docs::{Denied, WrongQuery};
use super::extract::{Caller, Params};
use crate::Hub;
use crate::access::Scope;
use crate::problem::Result;

/// What to look at.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct EgressQuery {
    /// Say whether this URL may be called.
    #[param(example = "https://erp.example/hooks")]
    pub url: Option<String>,
}

/// What outgoing calls may reach.
#[derive(Debug, Serialize, ToSchema)]
pub struct Egress {
    /// What may be called, in words.
    pub note: String,
    /// What the operator opened besides public addresses; null for others than operators.
    #[schema(required = true, example = json!(["10.20.0.0/16"]))]
    pub allowed_networks: Option<Vec<String>>,
    /// The URL that was asked for; null when none was.
    #[schema(required = true)]
    pub url: Option<UrlView>,
}

/// Whether a URL may be called.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UrlCheck)]
pub struct UrlView {
    /// The URL.
    #[schema(example = "https://erp.example/hooks")]
    pub url: String,
    /// Whether a call would be made now. What a name stands for is looked up at every call.
    pub allowed: bool,
    /// The addresses with ports that would be called, in this order.
    #[schema(example = json!(["198.51.100.7:443"]))]
    pub addresses: Vec<String>,
    /// Why not: `blocked`, `dns` or `invalid_url`; null when it is allowed.
    #[schema(required = true, example = "blocked")]
    pub cause: Option<&'static str>,
    /// The same in words, with the very setting that would open a blocked address.
    #[schema(required = true)]
    pub reason: Option<String>,
}

/// Show what may be called
///
/// Nothing is called. The address of a `url` is looked up and checked as for a delivery.
#[utoipa::path(
    get, path = "/v1/egress", tag = "egress",
    params(EgressQuery),
    responses((status = 200, description = "What may be called", body = Egress), Denied, WrongQuery)
)]
pub async fn read_egress(
    State(hub): State<Hub>,
    caller: Caller,
    Params(query): Params<EgressQuery>,
) -> Result<Json<Egress>> {
    caller.may(Scope::IntegrationsRead)?;
    // What is open inside is the operator's business.
    let is_operator = caller.holder().scopes.is_operator();
    let url = match query.url {
        Some(url) => Some(look(hub.outbound(), url).await),
        None => None,
    };
    Ok(Json(Egress {
        note: format!(
            "public addresses, and what the operator opened with {ALLOW_NETWORKS}; redirects are not followed"
        ),
        allowed_networks: is_operator.then(|| hub.outbound().policy().opened()),
        url,
    }))
}

async fn look(outbound: &Client, url: String) -> UrlView {
    let refused = |url, cause: Cause, reason: String| UrlView {
        url,
        allowed: false,
        addresses: Vec::new(),
        cause: Some(cause.as_str()),
        reason: Some(reason),
    };
    let uri = match check_url(&url) {
        Ok(uri) => uri,
        Err(e) => return refused(url, Cause::InvalidUrl, e.to_string()),
    };
    match outbound.look_up(&uri).await {
        Ok(found) => {
            let addresses = found.iter().map(ToString::to_string).collect();
            UrlView { url, allowed: true, addresses, cause: None, reason: None }
        }
        Err(failure) => refused(url, failure.cause, failure.detail),
    }
}
