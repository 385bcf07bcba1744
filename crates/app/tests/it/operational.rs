//! Operational events: what the hub tells of itself, carried by integrations like any other event.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Receiver, Reply, SOON, Setup, Stage, eventually, order};

/// Events of this name in the log, once there are so many.
async fn told(stage: &Stage, name: &str, count: usize) -> Vec<Value> {
    let (entity, _) = name.split_once('.').unwrap();
    eventually(&format!("{count} events {name} are in the log"), SOON, async || {
        let mut events = stage.api.all(&format!("/v1/events?entity={entity}")).await;
        events.retain(|e| e["name"] == name);
        (events.len() >= count).then_some(events)
    })
    .await
}

fn orders(count: usize) -> Value {
    (0..count).map(|n| order(&format!("o-{n}"), 1)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_and_its_end_are_carried_by_an_integration_that_names_them() {
    let mut stage = Stage::new().await;
    stage.integration("ops", json!({"events": {"entities": ["integration"]}})).await;
    stage.integration("all", json!({})).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    stage.integration("it", json!({"name": "ERP", "target": {"url": format!("http://{address}/late")}})).await;
    stage.emit(orders(3)).await;
    let failing = stage.receiver.wait_for("/ops", 1, SOON).await.remove(0).json();
    assert_eq!((&failing["name"], &failing["entity_id"]), (&json!("integration.failing"), &json!("it")));
    let data = &failing["data"];
    assert_eq!((&data["integration"], &data["name"], &data["by"]), (&json!("it"), &json!("ERP"), &json!("system")));
    assert!(data["reason"].as_str().unwrap().contains("refused"), "{data}");
    let _late = Receiver::on(TcpListener::bind(address).await.expect("the port is still free"));
    let recovered = stage.receiver.wait_for("/ops", 2, SOON).await.remove(1).json();
    assert_eq!((&recovered["name"], &recovered["entity_id"]), (&json!("integration.recovered"), &json!("it")));
    stage.switch("it", "stop").await;
    // Before anybody can have been told.
    stage.crash().await;
    let stopped = eventually("it is told that it was stopped", SOON, async || {
        // What was not committed before the crash comes twice.
        stage.receiver.deliveries("/ops").iter().map(|d| d.json()).find(|e| e["name"] == "integration.stopped")
    })
    .await;
    assert_eq!(stopped["entity_id"], "it");
    assert!(stopped["data"]["by"].as_str().unwrap().starts_with("key "), "{stopped}");
    let names: Vec<Value> = stage.receiver.deliveries("/all").iter().map(|d| d.json()["name"].clone()).collect();
    assert!(!names.is_empty() && names.iter().all(|n| n == "order.saved"), "they must be named: {names:?}");
    assert_eq!(told(&stage, "integration.failing", 1).await.len(), 1, "each is told once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_integration_never_gets_events_about_itself() {
    let stage = Stage::new().await;
    stage.integration("ops", json!({"events": {"entities": ["integration"]}})).await;
    stage.integration("it", json!({})).await;
    stage.switch("ops", "stop").await;
    stage.switch("ops", "start").await;
    stage.switch("it", "stop").await;
    let about: Vec<Value> =
        stage.receiver.wait_for("/ops", 1, SOON).await.iter().map(|d| d.json()["entity_id"].clone()).collect();
    assert_eq!(about, ["it"]);
    let mut stopped: Vec<Value> =
        told(&stage, "integration.stopped", 2).await.iter().map(|e| e["entity_id"].clone()).collect();
    stopped.sort_by_key(Value::to_string);
    assert_eq!(stopped, ["it", "ops"]);
    stage.wait_until_idle("ops").await;
    assert_eq!(stage.receiver.deliveries("/ops").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_refuses_everything_is_told_of() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Status(422));
    stage.integration("it", json!({})).await;
    stage.emit(orders(40)).await;
    let braked = told(&stage, "integration.braked", 1).await.remove(0);
    assert_eq!(braked["entity_id"], "it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_is_told_without_what_was_there_before_and_after() {
    let stage = Stage::new().await;
    stage.integration("ops", json!({"events": {"names": ["audit.recorded"]}})).await;
    stage.api.put("/v1/sites/175", &json!({"name": "Main Street"})).await.expect(201);
    // Others are told of too, such as the integration itself.
    let delivered = eventually("it is delivered", SOON, async || {
        stage.receiver.deliveries("/ops").iter().map(|d| d.json()).find(|e| e["entity_id"] == "site 175")
    })
    .await;
    let data = &delivered["data"];
    assert_eq!((&data["action"], &data["object"]), (&json!("site.saved"), &json!("site 175")));
    assert!(data["actor"].as_str().unwrap().starts_with("key key_"));
    assert!(!delivered.to_string().contains("Main Street"), "{delivered}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_integration_that_is_behind_is_told_of_once_and_once_more_when_it_has_caught_up() {
    let variables = vec![("TILLSTREAM_LAGGING_AFTER_SECONDS", "3".to_owned())];
    let mut stage = Stage::with(Setup { variables, ..Setup::default() }).await;
    stage.integration("it", json!({"delivery": {"rate_per_second": 1}})).await;
    stage.emit(orders(30)).await;
    let lagging = told(&stage, "integration.lagging", 1).await.remove(0);
    assert_eq!(lagging["entity_id"], "it");
    stage.crash().await;
    stage.edit("it", json!({"delivery": {"rate_per_second": 1_000}})).await;
    told(&stage, "integration.recovered", 1).await;
    assert_eq!(told(&stage, "integration.lagging", 1).await.len(), 1, "one for each episode");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_says_itself_how_long_an_event_may_wait_before_it_is_told() {
    let stage = Stage::new().await;
    let company = json!({"name": "Default", "lagging_after_seconds": 3});
    let saved = stage.operator().put("/v1/companies/default", &company).await.expect(200);
    assert_eq!(saved["lagging_after_seconds"], 3);
    stage.integration("it", json!({"delivery": {"rate_per_second": 1}})).await;
    stage.emit(orders(30)).await;
    assert_eq!(told(&stage, "integration.lagging", 1).await[0]["entity_id"], "it");
    stage.edit("it", json!({"delivery": {"rate_per_second": 1_000}})).await;
    told(&stage, "integration.recovered", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_the_hub_makes_operational_events() {
    let stage = Stage::new().await;
    for name in ["integration.stopped", "audit.recorded", "site.silent"] {
        let refused = stage.api.post("/v1/events", &json!({"name": name, "data": {}})).await.expect(422);
        assert!(refused.to_string().contains("name-reserved"), "{refused}");
    }
    let own = json!({"id": "hub/entry/1", "name": "order.saved", "data": {}});
    assert!(
        stage.api.post("/v1/events", &own).await.expect(422).to_string().contains("letters"),
        "nobody takes its ids"
    );
}
