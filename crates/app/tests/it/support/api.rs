//! A client of the hub's API.

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Calls one hub, with one key or none. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub(super) client: Client<HttpConnector, Full<Bytes>>,
    pub(super) base: String,
    pub(super) key: Option<String>,
    /// The company that an operator's key names.
    pub(super) company: Option<String>,
    /// A person's session, as its cookie is sent.
    pub(super) session: Option<String>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Api {
    /// A client of the hub at `base`, such as `http://127.0.0.1:4000`.
    pub fn new(base: &str, key: Option<&str>) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, base: base.to_owned(), key: key.map(str::to_owned), company: None, session: None }
    }

    /// Sends a body with headers; `path` is everything after the host.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if let Some(company) = &self.company {
            request = request.header("tillstream-company", company);
        }
        if let Some(session) = &self.session {
            request = request.header("cookie", session).header("tillstream-requested-with", "test");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(|e| e.to_string())?;
        let (head, body) = self.client.request(request).await.map_err(|e| format!("{e:?}"))?.into_parts();
        // A stream of events has no end.
        let is_stream = head.headers.get("content-type").is_some_and(|t| t == "text/event-stream");
        let body = match is_stream {
            true => Bytes::new(),
            false => body.collect().await.map_err(|e| e.to_string())?.to_bytes(),
        };
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// As [`Api::send`].
    pub async fn try_post(&self, path: &str, body: &Value) -> Result<Answer, String> {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.to_string().into()).await
    }

    /// Gets a path that must be answered.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Bytes::new()).await.expect("an answer")
    }

    /// All rows of a list, page after page.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{separator}limit=500{after}")).await.expect(200);
            rows.extend(page["items"].as_array().expect("items").iter().cloned());
            let Some(next) = page["next"].as_str() else { return rows };
            after = format!("&after={next}");
        }
    }
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("not JSON ({e}), status {}: {}", self.status, self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON when the status is this one; fails otherwise.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
}
