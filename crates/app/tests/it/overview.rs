//! How events flow, in figures.

use serde_json::{Value, json};

use crate::support::{Reply, SOON, Stage, eventually, order};

fn sum(overview: &Value, list: &str, figure: &str) -> u64 {
    overview[list].as_array().unwrap().iter().map(|b| b[figure].as_u64().unwrap()).sum()
}

async fn until(stage: &Stage, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let look = async || Some(stage.api.get("/v1/overview").await.expect(200)).filter(&is);
    eventually(what, SOON, look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_counted_once_by_the_minute_and_by_the_hour_and_outlives_the_hub() {
    let mut stage = Stage::new().await;
    stage.receiver.behave("/bad", |_| Reply::Status(400));
    stage.integration("good", json!({})).await;
    stage.integration("bad", json!({"events": {"entities": ["return"]}})).await;
    let mut named = order("o", 1);
    named["id"] = "once".into();
    let returned = json!({"name": "return.processed", "data": {"_id": "r"}});
    stage.emit(json!([named, order("p", 1), returned])).await;
    stage.emit(json!([named])).await;
    stage.wait_for_rejected("bad", 1).await;
    stage.receiver.wait_for("/good", 3, SOON).await;
    let is_full = |o: &Value| sum(o, "minutes", "delivered") == 3 && sum(o, "minutes", "rejected") == 1;
    let overview = until(&stage, "everything is counted", is_full).await;
    for list in ["minutes", "hours"] {
        let told = ["accepted", "delivered", "rejected", "expired", "failed_attempts"].map(|f| sum(&overview, list, f));
        assert_eq!(told, [3, 3, 1, 0, 1], "{list}: a duplicate is not counted");
    }
    assert_eq!((overview["minutes"].as_array().unwrap().len(), overview["hours"].as_array().unwrap().len()), (60, 720));
    stage.crash().await;
    stage.emit(order("q", 1)).await;
    stage.bounce().await;
    let overview = stage.api.get("/v1/overview").await.expect(200);
    assert_eq!(sum(&overview, "hours", "accepted"), 4, "a hub that ends in good order loses nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_what_waits_and_how_integrations_and_sites_are() {
    let stage = Stage::new().await;
    stage.receiver.behave("/failing", |_| Reply::Status(503));
    stage.integration("good", json!({})).await;
    stage.integration("failing", json!({"delivery": {"retry": {"schedule_seconds": [0, 600]}}})).await;
    stage.integration("off", json!({})).await;
    stage.switch("off", "stop").await;
    let idle = stage.api.get("/v1/overview").await.expect(200);
    assert_eq!(idle["pending"], json!({"events": 0, "parked": 0, "of_stopped": 0, "oldest_accepted_at": null}));
    stage.api.put("/v1/sites/9", &json!({"silent_after_minutes": 60})).await.expect(201);
    stage.emit(json!([order("a", 1), order("b", 1)])).await;
    let overview = until(&stage, "the failed one waits and the site is there", |o| {
        o["pending"]["parked"] == 2 && o["sites"]["total"] == 2 && o["pending"]["events"] == 0
    })
    .await;
    let first = stage.api.get("/v1/events?limit=1").await.expect(200)["items"][0]["accepted_at"].clone();
    let pending = &overview["pending"];
    // What the hub tells of itself waits there too.
    assert!(pending["of_stopped"].as_u64().is_some_and(|n| n >= 2), "{pending}");
    assert_eq!(pending["oldest_accepted_at"], first);
    assert_eq!(overview["sites"], json!({"total": 2, "new": 1, "heard": 1, "silent": 0}));
    let integrations = &overview["integrations"];
    assert_eq!(
        (&integrations["total"], &integrations["stopped"], &integrations["unknown"]),
        (&json!(3), &json!(1), &json!(0))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_of_one_company_and_not_for_keys_that_reach_only_some_of_it() {
    let stage = Stage::new().await;
    stage.emit(json!([order("a", 1), order("b", 1)])).await;
    until(&stage, "it is counted", |o| sum(o, "minutes", "accepted") == 2).await;
    let operator = stage.operator();
    operator.put("/v1/companies/acme", &json!({"name": "Acme"})).await.expect(201);
    let theirs = operator.in_company("acme").get("/v1/overview").await.expect(200);
    assert_eq!((sum(&theirs, "hours", "accepted"), &theirs["sites"]["total"]), (0, &json!(0)));
    // Those bound to sites may not hold the scope at all.
    let bound = stage.holder(json!({"name": "k", "scopes": ["deliveries:read"], "integrations": ["erp"]})).await;
    let refused = bound.get("/v1/overview").await.expect(403);
    assert!(refused["detail"].as_str().unwrap().contains("whole company"), "{refused}");
    let other = stage.holder(json!({"name": "k", "scopes": ["events:read"]})).await;
    assert!(other.get("/v1/overview").await.expect(403)["detail"].as_str().unwrap().contains("deliveries:read"));
}
