//! Events that were given up: shown, sent again, deleted.

use serde_json::json;

use crate::support::{Reply, SOON, Stage, order};

/// An integration whose receiver rejects everything, with so many events rejected. Gives their ids.
async fn with_rejected(count: usize) -> (Stage, Vec<String>) {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Body(422, "no such article".into()));
    stage.integration("it", json!({})).await;
    let ids = stage.emit((0..count).map(|n| order(&format!("o-{n}"), 1)).collect()).await;
    stage.wait_for_rejected("it", count).await;
    (stage, ids)
}

fn path(id: &str) -> String {
    format!("/v1/integrations/it/rejected/{id}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_event_is_shown_with_its_payload_and_the_answer() {
    let (stage, ids) = with_rejected(1).await;
    let row = stage.rejected("it").await.remove(0);
    assert_eq!(
        (&row["name"], &row["entity"], &row["last_status"]),
        (&json!("order.saved"), &json!("order"), &json!(422))
    );
    let shown = stage.api.get(&path(&ids[0])).await.expect(200);
    assert!(shown.to_string().contains("\"_id\":\"o-0\""), "{shown}");
    assert!(stage.attempts("it").await[0]["failure"]["answer"].as_str().unwrap().contains("no such article"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_events_outlive_a_crash() {
    let (mut stage, ids) = with_rejected(3).await;
    stage.crash().await;
    let mut listed: Vec<String> =
        stage.rejected("it").await.iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect();
    listed.sort();
    let mut ids = ids;
    ids.sort();
    assert_eq!(listed, ids);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_sends_again_and_takes_it_off_the_list() {
    let (stage, ids) = with_rejected(2).await;
    stage.receiver.behave("/it", |_| Reply::Status(200));
    stage.api.post(&format!("{}/retry", path(&ids[0])), &json!(null)).await.expect(202);
    let deliveries = stage.receiver.wait_for("/it", 3, SOON).await;
    assert_eq!(deliveries[2].id(), ids[0]);
    stage.wait_until_idle("it").await;
    let left = stage.rejected("it").await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["id"], json!(ids[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_that_is_rejected_again_is_listed_again() {
    let (stage, ids) = with_rejected(1).await;
    stage.api.post(&format!("{}/retry", path(&ids[0])), &json!(null)).await.expect(202);
    stage.receiver.wait_for("/it", 2, SOON).await;
    let again = stage.wait_for_rejected("it", 1).await;
    assert_eq!(again[0]["id"], json!(ids[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_retries_at_once_deliver_once() {
    let (stage, ids) = with_rejected(1).await;
    stage.receiver.behave("/it", |_| Reply::Status(200));
    let retry = format!("{}/retry", path(&ids[0]));
    let nothing = json!(null);
    let (a, b, c) = tokio::join!(
        stage.api.post(&retry, &nothing),
        stage.api.post(&retry, &nothing),
        stage.api.post(&retry, &nothing)
    );
    let mut statuses = [a.status, b.status, c.status];
    statuses.sort();
    assert_eq!(statuses, [202, 404, 404]);
    // One after it for the same entity: whatever else would come of the retries has come by then.
    stage.emit(order("o-0", 2)).await;
    let deliveries = stage.receiver.wait_for("/it", 3, SOON).await;
    stage.wait_until_idle("it").await;
    assert_eq!(
        stage.receiver.deliveries("/it").len(),
        3,
        "{:?}",
        deliveries.iter().map(|d| d.version()).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_rejected_are_sent_again_with_one_call() {
    let (stage, ids) = with_rejected(5).await;
    stage.receiver.behave("/it", |_| Reply::Status(200));
    stage.api.post("/v1/integrations/it/rejected/retry-all", &json!({"filter": {}})).await.expect(202);
    let deliveries = stage.receiver.wait_for("/it", 10, SOON).await;
    let mut again: Vec<&str> = deliveries[5..].iter().map(|d| d.id()).collect();
    again.sort_unstable();
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids.sort_unstable();
    assert_eq!(again, ids);
    stage.wait_until_idle("it").await;
    assert_eq!(stage.rejected("it").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_one_is_gone_for_good() {
    let (mut stage, ids) = with_rejected(1).await;
    assert_eq!(stage.api.delete(&path(&ids[0])).await.status, 204);
    assert_eq!(stage.api.delete(&path(&ids[0])).await.status, 404);
    assert_eq!(stage.api.post(&format!("{}/retry", path(&ids[0])), &json!(null)).await.status, 404);
    stage.crash().await;
    assert_eq!(stage.rejected("it").await.len(), 0);
    assert_eq!(stage.receiver.deliveries("/it").len(), 1);
}
