//! What happens to events when their retention passes.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tillstream_store::ReadLimit;

use crate::support::App;

/// Longer than the default retention of 30 days and the day that is dropped whole.
const LONG: Duration = Duration::from_secs(32 * 86_400);

fn reasons(rejected: &Value) -> Vec<&str> {
    rejected["items"].as_array().unwrap().iter().map(|r| r["reason"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn events_are_listed_as_expired_before_the_log_drops_them() {
    let app = App::start().await;
    // Nobody listens there: everything waits.
    app.integration("erp", "http://127.0.0.1:9/", json!({})).await;
    let mut old = Vec::new();
    for entity in ["a", "a", "b", "c"] {
        old.push(app.event("order.saved", entity).await);
    }
    app.pass(LONG);
    let fresh = app.event("order.saved", "d").await;
    app.hub.upkeep().await;

    let rejected = app.get("/v1/integrations/erp/rejected").await.body;
    assert_eq!(reasons(&rejected), ["expired"; 4]);
    let first = app.get(&format!("/v1/integrations/erp/rejected/{}", old[0])).await;
    assert!(first.body.to_string().contains("12.5"), "its payload is kept: {}", first.body);
    assert_eq!(app.get(&format!("/v1/events/{}", old[0])).await.status, StatusCode::NOT_FOUND);
    assert_eq!(app.get(&format!("/v1/events/{fresh}")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_a_feeds_consumer_did_not_ask_for_in_time_is_listed_as_expired() {
    let app = App::start().await;
    app.post("/v1/integrations", json!({"id": "feed", "target": {"kind": "feed"}})).await;
    let mut ids = Vec::new();
    for entity in ["a", "b", "c"] {
        ids.push(app.event("order.saved", entity).await);
    }
    app.get("/v1/integrations/feed/feed?after=1-1").await;
    app.pass(LONG);
    app.event("order.saved", "d").await;
    app.hub.upkeep().await;
    let rejected = app.get("/v1/integrations/feed/rejected").await.body;
    assert_eq!(reasons(&rejected), ["expired"; 2], "the first one had arrived");
    let page = app.get("/v1/integrations/feed/feed").await.body;
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next"]), (1, &json!("1-4")), "{page}");
    let retry = app.post(&format!("/v1/integrations/feed/rejected/{}/retry", ids[1]), Value::Null).await;
    assert_eq!(retry.status, StatusCode::UNPROCESSABLE_ENTITY, "nothing is sent to a feed: {}", retry.body);
}

/// The hub's own event about it is in the log, before those of the test.
async fn that_it_stopped_is_told(app: &App) {
    let told = |events: &Value| events["items"].as_array().is_some_and(|items| !items.is_empty());
    app.wait_for("/v1/events?name=integration.stopped", told).await;
}

#[tokio::test]
async fn a_stopped_feed_says_what_was_dropped_meanwhile() {
    let app = App::start().await;
    app.post("/v1/integrations", json!({"id": "feed", "target": {"kind": "feed"}})).await;
    app.post("/v1/integrations/feed/stop", Value::Null).await;
    that_it_stopped_is_told(&app).await;
    for entity in ["a", "b", "c"] {
        app.event("order.saved", entity).await;
    }
    app.pass(LONG);
    app.event("order.saved", "d").await;
    app.hub.upkeep().await;
    app.post("/v1/integrations/feed/start", Value::Null).await;
    let page = app.get("/v1/integrations/feed/feed").await.body;
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
    app.get(&format!("/v1/integrations/feed/feed?after={}", page["next"].as_str().unwrap())).await;
    let logs = app.get("/v1/integrations/feed/logs").await.body;
    let gap = logs["items"].as_array().unwrap().iter().find(|e| e["action"] == "gap_skipped").expect("a gap is said");
    assert!(gap["reason"].as_str().unwrap().starts_with("4 events"), "{gap}");
    let stats = app.get("/v1/integrations/feed/stats").await.body;
    assert_eq!(stats["totals"]["delivered"], 1);
}

#[tokio::test]
async fn a_stopped_integration_skips_what_was_dropped_and_says_so() {
    let mut app = App::start().await;
    let (url, _) = app.receiver(200).await;
    app.integration("erp", &url, json!({})).await;
    app.post("/v1/integrations/erp/stop", Value::Null).await;
    that_it_stopped_is_told(&app).await;
    for entity in ["a", "b", "c"] {
        app.event("order.saved", entity).await;
    }
    app.pass(LONG);
    app.event("order.saved", "d").await;
    app.hub.upkeep().await;
    app.post("/v1/integrations/erp/start", Value::Null).await;

    app.wait_for("/v1/integrations/erp/stats", |stats| stats["totals"]["delivered"] == 1).await;
    let logs = app.get("/v1/integrations/erp/logs").await.body;
    let gap = logs["items"].as_array().unwrap().iter().find(|e| e["action"] == "gap_skipped").expect("a gap is said");
    assert!(gap["reason"].as_str().unwrap().starts_with("4 events"), "{gap}");
}

#[tokio::test]
async fn stored_bytes_are_those_of_the_log_and_go_with_it() {
    let app = App::start().await;
    let stored = async || app.get("/v1/companies/acme").await.body["usage"]["stored_bytes"].as_u64().unwrap();
    let mut payloads = 0;
    for n in 1..40 {
        let event = json!({"id": n.to_string(), "name": "order.saved", "data": {"text": "x".repeat(500 * n)}});
        payloads += event["data"].to_string().len() as u64;
        for _ in 0..2 {
            assert_eq!(app.post("/v1/events", event.clone()).await.status, 202, "the second one is a repeat");
        }
    }
    let all = ReadLimit { events: 1_000, bytes: usize::MAX };
    let kept = app.hub.log().read(app.acme, 0, all).await.unwrap();
    let sizes: usize = kept.iter().map(|e| e.content.size()).sum();
    assert_eq!(stored().await, sizes as u64);
    assert!((payloads..payloads * 103 / 100).contains(&stored().await), "{payloads} bytes of payload");
    app.hub.usage().flush().await;
    assert_eq!(stored().await, sizes as u64, "nothing is counted twice when it is saved");
    app.pass(LONG);
    app.hub.upkeep().await;
    assert_eq!(app.hub.log().floor(app.acme).await.unwrap(), kept.len() as u64);
    assert_eq!(stored().await, 0);
    app.event("order.saved", "d").await;
    assert!(stored().await > 0);
}
