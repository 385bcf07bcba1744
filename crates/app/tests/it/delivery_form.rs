//! What a delivery looks like: headers, and the bodies of the formats.

use serde_json::{Value, json};

use crate::support::{Delivery, SOON, Stage, order};

const JSON: (&str, &str) = ("content-type", "application/json");

async fn delivered(stage: &Stage, settings: Value, event: Value) -> (Delivery, Value) {
    stage.integration("it", settings).await;
    let id = stage.emit(event).await.remove(0);
    let stored = stage.api.get(&format!("/v1/events/{id}")).await.expect(200);
    (stage.receiver.wait_for("/it", 1, SOON).await.remove(0), stored)
}

fn full_order() -> Value {
    json!({"id": "till:77", "name": "order.completed", "site": "175", "terminal": "2",
        "occurred_at": "2026-03-01T10:00:00Z", "business_date": "2026-03-01",
        "correlation": {"order_id": "A1", "customer_id": "C9"}, "data": {"_id": "A1", "total": 12}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_carries_the_headers_of_the_contract() {
    let stage = Stage::new().await;
    let target = json!({"target": {"authorization": "Basic abc", "headers": {"X-Tenant": "blue"}}});
    let (delivery, stored) = delivered(&stage, target, full_order()).await;
    assert!(delivery.id().starts_with("evt_") && !delivery.id().contains('.'), "{}", delivery.id());
    assert_eq!(delivery.id(), stored["id"]);
    assert_eq!(delivery.header("tillstream-event"), "order.completed");
    assert_eq!(delivery.header("tillstream-attempt"), "1");
    assert_eq!(delivery.header("tillstream-event-id"), "till:77");
    assert_eq!(delivery.header("authorization"), "Basic abc");
    assert_eq!(delivery.header("x-tenant"), "blue");
    assert!(delivery.header("content-type").contains("json"));
    assert!(delivery.header("user-agent").starts_with("Tillstream/"), "{}", delivery.header("user-agent"));
    let (epoch, seq) = delivery.header("tillstream-seq").split_once('-').expect("<epoch>-<seq>");
    assert!(epoch.parse::<u64>().is_ok() && seq.parse() == Ok(stored["seq"].as_u64().unwrap()));
    let trace: Vec<usize> = delivery.header("traceparent").split('-').map(str::len).collect();
    assert_eq!(trace, [2, 32, 16, 2], "{}", delivery.header("traceparent"));
    let seconds: i64 = delivery.header("webhook-timestamp").parse().expect("seconds");
    let now = jiff::Timestamp::now().as_second();
    assert!((now - 60..=now + 1).contains(&seconds), "{seconds} is not now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tillstream_format_says_everything_about_the_event() {
    let stage = Stage::new().await;
    let (delivery, stored) = delivered(&stage, json!({"format": "tillstream"}), full_order()).await;
    let body = delivery.json();
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    let mut expected = vec![
        "id",
        "name",
        "entity",
        "entity_id",
        "company",
        "site",
        "terminal",
        "business_date",
        "occurred_at",
        "accepted_at",
        "seq",
        "correlation",
        "data",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    for same in
        ["id", "name", "entity", "entity_id", "company", "site", "terminal", "business_date", "accepted_at", "data"]
    {
        assert_eq!(body[same], stored[same], "{same}");
    }
    assert_eq!((&body["entity"], &body["entity_id"]), (&json!("order"), &json!("A1")));
    assert_eq!(
        body["seq"].as_str().map(str::to_owned),
        Some(delivery.header("tillstream-seq").to_owned()),
        "{}",
        body["seq"]
    );
    assert_eq!(body["correlation"], json!({"order_id": "A1", "customer_id": "C9"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_event_stream_format_has_four_keys() {
    let stage = Stage::new().await;
    let (delivery, stored) = delivered(&stage, json!({"format": "event_stream"}), full_order()).await;
    let body = delivery.json();
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["name", "payload", "published_at", "tenant"]);
    assert_eq!((&body["tenant"], &body["name"]), (&stored["company"], &json!("order.completed")));
    assert_eq!(body["payload"], json!({"_id": "A1", "total": 12}));
    let published = body["published_at"].as_str().unwrap();
    assert!(published.len() == "2026-11-21T10:00:00.000Z".len() && published.ends_with('Z'), "{published}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cloudevents_format_is_a_structured_event() {
    let stage = Stage::new().await;
    let (delivery, stored) = delivered(&stage, json!({"format": "cloudevents"}), full_order()).await;
    let body = delivery.json();
    assert!(delivery.header("content-type").starts_with("application/cloudevents+json"));
    assert_eq!((&body["specversion"], &body["id"]), (&json!("1.0"), &stored["id"]));
    assert!(!body["source"].as_str().unwrap().is_empty());
    assert!(body["type"].as_str().unwrap().contains("order.completed"));
    assert_eq!(body["data"], json!({"_id": "A1", "total": 12}));
    assert!(body["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    let legal = |name: &String| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let names: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert!(names.iter().all(|n| legal(n)), "attribute names are lower-case letters and digits: {names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_and_strings_keep_their_spelling() {
    let stage = Stage::new().await;
    let data =
        r#"{"_id":"o","a":10.00,"b":1e3,"c":-0.0,"d":12345678901234567890123,"e":"\u00e9\/","z":1,"y":[1.50,{}]}"#;
    let formats = [("own", "tillstream"), ("stream", "event_stream"), ("cloud", "cloudevents")];
    for (id, format) in formats {
        stage.integration(id, json!({"format": format})).await;
    }
    let spaced = format!("{{ \"name\": \"order.saved\",\n  \"data\": {}\n}}", data.replace(",\"", " ,\n \""));
    stage.api.post_bytes("/v1/events", &[JSON], spaced).await.expect(202);
    for (id, format) in formats {
        let delivery = stage.receiver.wait_for(&format!("/{id}"), 1, SOON).await.remove(0);
        let body = String::from_utf8(delivery.body.to_vec()).unwrap();
        assert!(body.contains(data), "{format}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_redacted_does_not_leave_the_hub_and_the_rest_is_unharmed() {
    let stage = Stage::new().await;
    let settings = json!({"redaction": ["customer.email", "items[].secret"]});
    let mut event = order("o", 1);
    event["data"]["customer"] = json!({"email": "a@b.c", "tier": "gold"});
    event["data"]["items"] = json!([{"secret": 1, "n": 1}, {"n": 2}]);
    let (delivery, _) = delivered(&stage, settings, event).await;
    let data = &delivery.json()["data"];
    assert_eq!(data["customer"], json!({"tier": "gold"}));
    assert_eq!(data["items"], json!([{"n": 1}, {"n": 2}]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_entity_is_found_in_the_event_or_in_its_document() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    stage.emit(json!({"name": "order.saved", "entity_id": "given", "data": {"_id": "other"}})).await;
    stage.emit(json!({"name": "order.saved", "data": {"_id": "underscore"}})).await;
    stage.emit(json!({"name": "order.saved", "data": {"id": "plain"}})).await;
    stage.emit(json!({"name": "order.saved", "data": {"id": 77}})).await;
    let mut entities: Vec<String> = stage
        .receiver
        .wait_for("/it", 4, SOON)
        .await
        .iter()
        .map(|d| d.json()["entity_id"].as_str().expect("an entity id").to_owned())
        .collect();
    entities.sort();
    assert_eq!(entities, ["77", "given", "plain", "underscore"]);
}
