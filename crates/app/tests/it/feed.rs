//! The feed target: a consumer asks for events and acknowledges them with its next question.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, SOON, Stage, eventually, order};

async fn stage() -> Stage {
    let stage = Stage::new().await;
    feed(&stage, "it", json!({})).await;
    stage
}

async fn feed(stage: &Stage, id: &str, more: Value) {
    let mut doc = json!({"id": id, "target": {"kind": "feed"}});
    doc.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    stage.api.post("/v1/integrations", &doc).await.expect(201);
}

async fn ask(stage: &Stage, query: &str) -> Answer {
    stage.api.get(&format!("/v1/integrations/it/feed?{query}")).await
}

fn versions(page: &Value) -> Vec<u64> {
    page["items"].as_array().unwrap().iter().map(|i| i["data"]["version"].as_u64().unwrap()).collect()
}

async fn emit(stage: &Stage, versions: std::ops::RangeInclusive<u64>) -> Vec<String> {
    stage.emit(versions.map(|v| order("o", v)).collect()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_next_position_acknowledges_what_came_before() {
    let mut stage = stage().await;
    let ids = emit(&stage, 1..=5).await;
    let first = ask(&stage, "limit=2").await.expect(200);
    assert_eq!((versions(&first), &first["next"]), (vec![1, 2], &json!("1-2")));
    assert_eq!(versions(&ask(&stage, "limit=2").await.expect(200)), [1, 2], "nothing is acknowledged yet");
    assert_eq!(stage.shown("it").await["cursor"]["lag_events"], 5);
    let second = ask(&stage, "limit=2&after=1-2").await.expect(200);
    assert_eq!(versions(&second), [3, 4]);
    let shown = stage.shown("it").await;
    assert_eq!((&shown["cursor"]["seq"], &shown["cursor"]["lag_events"]), (&json!(2), &json!(3)));
    stage.crash().await;
    assert_eq!(versions(&ask(&stage, "").await.expect(200)), [3, 4, 5], "the position is durable");
    let stats = stage.api.get("/v1/integrations/it/stats").await.expect(200);
    assert_eq!(stats["totals"]["delivered"], 2);
    let outcome = async |id: &str| {
        let told = stage.api.get(&format!("/v1/events/{id}/explain")).await.expect(200);
        told["items"][0]["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!((outcome(&ids[1]).await, outcome(&ids[2]).await), ("delivered".into(), "pending".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_position_reads_again_and_takes_nothing_back() {
    let stage = stage().await;
    emit(&stage, 1..=3).await;
    assert_eq!(versions(&ask(&stage, "after=1-3").await.expect(200)), [0; 0]);
    assert_eq!(versions(&ask(&stage, "after=1-1").await.expect(200)), [2, 3]);
    assert_eq!(stage.shown("it").await["cursor"]["seq"], 3);
    let stats = stage.api.get("/v1/integrations/it/stats").await.expect(200);
    assert_eq!(stats["totals"]["delivered"], 3, "each is counted once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_that_were_never_handed_out_are_refused() {
    let stage = stage().await;
    emit(&stage, 1..=3).await;
    assert_eq!(ask(&stage, "after=1-4").await.expect(422)["errors"][0]["path"], "after");
    for wrong in ["after=2-3", "after=x", "limit=501", "limit=0", "wait_seconds=31"] {
        ask(&stage, wrong).await.expect(400);
    }
    assert_eq!(stage.shown("it").await["cursor"]["seq"], 0);
    emit(&stage, 4..=503).await;
    assert_eq!(versions(&ask(&stage, "limit=500&wait_seconds=30").await.expect(200)).len(), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_wanted_is_handed_out_and_the_rest_is_passed() {
    let stage = Stage::new().await;
    let wanted = json!({"path": "data.version", "op": "gte", "value": 3});
    let events = json!({"names": ["order.saved"], "where": [wanted]});
    feed(&stage, "it", json!({"events": events, "availability": {"default": true, "sites": {"9": false}}})).await;
    let mut elsewhere = order("o", 4);
    elsewhere["site"] = "9".into();
    let punch = json!({"name": "punch.saved", "data": {"_id": "p", "version": 9}});
    stage.emit(json!([order("o", 1), order("o", 3), elsewhere, punch])).await;
    let page = ask(&stage, "").await.expect(200);
    assert_eq!((versions(&page), &page["next"]), (vec![3], &json!("1-4")));
    ask(&stage, "after=1-4").await.expect(200);
    stage.wait_until_idle("it").await;
    let stats = stage.api.get("/v1/integrations/it/stats").await.expect(200);
    assert_eq!(stats["totals"]["delivered"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_may_wait_for_the_first_event() {
    let stage = stage().await;
    let started = Instant::now();
    assert_eq!(versions(&ask(&stage, "wait_seconds=1").await.expect(200)), [0; 0]);
    assert!(started.elapsed() >= Duration::from_millis(950));
    let (page, ()) = tokio::join!(ask(&stage, "wait_seconds=30"), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        emit(&stage, 1..=1).await;
    });
    assert_eq!(versions(&page.expect(200)), [1]);
    assert!(started.elapsed() < SOON, "it came with the event and not at the end of the wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_ends_with_the_event_that_reaches_four_mebibytes() {
    let stage = stage().await;
    let big =
        |v: u64| json!({"name": "order.saved", "data": {"_id": "o", "version": v, "text": "x".repeat(1_000_000)}});
    stage.emit((1..=7).map(big).collect()).await;
    let first = ask(&stage, "").await.expect(200);
    assert_eq!((versions(&first), &first["next"]), (vec![1, 2, 3, 4, 5], &json!("1-5")));
    assert_eq!(versions(&ask(&stage, "after=1-5").await.expect(200)), [6, 7]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_consumers_at_once_count_each_event_once() {
    let stage = stage().await;
    emit(&stage, 1..=100).await;
    let (a, b) = tokio::join!(ask(&stage, "after=1-60"), ask(&stage, "after=1-100"));
    assert_eq!((versions(&a.expect(200)).len(), versions(&b.expect(200)).len()), (40, 0));
    let stats = stage.api.get("/v1/integrations/it/stats").await.expect(200);
    assert_eq!((&stats["totals"]["delivered"], &stats["cursor"]["seq"]), (&json!(100), &json!(100)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_running_feed_hands_out_events_and_only_to_those_who_may_see_all() {
    let stage = stage().await;
    stage.integration("http", json!({})).await;
    let other = stage.api.get("/v1/integrations/http/feed").await.expect(422);
    assert_eq!(other["errors"][0]["path"], "target.kind");
    stage.switch("it", "stop").await;
    assert_eq!(ask(&stage, "").await.expect(422)["errors"][0]["path"], "status");
    stage.switch("it", "start").await;
    let feed_of = "/v1/integrations/it/feed";
    let scopes = json!(["events:payload"]);
    let lacks = stage.holder(json!({"name": "a", "scopes": ["deliveries:read"]})).await;
    assert!(lacks.get(feed_of).await.expect(403)["detail"].as_str().unwrap().contains("events:payload"));
    let bound = stage.holder(json!({"name": "b", "scopes": scopes, "integrations": ["http"]})).await;
    bound.get(feed_of).await.expect(404);
    let site = stage.holder(json!({"name": "c", "scopes": scopes, "sites": ["175"]})).await;
    site.get(feed_of).await.expect(403);
    let own = stage.holder(json!({"name": "d", "scopes": scopes, "integrations": ["it"]})).await;
    own.get(feed_of).await.expect(200);
    let patch = stage.api.patch("/v1/integrations/it", &json!({"target": {"kind": "inbox"}})).await;
    assert_eq!(patch.expect(422)["errors"][0]["path"], "target.kind", "a kind is immutable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_for_a_feed_and_an_edit_counts_for_what_is_not_acknowledged() {
    let stage = stage().await;
    emit(&stage, 1..=2).await;
    ask(&stage, "after=1-1").await.expect(200);
    stage.edit("it", json!({"format": "event_stream"})).await;
    let page = eventually("a page", SOON, async || Some(ask(&stage, "").await.expect(200))).await;
    assert_eq!(page["items"][0]["payload"]["version"], 2);
    assert_eq!(stage.attempts("it").await.len(), 1, "one row for the acknowledged event");
}
