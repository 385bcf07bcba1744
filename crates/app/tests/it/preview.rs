//! Trying settings on past events before they are saved.

use serde_json::{Value, json};

use crate::support::{Stage, event, order};

const PATH: &str = "/v1/integrations/preview";
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

fn settings(stage: &Stage, more: Value) -> Value {
    let mut doc = json!({"name": "new", "target": {"kind": "http", "url": stage.receiver.url("/new")}});
    doc.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    doc
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_tried_next_to_the_saved_ones() {
    let stage = Stage::new().await;
    let sent: Vec<Value> = (0..30)
        .map(|n| match n % 3 {
            0 => event("punch.saved", &format!("p-{n}"), n),
            _ => order(&format!("o-{n}"), n),
        })
        .collect();
    stage.emit(json!(sent)).await;
    stage.integration("erp", json!({"events": {"entities": ["order"]}})).await;
    let few = json!({"events": {"where": [{"path": "data.version", "op": "lt", "value": 10}]}});
    let new = json!({"integration": settings(&stage, few.clone()), "from": LONG_AGO});
    let tried = stage.api.post(PATH, &new).await.expect(200);
    assert_eq!((&tried["events"], &tried["saved"], &tried["looked_at"]), (&json!(10), &Value::Null, &json!(30)));
    assert_eq!(
        tried["entities"],
        json!([{"entity": "order", "events": 6, "saved": null}, {"entity": "punch", "events": 4, "saved": null}])
    );
    let mut shown = stage.shown("erp").await;
    shown["events"] = few["events"].clone();
    let edited = stage.api.post(PATH, &json!({"integration": shown, "from": LONG_AGO})).await.expect(200);
    assert_eq!((&edited["events"], &edited["saved"], &edited["saved_version"]), (&json!(10), &json!(20), &json!(1)));
    assert_eq!(edited["entities"][1], json!({"entity": "punch", "events": 4, "saved": 0}));
    assert_eq!(edited["truncated"], false);
    assert_eq!(stage.shown("erp").await["version"], 1, "nothing is saved");
    assert!(stage.receiver.deliveries("/new").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_window_counts() {
    let stage = Stage::new().await;
    let first = stage.emit(order("a", 1)).await.remove(0);
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let second = stage.emit(order("b", 1)).await.remove(0);
    let accepted = async |id: &str| stage.api.get(&format!("/v1/events/{id}")).await.expect(200)["accepted_at"].clone();
    let (at_first, at_second) = (accepted(&first).await, accepted(&second).await);
    let count = async |from: &Value, to: &Value| {
        let wish = json!({"integration": settings(&stage, json!({})), "from": from, "to": to});
        stage.api.post(PATH, &wish).await.expect(200)["events"].as_u64().unwrap()
    };
    assert_eq!(count(&at_first, &at_second).await, 1);
    assert_eq!(count(&at_first, &Value::Null).await, 2);
    assert_eq!(count(&at_second, &Value::Null).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_settings_are_named_below_the_integration() {
    let stage = Stage::new().await;
    let wrong = settings(&stage, json!({"delivery": {"timeout_seconds": 61}}));
    let problem = stage.api.post(PATH, &json!({"integration": wrong, "from": LONG_AGO})).await.expect(422);
    assert_eq!(problem["errors"][0]["path"], "integration.delivery.timeout_seconds", "{problem}");
    let backwards = json!({"integration": settings(&stage, json!({})), "from": "2020-01-02T00:00:00Z", "to": LONG_AGO});
    assert_eq!(stage.api.post(PATH, &backwards).await.expect(422)["errors"][0]["path"], "to");
    let blind = stage.holder(json!({"name": "x", "scopes": ["integrations:read"]})).await;
    let wish = json!({"integration": settings(&stage, json!({})), "from": LONG_AGO});
    assert!(blind.post(PATH, &wish).await.expect(403)["detail"].as_str().unwrap().contains("events:read"));
}
