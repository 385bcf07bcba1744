//! The caller's own ids.

use serde_json::{Value, json};

use crate::support::{SOON, Stage, order, slug};

fn with_id(id: &str, entity: &str, version: u64) -> Value {
    let mut event = order(entity, version);
    event["id"] = id.into();
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_event_sent_again_is_accepted_and_delivered_once() {
    let mut stage = Stage::new().await;
    stage.integration("all", json!({})).await;
    let first = stage.api.post("/v1/events", &with_id("a:1", "o", 1)).await.expect(202);
    let again = stage.api.post("/v1/events", &with_id("a:1", "o", 1)).await.expect(202);
    assert_eq!((&first["accepted"][0]["duplicate"], &again["accepted"][0]["duplicate"]), (&json!(false), &json!(true)));
    for same in ["id", "seq"] {
        assert_eq!(first["accepted"][0][same], again["accepted"][0][same], "{same}");
    }
    stage.crash().await;
    let after_crash = stage.api.post("/v1/events", &with_id("a:1", "o", 1)).await.expect(202);
    assert_eq!(after_crash["accepted"][0]["id"], first["accepted"][0]["id"]);
    assert_eq!(after_crash["accepted"][0]["duplicate"], true);
    assert_eq!(stage.api.all("/v1/events").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_content_under_the_same_id_is_a_conflict() {
    let stage = Stage::new().await;
    stage.integration("all", json!({})).await;
    stage.emit(with_id("a:1", "o", 1)).await;
    let other = stage.api.post("/v1/events", &with_id("a:1", "o", 2)).await.expect(422);
    assert_eq!(slug(&other["rejected"][0]["problem"]), "idempotency-conflict");
    let mixed =
        stage.api.post("/v1/events", &json!([with_id("a:1", "o", 3), with_id("a:2", "p", 1)])).await.expect(207);
    assert_eq!((&mixed["rejected"][0]["index"], &mixed["accepted"][0]["index"]), (&json!(0), &json!(1)));
    let versions: Vec<_> = stage.receiver.wait_for("/all", 2, SOON).await.iter().map(|d| d.version()).collect();
    assert_eq!(versions, [("o".to_owned(), 1), ("p".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twice_in_one_request_counts_once() {
    let stage = Stage::new().await;
    let twice = json!([with_id("x", "o", 1), with_id("x", "o", 1), with_id("x", "o", 2)]);
    let answer = stage.api.post("/v1/events", &twice).await.expect(207);
    assert_eq!(answer["accepted"][0]["id"], answer["accepted"][1]["id"]);
    assert_eq!(answer["accepted"][1]["duplicate"], true);
    assert_eq!(slug(&answer["rejected"][0]["problem"]), "idempotency-conflict");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_belongs_to_its_site() {
    let stage = Stage::new().await;
    let at = |site: &str| {
        let mut event = with_id("a:1", "o", 1);
        event["site"] = site.into();
        event
    };
    let one = stage.api.post("/v1/events", &at("1")).await.expect(202);
    let two = stage.api.post("/v1/events", &at("2")).await.expect(202);
    assert_ne!(one["accepted"][0]["id"], two["accepted"][0]["id"]);
    assert_eq!(two["accepted"][0]["duplicate"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_has_a_form() {
    let stage = Stage::new().await;
    for wrong in ["", "with space", "päckchen", "a.b", "a/b", &"x".repeat(129)] {
        let answer = stage.api.post("/v1/events", &with_id(wrong, "o", 1)).await;
        assert_eq!(answer.status, 422, "{wrong:?}: {}", answer.text());
    }
    stage.emit(with_id(&"x".repeat(128), "o", 1)).await;
    stage.emit(with_id("A-z_0:9", "o", 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_callers_id_travels_with_the_delivery() {
    let stage = Stage::new().await;
    stage.integration("all", json!({})).await;
    let ids = stage.emit(json!([with_id("mine:1", "o", 1), order("p", 1)])).await;
    let deliveries = stage.receiver.wait_for("/all", 2, SOON).await;
    let of = |id: &str| deliveries.iter().find(|d| d.id() == id).expect("delivered");
    assert_eq!(of(&ids[0]).header("tillstream-event-id"), "mine:1");
    assert!(of(&ids[1]).headers.get("tillstream-event-id").is_none());
}
