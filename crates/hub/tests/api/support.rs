//! A hub on a folder of its own, requests to its router, and a receiver that answers as told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tillstream_hub::access::NewKey;
use tillstream_hub::{Config, Hub};
use tillstream_model::{CompanyNo, Time};
use tillstream_outbound::{Client, Options, Policy};
use tillstream_store::sqlite;
use tillstream_store::state::Bound;
use tillstream_store::{MasterKey, Retention};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// When the tests take place.
const START: &str = "2026-11-21T10:00:00Z";
/// How long a test waits for what lanes do.
const PATIENCE: Duration = Duration::from_secs(20);

/// A hub with one company, `acme`.
pub struct App {
    pub hub: Hub,
    /// A key of `acme` with every scope.
    pub key: String,
    pub acme: CompanyNo,
    clock: Arc<AtomicI64>,
    receivers: JoinSet<()>,
    _folder: TempDir,
}

/// An answer of the hub.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The JSON of the body; its text if it is none.
    pub body: Value,
}

impl App {
    /// Starts it; loopback may be called.
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    /// Starts it with another configuration.
    pub async fn with(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(START.parse::<Time>().unwrap().millis()));
        let read = clock.clone();
        let tells: tillstream_store::Clock = Arc::new(move || Time::from_millis(read.load(Ordering::Relaxed)));
        let stores = sqlite::open(folder.path(), sqlite::Options::new(tells.clone(), MasterKey::new([7; 32]))).unwrap();
        let outbound = Client::new(Policy::new(&["127.0.0.0/8"]).unwrap(), Options::default());
        let hub = Hub::start(stores, outbound, config, tells).await.unwrap();
        let acme = company(&hub, "acme").await;
        let key = make_key(&hub, Some(acme), &["all"], 1).await;
        App { hub, key, acme, clock, receivers: JoinSet::new(), _folder: folder }
    }

    /// Another company and a key of it with every scope.
    pub async fn neighbour(&self) -> String {
        let no = company(&self.hub, "neighbour").await;
        make_key(&self.hub, Some(no), &["all"], 2).await
    }

    /// A key of `acme` with these scopes.
    pub async fn key_with(&self, scopes: &[&str]) -> String {
        make_key(&self.hub, Some(self.acme), scopes, 3).await
    }

    /// An operator's key.
    pub async fn operator(&self) -> String {
        make_key(&self.hub, None, &["instance"], 4).await
    }

    /// Moves the clock forward.
    pub fn pass(&self, by: Duration) {
        self.clock.fetch_add(by.as_millis() as i64, Ordering::Relaxed);
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, body).await
    }

    /// A request with the company's own key.
    pub async fn ask(&self, method: Method, path: &str, body: Value) -> Answer {
        self.ask_as(&self.key, method, path, body).await
    }

    /// A request with this key; without a body when it is null.
    pub async fn ask_as(&self, key: &str, method: Method, path: &str, body: Value) -> Answer {
        let merge = method == Method::PATCH;
        let request =
            Request::builder().method(method).uri(path).header(header::AUTHORIZATION, format!("Bearer {key}"));
        if body.is_null() {
            return self.send(request.body(Body::empty()).unwrap()).await;
        }
        let media_type = if merge { "application/merge-patch+json" } else { "application/json" };
        self.send(request.header(header::CONTENT_TYPE, media_type).body(body.to_string().into()).unwrap()).await
    }

    /// A request as it is.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.hub.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        let body =
            serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into());
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Makes an integration with this id and more settings; it must be accepted.
    pub async fn integration(&self, id: &str, url: &str, more: Value) -> Answer {
        let mut doc = json!({"id": id, "target": {"kind": "http", "url": url}});
        doc.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let answer = self.post("/v1/integrations", doc).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer
    }

    /// Sends an event that must be accepted; gives its id.
    pub async fn event(&self, name: &str, entity_id: &str) -> String {
        let event = json!({"name": name, "site": "175", "entity_id": entity_id, "data": {"total": 12.50}});
        let answer = self.post("/v1/events", event).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.body["accepted"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Asks until the answer is as wanted.
    pub async fn wait_for(&self, path: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).await;
            if is_it(&answer.body) {
                return answer.body;
            }
            assert!(tokio::time::Instant::now() < end, "{path}: {}", answer.body);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A receiver; the number is the status that it answers with.
    pub async fn receiver(&mut self, status: u16) -> (String, Arc<AtomicU16>) {
        let answers = Arc::new(AtomicU16::new(status));
        let router = axum::Router::new().route("/", post(receive)).with_state(answers.clone());
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        self.receivers.spawn(async move { axum::serve(listener, router).await.unwrap() });
        (url, answers)
    }
}

async fn receive(State(answers): State<Arc<AtomicU16>>) -> (StatusCode, &'static str) {
    (StatusCode::from_u16(answers.load(Ordering::Relaxed)).unwrap(), "as told")
}

async fn company(hub: &Hub, id: &str) -> CompanyNo {
    hub.state().create_company(id, id, Retention::Month, Vec::new()).await.unwrap().no
}

async fn make_key(hub: &Hub, company: Option<CompanyNo>, scopes: &[&str], n: u8) -> String {
    let scopes: Vec<String> = scopes.iter().map(|s| (*s).to_owned()).collect();
    let mut random = [n; 32];
    random[1] = scopes.iter().map(String::len).sum::<usize>() as u8;
    let id = u64::from_be_bytes([n, random[1], 0, 0, 0, 0, 0, 0]);
    let (text, key) = NewKey { company, name: "test".into(), scopes, bound: Bound::default(), expires_at: None }.make(
        random,
        id,
        hub.now(),
    );
    hub.state().create_key(key).await.unwrap();
    text
}

/// Checks that an answer is a problem of this kind and status.
pub fn assert_problem(answer: &Answer, status: u16, slug: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(answer.body["type"], format!("urn:tillstream:problem:{slug}"), "{}", answer.body);
    assert_eq!(answer.body["status"], status);
    assert!(answer.body["instance"].as_str().unwrap().starts_with("urn:tillstream:request:"));
    assert_fits(&answer.body, "Problem");
}

/// The places that a problem names.
pub fn places(answer: &Answer) -> Vec<&str> {
    answer.body["errors"].as_array().into_iter().flatten().filter_map(|e| e["path"].as_str()).collect()
}

/// Checks that a value has the members that the API's document gives its shape: all required ones and no other.
pub fn assert_fits(value: &Value, shape: &str) {
    let document = serde_json::to_value(tillstream_hub::api::document()).unwrap();
    let schema = &document["components"]["schemas"][shape];
    assert!(schema.is_object(), "{shape} is not in the document");
    fits(&document, schema, value, shape);
}

fn fits(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).unwrap();
        return fits(document, target, value, place);
    }
    match value {
        Value::Object(members) if schema["properties"].is_object() => {
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(members.contains_key(required.as_str().unwrap()), "{place} lacks {required}");
            }
            for (name, inner) in members {
                let schema = &schema["properties"][name];
                assert!(schema.is_object(), "{place}.{name} is not in the document");
                fits(document, schema, inner, &format!("{place}.{name}"));
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| fits(document, &schema["items"], item, &format!("{place}[]")));
        }
        _ => {}
    }
}
