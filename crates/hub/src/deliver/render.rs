//! The request of an attempt rendered again, secrets masked.

use std::sync::Arc;

use bytes::Bytes;
use tillstream_model::integration::Settings;
use tillstream_model::{Event, Time};
use tillstream_store::state::Company;

use super::http::request::Template;

/// What was or would be sent.
#[derive(Clone, Debug)]
pub struct RenderedRequest {
    /// `POST`.
    pub method: &'static str,
    /// Where to.
    pub url: String,
    /// In alphabetical order; secrets are shown as `…`.
    pub headers: Vec<(String, String)>,
    /// As it goes over the wire.
    pub body: Bytes,
}

/// Renders an attempt with the settings given; None when they make no request.
pub fn render(
    settings: &Settings,
    company: &Company,
    epoch: u32,
    event: &Event,
    attempt: u32,
    now: Time,
) -> Option<RenderedRequest> {
    let template = Template::new(Arc::new(settings.clone()), &company.external_id, epoch).ok()?;
    let request = template.request(event, attempt, None, now);
    let mut headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|(name, value)| {
            let shown = if value.is_sensitive() { "…" } else { value.to_str().unwrap_or("…") };
            (name.as_str().to_owned(), shown.to_owned())
        })
        .collect();
    headers.sort();
    Some(RenderedRequest { method: "POST", url: request.uri.to_string(), headers, body: request.body })
}
