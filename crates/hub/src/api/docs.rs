//! The API's document: what the handlers' own descriptions leave out, and answers that many calls share.

use std::collections::BTreeMap;

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response,
    ResponseBuilder, SecurityRequirement,
};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use crate::problem::{MEDIA_TYPE, ProblemBody};

const TITLE: &str = "Tillstream";
const DESCRIPTION: &str = "Events of stores: in, durable, and out to integrations. \
Every error is an RFC 9457 problem. Lists are cursor-paged. Times are RFC 3339, UTC. \
An operator's key names the company in the header `Tillstream-Company`.";
const KEY_SCHEME: &str = "key";

/// Answers of every call with a key.
pub struct Denied;
/// Answers of calls about one thing.
pub struct Missing;
/// Answers of updates that may say what they were made from.
pub struct Stale;
/// Answers of calls with parameters.
pub struct WrongQuery;
/// Answers of calls with a document.
pub struct Wrong;

/// The path's part that names an integration.
pub struct OfIntegration;
/// The path's part that names an event beside an integration.
pub struct OfEvent;
/// The header of updates that say what they were made from.
pub struct Guarded;

impl IntoParams for OfIntegration {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![text("id", ParameterIn::Path, Required::True, "The integration's id")]
    }
}

impl IntoParams for OfEvent {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![text("event_id", ParameterIn::Path, Required::True, "The event's id")]
    }
}

impl IntoParams for Guarded {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![text("If-Match", ParameterIn::Header, Required::False, "The tag it was read with")]
    }
}

impl IntoResponses for Denied {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("401", "No valid key"),
            ("403", "The key lacks a scope; the answer names it"),
            ("500", "Something went wrong here"),
        ])
    }
}

impl IntoResponses for Missing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("404", "There is no such thing in this company")])
    }
}

impl IntoResponses for Stale {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("412", "It was changed in between")])
    }
}

impl IntoResponses for WrongQuery {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("400", "A query parameter is unknown or wrong")])
    }
}

impl IntoResponses for Wrong {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("400", "The body can't be read"),
            ("413", "The body is too large"),
            ("415", "The body is no JSON"),
            ("422", "Some values are wrong; each is named with its place"),
        ])
    }
}

fn text(name: &str, place: ParameterIn, required: Required, description: &str) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

fn problems(rows: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let content = || ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemBody::name()))).build();
    rows.iter()
        .map(|(status, description)| {
            let response = ResponseBuilder::new().description(*description).content(MEDIA_TYPE, content()).build();
            ((*status).to_owned(), response.into())
        })
        .collect()
}

/// Adds what belongs to the document as a whole.
pub fn complete(mut api: OpenApi) -> OpenApi {
    let calls = api.paths.paths.values_mut().flat_map(calls);
    // Those that say who may call them need no key.
    calls.filter(|call| call.security.is_none()).for_each(answer_every_key);
    api.info = InfoBuilder::new()
        .title(TITLE)
        .description(Some(DESCRIPTION))
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("tsk_…").build();
    let components = api.components.get_or_insert_default();
    components.add_security_scheme(KEY_SCHEME, SecurityScheme::Http(scheme));
    api.security = Some(vec![SecurityRequirement::new(KEY_SCHEME, [""; 0])]);
    api
}

/// Adds what any call with a key may be answered, in words for calls that say nothing of their own about it.
fn answer_every_key(call: &mut Operation) {
    let answers = problems(&[
        ("400", "An operator's key names no company"),
        ("404", "There is no company of the name that the key gives"),
        ("503", "The hub can't reach its data at the moment"),
    ]);
    for (status, response) in answers {
        call.responses.responses.entry(status).or_insert(response);
    }
}

fn calls(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().filter_map(Option::as_mut)
}
