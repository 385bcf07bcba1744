//! `/healthz`, `/readyz` and `/metrics`: for whoever runs the hub, without a key.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use http::{Extensions, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Hub;
use crate::problem::{Kind, Problem, ProblemBody, Result};

/// Media type of Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether the hub takes events now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether it does.
    ready: bool,
    /// Why not.
    reasons: Vec<String>,
}

/// Tell whether the process lives
#[utoipa::path(
    get, path = "/healthz", tag = "operation", security(()),
    responses((status = 200, description = "It lives", body = String))
)]
pub async fn healthz() -> &'static str {
    "ok"
}

/// Tell whether the hub takes events now
#[utoipa::path(
    get, path = "/readyz", tag = "operation", security(()),
    responses(
        (status = 200, description = "It does", body = Readiness),
        (status = 503, description = "It does not, and why", body = Readiness),
    )
)]
pub async fn readyz(State(hub): State<Hub>) -> (StatusCode, Json<Readiness>) {
    let mut reasons = Vec::new();
    if let Err(e) = hub.log().ready() {
        reasons.push(e.to_string());
    }
    if let Err(e) = hub.state().keys(None).await {
        tracing::warn!(error = %e, "not ready: the state can't be read");
        reasons.push("the state can't be read".to_owned());
    }
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, reasons }))
}

/// Show metrics
///
/// In Prometheus' text format; only to this machine unless configured otherwise.
#[utoipa::path(
    get, path = "/metrics", tag = "operation", security(()),
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
        (status = 404, description = "Not from there", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn metrics(State(hub): State<Hub>, extensions: Extensions) -> Result<Response> {
    let from_here =
        extensions.get::<ConnectInfo<SocketAddr>>().is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
    if !from_here && !hub.config().metrics_public {
        return Err(Problem::new(Kind::NotFound, "metrics are only shown to this machine"));
    }
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], hub.metrics().render()).into_response())
}
