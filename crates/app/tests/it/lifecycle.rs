//! Integrations come, stop, go on, start earlier and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::signature::secret_in;
use crate::support::{Reply, SOON, Stage, eventually, order};

fn versions(stage: &Stage, path: &str) -> Vec<u64> {
    stage.receiver.deliveries(path).iter().map(|d| d.version().1).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_integration_goes_on_in_order_from_where_it_stopped() {
    let mut stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    stage.emit(json!([order("o", 1), order("o", 2)])).await;
    stage.receiver.wait_for("/it", 2, SOON).await;
    stage.wait_until_idle("it").await;
    let stopped = stage.switch("it", "stop").await;
    assert_eq!(stopped["status"], "stopped");
    stage.emit((3..=30).map(|v| order("o", v)).collect()).await;
    stage.crash().await;
    assert_eq!(stage.shown("it").await["status"], "stopped", "also after a crash");
    // And perhaps the hub's own event that it was stopped.
    let lag = stage.shown("it").await["cursor"]["lag_events"].as_u64().unwrap();
    assert!((28..=29).contains(&lag), "{lag}");
    assert_eq!(stage.switch("it", "start").await["status"], "running");
    stage.receiver.wait_for("/it", 30, SOON).await;
    assert_eq!(versions(&stage, "/it"), (1..=30).collect::<Vec<_>>());
    let actions = stage.actions("it").await;
    assert_eq!(actions, ["started", "stopped", "created"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_after_a_stop_was_answered() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    stage.integration("other", json!({})).await;
    stage.switch("it", "stop").await;
    stage.emit((1..=20).map(|v| order("o", v)).collect()).await;
    stage.receiver.wait_for("/other", 20, SOON).await;
    assert!(versions(&stage, "/it").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_its_retry_waits_through_a_stop() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Status(500));
    stage.integration("it", json!({"delivery": {"retry": {"schedule_seconds": [0, 600]}}})).await;
    stage.emit(order("o", 1)).await;
    stage.wait_for_attempts("it", 1).await;
    stage.switch("it", "stop").await;
    stage.switch("it", "start").await;
    let parked = async || Some(stage.shown("it").await).filter(|i| i["cursor"]["parked"] == 1);
    eventually("it still waits", SOON, parked).await;
    assert_eq!(stage.attempts("it").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_is_under_way_at_a_stop_is_not_forgotten() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::After(Duration::from_millis(200), 500));
    stage.integration("it", json!({"delivery": {"retry": {"schedule_seconds": [0, 0, 0, 0, 0]}}})).await;
    stage.emit(order("o", 1)).await;
    stage.receiver.wait_for("/it", 1, SOON).await;
    stage.switch("it", "stop").await;
    let succeeded = Arc::new(AtomicBool::new(false));
    let seen = succeeded.clone();
    stage.receiver.behave("/it", move |_| {
        seen.store(true, Ordering::Relaxed);
        Reply::Status(200)
    });
    stage.switch("it", "start").await;
    eventually("it comes again", SOON, async || succeeded.load(Ordering::Relaxed).then_some(())).await;
    stage.wait_until_idle("it").await;
    assert_eq!(stage.rejected("it").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_integration_begins_with_what_is_accepted_after_it() {
    let stage = Stage::new().await;
    stage.emit(order("before", 1)).await;
    stage.integration("it", json!({})).await;
    stage.emit(order("after", 2)).await;
    stage.receiver.wait_for("/it", 1, SOON).await;
    stage.wait_until_idle("it").await;
    assert_eq!(versions(&stage, "/it"), [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_integration_that_starts_earlier_gets_what_came_since_then_first() {
    let stage = Stage::new().await;
    let mut times = Vec::new();
    for version in 1..=5 {
        let id = stage.emit(order("o", version)).await.remove(0);
        let event = stage.api.get(&format!("/v1/events/{id}")).await.expect(200);
        times.push(event["accepted_at"].as_str().unwrap().to_owned());
    }
    let expected: Vec<u64> = (1..=5).filter(|v| times[*v as usize - 1] >= times[2]).collect();
    stage.integration("part", json!({"starts_at": times[2]})).await;
    stage.integration("whole", json!({"starts_at": "2020-01-01T00:00:00Z"})).await;
    stage.emit(order("o", 6)).await;
    stage.receiver.wait_for("/part", expected.len() + 1, SOON).await;
    stage.receiver.wait_for("/whole", 6, SOON).await;
    assert_eq!(versions(&stage, "/part"), [expected, vec![6]].concat());
    assert_eq!(versions(&stage, "/whole"), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_in_the_future_is_refused() {
    let stage = Stage::new().await;
    let answer = stage.try_integration("it", json!({"starts_at": "2999-01-01T00:00:00Z"})).await.expect(422);
    assert!(answer["errors"].to_string().contains("starts_at"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_unique_and_has_a_form() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    assert_eq!(stage.try_integration("it", json!({})).await.status, 409);
    for wrong in ["", "Erp", "erp_orders", "ä", "a b", &"x".repeat(51)] {
        let answer = stage.try_integration(wrong, json!({})).await;
        assert_eq!(answer.status, 422, "{wrong:?}: {}", answer.text());
    }
    stage.integration(&"x".repeat(50), json!({})).await;
    let target = json!({"kind": "http", "url": stage.receiver.url("/named")});
    let named =
        stage.api.post("/v1/integrations", &json!({"name": "ERP: Größe 1", "target": target})).await.expect(201);
    let id = named["id"].as_str().unwrap();
    assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') && !id.is_empty(), "{id}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_and_made_again_under_the_same_id_it_starts_clean() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |d| Reply::Status(if d.version().0 == "rejected" { 400 } else { 500 }));
    let settings = json!({"delivery": {"retry": {"schedule_seconds": [0, 1, 1, 1, 1, 1, 1]}}});
    let first = stage.integration("it", settings.clone()).await;
    stage.emit(json!([order("rejected", 1), order("parked", 1)])).await;
    stage.wait_for_rejected("it", 1).await;
    stage.receiver.wait_for("/it", 2, SOON).await;
    assert_eq!(stage.api.delete("/v1/integrations/it").await.status, 204);
    assert_eq!(stage.api.get("/v1/integrations/it").await.status, 404);
    assert_eq!(stage.api.get("/v1/integrations/it/rejected").await.status, 404);
    let before = stage.receiver.deliveries("/it").len();
    stage.receiver.behave("/it", |_| Reply::Status(200));
    let second = stage.integration("it", settings).await;
    assert_ne!(secret_in(&first), secret_in(&second));
    assert_eq!(second["version"], 1);
    assert_eq!((stage.rejected("it").await.len(), stage.attempts("it").await.len()), (0, 0));
    assert_eq!(stage.actions("it").await, ["created"]);
    stage.emit(order("parked", 2)).await;
    let deliveries = stage.receiver.wait_for("/it", before + 1, SOON).await;
    assert_eq!(deliveries[before].version(), ("parked".to_owned(), 2));
    stage.wait_until_idle("it").await;
    assert_eq!(stage.receiver.deliveries("/it").len(), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_end_repeats_nothing() {
    let mut stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::After(Duration::from_millis(10), 200));
    stage.integration("it", json!({})).await;
    let events: Value = (0..200).map(|n| order(&format!("o-{}", n % 40), 1 + n / 40)).collect();
    stage.emit(events).await;
    stage.receiver.wait_for("/it", 20, SOON).await;
    stage.bounce().await;
    stage.wait_until_idle("it").await;
    let mut ids: Vec<String> = stage.receiver.deliveries("/it").iter().map(|d| d.id().to_owned()).collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), all), (200, 200));
}
