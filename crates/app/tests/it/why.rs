//! Why something does not arrive that came and is wanted: it waits, was given up, or did arrive. Every situation is made
//! on purpose.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Reply, SOON, Stage, eventually, order};
use crate::why_nothing::{assert_told, why};

/// A hub whose integration `it` delivers to a receiver that answers like this.
async fn answering(status: u16, settings: Value) -> Stage {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", move |_| Reply::Status(status));
    stage.integration("it", settings).await;
    stage
}

fn orders(count: usize) -> Value {
    (0..count).map(|n| order(&format!("o-{n}"), 1)).collect()
}

async fn of_it(stage: &Stage) -> Value {
    why(&stage.api, "integration=it").await
}

async fn wait_for_circuit(stage: &Stage, state: &str) {
    let is = |i: &Value| i["cursor"]["circuit"] == state;
    eventually(state, SOON, async || Some(stage.shown("it").await).filter(is)).await;
}

const RETRIES: &str = r#"{"delivery": {"retry": {"schedule_seconds": [0, 600]}}}"#;

fn retries() -> Value {
    serde_json::from_str(RETRIES).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_delivered_is_told_once_also_when_it_was_sent_to_us_twice() {
    let stage = answering(200, json!({})).await;
    let mut event = order("o", 1);
    event["id"] = "once".into();
    stage.emit(event.clone()).await;
    stage.emit(event.clone()).await;
    event["data"]["version"] = 2.into();
    stage.api.post("/v1/events", &event).await.expect(422);
    stage.wait_for_attempts("it", 1).await;
    let told = of_it(&stage).await;
    assert_told(&told, "delivered", "look_at_receiver");
    let it = &told["integrations"][0];
    assert_eq!((&told["received"]["count"], &it["delivered"]["count"]), (&json!(1), &json!(1)));
    assert!(it["delivered"]["last_at"].is_string() && it["delivered"]["late"] == 0, "{it}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_integration_that_somebody_stopped() {
    let stage = answering(200, json!({})).await;
    let because = json!({"reason": "inventory"});
    stage.api.post("/v1/integrations/it/stop", &because).await.expect(200);
    stage.emit(orders(3)).await;
    let told = of_it(&stage).await;
    assert_told(&told, "stopped", "start_integration");
    let summary = told["summary"].as_str().unwrap();
    assert!(summary.contains("inventory") && summary.contains("by key key_"), "{summary}");
    assert_eq!(told["integrations"][0]["pending"]["count"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_integration_that_stopped_itself() {
    let settings = json!({"delivery": {"on_exhausted": "stop", "retry": {"schedule_seconds": [0, 0]}}});
    let stage = answering(500, settings).await;
    stage.emit(orders(1)).await;
    stage.wait_for_status("it", "stopped").await;
    assert_told(&of_it(&stage).await, "stopped", "fix_and_start");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_that_is_to_come_and_what_waits_behind_it() {
    let stage = answering(500, retries()).await;
    stage.emit(json!([order("o", 1), order("o", 2)])).await;
    stage.wait_for_attempts("it", 1).await;
    let told = of_it(&stage).await;
    assert_told(&told, "waits_for_retry", "fix_receiver");
    let pending = &told["integrations"][0]["pending"];
    assert_eq!((&pending["count"], &pending["retrying"]), (&json!(2), &json!(1)), "{pending}");
    let next = pending["next_attempt_at"].as_str().unwrap();
    assert!(told["summary"].as_str().unwrap().contains(next), "{told}");
    let second = stage.api.all("/v1/events").await.pop().unwrap();
    let behind = format!("integration=it&from={}", second["accepted_at"].as_str().unwrap());
    assert_eq!(why(&stage.api, &behind).await["integrations"][0]["pending"]["retrying"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_behind_another_event_of_its_entity() {
    let stage = answering(500, retries()).await;
    stage.emit(order("o", 1)).await;
    stage.wait_for_attempts("it", 1).await;
    let first = stage.api.all("/v1/events").await.pop().unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    stage.emit(order("o", 2)).await;
    let second = stage.api.all("/v1/events").await.pop().unwrap();
    assert_ne!(first["accepted_at"], second["accepted_at"]);
    let query = format!("integration=it&from={}", second["accepted_at"].as_str().unwrap());
    eventually("it is parked behind the first", SOON, async || {
        let told = why(&stage.api, &query).await;
        (told["verdict"] == "waits_behind_another").then(|| assert_told(&told, "waits_behind_another", "wait"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_the_receiver_does_not_accept() {
    let stage = answering(401, retries()).await;
    stage.emit(order("o", 1)).await;
    stage.wait_for_attempts("it", 1).await;
    let told = of_it(&stage).await;
    assert_told(&told, "waits_for_retry", "fix_credentials");
    assert_eq!(told["integrations"][0]["status"], "running");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_nobody_reaches() {
    let stage = Stage::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    stage.integration("it", json!({"target": {"url": format!("http://{address}/late")}})).await;
    stage.emit(orders(10)).await;
    wait_for_circuit(&stage, "open").await;
    let told = of_it(&stage).await;
    assert_told(&told, "circuit_open", "fix_receiver");
    assert_eq!(told["integrations"][0]["circuit"], "open");
    assert_eq!(told["integrations"][0]["pending"]["count"], 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_refuses_everything_is_braked() {
    let stage = answering(400, json!({"delivery": {"max_in_flight": 4}})).await;
    stage.emit(orders(150)).await;
    wait_for_circuit(&stage, "braked").await;
    assert_told(&of_it(&stage).await, "braked", "fix_or_release_brake");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_asks_to_be_left_alone() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Header(429, "retry-after", "600".into()));
    stage.integration("it", json!({})).await;
    stage.emit(orders(2)).await;
    stage.wait_for_attempts("it", 1).await;
    eventually("it is paused", SOON, async || {
        let told = of_it(&stage).await;
        (told["verdict"] == "paused").then(|| assert_told(&told, "paused", "wait"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_waits_for_its_turn() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Hang);
    stage.integration("it", json!({})).await;
    stage.emit(order("o", 1)).await;
    stage.receiver.wait_for("/it", 1, SOON).await;
    assert_told(&of_it(&stage).await, "queued", "wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_and_what_was_tried_too_often() {
    let stage = answering(422, json!({})).await;
    stage.receiver.behave("/worn", |_| Reply::Status(500));
    stage.integration("worn", json!({"delivery": {"retry": {"schedule_seconds": [0, 0]}}})).await;
    stage.emit(orders(1)).await;
    stage.wait_for_rejected("it", 1).await;
    stage.wait_for_rejected("worn", 1).await;
    let told = of_it(&stage).await;
    assert_told(&told, "rejected", "fix_and_retry");
    let row = &told["integrations"][0]["rejected"][0];
    assert_eq!((&row["reason"], &row["last_status"], &row["count"]), (&json!("rejected"), &json!(422), &json!(1)));
    let worn = why(&stage.api, "integration=worn&entity_id=o-0").await;
    assert_told(&worn, "attempts_exhausted", "retry_rejected");
    let both = why(&stage.api, "entity_id=o-0").await;
    assert_told(&both, "rejected", "fix_and_retry");
    assert_eq!(both["integrations"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_too_old_and_what_was_deleted() {
    let stage = answering(200, json!({"delivery": {"max_age_seconds": 1}})).await;
    stage.switch("it", "stop").await;
    let ids = stage.emit(orders(2)).await;
    stage.api.delete(&format!("/v1/events/{}", ids[1])).await.expect(204);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stage.switch("it", "start").await;
    stage.wait_for_rejected("it", 1).await;
    assert_told(&why(&stage.api, "integration=it&entity_id=o-0").await, "expired", "raise_max_age");
    let deleted = why(&stage.api, "integration=it&entity_id=o-1").await;
    assert_told(&deleted, "deleted", "send_again_from_source");
    assert_eq!(deleted["integrations"][0]["deleted"], 1);
}
