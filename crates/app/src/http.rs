//! The HTTP client of the commands: what a person asks for on the command line, over HTTP or HTTPS. The hub's own
//! outgoing calls never come here; they go through the guarded connector.

use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a whole exchange may take.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Sends requests, keeps connections. Cheap to clone.
#[derive(Clone)]
pub struct Http(legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// A whole answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, at most [`MAX_ANSWER_BYTES`].
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub struct NoAnswer {
    /// Whether not even a connection was made, so that the request was certainly not seen.
    pub no_connection: bool,
    cause: anyhow::Error,
}

impl Http {
    /// A client that trusts the common public roots. Opens nothing.
    pub fn new() -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(tcp);
        Self(legacy::Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector))
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// [`NoAnswer`] when none came in time; an answer of any status is one.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Answer, NoAnswer> {
        match tokio::time::timeout(EXCHANGE_TIMEOUT, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => Err(NoAnswer { no_connection: false, cause: anyhow!("no answer within {EXCHANGE_TIMEOUT:?}") }),
        }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Answer, NoAnswer> {
        let answer = self.0.request(request.map(Full::new)).await;
        let answer = answer.map_err(|e| NoAnswer { no_connection: e.is_connect(), cause: root(&e) })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|e| anyhow!(e)).context("the answer broke off");
        let body = body.map_err(|cause| NoAnswer { no_connection: false, cause })?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.cause)
    }
}

impl std::error::Error for NoAnswer {}

/// The innermost cause: what people can act on, without the client's own layers around it.
fn root(error: &dyn std::error::Error) -> anyhow::Error {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    anyhow!("{innermost}")
}
