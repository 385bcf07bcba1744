//! `ETag` and `If-Match`: an update says which state of the thing it was made from.

use std::convert::Infallible;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tillstream_model::integration::Status;
use tillstream_store::state::Integration;

use crate::documents::Saved;
use crate::problem::{Kind, Problem, Result};

/// The tag of an integration: its version and status.
pub fn of(integration: &Integration) -> String {
    let status = match integration.status {
        Status::Running => "running",
        Status::Stopped => "stopped",
    };
    format!("\"{}-{status}\"", integration.version)
}

/// The tag of a document.
pub fn of_document<T>(saved: &Saved<T>) -> String {
    format!("\"{}\"", saved.version)
}

/// An answer with a tag.
pub fn answer(status: StatusCode, tag: String, body: impl Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The request's `If-Match`, if it has one.
#[derive(Clone, Debug, Default)]
pub struct IfMatch(Option<String>);

impl IfMatch {
    /// Answers 412 unless the tag is one of those that the request names, or it names none.
    pub fn check(&self, tag: &str) -> Result<()> {
        let Some(wanted) = &self.0 else { return Ok(()) };
        if wanted.split(',').map(str::trim).any(|w| w == "*" || w == tag) {
            return Ok(());
        }
        Err(Problem::new(Kind::Changed, format!("it is at {tag} now, not at {wanted}; read it again")))
    }

    /// Whether the request has one.
    pub fn is_given(&self) -> bool {
        self.0.is_some()
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let values = parts.headers.get_all(header::IF_MATCH).iter();
        let texts: Vec<_> = values.map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
        Ok(IfMatch(Some(texts.join(",")).filter(|_| !texts.is_empty())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_tags_has_to_match() {
        let check = |wanted: Option<&str>| IfMatch(wanted.map(str::to_owned)).check("\"3-running\"").is_ok();
        assert!(check(None) && check(Some("*")) && check(Some("\"1-stopped\", \"3-running\"")));
        for other in ["\"3-stopped\"", "W/\"3-running\"", "3-running", ""] {
            assert!(!check(Some(other)), "{other}");
        }
    }
}
