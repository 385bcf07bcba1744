//! `on_reject: hold_entity`: the later events of a rejected one's entity wait for it.

use serde_json::{Value, json};

use crate::support::{Reply, SOON, Stage, eventually, order};

/// An integration whose receiver refuses the first version of the entity `held`: that one is rejected, the entity's
/// second waits behind it, and another entity went on. Gives the ids of the two.
async fn held() -> (Stage, Vec<String>) {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |d| Reply::Status(if d.version() == ("held".to_owned(), 1) { 422 } else { 200 }));
    stage.integration("it", json!({"delivery": {"on_reject": "hold_entity"}})).await;
    let ids = stage.emit(json!([order("held", 1), order("held", 2), order("free", 3)])).await;
    stage.wait_for_rejected("it", 1).await;
    stage.receiver.wait_for("/it", 2, SOON).await;
    waits(&stage).await;
    (stage, ids)
}

/// Waits until one is held and one stands behind it.
async fn waits(stage: &Stage) -> Value {
    let stands = |i: &Value| i["cursor"]["lag_events"] == 0 && i["cursor"]["parked"] == 2;
    eventually("both are parked", SOON, async || Some(stage.shown("it").await).filter(stands)).await
}

fn versions(stage: &Stage) -> Vec<u64> {
    stage.receiver.deliveries("/it").iter().map(|d| d.version().1).collect()
}

async fn told(stage: &Stage, id: &str) -> Value {
    stage.api.get(&format!("/v1/events/{id}/explain")).await.expect(200)["items"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_behind_a_rejected_event_says_so() {
    let (stage, ids) = held().await;
    let stats = stage.api.get("/v1/integrations/it/stats").await.expect(200);
    assert_eq!((&stats["cursor"]["parked"], &stats["lane"]["held"]), (&json!(2), &json!(1)));
    let rejected = told(&stage, &ids[0]).await;
    assert_eq!(rejected["outcome"], "rejected");
    assert!(rejected["summary"].as_str().unwrap().contains("wait until it is retried or deleted"), "{rejected}");
    let behind = told(&stage, &ids[1]).await;
    assert_eq!((&behind["outcome"], &behind["next_attempt_at"]), (&json!("parked"), &Value::Null));
    assert!(behind["summary"].as_str().unwrap().contains(&format!("the rejected event {}", ids[0])), "{behind}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_through_a_crash_and_follows_the_retried_event() {
    let (mut stage, ids) = held().await;
    stage.crash().await;
    stage.emit(json!([order("held", 4), order("free", 5)])).await;
    stage.receiver.wait_for("/it", 3, SOON).await;
    assert_eq!(versions(&stage)[2], 5, "the entity is held, others are not");
    stage.receiver.behave("/it", |_| Reply::Status(200));
    stage.api.post(&format!("/v1/integrations/it/rejected/{}/retry", ids[0]), &Value::Null).await.expect(202);
    stage.receiver.wait_for("/it", 6, SOON).await;
    assert_eq!(versions(&stage)[3..], [1, 2, 4]);
    stage.wait_until_idle("it").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_refused_again_holds_again() {
    let (stage, ids) = held().await;
    stage.api.post("/v1/integrations/it/rejected/retry-all", &json!({"filter": {}})).await.expect(202);
    stage.receiver.wait_for("/it", 3, SOON).await;
    stage.wait_for_rejected("it", 1).await;
    waits(&stage).await;
    assert_eq!(told(&stage, &ids[0]).await["outcome"], "rejected");
    assert!(!versions(&stage).contains(&2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_the_rejected_event_lets_the_others_go() {
    let (stage, ids) = held().await;
    stage.api.delete(&format!("/v1/integrations/it/rejected/{}", ids[0])).await.expect(204);
    stage.receiver.wait_for("/it", 3, SOON).await;
    assert_eq!(versions(&stage)[2], 2);
    stage.wait_until_idle("it").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_it_while_the_integration_stands_still_lets_them_go_with_the_start() {
    let (stage, ids) = held().await;
    stage.switch("it", "stop").await;
    stage.api.delete(&format!("/v1/integrations/it/rejected/{}", ids[0])).await.expect(204);
    stage.switch("it", "start").await;
    stage.receiver.wait_for("/it", 3, SOON).await;
    assert_eq!(versions(&stage)[2], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_go_on_without_rejected_events_let_them_go() {
    let (stage, _) = held().await;
    stage.edit("it", json!({"delivery": {"on_reject": "continue"}})).await;
    stage.receiver.wait_for("/it", 3, SOON).await;
    assert_eq!(versions(&stage)[2], 2);
    stage.wait_until_idle("it").await;
    assert_eq!(stage.rejected("it").await.len(), 1, "the rejected one stays in its list");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_order_there_is_nothing_to_hold() {
    let stage = Stage::new().await;
    let delivery = json!({"ordering": "none", "on_reject": "hold_entity"});
    let problem = stage.try_integration("it", json!({"delivery": delivery})).await.expect(422);
    assert_eq!(problem["errors"][0]["path"], "delivery.on_reject");
}
