//! What is told when time passes: silent sites, and contacts that are left alone between two messages.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::support::App;

/// How long a contact is left alone about one thing.
const QUIET: Duration = Duration::from_secs(15 * 60);

/// Takes messages and keeps them.
struct Contact {
    got: Arc<Mutex<Vec<Value>>>,
    url: String,
    _server: JoinSet<()>,
}

impl Contact {
    async fn start() -> Self {
        let got: Arc<Mutex<Vec<Value>>> = Arc::default();
        let router = axum::Router::new().route("/", post(keep)).with_state(got.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { got, url, _server: server }
    }

    /// Its messages, once there are so many.
    async fn wait_for(&self, count: usize) -> Vec<Value> {
        for _ in 0..2_000 {
            let got = self.got.lock().unwrap().clone();
            if got.len() >= count {
                return got;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not {count} messages: {:?}", self.got.lock().unwrap());
    }
}

async fn keep(State(got): State<Arc<Mutex<Vec<Value>>>>, body: String) {
    got.lock().unwrap().push(serde_json::from_str(&body).unwrap());
}

async fn with_contact() -> (App, Contact) {
    let (app, contact) = (App::start().await, Contact::start().await);
    let wish = json!({"name": "Ops", "channel": {"kind": "webhook", "url": contact.url}});
    assert_eq!(app.post("/v1/notifications", wish).await.status, 201);
    (app, contact)
}

async fn silences(app: &App) -> usize {
    let events = app.get("/v1/events?entity=site").await.body;
    events["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_site_that_was_heard_from_and_is_silent_is_told_of_once_for_each_silence() {
    let (app, contact) = with_contact().await;
    for (site, silent) in [("175", json!(60)), ("never-heard", json!(60)), ("9", Value::Null)] {
        let wish = json!({"name": "Main Street", "silent_after_minutes": silent});
        assert_eq!(app.ask(Method::PUT, &format!("/v1/sites/{site}"), wish).await.status, 201);
    }
    app.event("order.saved", "o1").await;
    app.pass(Duration::from_secs(60 * 60));
    app.hub.upkeep().await;
    assert_eq!(silences(&app).await, 0, "other nodes may have heard from it");
    app.pass(Duration::from_secs(2 * 60));
    for _ in 0..3 {
        app.hub.upkeep().await;
        app.pass(Duration::from_secs(10 * 60));
    }
    assert_eq!(silences(&app).await, 1);
    let message = contact.wait_for(1).await.remove(0);
    let notice = &message["notices"][0];
    assert_eq!((&notice["name"], &notice["subject"]), (&json!("site.silent"), &json!("175")));
    let data = &notice["newest"][0]["data"];
    assert_eq!((&data["since"], &data["name"]), (&json!("2026-11-21T10:00:00.000Z"), &json!("Main Street")));
    app.event("order.saved", "o2").await;
    app.hub.upkeep().await;
    app.pass(Duration::from_secs(3 * 60 * 60));
    app.hub.upkeep().await;
    assert_eq!(silences(&app).await, 2, "it spoke and is silent again");
}

#[tokio::test]
async fn a_contact_is_told_at_once_and_then_not_before_a_quarter_of_an_hour_with_what_happened_meanwhile() {
    let (app, contact) = with_contact().await;
    let url = contact.url.clone();
    app.integration("erp", &url, json!({})).await;
    let stop_and_start = async || {
        assert_eq!(app.post("/v1/integrations/erp/stop", Value::Null).await.status, 200);
        assert_eq!(app.post("/v1/integrations/erp/start", Value::Null).await.status, 200);
    };
    stop_and_start().await;
    assert_eq!(contact.wait_for(1).await[0]["notices"][0]["count"], 1);
    for _ in 0..5 {
        stop_and_start().await;
    }
    let contacts = app.wait_for("/v1/notifications", |list| list["items"][0]["waiting"] == 5).await;
    assert_eq!(contacts["items"][0]["last_error"], Value::Null);
    app.pass(QUIET - Duration::from_secs(1));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(contact.wait_for(1).await.len(), 1, "not yet");
    app.pass(Duration::from_secs(1));
    let summed = contact.wait_for(2).await.remove(1);
    assert_eq!(
        (&summed["notices"][0]["count"], &summed["notices"][0]["newest"].as_array().unwrap().len()),
        (&json!(5), &3)
    );
}
