//! `Idempotency-Key`: a request that is sent again is answered as the first time, and does nothing again
//! (`contracts/hub-api.md`, first paragraph; draft-ietf-httpapi-idempotency-key-header-07).
//!
//! It works on every call that makes something, that is, answers a POST with 201 or 202. Other answers are not kept: the
//! same request may be tried again. Events have idempotency ids of their own.

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tillstream_model::CompanyNo;
use tillstream_store::answers::{Begin, Begun};

use super::body;
use super::extract::Caller;
use crate::Hub;
use crate::problem::{Kind, Problem, Result};

/// Names a request.
pub const KEY_HEADER: &str = "idempotency-key";
/// Says that an answer was given before.
pub const REPLAYED_HEADER: &str = "idempotency-replayed";
/// Longest name of a request, in bytes.
pub const MAX_KEY: usize = 255;
/// Most names of requests that are kept of a company; they go after a day.
pub const MAX_KEYS: usize = 10_000;

/// Largest answer that is kept.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// `Retry-After` while the first request is being answered.
const BUSY_RETRY_SECONDS: u32 = 1;
/// Headers that are kept with an answer.
const KEPT: [HeaderName; 3] = [header::CONTENT_TYPE, header::ETAG, header::LOCATION];

/// An answer as it is kept. Read for a day, so fields are only added.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// Answers a request with a name once.
pub async fn once(State(hub): State<Hub>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(KEY_HEADER) {
        return next.run(request).await;
    }
    // What was begun is finished and kept, whether the caller still waits or not.
    let answering = hub.clone();
    let answered = hub.0.tasks.spawn(async move { answer(&answering, request, next).await });
    match answered.await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem.into_response(),
        Err(e) => {
            Problem::new(Kind::Internal, "the hub failed at this request").internally(e.to_string()).into_response()
        }
    }
}

async fn answer(hub: &Hub, request: Request, next: Next) -> Result<Response> {
    let (mut parts, body) = request.into_parts();
    let key = key_of(&parts.headers)?;
    let caller = Caller::from_request_parts(&mut parts, hub).await?;
    let body = body::document(&parts.headers, body).await?;
    let target = parts.uri.path_and_query().map_or("", |p| p.as_str());
    let of = caller.named_company().map(|c| c.no);
    let id = hash(&[caller.holder().key_id.as_bytes(), key.as_bytes()]).iter().map(|b| format!("{b:02x}")).collect();
    let fingerprint = hash(&[target.as_bytes(), &body]);
    let begin = Begin { of, id, fingerprint, now: hub.now(), most: MAX_KEYS };
    let id = begin.id.clone();
    match hub.state().begin_answer(begin).await? {
        Begun::New => Ok(run(hub, of, &id, next, Request::from_parts(parts, Body::from(body))).await),
        Begun::Answered(kept) => replay(&kept),
        Begun::Busy => {
            Err(Problem::new(Kind::InProgress, "ask again to get the answer").retry_after(BUSY_RETRY_SECONDS))
        }
        Begun::Other => {
            Err(Problem::new(Kind::IdempotencyKeyReused, "another path or body came under this key; use a new one"))
        }
        Begun::Full => Err(Problem::new(
            Kind::Quota,
            format!("{MAX_KEYS} requests with an Idempotency-Key within a day; send this one without"),
        )),
    }
}

fn key_of(headers: &HeaderMap) -> Result<String> {
    let mut values = headers.get_all(KEY_HEADER).iter();
    let key = values.next().and_then(|v| v.to_str().ok()).unwrap_or_default();
    let printable = key.bytes().all(|b| (b' '..=b'~').contains(&b));
    if values.next().is_none() && printable && (1..=MAX_KEY).contains(&key.len()) {
        return Ok(key.to_owned());
    }
    let message = format!("one value of 1 to {MAX_KEY} printable ASCII characters");
    Err(Problem::new(Kind::InvalidHeader, format!("Idempotency-Key: {message}")).at("Idempotency-Key", message))
}

fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut prefix = [0; 16];
    prefix.copy_from_slice(&hash.finalize()[..16]);
    prefix
}

async fn run(hub: &Hub, of: Option<CompanyNo>, id: &str, next: Next, request: Request) -> Response {
    let response = next.run(request).await;
    if ![StatusCode::CREATED, StatusCode::ACCEPTED].contains(&response.status()) {
        if let Err(e) = hub.state().forget_answer(of, id).await {
            tracing::warn!(error = %e, "a request can be repeated under its key only in a minute");
        }
        return response;
    }
    let (parts, body) = response.into_parts();
    let bytes = match Limited::new(body, MAX_ANSWER_BYTES).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(e) => {
            let problem = Problem::new(Kind::Internal, "it was done, but the answer is too large to be kept");
            return problem.internally(e.to_string()).into_response();
        }
    };
    if let Err(e) = keep(hub, of, id, parts.status, &parts.headers, &bytes).await {
        tracing::warn!(error = %e, "an answer could not be kept; its request must not be repeated");
    }
    Response::from_parts(parts, Body::from(bytes))
}

async fn keep(
    hub: &Hub,
    of: Option<CompanyNo>,
    id: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &Bytes,
) -> anyhow::Result<()> {
    let header = |name: &HeaderName| Some((name.to_string(), headers.get(name)?.to_str().ok()?.to_owned()));
    let body = String::from_utf8(body.to_vec())?;
    let kept = Kept { status: status.as_u16(), headers: KEPT.iter().filter_map(header).collect(), body };
    Ok(hub.state().keep_answer(of, id, &serde_json::to_string(&kept)?).await?)
}

fn replay(kept: &str) -> Result<Response> {
    let broken = |e: String| Problem::new(Kind::Internal, "the answer that was kept can't be read").internally(e);
    let kept: Kept = serde_json::from_str(kept).map_err(|e| broken(e.to_string()))?;
    let status = StatusCode::from_u16(kept.status).map_err(|e| broken(e.to_string()))?;
    let mut response = (status, kept.body).into_response();
    let headers = response.headers_mut();
    for (name, value) in kept.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(HeaderName::from_static(REPLAYED_HEADER), HeaderValue::from_static("true"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_value_of_printable_characters() {
        let with = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(KEY_HEADER, HeaderValue::from_bytes(value).unwrap());
            }
            key_of(&headers).is_ok()
        };
        assert!(with(&[b"a b:\"~\""]) && with(&[&[b'k'; MAX_KEY]]));
        assert!(!with(&[b""]) && !with(&[&[b'k'; MAX_KEY + 1]]) && !with(&["ä".as_bytes()]) && !with(&[b"a\tb"]));
        assert!(!with(&[b"a", b"b"]));
    }

    #[test]
    fn parts_of_a_request_do_not_run_into_each_other() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }
}
