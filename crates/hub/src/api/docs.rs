//! The API's document: what the handlers' own descriptions leave out, and answers that many calls share.

use std::collections::BTreeMap;

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response,
    ResponseBuilder, SecurityRequirement,
};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::credentials::COOKIE;
use crate::problem::{MEDIA_TYPE, ProblemBody};

const TITLE: &str = "Tillstream";
const DESCRIPTION: &str = "Events of stores: in, durable, and out to integrations. \
Every error is an RFC 9457 problem. Lists are cursor-paged. Times are RFC 3339, UTC. \
An operator's key names the company in the header `Tillstream-Company`.";
const KEY_SCHEME: &str = "key";
/// What calls are about, in the order in which people meet them.
const TAGS: [(&str, &str); 14] = [
    ("events", "Send events, find them, follow them as they come, and see what became of each."),
    ("integrations", "Where events go: make, edit, start and stop; their versions and their log."),
    ("deliveries", "Attempts, events that were rejected, and what each integration is doing."),
    ("jobs", "Long work: replays and what is done to rejected events by the many."),
    ("overview", "How everything flows, in figures."),
    ("notifications", "Who is told when something needs a person, and how."),
    ("sites", "The places that events come from, with the other names they have."),
    ("keys", "Who may call this API, and what for."),
    ("people", "Who signs in, and what for."),
    ("audit", "Who changed what."),
    ("egress", "What outgoing calls may reach."),
    ("companies", "The outermost walls, and what their operator sets."),
    ("nodes", "The processes that share the work."),
    ("operation", "For whoever runs the hub, without a key."),
];
const SESSION_SCHEME: &str = "session";

/// Answers of every call with a key.
pub struct Denied;
/// Answers of calls about one thing.
pub struct Missing;
/// Answers of updates that may say what they were made from.
pub struct Stale;
/// Answers of calls that give something a name.
pub struct Conflict;
/// Answers of calls that stop something.
pub struct Irrevocable;
/// Answers of calls that save or switch a company.
pub struct Leaving;
/// Answers of calls with a password.
pub struct Guessed;
/// Answers of calls with parameters.
pub struct WrongQuery;
/// Answers of calls that hold something open.
pub struct Crowded;
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
            ("401", "No valid key or session"),
            ("403", "A scope or privilege is missing; the answer names it"),
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

impl IntoResponses for Conflict {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("409", "Something else has that name")])
    }
}

impl IntoResponses for Irrevocable {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("409", "It cannot be stopped any more")])
    }
}

impl IntoResponses for Leaving {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("409", "The company of this id is being deleted; wait until the job has ended")])
    }
}

impl IntoResponses for Guessed {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("429", "Too many failures of this address or from this peer; Retry-After says when to try again"),
            ("503", "Too many passwords are being checked"),
        ])
    }
}

impl IntoResponses for WrongQuery {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("400", "A query parameter is unknown or wrong")])
    }
}

impl IntoResponses for Crowded {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("429", "The company has too many open"), ("503", "Too many are open here")])
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

/// Says of a call that makes something that it can be repeated under a name.
fn once(item: &mut PathItem) {
    let Some(post) = &mut item.post else { return };
    let answers = &mut post.responses.responses;
    if !["201", "202"].iter().any(|status| answers.contains_key(*status)) {
        return;
    }
    let name = "1 to 255 printable ASCII characters: the same request under the same name within a day is answered as \
                the first time, with `Idempotency-Replayed: true`, and does nothing again";
    let header = text("Idempotency-Key", ParameterIn::Header, Required::False, name);
    post.parameters.get_or_insert_default().push(header.into());
    let more = [
        ("400", "The Idempotency-Key is wrong"),
        ("409", "The same request is being answered"),
        ("422", "Another request had this Idempotency-Key"),
    ];
    for (status, response) in problems(&more) {
        answers.entry(status).or_insert(response);
    }
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
    api.paths.paths.iter_mut().filter(|(path, _)| *path != "/v1/events").for_each(|(_, item)| once(item));
    let components = api.components.get_or_insert_default();
    components.add_security_scheme(KEY_SCHEME, SecurityScheme::Http(scheme));
    let tag = |(name, text): (&str, &str)| TagBuilder::new().name(name).description(Some(text)).build();
    api.tags = Some(TAGS.map(tag).into());
    let cookie = ApiKeyValue::with_description(
        COOKIE,
        "A person's session. A change also needs the header `Tillstream-Requested-With`, unless it comes from a page of the hub.",
    );
    components.add_security_scheme(SESSION_SCHEME, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    let either = [KEY_SCHEME, SESSION_SCHEME].map(|scheme| SecurityRequirement::new(scheme, [""; 0]));
    api.security = Some(either.to_vec());
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
