//! The HTTP API: one file per noun (`contracts/hub-api.md`). Only this module defines shapes of answers.

mod attempt_view;
mod attempts;
mod audit;
mod body;
mod brake;
mod companies;
mod contact_doc;
mod docs;
mod etag;
mod event_lookup;
mod event_view;
mod events;
mod explain;
mod extract;
mod health;
mod integration_doc;
mod integration_state;
mod integration_view;
mod integrations;
mod keys;
mod lane_view;
mod logs;
mod nodes;
mod notifications;
mod paging;
mod receive;
mod rejected;
pub mod schema;
mod signing;
mod sites;
mod stats;
mod versions;

use std::any::Any;

use axum::Router;
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

pub use body::{MAX_DOCUMENT_BYTES, MAX_EVENTS_BYTES};
pub use companies::never_stored;
pub use extract::COMPANY_HEADER;
pub use integrations::MAX_INTEGRATIONS;
pub use keys::MAX_KEYS;
pub use paging::{DEFAULT_LIMIT, MAX_LIMIT};

use crate::Hub;
use crate::problem::{Kind, Problem};

/// Where the API's document is served.
pub const DOCUMENT_PATH: &str = "/v1/openapi.json";

/// All routes of the hub. `/metrics` needs the peer's address as [`axum::extract::ConnectInfo`] of a `SocketAddr` among
/// the request's extensions; without it the peer counts as one from elsewhere.
pub fn router(hub: Hub) -> Router {
    let (router, api) = all().split_for_parts();
    router
        .merge(SwaggerUi::new("/docs").url(DOCUMENT_PATH, docs::complete(api)))
        .fallback(nothing_here)
        .method_not_allowed_fallback(no_such_method)
        .with_state(hub)
}

/// The API's document (OpenAPI 3.1), made of the handlers.
pub fn document() -> utoipa::openapi::OpenApi {
    docs::complete(all().into_openapi())
}

/// The way in has no layer at all; everything else catches panics.
fn all() -> OpenApiRouter<Hub> {
    let looked_at = reading().merge(managing()).merge(operating()).layer(CatchPanicLayer::custom(panicked));
    OpenApiRouter::new().routes(routes!(receive::receive_events)).merge(looked_at)
}

fn reading() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(events::list_events))
        .routes(routes!(event_lookup::read_event))
        .routes(routes!(explain::explain_event))
        .routes(routes!(attempts::list_attempts))
        .routes(routes!(attempts::list_integration_attempts))
        .routes(routes!(attempts::read_event_attempts))
        .routes(routes!(rejected::list_rejected))
        .routes(routes!(rejected::read_rejected, rejected::delete_rejected))
        .routes(routes!(rejected::retry_rejected))
        .routes(routes!(rejected::retry_many_rejected))
        .routes(routes!(brake::release_brake))
        .routes(routes!(stats::integration_stats))
        .routes(routes!(logs::integration_logs))
}

fn managing() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(integrations::list_integrations, integrations::create_integration))
        .routes(routes!(
            integrations::read_integration,
            integrations::patch_integration,
            integrations::replace_integration,
            integrations::delete_integration
        ))
        .routes(routes!(versions::list_versions))
        .routes(routes!(integration_state::start_integration))
        .routes(routes!(integration_state::stop_integration))
        .routes(routes!(signing::rotate_signing))
        .routes(routes!(signing::reveal_signing))
        .routes(routes!(keys::list_keys, keys::create_key))
        .routes(routes!(keys::delete_key))
        .routes(routes!(companies::list_companies))
        .routes(routes!(companies::read_company, companies::save_company))
        .routes(routes!(companies::suspend_company))
        .routes(routes!(companies::resume_company))
        .routes(routes!(sites::list_sites))
        .routes(routes!(sites::read_site, sites::save_site, sites::delete_site))
        .routes(routes!(notifications::list_contacts, notifications::create_contact))
        .routes(routes!(notifications::read_contact, notifications::replace_contact, notifications::delete_contact))
        .routes(routes!(notifications::test_contact))
        .routes(routes!(audit::list_audit))
        .routes(routes!(nodes::list_nodes))
}

fn operating() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
}

async fn nothing_here() -> Problem {
    Problem::new(Kind::NotFound, "there is nothing at this path")
}

async fn no_such_method() -> Problem {
    Problem::new(Kind::MethodNotAllowed, "the header Allow says which methods are served here")
}

fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let cause = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    Problem::new(Kind::Internal, "the hub failed at this request")
        .internally(cause.unwrap_or("a panic"))
        .into_response()
}
