//! Three receivers on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{Request, StatusCode};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::record::{Counts, Record};
use super::temper::{Mood, Temper};
use crate::signature::{Finding, SigningKey};
use crate::{server, wire};

/// Largest body that is taken, in bytes.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// One receiver. Cheap to clone.
#[derive(Clone)]
pub struct Receiver(Arc<Inner>);

struct Inner {
    name: &'static str,
    temper: Temper,
    address: SocketAddr,
    started: Instant,
    mood: Mutex<Mood>,
    signing: OnceLock<SigningKey>,
    record: Mutex<Record>,
}

/// The receivers and their servers.
pub struct Receivers {
    /// Healthy, slow, flaky.
    pub all: Vec<Receiver>,
    stop: CancellationToken,
    servers: JoinSet<()>,
}

impl Receivers {
    /// Starts them on free ports. The seed decides when the flaky one fails.
    ///
    /// # Errors
    /// When the system gives no port.
    pub async fn start(seed: u64) -> anyhow::Result<Self> {
        let mut receivers = Self { all: Vec::new(), stop: CancellationToken::new(), servers: JoinSet::new() };
        for (name, temper) in [("healthy", Temper::Healthy), ("slow", Temper::Slow), ("flaky", Temper::Flaky)] {
            let listener = server::bind(([127, 0, 0, 1], 0).into()).await?;
            let receiver = Receiver::new(name, temper, listener.local_addr()?, seed);
            receivers.servers.spawn(server::serve(listener, receiver.router(), receivers.stop.clone()));
            receivers.all.push(receiver);
        }
        Ok(receivers)
    }

    /// Ends them; a request left hanging is cut.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.servers.shutdown().await;
    }
}

impl Receiver {
    fn new(name: &'static str, temper: Temper, address: SocketAddr, seed: u64) -> Self {
        let mood = Mutex::new(Mood::new(temper, seed));
        let (signing, record) = (OnceLock::new(), Mutex::default());
        Self(Arc::new(Inner { name, temper, address, started: Instant::now(), mood, signing, record }))
    }

    /// Its name, also the id of its integration.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// How it behaves.
    pub fn temper(&self) -> Temper {
        self.0.temper
    }

    /// Where it takes deliveries; opened in a browser it shows its counts.
    pub fn url(&self) -> String {
        format!("http://{}/", self.0.address)
    }

    /// From now on signatures are checked with this secret; the first one stays.
    pub fn check_with(&self, signing: SigningKey) {
        let _ = self.0.signing.set(signing);
    }

    /// Its counts.
    pub fn counts(&self) -> Counts {
        self.record().counts()
    }

    /// Median and 99th percentile from acceptance to receipt, in milliseconds.
    pub fn latencies_ms(&self) -> (Option<u32>, Option<u32>) {
        let record = self.record();
        (record.latency_ms(0.5), record.latency_ms(0.99))
    }

    fn router(&self) -> Router {
        Router::new().route("/", get(show).post(receive)).with_state(self.clone())
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(State(receiver): State<Receiver>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let now = wire::now();
    let check = |key: &SigningKey| key.check(&head.headers, &body, now);
    let signature = receiver.0.signing.get().map_or(Finding::Missing("secret"), check);
    receiver.record().came(&head.headers, &body, signature, now);
    let reaction = {
        let mut mood = receiver.0.mood.lock().unwrap_or_else(PoisonError::into_inner);
        mood.react(receiver.0.started.elapsed())
    };
    // Counted when the answer is due: a hub that waits no longer drops this future, and the delivery has failed.
    let mut answer = Answer { receiver, success: false };
    tokio::time::sleep(reaction.wait).await;
    answer.success = reaction.status.is_success();
    drop(answer);
    reaction.status.into_response()
}

struct Answer {
    receiver: Receiver,
    success: bool,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.receiver.record().answered(self.success);
    }
}

async fn show(State(receiver): State<Receiver>) -> String {
    let counts = receiver.counts();
    format!(
        "The demo's receiver \"{}\" takes deliveries here by POST.\n\
         delivered {}, failed {}, signatures verified {}, wrong {}, out of order {}\n",
        receiver.name(),
        counts.delivered,
        counts.failed,
        counts.verified,
        counts.unverified,
        counts.out_of_order,
    )
}
