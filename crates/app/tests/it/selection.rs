//! Which events an integration gets.

use serde_json::{Value, json};

use crate::support::{SOON, Stage};

fn at(name: &str, site: Option<&str>, id: &str) -> Value {
    json!({"name": name, "site": site, "data": {"_id": id, "total": 12.5, "channel": "store", "lines": [], "tag": "x-1"}})
}

/// The entities that came to an integration, once everything before now has been settled.
async fn received(stage: &Stage, id: &str) -> Vec<String> {
    stage.wait_until_idle(id).await;
    let deliveries = stage.receiver.deliveries(&format!("/{id}"));
    let mut entities: Vec<String> =
        deliveries.iter().map(|d| d.json()["data"]["_id"].as_str().unwrap().to_owned()).collect();
    entities.sort();
    entities
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entities_and_names_are_a_union_and_none_means_all() {
    let stage = Stage::new().await;
    for (id, events) in [
        ("all", json!({})),
        ("entities", json!({"entities": ["order"]})),
        ("names", json!({"names": ["return.processed"]})),
        ("union", json!({"entities": ["order"], "names": ["return.processed", "order.saved"]})),
    ] {
        stage.integration(id, json!({"events": events})).await;
    }
    stage
        .emit(json!([
            at("order.saved", None, "a"),
            at("order.some_future_fact", None, "b"),
            at("return.processed", None, "c"),
            at("return.refused", None, "d"),
        ]))
        .await;
    stage.receiver.wait_for("/all", 4, SOON).await;
    assert_eq!(received(&stage, "all").await, ["a", "b", "c", "d"]);
    assert_eq!(received(&stage, "entities").await, ["a", "b"]);
    assert_eq!(received(&stage, "names").await, ["c"]);
    assert_eq!(received(&stage, "union").await, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sites_are_switched_on_and_off() {
    let stage = Stage::new().await;
    stage.integration("only", json!({"availability": {"default": false, "sites": {"1": true}}})).await;
    stage.integration("but", json!({"availability": {"default": true, "sites": {"1": false}}})).await;
    stage.integration("none", json!({"availability": false})).await;
    stage.integration("all", json!({})).await;
    stage
        .emit(json!([
            at("order.saved", Some("1"), "a"),
            at("order.saved", Some("2"), "b"),
            at("order.saved", None, "c")
        ]))
        .await;
    stage.receiver.wait_for("/all", 3, SOON).await;
    assert_eq!(received(&stage, "only").await, ["a"]);
    assert_eq!(received(&stage, "but").await, ["b", "c"]);
    assert_eq!(received(&stage, "none").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_condition_selects() {
    let stage = Stage::new().await;
    let data = json!({"_id": "hit", "total": 12.50, "channel": "store", "tag": "vip-7", "deep": {"list": [1, 2]}, "none": null});
    let yes = [
        ("eq", "data.channel", json!("store")),
        ("eq", "data.total", json!(12.5)),
        ("ne", "data.channel", json!("web")),
        ("in", "data.channel", json!(["web", "store"])),
        ("not_in", "data.channel", json!(["web", "phone"])),
        ("gt", "data.total", json!(12)),
        ("gte", "data.total", json!(12.5)),
        ("lt", "data.total", json!(100)),
        ("lte", "data.total", json!(12.5)),
        ("exists", "data.deep.list", json!(true)),
        ("exists", "data.absent", json!(false)),
        ("prefix", "data.tag", json!("vip-")),
    ];
    let no = [
        ("eq", "data.channel", json!("stor")),
        ("ne", "data.channel", json!("store")),
        ("in", "data.channel", json!(["web"])),
        ("not_in", "data.channel", json!(["store"])),
        ("gt", "data.total", json!(12.5)),
        ("gte", "data.total", json!(12.51)),
        ("lt", "data.total", json!(12.5)),
        ("lte", "data.total", json!(9)),
        ("exists", "data.absent", json!(true)),
        ("prefix", "data.tag", json!("ip-")),
    ];
    let mut expected = Vec::new();
    for (n, (op, path, value)) in yes.iter().chain(&no).enumerate() {
        let id = format!("c-{n}");
        stage.integration(&id, json!({"events": {"where": [{"path": path, "op": op, "value": value}]}})).await;
        expected.push((id, n < yes.len(), format!("{path} {op} {value}")));
    }
    stage.integration("all", json!({})).await;
    stage.emit(json!({"name": "order.saved", "data": data})).await;
    stage.receiver.wait_for("/all", 1, SOON).await;
    for (id, wanted, condition) in expected {
        assert_eq!(!received(&stage, &id).await.is_empty(), wanted, "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_conditions_must_hold_and_any_of_a_list() {
    let stage = Stage::new().await;
    let is = |value: &str| json!({"path": "data.channel", "op": "eq", "value": value});
    let big = json!({"path": "data.total", "op": "gt", "value": 10});
    stage.integration("both", json!({"events": {"where": [is("store"), big]}})).await;
    stage.integration("any", json!({"events": {"where": [{"any": [is("store"), is("web")]}, big]}})).await;
    stage.integration("all", json!({})).await;
    let sold = |id: &str, channel: &str, total: u32| json!({"name": "order.saved", "data": {"_id": id, "channel": channel, "total": total}});
    stage
        .emit(json!([sold("a", "store", 20), sold("b", "web", 20), sold("c", "phone", 20), sold("d", "store", 5)]))
        .await;
    stage.receiver.wait_for("/all", 4, SOON).await;
    assert_eq!(received(&stage, "both").await, ["a"]);
    assert_eq!(received(&stage, "any").await, ["a", "b"]);
}
