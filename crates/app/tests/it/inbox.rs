//! The inbox target: the last deliveries, to look at.

use serde_json::json;

use crate::support::{Stage, order};

async fn stage() -> Stage {
    let stage = Stage::new().await;
    let doc = json!({"id": "it", "target": {"kind": "inbox"}});
    stage.api.post("/v1/integrations", &doc).await.expect(201);
    stage
}

const INBOX: &str = "/v1/integrations/it/inbox";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inbox_shows_what_a_receiver_would_have_got() {
    let mut stage = stage().await;
    let ids = stage.emit(json!([order("a", 1), order("b", 2)])).await;
    stage.wait_for_attempts("it", 2).await;
    stage.wait_until_idle("it").await;
    stage.crash().await;
    let page = stage.api.get(INBOX).await.expect(200);
    let items = page["items"].as_array().unwrap();
    assert_eq!((items.len(), &page["next"]), (2, &json!(null)));
    let newest = items.iter().find(|i| i["event_id"] == json!(ids[1])).expect("the second event");
    assert_eq!((&newest["name"], &newest["site"]), (&json!("order.saved"), &json!("175")));
    assert_eq!(newest["request"]["body"]["data"]["version"], 2);
    let headers = newest["request"]["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["webhook-id", ids[1]])), "{headers:?}");
    let signature = headers.iter().find(|h| h[0] == "webhook-signature").expect("a signature");
    assert!(signature[1].as_str().unwrap().starts_with("v1,"), "{signature}");
    let stats = stage.api.get("/v1/integrations/it/stats").await.expect(200);
    assert_eq!(stats["totals"]["delivered"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inbox_shows_the_last_200() {
    let stage = stage().await;
    stage.emit((0..205).map(|v| order(&format!("o-{v}"), v)).collect()).await;
    stage.wait_for_attempts("it", 205).await;
    let shown = stage.api.get(&format!("{INBOX}?limit=200")).await.expect(200);
    assert_eq!(shown["items"].as_array().unwrap().len(), 200);
    stage.api.get(&format!("{INBOX}?limit=201")).await.expect(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_are_shown_to_those_who_may_see_them() {
    let stage = stage().await;
    stage.emit(json!([order("a", 1), order("b", 2)])).await;
    stage.wait_for_attempts("it", 2).await;
    let bare = stage.holder(json!({"name": "a", "scopes": ["deliveries:read"]})).await;
    let page = bare.get(INBOX).await.expect(200);
    assert!(
        page["items"][0]["request"]["url"] == "inbox:it" && page["items"][0]["request"]["body"].is_null(),
        "{page}"
    );
    let wish = json!({"name": "b", "scopes": ["deliveries:read", "events:payload"], "integrations": ["it"]});
    let bound = stage.holder(wish).await;
    let page = bound.get(INBOX).await.expect(200);
    assert!(page["items"][0]["request"]["body"].is_object(), "{page}");
    let event = page["items"][0]["event_id"].as_str().unwrap();
    bound.get(&format!("/v1/events/{event}")).await.expect(403);
    let wish = json!({"name": "c", "scopes": ["deliveries:read"], "integrations": ["other"]});
    stage.holder(wish).await.get(INBOX).await.expect(404);
    stage.integration("http", json!({})).await;
    stage.api.get("/v1/integrations/http/inbox").await.expect(422);
}
