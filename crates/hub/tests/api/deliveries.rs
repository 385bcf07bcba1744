//! Attempts, rejected events, figures, and what became of an event.

use std::sync::atomic::Ordering;

use http::Method;
use serde_json::{Value, json};

use crate::support::{App, assert_fits, assert_problem};

fn story<'a>(explanation: &'a Value, integration: &str) -> &'a Value {
    explanation["items"].as_array().unwrap().iter().find(|s| s["integration"] == integration).unwrap()
}

/// An app whose integration `erp` got one event, which its receiver refused.
async fn with_a_rejected_event(status: u16) -> (App, String, std::sync::Arc<std::sync::atomic::AtomicU16>) {
    let mut app = App::start().await;
    let (url, answers) = app.receiver(status).await;
    app.integration(
        "erp",
        &url,
        json!({"target": {"kind": "http", "url": url, "authorization": "Bearer abcdef-123456"}}),
    )
    .await;
    let event = app.event("order.saved", "o1").await;
    app.wait_for("/v1/integrations/erp/rejected", |page| page["items"] != json!([])).await;
    (app, event, answers)
}

#[tokio::test]
async fn a_delivered_event_is_explained_with_its_attempt_and_its_request() {
    let mut app = App::start().await;
    let (url, _) = app.receiver(200).await;
    app.integration("erp", &url, json!({})).await;
    let event = app.event("order.saved", "o1").await;
    let path = format!("/v1/events/{event}/explain");
    let explained = app.wait_for(&path, |e| e["items"][0]["outcome"] == "delivered").await;
    assert_fits(&explained, "Explanation");
    assert_eq!(explained["event"].get("data"), None);
    assert!(story(&explained, "erp")["summary"].as_str().unwrap().ends_with("with attempt 1."), "{explained}");

    let row = app.get("/v1/attempts").await.body["items"][0].clone();
    assert_fits(&row, "Attempt");
    assert_eq!(
        (&row["event_id"], &row["status"], &row["integration"]),
        (&json!(event), &json!("success"), &json!("erp"))
    );
    assert_eq!((&row["domain_entity_type"], &row["domain_entity_id"]), (&json!("order"), &json!("o1")));

    let shown = app.get(&format!("/v1/integrations/erp/attempts/{event}")).await.body;
    assert_fits(&shown, "EventAttempts");
    assert_eq!(shown["request"]["url"], url);
    assert_eq!(shown["request"]["body"]["id"], event);
    let reader = app.key_with(&["deliveries:read"]).await;
    let hidden = app.ask_as(&reader, Method::GET, &format!("/v1/integrations/erp/attempts/{event}"), Value::Null).await;
    assert_eq!((hidden.status.as_u16(), hidden.body["request"].get("body")), (200, None));
}

#[tokio::test]
async fn a_rule_that_said_no_is_named() {
    let app = App::start().await;
    let url = "http://127.0.0.1:9/";
    app.integration("names", url, json!({"events": {"names": ["punch.saved"]}})).await;
    app.integration("site", url, json!({"availability": {"default": true, "sites": {"175": false}}})).await;
    app.integration("where", url, json!({"events": {"where": [{"path": "data.total", "op": "gt", "value": 100}]}}))
        .await;
    let event = app.event("order.saved", "o1").await;
    app.integration("younger", url, json!({})).await;
    let explained = app.get(&format!("/v1/events/{event}/explain")).await.body;
    for (integration, rule) in [("names", "events"), ("site", "availability"), ("where", "events.where[0]")] {
        let story = story(&explained, integration);
        assert_eq!((&story["outcome"], &story["rule"]), (&json!("not_wanted"), &json!(rule)), "{story}");
    }
    assert_eq!(story(&explained, "younger")["outcome"], "before_start");
    let first = app.get(&format!("/v1/events/{event}/explain?limit=3")).await.body;
    assert_eq!((first["items"].as_array().unwrap().len(), &first["next"]), (3, &json!("where")));
}

#[tokio::test]
async fn an_event_for_a_stopped_integration_waits_and_says_since_when() {
    let app = App::start().await;
    app.integration("erp", "http://127.0.0.1:9/", json!({})).await;
    app.post("/v1/integrations/erp/stop", json!({"reason": "moving house"})).await;
    let event = app.event("order.saved", "o1").await;
    let explained = app.get(&format!("/v1/events/{event}/explain")).await.body;
    let story = story(&explained, "erp");
    assert_eq!(story["outcome"], "pending");
    assert!(
        story["summary"].as_str().unwrap().contains("stopped since 2026-11-21T10:00:00.000Z (moving house)"),
        "{story}"
    );
    let stats = app.get("/v1/integrations/erp/stats").await.body;
    assert_fits(&stats, "Stats");
    assert_eq!((&stats["cursor"]["lag_events"], &stats["lane"]), (&json!(1), &Value::Null));
}

#[tokio::test]
async fn a_rejected_event_is_shown_with_its_reason_and_its_request() {
    let (app, event, _) = with_a_rejected_event(400).await;
    let row = app.get("/v1/integrations/erp/rejected").await.body["items"][0].clone();
    assert_fits(&row, "Rejected");
    assert_eq!((&row["id"], &row["last_status"], &row["reason"]), (&json!(event), &json!(400), &json!("rejected")));
    let shown = app.get(&format!("/v1/integrations/erp/rejected/{event}")).await;
    assert_eq!(shown.body["request"]["body"]["id"], event);
    assert!(!shown.body.to_string().contains("123456"), "{}", shown.body);
    let explained = app.get(&format!("/v1/events/{event}/explain")).await.body;
    assert_fits(&explained, "Explanation");
    let story = story(&explained, "erp");
    assert_eq!(
        (&story["outcome"], &story["attempts"][0]["failure"]["answer"]),
        (&json!("rejected"), &json!("as told"))
    );
    let failures = app.get("/v1/integrations/erp/attempts?status=failure").await.body;
    assert_fits(&failures["items"][0], "Attempt");
    assert_eq!(app.get("/v1/integrations/erp/attempts?status=success").await.body["items"], json!([]));
    assert_eq!(app.get("/v1/integrations/erp/stats").await.body["totals"]["rejected"], 1);
}

#[tokio::test]
async fn a_rejected_event_that_is_tried_again_is_delivered_once() {
    let (app, event, answers) = with_a_rejected_event(400).await;
    answers.store(200, Ordering::Relaxed);
    let path = format!("/v1/integrations/erp/rejected/{event}");
    let retried = app.post(&format!("{path}/retry"), Value::Null).await;
    assert_eq!(retried.status, 202, "{}", retried.body);
    assert_fits(&retried.body, "Retried");
    assert_problem(&app.post(&format!("{path}/retry"), Value::Null).await, 404, "not-found");
    app.wait_for(&format!("/v1/events/{event}/explain"), |e| e["items"][0]["outcome"] == "delivered").await;
    assert_problem(&app.get(&path).await, 404, "not-found");
}

#[tokio::test]
async fn rejected_events_are_tried_again_by_name_or_all_that_match() {
    let (app, event, answers) = with_a_rejected_event(422).await;
    let path = "/v1/integrations/erp/rejected/retry";
    let unknown = "evt_01JD7ZQ4X8E9W3R5T6Y7P0A1BC";
    let named = app.post(path, json!({"ids": [event, unknown]})).await;
    assert_eq!((&named.body["retried"], &named.body["unknown"]), (&json!(1), &json!([unknown])));
    app.wait_for("/v1/integrations/erp/rejected", |page| page["items"] != json!([])).await;
    answers.store(200, Ordering::Relaxed);
    let all = app.post(&format!("{path}-all"), json!({"filter": {"last_status": 422}})).await;
    assert_eq!(all.status, 202, "{}", all.body);
    assert_fits(&all.body, "Job");
    let job = format!("/v1/jobs/{}", all.body["id"].as_str().unwrap());
    let done = app.wait_for(&job, |job| job["status"] == "done").await;
    assert_eq!(done["progress"]["done"], 1, "{done}");
    app.wait_for(&format!("/v1/events/{event}/explain"), |e| e["items"][0]["outcome"] == "delivered").await;
    assert_problem(&app.post(path, json!({})).await, 422, "invalid");
    assert_problem(&app.post(path, json!({"ids": ["x"]})).await, 422, "invalid");
}

#[tokio::test]
async fn a_deleted_rejected_event_is_gone() {
    let (app, event, _) = with_a_rejected_event(400).await;
    let path = format!("/v1/integrations/erp/rejected/{event}");
    assert_eq!(app.ask(Method::DELETE, &path, Value::Null).await.status, 204);
    assert_problem(&app.ask(Method::DELETE, &path, Value::Null).await, 404, "not-found");
    assert_eq!(app.get("/v1/integrations/erp/rejected").await.body["items"], json!([]));
}

#[tokio::test]
async fn an_event_that_waits_for_its_next_attempt_says_when_and_why() {
    let mut app = App::start().await;
    let (url, _) = app.receiver(500).await;
    app.integration("erp", &url, json!({"delivery": {"retry": {"schedule_seconds": [0, 3600]}}})).await;
    let event = app.event("order.saved", "o1").await;
    let explained =
        app.wait_for(&format!("/v1/events/{event}/explain"), |e| e["items"][0]["outcome"] == "parked").await;
    assert_fits(&explained, "Explanation");
    let story = story(&explained, "erp");
    assert!(story["next_attempt_at"].as_str().unwrap() >= "2026-11-21T11:00:00.000Z", "{story}");
    assert!(story["summary"].as_str().unwrap().contains("status 500"), "{story}");
    assert_problem(&app.post("/v1/integrations/nobody/brake/release", Value::Null).await, 404, "not-found");
    assert_eq!(app.post("/v1/integrations/erp/brake/release", Value::Null).await.status, 204);
    app.post("/v1/integrations/erp/stop", Value::Null).await;
    assert_problem(&app.post("/v1/integrations/erp/brake/release", Value::Null).await, 422, "invalid");
}

#[tokio::test]
async fn attempts_are_filtered_and_paged_newest_first() {
    let mut app = App::start().await;
    let (url, _) = app.receiver(200).await;
    app.integration("erp", &url, json!({})).await;
    for entity in ["o1", "o2", "o1"] {
        app.event("order.saved", entity).await;
    }
    app.wait_for("/v1/attempts", |page| page["items"].as_array().unwrap().len() == 3).await;
    let count =
        async |filter: &str| app.get(&format!("/v1/attempts?{filter}")).await.body["items"].as_array().unwrap().len();
    assert_eq!(count("domain_entity_id=o1").await, 2);
    assert_eq!(count("domain_entity_id=o1&domain_entity_type=customer").await, 0);
    assert_eq!(count("event_name=order.saved&status=success").await, 3);
    assert_eq!(count("event_name=punch.saved").await, 0);
    assert_eq!(count("from=2026-11-21T10:00:00Z&to=2026-11-21T10:00:01Z").await, 3);
    assert_eq!(count("from=2026-11-21T10:00:01Z").await, 0);
    let first = app.get("/v1/attempts?limit=2").await.body;
    let next = first["next"].as_str().unwrap();
    let second = app.get(&format!("/v1/attempts?limit=2&after={next}")).await.body;
    assert_eq!((second["items"].as_array().unwrap().len(), &second["next"]), (1, &Value::Null));
}
