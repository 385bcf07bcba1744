//! Changes to a running integration, and who sees whose.

use serde_json::json;

use crate::support::{Reply, SOON, Stage, order, slug};

const IT: &str = "/v1/integrations/it";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_takes_effect_without_a_stop() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    stage.emit(order("o", 1)).await;
    stage.receiver.wait_for("/it", 1, SOON).await;
    let edited =
        stage.edit("it", json!({"target": {"url": stage.receiver.url("/moved")}, "format": "event_stream"})).await;
    assert_eq!((&edited["version"], &edited["status"]), (&json!(2), &json!("running")));
    stage.emit(order("o", 2)).await;
    let moved = stage.receiver.wait_for("/moved", 1, SOON).await.remove(0);
    assert_eq!(moved.json()["name"], "order.saved");
    assert!(moved.json()["payload"].is_object());
    stage.edit("it", json!({"events": {"names": ["other.thing"]}})).await;
    stage.emit(json!([order("o", 3), {"name": "other.thing", "data": {"_id": "x", "version": 4}}])).await;
    let versions: Vec<u64> = stage.receiver.wait_for("/moved", 2, SOON).await.iter().map(|d| d.version().1).collect();
    assert_eq!(versions, [2, 4]);
    assert_eq!(stage.actions("it").await, ["edited", "edited", "created"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_target_gets_what_waits_for_its_retry() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Status(500));
    stage.integration("it", json!({"delivery": {"retry": {"schedule_seconds": [0, 1, 1, 1, 1, 1, 1, 1, 1]}}})).await;
    stage.emit(json!([order("o", 1), order("o", 2)])).await;
    stage.receiver.wait_for("/it", 1, SOON).await;
    stage.edit("it", json!({"target": {"url": stage.receiver.url("/healthy")}})).await;
    let versions: Vec<u64> = stage.receiver.wait_for("/healthy", 2, SOON).await.iter().map(|d| d.version().1).collect();
    assert_eq!(versions, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_of_something_else_than_was_read_is_refused() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let read = stage.api.get(IT).await;
    let tag = read.headers["etag"].to_str().unwrap().to_owned();
    let name = |n: &str| json!({"name": n});
    let first = stage.api.patch_if(IT, &name("first"), &[("if-match", &tag)]).await;
    first.expect(200);
    let newer = first.headers["etag"].to_str().unwrap().to_owned();
    assert_ne!(tag, newer);
    let late = stage.api.patch_if(IT, &name("late"), &[("if-match", &tag)]).await.expect(412);
    slug(&late);
    assert_eq!(stage.shown("it").await["name"], "first");
    stage.api.patch_if(IT, &name("second"), &[("if-match", &newer)]).await.expect(200);
    assert_eq!(stage.shown("it").await["version"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_changes_what_it_names_and_null_takes_back() {
    let stage = Stage::new().await;
    let delivery = json!({"rate_per_second": 50, "timeout_seconds": 30, "max_age_seconds": 3600});
    stage.integration("it", json!({"description": "before", "delivery": delivery})).await;
    let edited = stage.edit("it", json!({"delivery": {"rate_per_second": null, "timeout_seconds": 20}})).await;
    let delivery = &edited["delivery"];
    assert_eq!(delivery["rate_per_second"], json!(null));
    assert_eq!((&delivery["timeout_seconds"], &delivery["max_age_seconds"]), (&json!(20), &json!(3600)));
    assert_eq!(edited["description"], "before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_settings_are_refused_with_their_place_and_change_nothing() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let many: Vec<_> = (0..21).map(|n| json!({"path": "data.n", "op": "eq", "value": n})).collect();
    for (path, patch) in [
        ("delivery.timeout_seconds", json!({"delivery": {"timeout_seconds": 61}})),
        ("delivery.timeout_seconds", json!({"delivery": {"timeout_seconds": 0}})),
        ("target.url", json!({"target": {"url": "ftp://files.example/"}})),
        ("target.url", json!({"target": {"url": "http://files.example/a b"}})),
        ("target.kind", json!({"target": {"kind": "pigeon"}})),
        ("target.headers", json!({"target": {"headers": {"webhook-id": "x"}}})),
        ("target.headers", json!({"target": {"headers": {"content-length": "1"}}})),
        ("target.authorization", json!({"target": {"authorization": "two\nlines"}})),
        ("events.where", json!({"events": {"where": [{"path": "data.n", "op": "like", "value": 1}]}})),
        ("events.where", json!({"events": {"where": many}})),
        ("events.names", json!({"events": {"names": ["No Name"]}})),
        ("id", json!({"id": "another"})),
        ("type", json!({"type": "temporary"})),
        ("colour", json!({"colour": "red"})),
    ] {
        let answer = stage.api.patch(IT, &patch).await;
        assert!([400, 422].contains(&answer.status), "{patch}: {} {}", answer.status, answer.text());
        assert!(answer.text().contains(path), "{path} is not named for {patch}: {}", answer.text());
    }
    assert_eq!(stage.shown("it").await["version"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_per_site_may_be_written_bare_and_read_back_as_objects() {
    let stage = Stage::new().await;
    let made =
        stage.integration("it", json!({"availability": false, "target": {"authorization": "Bearer abcdefgh"}})).await;
    assert_eq!(made["availability"], json!({"default": false, "sites": {}}));
    assert_eq!(made["target"]["authorization"]["default"], "…efgh");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_site_may_have_its_own_authorization() {
    let stage = Stage::new().await;
    let authorization = json!({"default": "Bearer everywhere", "sites": {"175": "Bearer only-175"}});
    stage.integration("it", json!({"target": {"authorization": authorization}})).await;
    let mut elsewhere = order("b", 1);
    elsewhere["site"] = "9".into();
    stage.emit(json!([order("a", 1), elsewhere])).await;
    for delivery in stage.receiver.wait_for("/it", 2, SOON).await {
        let expected = if delivery.version().0 == "a" { "Bearer only-175" } else { "Bearer everywhere" };
        assert_eq!(delivery.header("authorization"), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_save_is_a_version_that_can_be_looked_at() {
    let stage = Stage::new().await;
    let secret = json!({"target": {"authorization": "Bearer very-s3cret"}});
    stage.integration("it", secret).await;
    stage.emit(order("o", 1)).await;
    stage.receiver.wait_for("/it", 1, SOON).await;
    stage.edit("it", json!({"name": "Renamed"})).await;
    stage.edit("it", json!({"delivery": {"max_in_flight": 7}})).await;
    let versions = stage.api.all("/v1/integrations/it/versions").await;
    let told: Vec<_> =
        versions.iter().map(|v| (v["version"].as_u64().unwrap(), v["from_seq"].as_u64().unwrap())).collect();
    assert_eq!(told, [(3, 1), (2, 1), (1, 0)]);
    let names: Vec<_> = versions.iter().map(|v| v["settings"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Renamed", "Renamed", "it"]);
    assert_eq!(versions[0]["settings"]["delivery"]["max_in_flight"], 7);
    assert!(versions[0]["actor"].as_str().unwrap().starts_with("key key_"));
    assert!(!json!(versions).to_string().contains("very-s3cret"), "secrets are masked");
    let page = stage.api.get("/v1/integrations/it/versions?limit=1").await.expect(200);
    assert_eq!((page["items"].as_array().unwrap().len(), page["next"].is_string()), (1, true));
    let audit = stage.api.all("/v1/audit?object=integration%20it").await;
    let actions: Vec<_> = audit.iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["integration.edited", "integration.edited", "integration.created"]);
    assert!(!json!(audit).to_string().contains("very-s3cret"), "secrets are masked in the audit too");
    assert_eq!(audit[1]["after"]["name"], "Renamed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_takes_back_what_it_does_not_name() {
    let stage = Stage::new().await;
    stage.integration("it", json!({"description": "old", "events": {"names": ["other.thing"]}})).await;
    let target = json!({"kind": "http", "url": stage.receiver.url("/replaced")});
    let replaced = stage.api.put("/v1/integrations/it", &json!({"name": "New", "target": target})).await.expect(200);
    assert_eq!((&replaced["version"], &replaced["name"]), (&json!(2), &json!("New")));
    assert_eq!((&replaced["description"], &replaced["events"]["names"]), (&json!(""), &json!([])));
    stage.emit(order("o", 1)).await;
    stage.receiver.wait_for("/replaced", 1, SOON).await;
    let (path, stale) = ("/v1/integrations/it", [("if-match", "\"1-running\"")]);
    stage.api.put_if(path, &json!({"name": "Late", "target": target}), &stale).await.expect(412);
}
