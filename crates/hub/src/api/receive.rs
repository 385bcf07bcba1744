//! `POST /v1/events`: the way in (`contracts/hub-api.md`, "Events in"). Every event passes here, so nothing is done
//! that could be left out: no tree of the answer, no span, no id of the request.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tillstream_model::{EventId, Seq};
use utoipa::ToSchema;

use super::docs::Denied;
use super::extract::Caller;
use super::{body, schema};
use crate::Hub;
use crate::access::Scope;
use crate::ingest::{Accepted, BodyKind, Refused, Report, Sender};
use crate::problem::{Kind, Place, Problem, ProblemBody, Result, rate_headers};
use crate::trace;

/// Content types, in the order of [`KINDS`].
const TYPES: [&str; 2] = ["application/json", "application/x-ndjson"];
const KINDS: [BodyKind; 2] = [BodyKind::Json, BodyKind::Ndjson];
/// About how many bytes one accepted event takes in the answer.
const ROW_BYTES: usize = 96;

/// What became of each event of a request.
#[derive(Serialize, ToSchema)]
pub struct Receipt {
    /// Durable now.
    accepted: Vec<AcceptedView>,
    /// Not kept.
    rejected: Vec<RefusedView>,
    /// Durable, but nobody knows their site: kept beside the log until a person releases them. Missing when there are
    /// none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    held: Vec<HeldView>,
}

/// An event that is held.
#[derive(Serialize, ToSchema)]
#[schema(as = Held)]
pub struct HeldView {
    /// Which event of the request, from 0.
    index: usize,
    /// Whether it was held already under its idempotency id.
    duplicate: bool,
}

/// An event that is durable now.
#[derive(Serialize, ToSchema)]
#[schema(as = Accepted)]
pub struct AcceptedView {
    /// Which event of the request, from 0.
    index: usize,
    /// The event's id; of a duplicate: the first one's.
    #[schema(value_type = String, example = "evt_01JD7ZQ4X8E9W3R5T6Y7P0A1BC")]
    id: EventId,
    /// Its position in the company's log.
    #[schema(value_type = u64)]
    seq: Seq,
    /// Whether it was known already under its idempotency id.
    duplicate: bool,
}

/// An event that was not kept.
#[derive(Serialize, ToSchema)]
#[schema(as = Refused)]
pub struct RefusedView {
    /// Which event of the request, from 0.
    index: usize,
    /// Why.
    problem: ProblemBody,
}

/// Send events
///
/// One event, an array of at most 1,000, or lines of JSON up to 10 MiB; packed with gzip or zstd if you like. Answers
/// when the accepted events are durable. Events of one entity keep their order. Their deliveries go on with the trace
/// that `traceparent` names.
#[utoipa::path(
    post, path = "/v1/events", tag = "events",
    params(("traceparent" = Option<String>, Header, description = "The trace that the request belongs to (W3C Trace \
        Context). One that can't be read counts as none; `tracestate` is not kept")),
    request_body(content((schema::Incoming = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 202, description = "All are durable", body = Receipt, headers(
            ("RateLimit", description = "Where a limit is set: events that may come at once now, and seconds until the \
                most may"),
            ("RateLimit-Policy", description = "Where a limit is set: events a second")
        )),
        (status = 207, description = "Some were refused, the others are durable", body = Receipt),
        (status = 422, description = "All were refused", body = Receipt),
        (status = 400, description = "The body can't be read",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large, or too many events",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Another content type or encoding",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "More events a second than the key or the company may send, or the company's \
            share of the log is full; nothing was kept",
            body = ProblemBody, content_type = "application/problem+json",
            headers(
                ("Retry-After" = u32, description = "Seconds"),
                ("RateLimit", description = "How the limit of events stands"),
                ("RateLimit-Policy", description = "Events a second")
            )),
        (status = 503, description = "The log takes nothing now; nothing was kept",
            body = ProblemBody, content_type = "application/problem+json",
            headers(("Retry-After" = u32, description = "Seconds"))),
        Denied
    )
)]
pub async fn receive_events(State(hub): State<Hub>, caller: Caller, request: Request) -> Result<Response> {
    let company = caller.company(Scope::EventsWrite)?;
    let (parts, body) = request.into_parts();
    let kind = KINDS[body::expect_type(&parts.headers, &TYPES)?];
    let body = body::events(&parts.headers, body).await?;
    let sender = Sender { only: caller.bound_sites(), key: Some(caller.rate()), trace: trace::of(&parts.headers) };
    let mut report = hub.ingest().accept(company, sender, body, kind).await?;
    let standing = report.standing.take();
    let mut response = receipt(report)?;
    if let Some(standing) = standing {
        rate_headers(response.headers_mut(), &standing);
    }
    Ok(response)
}

fn receipt(report: Report) -> Result<Response> {
    let status = match (report.accepted.len() + report.held.len(), report.rejected.len()) {
        (_, 0) => StatusCode::ACCEPTED,
        (0, _) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::MULTI_STATUS,
    };
    let mut json = Vec::with_capacity(64 + ROW_BYTES * report.accepted.len());
    let receipt = Receipt {
        accepted: report.accepted.into_iter().map(AcceptedView::from).collect(),
        rejected: report.rejected.into_iter().map(RefusedView::from).collect(),
        held: report.held.into_iter().map(|h| HeldView { index: h.index, duplicate: h.duplicate }).collect(),
    };
    serde_json::to_writer(&mut json, &receipt).map_err(|e| {
        Problem::new(Kind::Internal, "the answer could not be written; the events are kept").internally(e.to_string())
    })?;
    Ok((status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response())
}

impl From<Accepted> for AcceptedView {
    fn from(a: Accepted) -> Self {
        AcceptedView { index: a.index, id: a.id, seq: a.seq, duplicate: a.duplicate }
    }
}

impl From<Refused> for RefusedView {
    fn from(r: Refused) -> Self {
        let kind = Kind::from_slug(r.slug).unwrap_or(Kind::InvalidEvent);
        let errors = r.path.map(|path| Place { path, message: r.detail.clone() }).into_iter().collect();
        RefusedView { index: r.index, problem: ProblemBody::new(kind, r.detail, errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(accepted: usize, rejected: usize) -> Report {
        let id = EventId::from_bytes([1; 16]);
        Report {
            accepted: (0..accepted).map(|index| Accepted { index, id, seq: 7, duplicate: false }).collect(),
            rejected: (0..rejected)
                .map(|index| Refused { index, slug: "name-reserved", detail: "no".into(), path: Some("name".into()) })
                .collect(),
            ..Report::default()
        }
    }

    #[test]
    fn the_status_says_whether_all_some_or_none_are_kept() {
        for (accepted, rejected, status) in [(2, 0, 202), (1, 1, 207), (0, 2, 422)] {
            assert_eq!(receipt(report(accepted, rejected)).unwrap().status(), status);
        }
    }

    #[tokio::test]
    async fn each_event_is_told_by_its_place_in_the_request() {
        let response = receipt(report(1, 1)).unwrap();
        let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        insta::assert_json_snapshot!(json);
    }
}
