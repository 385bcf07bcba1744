//! The request of an attempt rendered again, secrets masked.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use tillstream_model::integration::{Settings, Target};
use tillstream_model::{Event, Time};
use tillstream_store::state::Company;

use super::http::request::Template;
use super::message::{Message, Messages};

/// What was or would be sent.
#[derive(Clone, Debug)]
pub struct RenderedRequest {
    /// `POST`.
    pub method: &'static str,
    /// Where to; of one that goes nowhere its kind and the integration's id, such as `inbox:erp`.
    pub url: String,
    /// In alphabetical order; secrets are shown as `…`.
    pub headers: Vec<(String, String)>,
    /// As it goes over the wire.
    pub body: Bytes,
}

/// Renders an attempt with the settings given, for a log in this epoch; None when they make no request.
pub fn render(
    settings: &Settings,
    company: &Company,
    epoch: u32,
    event: &Event,
    attempt: u32,
    now: Time,
) -> Option<RenderedRequest> {
    let (settings, company) = (Arc::new(settings.clone()), &company.external_id);
    if let Target::Http(_) = settings.target {
        let request = Template::new(settings, company, epoch).ok()?.request(event, attempt, None, now);
        return Some(shown(request.uri.to_string(), &request.headers, request.body));
    }
    let url = format!("{}:{}", settings.target.kind(), settings.id);
    let Message { headers, body } =
        Messages::new(settings, company, epoch).message(HeaderMap::new(), event, attempt, None, now);
    Some(shown(url, &headers, body))
}

pub(super) fn shown(url: String, headers: &HeaderMap, body: Bytes) -> RenderedRequest {
    let mut headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| {
            let shown = if value.is_sensitive() { "…" } else { value.to_str().unwrap_or("…") };
            (name.as_str().to_owned(), shown.to_owned())
        })
        .collect();
    headers.sort();
    RenderedRequest { method: "POST", url, headers, body }
}
