//! The HTTP API: one file per noun (`contracts/hub-api.md`). Only this module defines shapes of answers.

mod attempt_view;
mod attempts;
mod audit;
mod body;
mod brake;
mod companies;
mod company_deletion;
mod company_limits;
mod company_state;
mod contact_doc;
mod credentials;
mod docs;
mod egress;
mod etag;
mod event_filter;
mod event_lookup;
mod event_types;
mod event_view;
mod events;
mod explain;
mod extract;
mod feed;
mod health;
mod held;
mod inbox;
mod integration_doc;
mod integration_state;
mod integration_view;
mod integrations;
mod jobs;
mod keys;
mod lane_view;
mod ledger;
mod logs;
mod nodes;
mod notifications;
mod once;
mod outcome;
mod overview;
mod paging;
mod passwords;
mod portal_sessions;
mod positions;
mod preview;
mod receive;
mod rejected;
mod rejected_bulk;
mod replay;
pub mod schema;
mod sessions;
mod set_by;
mod signing;
mod site_values;
mod sites;
mod stats;
mod stream;
mod terminals;
mod trial;
mod usage;
mod users;
mod versions;
mod why;

use std::any::Any;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

pub use body::{MAX_DOCUMENT_BYTES, MAX_EVENTS_BYTES};
pub use companies::never_stored;
pub use credentials::{COOKIE, REQUESTED_WITH};
pub use extract::COMPANY_HEADER;
pub use integrations::MAX_INTEGRATIONS;
pub use keys::MAX_KEYS;
pub use once::{KEY_HEADER, REPLAYED_HEADER};
pub use paging::{DEFAULT_LIMIT, MAX_LIMIT};
pub use portal_sessions::MAX_PORTAL_SECONDS;
pub use users::{MAX_PRIVILEGES, MAX_USERS};

use crate::Hub;
use crate::problem::{Kind, Problem};

/// Where the API's document is served.
pub const DOCUMENT_PATH: &str = "/v1/openapi.json";

/// All routes of the hub. `/metrics` needs the peer's address as [`axum::extract::ConnectInfo`] of a `SocketAddr` among
/// the request's extensions; without it the peer counts as one from elsewhere.
pub fn router(hub: Hub) -> Router {
    let (router, api) = all(Some(&hub)).split_for_parts();
    router
        .merge(SwaggerUi::new("/docs").url(DOCUMENT_PATH, docs::complete(api)))
        .fallback(nothing_here)
        .method_not_allowed_fallback(no_such_method)
        .with_state(hub)
}

/// The API's document (OpenAPI 3.1), made of the handlers.
pub fn document() -> utoipa::openapi::OpenApi {
    docs::complete(all(None).into_openapi())
}

/// The way in has no layer at all; everything else catches panics and answers named requests once.
fn all(hub: Option<&Hub>) -> OpenApiRouter<Hub> {
    let looked_at =
        reading().merge(managing()).merge(people()).merge(operating()).layer(CatchPanicLayer::custom(panicked));
    let looked_at = match hub {
        Some(hub) => looked_at.layer(from_fn_with_state(hub.clone(), once::once)),
        None => looked_at,
    };
    OpenApiRouter::new().routes(routes!(receive::receive_events)).merge(looked_at)
}

fn reading() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(events::list_events))
        .routes(routes!(event_lookup::read_event, event_lookup::delete_event))
        .routes(routes!(stream::stream_events))
        .routes(routes!(explain::explain_event))
        .routes(routes!(why::why))
        .routes(routes!(ledger::read_ledger))
        .routes(routes!(preview::preview_integration))
        .routes(routes!(attempts::list_attempts))
        .routes(routes!(attempts::list_integration_attempts))
        .routes(routes!(attempts::read_event_attempts))
        .routes(routes!(rejected::list_rejected))
        .routes(routes!(rejected::read_rejected, rejected::delete_rejected))
        .routes(routes!(rejected::retry_rejected))
        .routes(routes!(rejected::retry_many_rejected))
        .routes(routes!(rejected_bulk::retry_all_rejected))
        .routes(routes!(rejected_bulk::delete_all_rejected))
        .routes(routes!(rejected_bulk::export_rejected))
        .routes(routes!(replay::replay_integration))
        .routes(routes!(replay::send_again))
        .routes(routes!(jobs::list_jobs))
        .routes(routes!(jobs::read_job))
        .routes(routes!(jobs::cancel_job))
        .routes(routes!(brake::release_brake))
        .routes(routes!(feed::take_from_feed))
        .routes(routes!(inbox::look_into_inbox))
        .routes(routes!(stats::integration_stats))
        .routes(routes!(logs::integration_logs))
        .routes(routes!(overview::read_overview))
        .routes(routes!(event_types::list_event_types))
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
        .routes(routes!(site_values::read_site_values, site_values::save_site_values, site_values::delete_site_values))
        .routes(routes!(trial::validate_settings))
        .routes(routes!(trial::validate_integration))
        .routes(routes!(trial::send_test))
        .routes(routes!(integration_state::start_integration))
        .routes(routes!(integration_state::stop_integration))
        .routes(routes!(signing::rotate_signing))
        .routes(routes!(signing::reveal_signing))
        .routes(routes!(keys::list_keys, keys::create_key))
        .routes(routes!(keys::delete_key))
        .routes(routes!(companies::list_companies))
        .routes(routes!(companies::read_company, companies::save_company, company_deletion::delete_company))
        .routes(routes!(company_state::suspend_company))
        .routes(routes!(usage::read_usage))
        .routes(routes!(company_state::resume_company))
        .routes(routes!(sites::list_sites))
        .routes(routes!(sites::read_site, sites::save_site, sites::delete_site))
        .routes(routes!(terminals::list_terminals))
        .routes(routes!(terminals::read_terminal, terminals::save_terminal, terminals::delete_terminal))
        .routes(routes!(held::list_held))
        .routes(routes!(held::release_site))
        .routes(routes!(held::delete_held))
        .routes(routes!(notifications::list_contacts, notifications::create_contact))
        .routes(routes!(notifications::read_contact, notifications::replace_contact, notifications::delete_contact))
        .routes(routes!(notifications::test_contact))
        .routes(routes!(audit::list_audit))
        .routes(routes!(nodes::list_nodes))
        .routes(routes!(egress::read_egress))
}

fn people() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(users::list_users, users::create_user))
        .routes(routes!(users::read_user, users::patch_user, users::delete_user))
        .routes(routes!(users::create_link))
        .routes(routes!(sessions::sign_in))
        .routes(routes!(sessions::read_session, sessions::sign_out))
        .routes(routes!(sessions::change_password))
        .routes(routes!(sessions::follow_link))
        .routes(routes!(portal_sessions::create_portal_session))
        .routes(routes!(portal_sessions::begin_portal_session))
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
