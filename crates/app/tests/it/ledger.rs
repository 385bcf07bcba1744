//! The ledger: every wanted event with what became of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Reply, SOON, Stage, event, order};

async fn ledger(stage: &Stage, path: &str) -> Vec<Value> {
    let answer = stage.api.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    answer.text().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn rows(ledger: &[Value]) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().expect("a text").to_owned();
    ledger.iter().map(|row| (text(&row["webhook_id"]), text(&row["outcome"]))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wanted_event_is_there_once_with_its_outcome() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |d| match d.version().0.as_str() {
        "refused" => Reply::Status(422),
        "fails" => Reply::Status(500),
        _ => Reply::Status(200),
    });
    stage.emit(order("before", 1)).await;
    let settings = json!({"events": {"entities": ["order"]}, "delivery": {"retry": {"schedule_seconds": [0, 600]}}});
    stage.integration("it", settings).await;
    let sent = json!([
        order("a", 1),
        event("punch.saved", "p", 1),
        order("refused", 1),
        order("fails", 1),
        order("fails", 2),
        order("b", 1),
    ]);
    let ids = stage.emit(sent).await;
    stage.wait_for_attempts("it", 4).await;
    stage.wait_for_rejected("it", 1).await;
    let found = ledger(&stage, "/v1/integrations/it/ledger").await;
    let expected = [(0, "delivered"), (2, "rejected"), (3, "pending"), (4, "pending"), (5, "delivered")];
    let expected: Vec<_> = expected.iter().map(|(i, o)| (ids[*i].clone(), (*o).to_owned())).collect();
    assert_eq!(rows(&found), expected, "{found:?}");
    assert_eq!((&found[0]["seq"], found[0]["at"].is_string(), &found[2]["at"]), (&json!("1-2"), true, &Value::Null));
    let delivered = stage.receiver.deliveries("/it");
    let first = delivered.iter().find(|d| d.id() == ids[0]).expect("the first");
    assert_eq!(first.header("tillstream-seq"), found[0]["seq"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_wanted_is_told_by_the_settings_then_in_force() {
    let stage = Stage::new().await;
    stage.integration("it", json!({"events": {"entities": ["order"]}})).await;
    let first = stage.emit(json!([order("a", 1), event("punch.saved", "p", 1)])).await;
    stage.wait_until_idle("it").await;
    stage.edit("it", json!({"events": {"entities": ["punch"]}})).await;
    let second = stage.emit(json!([order("b", 1), event("punch.saved", "q", 1)])).await;
    stage.wait_until_idle("it").await;
    stage.wait_for_attempts("it", 2).await;
    let found = rows(&ledger(&stage, "/v1/integrations/it/ledger").await);
    let delivered = |id: &String| (id.clone(), "delivered".to_owned());
    assert_eq!(found, [delivered(&first[0]), delivered(&second[1])]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_and_expired_and_deleted_events_are_told() {
    let stage = Stage::new().await;
    stage.integration("it", json!({"delivery": {"max_age_seconds": 1}})).await;
    let early = stage.emit(order("a", 1)).await;
    stage.wait_for_attempts("it", 1).await;
    stage.switch("it", "stop").await;
    let late = stage.emit(json!([order("b", 1), order("c", 1)])).await;
    stage.api.delete(&format!("/v1/events/{}", late[1])).await.expect(204);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stage.switch("it", "start").await;
    stage.wait_for_rejected("it", 1).await;
    let first = stage.api.get(&format!("/v1/events/{}", late[0])).await.expect(200);
    let at = first["accepted_at"].as_str().unwrap();
    let is = |id: &String, outcome: &str| (id.clone(), outcome.to_owned());
    let after = rows(&ledger(&stage, &format!("/v1/integrations/it/ledger?from={at}")).await);
    assert_eq!(after, [is(&late[0], "expired"), is(&late[1], "deleted")]);
    let before = rows(&ledger(&stage, &format!("/v1/integrations/it/ledger?to={at}")).await);
    assert_eq!(before, [is(&early[0], "delivered")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_ledger_is_complete() {
    const EVENTS: usize = 5_000;
    let stage = Stage::new().await;
    stage.integration("it", json!({"delivery": {"max_in_flight": 100}})).await;
    let mut ids = Vec::new();
    for chunk in 0..EVENTS / 1_000 {
        let orders: Vec<Value> = (0..1_000).map(|n| order(&format!("{chunk}-{n}"), 1)).collect();
        ids.extend(stage.emit(json!(orders)).await);
    }
    stage.receiver.wait_for("/it", EVENTS, SOON * 3).await;
    stage.wait_until_idle("it").await;
    let found = ledger(&stage, "/v1/integrations/it/ledger").await;
    let all: Vec<(String, String)> = ids.into_iter().map(|id| (id, "delivered".to_owned())).collect();
    assert!(rows(&found) == all, "{} of {EVENTS}", found.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_is_for_those_who_may_read_deliveries_of_it() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let path = "/v1/integrations/it/ledger";
    let none = stage.holder(json!({"name": "n", "scopes": ["events:read"]})).await;
    assert!(none.get(path).await.expect(403)["detail"].as_str().unwrap().contains("deliveries:read"));
    let other = json!({"name": "o", "scopes": ["deliveries:read"], "integrations": ["other"]});
    stage.holder(other).await.get(path).await.expect(404);
    stage.api.get("/v1/integrations/none/ledger").await.expect(404);
    stage.api.get(&format!("{path}?from=yesterday")).await.expect(400);
}
