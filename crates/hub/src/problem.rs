//! Errors as callers see them: RFC 9457 `application/problem+json` (`contracts/hub-api.md`, first paragraph).
//!
//! A [`Problem`] has two sides: what the caller reads (`detail`, `errors`) and what only the log gets (`internal`).
//! Both carry the same `instance`, so that a caller's report leads to the line in the log.

mod causes;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use tillstream_model::integration::Wrong;
use utoipa::ToSchema;

use crate::rates::{Exceeded, Standing, Whose};

/// Media type of every error answer.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// What `type` starts with; the slug follows.
pub const TYPE_PREFIX: &str = "urn:tillstream:problem:";
/// What `instance` starts with; 16 hex digits follow.
pub const INSTANCE_PREFIX: &str = "urn:tillstream:request:";

/// What can go wrong, one for each slug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the table in `row` says it
pub enum Kind {
    InvalidBody,
    InvalidQuery,
    InvalidHeader,
    CompanyRequired,
    Unauthenticated,
    Forbidden,
    Suspended,
    NotFound,
    MethodNotAllowed,
    Taken,
    UnderWay,
    Deleting,
    Irrevocable,
    IdempotencyConflict,
    InProgress,
    Changed,
    TooLarge,
    EventTooLarge,
    TooManyEvents,
    UnsupportedMediaType,
    UnsupportedEncoding,
    Invalid,
    InvalidEvent,
    NameReserved,
    Quota,
    HeldLimit,
    IdempotencyKeyReused,
    RateLimited,
    StorageLimit,
    TooManyAttempts,
    TooManyStreams,
    Internal,
    Behind,
    DiskFull,
    Unavailable,
}

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Kind] = &[
        Kind::InvalidBody,
        Kind::InvalidQuery,
        Kind::InvalidHeader,
        Kind::CompanyRequired,
        Kind::Unauthenticated,
        Kind::Forbidden,
        Kind::Suspended,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::Taken,
        Kind::UnderWay,
        Kind::Deleting,
        Kind::Irrevocable,
        Kind::IdempotencyConflict,
        Kind::InProgress,
        Kind::Changed,
        Kind::TooLarge,
        Kind::EventTooLarge,
        Kind::TooManyEvents,
        Kind::UnsupportedMediaType,
        Kind::UnsupportedEncoding,
        Kind::Invalid,
        Kind::InvalidEvent,
        Kind::NameReserved,
        Kind::Quota,
        Kind::HeldLimit,
        Kind::IdempotencyKeyReused,
        Kind::RateLimited,
        Kind::StorageLimit,
        Kind::TooManyAttempts,
        Kind::TooManyStreams,
        Kind::Internal,
        Kind::Behind,
        Kind::DiskFull,
        Kind::Unavailable,
    ];

    /// The one table: slug, status, title.
    const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Kind::InvalidBody => ("invalid-body", 400, "The request body can't be read"),
            Kind::InvalidQuery => ("invalid-query", 400, "A query parameter is wrong"),
            Kind::InvalidHeader => ("invalid-header", 400, "A request header is wrong"),
            Kind::CompanyRequired => ("company-required", 400, "The request has to name a company"),
            Kind::Unauthenticated => ("unauthenticated", 401, "No valid key or session"),
            Kind::Forbidden => ("forbidden", 403, "This is not allowed"),
            Kind::Suspended => ("suspended", 403, "The company is suspended"),
            Kind::NotFound => ("not-found", 404, "There is no such thing"),
            Kind::MethodNotAllowed => ("method-not-allowed", 405, "This method is not served here"),
            Kind::Taken => ("taken", 409, "The id is taken"),
            Kind::UnderWay => ("under-way", 409, "Something like it is under way"),
            Kind::Deleting => ("deleting", 409, "The company is being deleted"),
            Kind::Irrevocable => ("irrevocable", 409, "It cannot be stopped any more"),
            Kind::IdempotencyConflict => ("idempotency-conflict", 409, "Another event has this idempotency id"),
            Kind::InProgress => ("in-progress", 409, "The same request is being answered"),
            Kind::Changed => ("changed", 412, "It was changed in between"),
            Kind::TooLarge => ("too-large", 413, "The request body is too large"),
            Kind::EventTooLarge => ("event-too-large", 413, "The event is too large"),
            Kind::TooManyEvents => ("too-many-events", 413, "Too many events in one request"),
            Kind::UnsupportedMediaType => ("unsupported-media-type", 415, "This content type is not understood"),
            Kind::UnsupportedEncoding => ("unsupported-encoding", 415, "This content encoding is not understood"),
            Kind::Invalid => ("invalid", 422, "Some values are wrong"),
            Kind::InvalidEvent => ("invalid-event", 422, "The event is wrong"),
            Kind::NameReserved => ("name-reserved", 422, "Only the hub makes events of this name"),
            Kind::Quota => ("quota", 422, "A limit of the company is reached"),
            Kind::IdempotencyKeyReused => ("idempotency-key-reused", 422, "Another request had this Idempotency-Key"),
            Kind::RateLimited => ("rate-limited", 429, "Too many events in too short a time"),
            Kind::StorageLimit => ("storage-limit", 429, "The company's share of the log is full"),
            Kind::HeldLimit => ("held-limit", 429, "No more events of unknown sites are held"),
            Kind::TooManyStreams => ("too-many-streams", 429, "Too many streams are open"),
            Kind::TooManyAttempts => ("too-many-attempts", 429, "Too many attempts"),
            Kind::Internal => ("internal", 500, "Something went wrong here"),
            Kind::Behind => ("behind", 503, "The log is behind"),
            Kind::DiskFull => ("disk-full", 503, "The disk is full or nearly full"),
            Kind::Unavailable => ("unavailable", 503, "Not available at the moment"),
        }
    }

    /// The stable name, last part of `type`.
    pub const fn slug(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The kind with this slug.
    pub fn from_slug(slug: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|k| k.slug() == slug)
    }
}

/// An error on its way to the caller.
#[derive(Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<Place>,
    internal: Option<String>,
    retry_after: Option<u32>,
    standing: Option<Standing>,
}

/// The handlers' result.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

/// One wrong value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// Where it stands in the request, such as `delivery.timeout_seconds`.
    #[schema(example = "delivery.timeout_seconds")]
    pub path: String,
    /// What is wrong with it.
    #[schema(example = "61 is not between 1 and 60")]
    pub message: String,
}

/// An error as it is written (RFC 9457).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Stable name of the kind of error.
    #[schema(example = "urn:tillstream:problem:invalid")]
    pub r#type: String,
    /// The kind of error in words.
    #[schema(example = "Some values are wrong")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    /// Names this one answer; the hub's log has it too. Missing on the problems of single events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "urn:tillstream:request:9f86d081884c7d65")]
    pub instance: Option<String>,
    /// Each wrong value with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Place>,
}

impl ProblemBody {
    /// The error as written, without an instance.
    pub fn new(kind: Kind, detail: String, errors: Vec<Place>) -> Self {
        let (slug, status, title) = kind.row();
        Self { r#type: format!("{TYPE_PREFIX}{slug}"), title: title.to_owned(), status, detail, instance: None, errors }
    }
}

impl Problem {
    /// A problem with what the caller reads.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), internal: None, retry_after: None, standing: None }
    }

    /// With a wrong value.
    pub fn at(mut self, path: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push(Place { path: path.into(), message: message.into() });
        self
    }

    /// What is wrong stands below a member of the request.
    pub fn below(mut self, member: &str) -> Self {
        for place in &mut self.errors {
            place.path = [member, &place.path].iter().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join(".");
        }
        self
    }

    /// With what only the log gets.
    pub fn internally(mut self, message: impl Into<String>) -> Self {
        self.internal = Some(message.into());
        self
    }

    /// With `Retry-After`.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Nothing of this kind has this name, as far as the caller may see.
    pub fn not_found(what: &str, id: &str) -> Self {
        Problem::new(Kind::NotFound, format!("there is no {what} \"{id}\""))
    }

    /// Wrong values of a document, each with its place.
    pub fn invalid(wrong: impl IntoIterator<Item = Wrong>) -> Self {
        let errors: Vec<Place> = wrong.into_iter().map(|w| Place { path: w.path, message: w.message }).collect();
        let detail = match errors.as_slice() {
            [one] if one.path.is_empty() => one.message.clone(),
            [one] => format!("{}: {}", one.path, one.message),
            many => format!("{} values are wrong", many.len()),
        };
        Self { errors, ..Problem::new(Kind::Invalid, detail) }
    }

    /// What is wrong, each with its place.
    pub fn errors(&self) -> &[Place] {
        &self.errors
    }

    /// What the caller reads.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Paths of what is wrong.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.errors.iter().map(|e| e.path.as_str())
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    fn log(&self, instance: &str) {
        let (slug, status, _) = self.kind.row();
        let internal = self.internal.as_deref().unwrap_or_default();
        match status {
            500 => tracing::error!(instance, problem = slug, internal, "{}", self.detail),
            501.. => tracing::warn!(instance, problem = slug, internal, "{}", self.detail),
            _ => tracing::debug!(instance, problem = slug, internal, "{}", self.detail),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let instance = format!("{INSTANCE_PREFIX}{:016x}", rand::random::<u64>());
        self.log(&instance);
        let Problem { kind, detail, errors, retry_after, standing, .. } = self;
        let body = ProblemBody { instance: Some(instance), ..ProblemBody::new(kind, detail, errors) };
        let mut response = (kind.status(), axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if kind == Kind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(standing) = &standing {
            rate_headers(headers, standing);
        }
        response
    }
}

/// Says how a bucket of events stands (draft-ietf-httpapi-ratelimit-headers-10).
pub fn rate_headers(headers: &mut HeaderMap, standing: &Standing) {
    let Standing { rate, remaining, full_in } = standing;
    for (name, text) in [
        ("ratelimit-policy", format!("\"events\";q={rate};w=1")),
        ("ratelimit", format!("\"events\";r={remaining};t={full_in}")),
    ] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

impl From<Exceeded> for Problem {
    fn from(e: Exceeded) -> Self {
        let whose = match e.whose {
            Whose::Key(_) => "the key",
            Whose::Company(_) => "the company",
        };
        let rate = e.standing.rate;
        let detail = format!("{whose} may send {rate} events a second here; nothing was kept, send them again later");
        let problem = Problem::new(Kind::RateLimited, detail).retry_after(e.retry_after);
        Problem { standing: Some(e.standing), ..problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use tillstream_store::{AppendError, StoreError};

    #[test]
    fn every_slug_is_there_once_and_leads_back_to_its_kind() {
        let slugs: BTreeSet<&str> = Kind::ALL.iter().map(|k| k.slug()).collect();
        assert_eq!(slugs.len(), Kind::ALL.len());
        for &kind in Kind::ALL {
            assert_eq!(Kind::from_slug(kind.slug()), Some(kind));
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
        }
    }

    #[tokio::test]
    async fn what_is_for_the_log_stays_out_of_the_answer() {
        let e = StoreError::new("read events of company 7", "disk I/O error");
        let response = Problem::from(e).into_response();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let body: ProblemBody = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(body.r#type, "urn:tillstream:problem:internal");
        assert_eq!(body.instance.unwrap().len(), INSTANCE_PREFIX.len() + 16);
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(!text.contains("company 7") && !text.contains("disk I/O"));
    }

    #[test]
    fn a_refused_append_says_when_to_come_back() {
        for (e, kind) in [
            (AppendError::Behind { waiting_bytes: 5 }, Kind::Behind),
            (AppendError::DiskFull, Kind::DiskFull),
            (AppendError::Unavailable("ending".into()), Kind::Unavailable),
            (AppendError::Unsure("lost".into()), Kind::Unavailable),
        ] {
            let response = Problem::from(e).into_response();
            assert_eq!(response.status(), kind.status());
            assert!(response.headers().contains_key(header::RETRY_AFTER));
        }
    }
}
