//! Events of sites that nobody knows, where a company wants them held.

use serde_json::{Value, json};

use crate::support::{Answer, SOON, Stage, eventually, order, slug};

fn of_site(site: &str, entity: &str, version: u64) -> Value {
    let mut event = order(entity, version);
    event["site"] = site.into();
    event
}

fn with_id(id: &str, mut event: Value) -> Value {
    event["id"] = id.into();
    event
}

/// A stage whose company knows site 175 and holds what comes from others.
async fn holding() -> Stage {
    let stage = Stage::new().await;
    stage.api.put("/v1/sites/175", &json!({"aliases": ["main"]})).await.expect(201);
    stage.integration("it", json!({})).await;
    let wish = json!({"name": "Default", "unknown_sites": "hold"});
    assert_eq!(stage.operator().put("/v1/companies/default", &wish).await.expect(200)["unknown_sites"], "hold");
    eventually("events are held", SOON, async || {
        let answer = stage.api.post("/v1/events", &with_id("probe", of_site("probe", "p", 1))).await.expect(202);
        answer.get("held").is_some().then_some(())
    })
    .await;
    stage.api.delete("/v1/sites/probe/held").await;
    stage
}

fn places(answer: &Value, list: &str) -> Vec<Value> {
    answer[list].as_array().into_iter().flatten().map(|row| row["index"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_unknown_sites_wait_until_a_person_releases_them_in_order() {
    let mut stage = holding().await;
    let before = stage.api.all("/v1/events").await.len();
    let sent =
        json!([of_site("9", "o", 1), of_site("main", "k", 1), of_site("9", "o", 2), {"name": "a.b", "data": {}}]);
    let answer = stage.api.post("/v1/events", &sent).await.expect(202);
    assert_eq!(
        (places(&answer, "held"), places(&answer, "accepted")),
        (vec![json!(0), json!(2)], vec![json!(1), json!(3)])
    );
    stage.api.post("/v1/events", &with_id("x", of_site("9", "o", 3))).await.expect(202);
    let repeat = stage.api.post("/v1/events", &with_id("x", of_site("9", "o", 3))).await.expect(202);
    assert_eq!(repeat["held"][0]["duplicate"], true);
    let other = stage.api.post("/v1/events", &with_id("x", of_site("9", "o", 4))).await.expect(422);
    assert_eq!(slug(&other["rejected"][0]["problem"]), "idempotency-conflict");
    stage.crash().await;
    assert_eq!(stage.api.all("/v1/events").await.len(), before + 2, "what is held is not in the log");
    let held = stage.api.all("/v1/held").await;
    assert_eq!((held.len(), &held[0]["site"], &held[0]["events"]), (1, &json!("9"), &json!(3)));
    stage.api.get("/v1/sites/9").await.expect(404);

    let released = stage.api.post("/v1/sites/9/release", &Value::Null).await.expect(200);
    assert_eq!(released, json!({"site": "9", "appended": 3, "duplicates": 0, "conflicts": 0}));
    assert_eq!(stage.api.get("/v1/sites/9").await.expect(200)["is_new"], false);
    assert!(stage.api.all("/v1/held").await.is_empty());
    let deliveries = stage.receiver.wait_for("/it", before + 5, SOON).await;
    let versions: Vec<_> = deliveries.iter().filter(|d| d.json()["data"]["_id"] == "o").map(|d| d.version()).collect();
    assert_eq!(versions, [1, 2, 3].map(|v| ("o".to_owned(), v)));
    let again = stage.api.post("/v1/events", &with_id("x", of_site("9", "o", 3))).await.expect(202);
    assert_eq!(again["accepted"][0]["duplicate"], true, "its idempotency id counts on");
    let released = stage.api.post("/v1/sites/9/release", &Value::Null).await.expect(200);
    assert_eq!(released["appended"], 0, "a repeat does nothing");
    let audit = stage.api.all("/v1/audit?object=site%209").await;
    assert_eq!((&audit[1]["action"], &audit[1]["after"]["appended"]), (&json!("site.released"), &json!(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_events_come_under_the_name_that_their_site_has_by_then() {
    let stage = holding().await;
    stage.api.post("/v1/events", &of_site("nine", "o", 1)).await.expect(202);
    stage.api.put("/v1/sites/9", &json!({"aliases": ["nine"]})).await.expect(201);
    let released = stage.api.post("/v1/sites/nine/release", &Value::Null).await.expect(200);
    assert_eq!(released["appended"], 1);
    assert_eq!(stage.api.all("/v1/events?site=9").await.len(), 1);
    stage.api.get("/v1/sites/nine").await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_events_can_be_deleted() {
    let stage = holding().await;
    stage.api.post("/v1/events", &json!([of_site("9", "o", 1), of_site("8", "o", 1)])).await.expect(202);
    assert_eq!(stage.api.delete("/v1/sites/9/held").await.status, 204);
    let held = stage.api.all("/v1/held").await;
    assert_eq!((held.len(), &held[0]["site"]), (1, &json!("8")));
    stage.api.delete("/v1/sites/9/held").await.expect(404);
    stage.api.post("/v1/sites/9/release", &Value::Null).await.expect(404);
    let audit = stage.api.all("/v1/audit?object=site%209").await;
    assert_eq!((&audit[0]["action"], &audit[0]["before"]["events"]), (&json!("site.held_deleted"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_a_site_sees_and_releases_that_site_only() {
    let stage = holding().await;
    stage.api.post("/v1/events", &json!([of_site("9", "o", 1), of_site("8", "o", 1)])).await.expect(202);
    let scopes = ["sites:read", "sites:write"];
    let nine = stage.holder(json!({"name": "nine", "scopes": scopes, "sites": ["9"]})).await;
    let held = nine.all("/v1/held").await;
    assert_eq!((held.len(), &held[0]["site"]), (1, &json!("9")));
    let denied: [Answer; 2] =
        [nine.post("/v1/sites/8/release", &Value::Null).await, nine.delete("/v1/sites/8/held").await];
    denied.iter().for_each(|answer| drop(answer.expect(404)));
    nine.post("/v1/sites/9/release", &Value::Null).await.expect(200);
    let reader = stage.holder(json!({"name": "reader", "scopes": ["sites:read"]})).await;
    reader.post("/v1/sites/8/release", &Value::Null).await.expect(403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_sites_are_held_than_may_be() {
    let stage = holding().await;
    let many: Value = (0..1_000).map(|n| of_site(&format!("s-{n}"), "o", 1)).collect();
    assert_eq!(places(&stage.api.post("/v1/events", &many).await.expect(202), "held").len(), 1_000);
    let mixed = json!([of_site("one-more", "o", 1), of_site("175", "k", 1)]);
    let answer = stage.api.post("/v1/events", &mixed).await.expect(207);
    assert_eq!(slug(&answer["rejected"][0]["problem"]), "held-limit");
    assert_eq!(places(&answer, "accepted"), [json!(1)], "known sites go on");
    let held = stage.api.post("/v1/events", &of_site("s-7", "o", 2)).await.expect(202);
    assert_eq!(places(&held, "held"), [json!(0)], "sites that are held already go on");
}
