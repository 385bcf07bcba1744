//! One request and its answer, under one deadline.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, Version};
use hyper_util::client::legacy;
use tokio::time::{Instant, timeout};

use crate::body::{KEPT_BYTES, Payload, Progress, Stage, read_start};
use crate::connect::{ConnectError, Connector};
use crate::failure::{Failure, one_line};
use crate::url::UrlError;

/// The pooling client below a [`Pool`](crate::Pool): it pools by origin.
pub(crate) type Http = legacy::Client<Connector, Payload>;

/// A request. `Host` and `Content-Length` are filled in when sent; nothing else is added.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// An absolute `http` or `https` URL.
    pub uri: Uri,
    /// All headers but `Host` and `Content-Length`.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// How much of the answer's body is kept, in bytes; at most [`MAX_READ_BYTES`](crate::MAX_READ_BYTES).
    pub keep: usize,
}

impl Request {
    /// A POST of `body` without headers.
    pub fn post(uri: Uri, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, uri, headers: HeaderMap::new(), body: body.into(), keep: KEPT_BYTES }
    }

    /// A GET without headers.
    #[must_use]
    pub fn get(uri: Uri) -> Self {
        Self { method: Method::GET, uri, headers: HeaderMap::new(), body: Bytes::new(), keep: KEPT_BYTES }
    }
}

/// An answer, whatever its status: a redirect or an error is the caller's to judge.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// The headers; see [`MAX_HEAD_BYTES`](crate::MAX_HEAD_BYTES).
    pub headers: HeaderMap,
    /// The first bytes of the body, at most [`Request::keep`].
    pub body_start: Bytes,
    /// Whether the body was longer than `body_start`.
    pub truncated: bool,
    /// From the call to the end of the body.
    pub elapsed: Duration,
}

/// Sends a request and reads its answer, all within `deadline`.
pub(crate) async fn exchange(http: &Http, request: Request, deadline: Duration) -> Result<Answer, Failure> {
    let started = Instant::now();
    let uri = request.uri.clone();
    let progress = Progress::default();
    let failure = match timeout(deadline, send(http, request, &progress)).await {
        Ok(Ok(answer)) => {
            let elapsed = started.elapsed();
            return Ok(Answer { elapsed, ..answer });
        }
        Ok(Err(Broken::Url(error))) => Failure::of(&ConnectError::Url(error), &place(&uri)),
        Ok(Err(Broken::Request(error))) => Failure::of(&error, &place(&uri)),
        Ok(Err(Broken::Body(error))) => Failure::of(&error, &place(&uri)),
        Err(_) => Failure::deadline(progress.stage(), &place(&uri), deadline),
    };
    Err(Failure { elapsed: started.elapsed(), ..failure })
}

/// What broke: apart only so that the errors need no box.
enum Broken {
    Url(UrlError),
    Request(legacy::Error),
    Body(hyper::Error),
}

async fn send(http: &Http, request: Request, progress: &Progress) -> Result<Answer, Broken> {
    // The rest of the URL is checked by the connector, once per connection.
    if request.uri.authority().is_none() {
        return Err(Broken::Url(UrlError::NoHost));
    }
    let keep = request.keep;
    let mut outgoing = http::Request::new(Payload::new(request.body, progress.clone()));
    *outgoing.method_mut() = request.method;
    *outgoing.uri_mut() = request.uri;
    *outgoing.headers_mut() = request.headers;

    let answer = http.request(outgoing).await.map_err(Broken::Request)?;
    progress.reached(Stage::Reading);
    let (head, body) = answer.into_parts();
    let start = read_start(body, keep).await.map_err(Broken::Body)?;
    Ok(Answer {
        status: head.status,
        version: head.version,
        headers: head.headers,
        body_start: start.kept,
        truncated: start.truncated,
        elapsed: Duration::ZERO,
    })
}

/// Host and port for a failure's text: never the path or query, which may hold a token.
pub(crate) fn place(uri: &Uri) -> String {
    let port = match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    let host = uri.host().unwrap_or("(no host)");
    one_line(&format!("{host}:{}", uri.port_u16().unwrap_or(port)))
}
