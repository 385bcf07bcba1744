//! Deleting the payload of an event.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Reply, SOON, Stage, database, eventually, order};

/// A text that is only in the payload that is deleted.
const MARKER: &str = "c4d1e9f7-4111111111111111";

fn marked(entity_id: &str, version: u64) -> Value {
    let mut event = order(entity_id, version);
    event["data"]["card"] = MARKER.into();
    event["correlation"] = json!({"order_id": MARKER});
    event["id"] = format!("{entity_id}-{version}").into();
    event
}

async fn delete(stage: &Stage, id: &str) {
    assert_eq!(stage.api.delete(&format!("/v1/events/{id}")).await.status, 204);
}

async fn explained(stage: &Stage, event: &str, integration: &str) -> Value {
    let told = stage.api.get(&format!("/v1/events/{event}/explain")).await.expect(200);
    let items = told["items"].as_array().unwrap();
    items.iter().find(|s| s["integration"] == integration).expect("its story").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_payload_is_gone_and_everything_else_stays() {
    let stage = Stage::new().await;
    let event = marked("o", 1);
    let id = stage.emit(event.clone()).await.remove(0);
    let path = format!("/v1/events/{id}");
    let before = stage.api.get(&path).await.expect(200);
    delete(&stage, &id).await;
    delete(&stage, &id).await;
    let after = stage.api.get(&path).await.expect(200);
    assert_eq!((&after["data"], &after["correlation"]), (&Value::Null, &Value::Null));
    for kept in ["id", "seq", "name", "accepted_at", "entity_id", "site", "idempotency_id"] {
        assert_eq!(after[kept], before[kept], "{kept}");
    }
    let repeat = stage.api.post("/v1/events", &event).await.expect(202);
    assert_eq!((&repeat["accepted"][0]["duplicate"], &repeat["accepted"][0]["id"]), (&json!(true), &json!(id)));
    let audit = stage.api.all(&format!("/v1/audit?object=event%20{id}")).await;
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!(audit[0]["action"], "event.deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_may_write_events_of_the_site_deletes() {
    let stage = Stage::new().await;
    let id = stage.emit(order("o", 1)).await.remove(0);
    let path = format!("/v1/events/{id}");
    let reader = stage.holder(json!({"name": "r", "scopes": ["events:read", "events:payload"]})).await;
    assert!(reader.delete(&path).await.expect(403)["detail"].as_str().unwrap().contains("events:write"));
    let elsewhere = json!({"name": "w", "scopes": ["events:write"], "sites": ["9"]});
    stage.holder(elsewhere).await.delete(&path).await.expect(404);
    stage.operator().put("/v1/companies/acme", &json!({"name": "Acme"})).await.expect(201);
    stage.operator().in_company("acme").delete(&path).await.expect(404);
    stage.api.delete("/v1/events/evt_00000000000000000000000000").await.expect(404);
    assert!(stage.api.get(&path).await.expect(200)["data"].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_sent_is_not_sent_any_more() {
    let stage = Stage::new().await;
    stage.receiver.behave("/later", |_| Reply::Status(500));
    stage.integration("later", json!({"delivery": {"retry": {"schedule_seconds": [0, 2, 600]}}})).await;
    stage.integration("stopped", json!({})).await;
    stage.switch("stopped", "stop").await;
    let ids = stage.emit(json!([marked("a", 1), marked("b", 1), order("c", 1)])).await;
    stage.wait_for_attempts("later", 3).await;
    delete(&stage, &ids[0]).await;
    stage.receiver.behave("/later", |_| Reply::Status(200));
    stage.switch("stopped", "start").await;
    stage.wait_until_idle("later").await;
    stage.wait_until_idle("stopped").await;
    let to = |path: &str| -> Vec<String> {
        let mut ids: Vec<String> = stage.receiver.deliveries(path).iter().map(|d| d.id().to_owned()).collect();
        ids.sort();
        ids
    };
    let mut left = ids[1..].to_vec();
    left.sort();
    assert_eq!(to("/stopped"), left);
    assert_eq!(to("/later").iter().filter(|id| **id == ids[0]).count(), 1, "only before it was deleted");
    let told = explained(&stage, &ids[0], "stopped").await;
    assert_eq!((&told["outcome"], &told["rule"]), (&json!("not_wanted"), &json!("deleted")), "{told}");
    assert!(told["set_by"]["actor"].as_str().unwrap().starts_with("key key_"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bytes_are_gone_from_everything_that_is_stored() {
    let mut stage = Stage::new().await;
    stage.receiver.behave("/rejects", |_| Reply::Status(422));
    stage.receiver.behave("/again", |_| Reply::Status(422));
    stage.integration("rejects", json!({})).await;
    stage.integration("again", json!({"delivery": {"retry": {"schedule_seconds": [0, 600]}}})).await;
    let ids = stage.emit(json!([order("x", 1), marked("o", 1), order("y", 1)])).await;
    stage.wait_for_rejected("rejects", 3).await;
    stage.wait_for_rejected("again", 3).await;
    stage.receiver.behave("/again", |_| Reply::Status(500));
    stage.api.post("/v1/integrations/again/rejected/retry", &json!({"ids": [ids[1]]})).await.expect(202);
    stage.wait_for_attempts("again", 4).await;
    assert!(is_stored(stage.hub.folder()).await, "the test looks where nothing is");
    delete(&stage, &ids[1]).await;
    let row = stage.api.get(&format!("/v1/integrations/rejects/rejected/{}", ids[1])).await.expect(200);
    assert!(!row.to_string().contains(MARKER), "{row}");
    eventually("nothing of it is stored", SOON, async || (!is_stored(stage.hub.folder()).await).then_some(())).await;
    stage.bounce().await;
    assert!(!is_stored(stage.hub.folder()).await, "it came back");
    assert!(stage.api.get(&format!("/v1/events/{}", ids[2])).await.expect(200)["data"].is_object());
}

/// Whether the marker is in a file of the hub, or in its database.
async fn is_stored(folder: &Path) -> bool {
    if database::is_used() {
        let values = crate::support::values::values(folder).await;
        return values.iter().any(|(_, value)| value.contains(MARKER));
    }
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path).is_ok_and(|b| b.windows(MARKER.len()).any(|w| w == MARKER.as_bytes())) {
                return true;
            }
        }
    }
    false
}
