//! Why an event was delivered, or was not.

use serde_json::{Value, json};

use crate::support::{Reply, Stage, event, order};

async fn story(stage: &Stage, event: &str, integration: &str) -> Value {
    let explanation = stage.api.get(&format!("/v1/events/{event}/explain")).await.expect(200);
    let items = explanation["items"].as_array().unwrap();
    items
        .iter()
        .find(|s| s["integration"] == integration)
        .unwrap_or_else(|| panic!("{integration}: {explanation}"))
        .clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_integration_says_what_it_did_with_an_event_and_which_rule_said_no() {
    let stage = Stage::new().await;
    stage.receiver.behave("/rejects", |_| Reply::Status(422));
    stage.receiver.behave("/fails", |_| Reply::Status(500));
    let store = json!([{"path": "data.channel", "op": "eq", "value": "store"}]);
    stage.integration("delivers", json!({})).await;
    stage.integration("rejects", json!({})).await;
    stage.integration("fails", json!({"delivery": {"retry": {"schedule_seconds": [0, 600]}}})).await;
    stage.integration("entity", json!({"events": {"entities": ["punch"]}})).await;
    stage.integration("where", json!({"events": {"where": store}})).await;
    stage.integration("site", json!({"availability": {"default": true, "sites": {"175": false}}})).await;
    let id = stage.emit(order("o", 1)).await.remove(0);
    for tried in ["delivers", "rejects", "fails"] {
        stage.wait_for_attempts(tried, 1).await;
    }
    for quiet in ["entity", "where", "site"] {
        stage.wait_until_idle(quiet).await;
    }
    let outcome = |s: &Value| s["outcome"].as_str().unwrap().to_owned();
    let delivered = story(&stage, &id, "delivers").await;
    assert_eq!((outcome(&delivered).as_str(), delivered["attempts"].as_array().unwrap().len()), ("delivered", 1));
    assert_eq!(outcome(&story(&stage, &id, "rejects").await), "rejected");
    let parked = story(&stage, &id, "fails").await;
    assert_eq!(outcome(&parked), "parked");
    assert!(parked["next_attempt_at"].is_string(), "{parked}");
    for (integration, rule) in [("entity", "events"), ("where", "events.where[0]"), ("site", "availability")] {
        let told = story(&stage, &id, integration).await;
        assert_eq!(outcome(&told), "not_wanted", "{told}");
        assert!(told["rule"].as_str().unwrap().starts_with(rule), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_of_that_time_explain_and_not_those_of_today() {
    let stage = Stage::new().await;
    stage.integration("it", json!({"events": {"entities": ["order"]}})).await;
    let id = stage.emit(event("punch.saved", "p", 1)).await.remove(0);
    stage.wait_until_idle("it").await;
    stage.edit("it", json!({"events": {"entities": ["punch"]}})).await;
    let told = story(&stage, &id, "it").await;
    assert_eq!((&told["outcome"], &told["version"]), (&json!("not_wanted"), &json!(1)));
    stage.integration("later", json!({})).await;
    assert_eq!(story(&stage, &id, "later").await["outcome"], "before_start");
}
