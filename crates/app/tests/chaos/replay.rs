//! A great replay beside a live flow: what is live hardly waits, every past event comes again and is marked, also when
//! the hub is killed in the middle.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::api::Api;
use crate::hub::{Hub, Setup};
use crate::number;
use crate::wait::eventually;

/// Past events when nobody asks for another number.
const EVENTS: usize = 20_000;
/// From so many on it is the long run, alone on the machine, and the bar counts to the letter.
const LONG_RUN: usize = 1_000_000;
/// Events of one request.
const BATCH: usize = 500;
/// Live events of a measurement, those of the long run, and the pause between two.
const LIVE: usize = 200;
const LIVE_OF_LONG_RUN: usize = 2_000;
const LIVE_EVERY: Duration = Duration::from_millis(5);
/// How much longer the slowest hundredth of live events may take beside a replay …
const RATIO: f64 = 1.5;
/// … and in the short run, where other tests have just ended and a hiccup is a large part of so few events.
const HICCUP: Duration = Duration::from_millis(15);
/// For each past event; a machine with other work gets through two hundred a second.
const PATIENCE: Duration = Duration::from_millis(5);

/// What came: for each event how often and how often marked, and when each live event did.
#[derive(Default)]
struct Came {
    past: HashMap<Bytes, (u32, u32)>,
    live: HashMap<Bytes, Instant>,
    /// Replayed ones are answered a moment later, so that a replay lasts as long as a measurement.
    is_slow: bool,
}

/// A receiver that keeps only counts.
struct Sink {
    came: Arc<Mutex<Came>>,
    url: String,
    _server: JoinSet<()>,
}

impl Sink {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/it", listener.local_addr().expect("an address"));
        let came = Arc::<Mutex<Came>>::default();
        let (shared, mut server) = (came.clone(), JoinSet::new());
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                let _ = connection.set_nodelay(true);
                let shared = shared.clone();
                connections.spawn(async move {
                    let service = service_fn(|request| take(request, shared.clone()));
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    // A hub that is killed breaks its connections.
                    let _ = builder.serve_connection(TokioIo::new(connection), service).await;
                });
            }
        });
        Self { came, url, _server: server }
    }

    fn came(&self) -> std::sync::MutexGuard<'_, Came> {
        self.came.lock().expect("no panic")
    }

    /// Past events that came at least so often: all, and marked.
    fn past(&self) -> (usize, usize) {
        let came = self.came();
        (came.past.len(), came.past.values().filter(|(_, marked)| *marked > 0).count())
    }
}

async fn take(request: Request<Incoming>, came: Arc<Mutex<Came>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let at = Instant::now();
    let (head, body) = request.into_parts();
    let id = Bytes::copy_from_slice(head.headers["webhook-id"].as_bytes());
    let is_live = head.headers["tillstream-event"] == "order.live";
    let marked = head.headers.contains_key("tillstream-replay");
    // The whole request is there before it is answered.
    let _ = body.collect().await;
    if marked && came.lock().expect("no panic").is_slow {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut came = came.lock().expect("no panic");
    if is_live {
        came.live.entry(id).or_insert(at);
    } else {
        let counts = came.past.entry(id).or_default();
        counts.0 += 1;
        counts.1 += u32::from(marked);
    }
    Ok(Response::new(Full::default()))
}

/// Sends so many live events one after the other; the time of each until it came.
async fn live(api: &Api, sink: &Sink, count: usize) -> Vec<Duration> {
    let mut sent = Vec::with_capacity(count);
    let mut ticks = tokio::time::interval(LIVE_EVERY);
    for n in 0..count {
        ticks.tick().await;
        let event = json!({"name": "order.live", "data": {"_id": format!("live-{n}")}});
        let at = Instant::now();
        let answer = api.try_post("/v1/events", &event).await.expect("an answer").json();
        sent.push((at, Bytes::from(answer["accepted"][0]["id"].as_str().expect("accepted").to_owned())));
    }
    let mut times = Vec::with_capacity(count);
    for (at, id) in sent {
        let came =
            eventually("a live event came", Duration::from_secs(30), async || sink.came().live.get(&id).copied());
        times.push(came.await.saturating_duration_since(at));
    }
    times.sort_unstable();
    times
}

fn p99(times: &[Duration]) -> Duration {
    times[times.len() * 99 / 100]
}

async fn send_past(api: &Api, events: usize) {
    for first in (0..events).step_by(BATCH) {
        let batch: Vec<Value> = (first..events.min(first + BATCH))
            .map(|n| json!({"name": "order.saved", "data": {"_id": format!("o-{}", n % 5_000), "n": n}}))
            .collect();
        let answer = api.try_post("/v1/events", &json!(batch)).await.expect("an answer");
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
}

async fn start_replay(api: &Api, only: &str) -> String {
    let wish = json!({"from": "2020-01-01T00:00:00Z", "names": ["order.saved"], "only": only});
    let job = api.try_post("/v1/integrations/it/replay", &wish).await.expect("an answer");
    assert_eq!(job.status, 202, "{}", job.text());
    job.json()["id"].as_str().expect("an id").to_owned()
}

async fn status(api: &Api, job: &str) -> Value {
    api.get(&format!("/v1/jobs/{job}")).await.json()
}

/// One after the other with what else takes the machine.
pub async fn beside_a_live_flow() {
    let events = number("TILLSTREAM_REPLAY_EVENTS").unwrap_or(EVENTS);
    let patience = Duration::from_secs(60) + PATIENCE * u32::try_from(events).expect("few");
    let (mut hub, sink) = (Hub::start(Setup::default()).await, Sink::start().await);
    let api = Api::new(&hub.url, Some(&hub.key()));
    let doc = json!({"id": "it", "target": {"kind": "http", "url": sink.url}});
    assert_eq!(api.try_post("/v1/integrations", &doc).await.expect("an answer").status, 201);
    send_past(&api, events).await;
    eventually("the past is delivered", patience, async || (sink.past().0 == events).then_some(())).await;
    assert_eq!(sink.past().1, 0, "nothing is marked before there is a replay");

    let count = if events < LONG_RUN { LIVE } else { LIVE_OF_LONG_RUN };
    let without = live(&api, &sink, count).await;
    sink.came().is_slow = true;
    let job = start_replay(&api, "all").await;
    eventually("it has begun", Duration::from_secs(30), async || (sink.past().1 > 0).then_some(())).await;
    let with = live(&api, &sink, count).await;
    sink.came().is_slow = false;
    let marked = sink.past().1;
    let (alone, beside) = (p99(&without), p99(&with));
    eprintln!(
        "live p99 {alone:?} alone, {beside:?} beside a replay of {events}, of which {marked} were sent meanwhile"
    );
    assert!(marked < events, "the replay was over before the live flow was");
    let allowance = if events < LONG_RUN { HICCUP } else { Duration::ZERO };
    assert!(beside <= alone.mul_f64(RATIO) + allowance, "{beside:?} is too much beside {alone:?}");

    let done = |job: &str| {
        let (api, job) = (api.clone(), job.to_owned());
        async move || (status(&api, &job).await["status"] == "done").then_some(())
    };
    eventually("the replay is done", patience, done(&job)).await;
    assert_eq!(sink.past(), (events, events), "every past event came again, marked");
    assert!(sink.came().past.values().all(|counts| *counts == (2, 1)), "and once");

    let job = start_replay(&api, "all").await;
    let begun = |came: &Came| came.past.values().filter(|(_, marked)| *marked > 1).count() > events / 20;
    eventually("the next one is under way", patience, async || begun(&sink.came()).then_some(())).await;
    hub.kill();
    assert!(hub.restart().await, "the hub ended while it started");
    let api = Api::new(&hub.url, Some(&hub.key()));
    eventually("it goes on and ends", patience, async || (status(&api, &job).await["status"] == "done").then_some(()))
        .await;
    let (missing, twice) = {
        let came = sink.came();
        let count = |which: fn(u32) -> bool| came.past.values().filter(|(_, marked)| which(*marked)).count();
        (count(|marked| marked < 2), count(|marked| marked > 2))
    };
    eprintln!("{twice} came more than once because the hub was killed");
    assert!(missing == 0 && twice <= 1_000, "{missing} did not come, {twice} came again although they were committed");

    // Nothing is left that was never delivered; then a cancelled one stops in the middle.
    let nothing = start_replay(&api, "undelivered").await;
    eventually("it looked through", patience, async || {
        (status(&api, &nothing).await["status"] == "done").then_some(())
    })
    .await;
    assert_eq!(status(&api, &nothing).await["progress"]["done"], 0);
    let again = start_replay(&api, "all").await;
    eventually("it has begun", Duration::from_secs(30), async || {
        (status(&api, &again).await["progress"]["done"].as_u64() > Some(0)).then_some(())
    })
    .await;
    let cancelled = api.try_post(&format!("/v1/jobs/{again}/cancel"), &json!({})).await.expect("an answer").json();
    let done = cancelled["progress"]["done"].as_u64().expect("a number");
    assert!(cancelled["status"] == "cancelled" && done < events as u64, "{cancelled}");
    assert_eq!(hub.stop(), Some(0));
}
