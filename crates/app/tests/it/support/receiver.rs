//! A receiver of deliveries that remembers everything and misbehaves on demand.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Between two bytes of an answer that drips.
const DRIP_EVERY: Duration = Duration::from_millis(50);

/// A delivery as it came.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub at: Instant,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What a receiver does about a delivery.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers with this status.
    Status(u16),
    /// Answers with a header too.
    Header(u16, &'static str, String),
    /// Answers with a body.
    Body(u16, Bytes),
    /// Answers with this status after a while.
    After(Duration, u16),
    /// Never answers.
    Hang,
    /// Ends the connection instead of answering.
    Close,
    /// Begins to answer 200 and never ends, byte by byte.
    Drip,
}

type Behaviour = Arc<dyn Fn(&Delivery) -> Reply + Send + Sync>;
type Answering = Response<BoxBody<Bytes, Infallible>>;

#[derive(Default)]
struct Shared {
    deliveries: Mutex<Vec<Delivery>>,
    behaviours: Mutex<HashMap<String, Behaviour>>,
}

/// A receiver on loopback.
pub struct Receiver {
    shared: Arc<Shared>,
    base: String,
    _server: JoinSet<()>,
}

impl Receiver {
    /// One that answers 200 to everything.
    pub async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a free port"))
    }

    /// One on a listener of its own.
    pub fn on(listener: TcpListener) -> Self {
        let shared = Arc::new(Shared::default());
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let mut server = JoinSet::new();
        server.spawn(accept(listener, shared.clone()));
        Self { shared, base, _server: server }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// What to do from now on about deliveries to a path.
    pub fn behave(&self, path: &str, behaviour: impl Fn(&Delivery) -> Reply + Send + Sync + 'static) {
        self.shared.behaviours.lock().expect("no panic").insert(path.to_owned(), Arc::new(behaviour));
    }

    /// What came to a path, in the order it came.
    pub fn deliveries(&self, path: &str) -> Vec<Delivery> {
        self.shared.deliveries.lock().expect("no panic").iter().filter(|d| d.path == path).cloned().collect()
    }
}

impl Delivery {
    /// A header; fails when it is missing.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no header {name}: {:?}", self.headers));
        value.to_str().expect("a readable header")
    }

    /// The event's id.
    #[track_caller]
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }

    /// The entity and the version of an event made by this test support.
    #[track_caller]
    pub fn version(&self) -> (String, u64) {
        let body = self.json();
        let data = if body["data"].is_object() { &body["data"] } else { &body["payload"] };
        (data["_id"].as_str().expect("an entity").to_owned(), data["version"].as_u64().expect("a version"))
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        connections.spawn(serve(connection, shared.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(connection: TcpStream, shared: Arc<Shared>) {
    // Without this an answer may wait for an acknowledgement that the other side delays.
    let _ = connection.set_nodelay(true);
    let service = service_fn(|request| receive(request, shared.clone()));
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    // A connection that breaks is what some tests ask for.
    let _ = builder.serve_connection(TokioIo::new(connection), service).await;
}

async fn receive(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answering, String> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
    let delivery = Delivery { at: Instant::now(), path: head.uri.path().to_owned(), headers: head.headers, body };
    let reply = shared.take(delivery);
    answer(reply).await
}

impl Shared {
    /// Remembers first, so that whoever sees an answer sees the delivery too.
    fn take(&self, delivery: Delivery) -> Reply {
        let behaviour = self.behaviours.lock().expect("no panic").get(&delivery.path).cloned();
        self.deliveries.lock().expect("no panic").push(delivery.clone());
        behaviour.map_or(Reply::Status(200), |b| b(&delivery))
    }
}

async fn answer(reply: Reply) -> Result<Answering, String> {
    match reply {
        Reply::Status(status) => Ok(response(status, Bytes::new())),
        Reply::Body(status, body) => Ok(response(status, body)),
        Reply::Header(status, name, value) => {
            let mut response = response(status, Bytes::new());
            response.headers_mut().insert(name, value.parse().expect("a header value"));
            Ok(response)
        }
        Reply::After(delay, status) => {
            tokio::time::sleep(delay).await;
            Ok(response(status, Bytes::new()))
        }
        Reply::Hang => std::future::pending().await,
        Reply::Close => Err("closed on purpose".to_owned()),
        Reply::Drip => Ok(Response::new(dripping())),
    }
}

fn response(status: u16, body: Bytes) -> Answering {
    let mut response = Response::new(Full::new(body).boxed());
    *response.status_mut() = status.try_into().expect("a status");
    response
}

fn dripping() -> BoxBody<Bytes, Infallible> {
    let bytes = stream::unfold((), |()| async {
        tokio::time::sleep(DRIP_EVERY).await;
        Some((Ok(Frame::data(Bytes::from_static(b"."))), ()))
    });
    StreamBody::new(bytes).boxed()
}
