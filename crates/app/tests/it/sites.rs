//! Sites: what is known of them, and the names under which events come.

use serde_json::{Value, json};

use crate::support::{SOON, Stage, eventually, order};

fn of_site(site: &str, version: u64) -> Value {
    let mut event = order("o", version);
    event["site"] = site.into();
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_is_saved_read_listed_and_deleted() {
    let mut stage = Stage::new().await;
    let wish = json!({
        "store_number": "0175", "name": "Main Street", "timezone": "Europe/Vienna", "aliases": ["main"],
        "money": {"precision": 3, "rounding": "up"}, "silent_after_minutes": 60
    });
    let made = stage.api.put("/v1/sites/175", &wish).await;
    let tag = made.headers["etag"].to_str().unwrap().to_owned();
    let made = made.expect(201);
    for (key, value) in wish.as_object().unwrap() {
        assert_eq!(&made[key], value, "{key}");
    }
    assert_eq!((&made["id"], &made["is_new"], &made["last_event_at"]), (&json!("175"), &json!(false), &Value::Null));
    stage.crash().await;
    assert_eq!(stage.api.get("/v1/sites/175").await.expect(200), made);
    let stale = stage.api.put_if("/v1/sites/175", &wish, &[("if-match", "\"7\"")]).await;
    stale.expect(412);
    let renamed = stage.api.put_if("/v1/sites/175", &json!({"name": "Main"}), &[("if-match", &tag)]).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["store_number"]), (&json!("Main"), &Value::Null));
    stage.api.put("/v1/sites/9", &json!({})).await.expect(201);
    let ids: Vec<Value> = stage.api.all("/v1/sites").await.into_iter().map(|s| s["id"].clone()).collect();
    assert_eq!(ids, ["175", "9"]);
    assert_eq!(stage.api.delete("/v1/sites/175").await.status, 204);
    stage.api.get("/v1/sites/175").await.expect(404);
    stage.api.delete("/v1/sites/175").await.expect(404);
    let audit = stage.api.all("/v1/audit?object=site%20175").await;
    let actions: Vec<&str> = audit.iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["site.deleted", "site.saved", "site.saved"]);
    assert_eq!((&audit[1]["before"]["name"], &audit[1]["after"]["name"]), (&json!("Main Street"), &json!("Main")));
    assert!(audit[0]["actor"].as_str().unwrap().starts_with("key key_"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_may_name_its_site_by_an_alias_or_its_store_number() {
    let stage = Stage::new().await;
    stage.api.put("/v1/sites/175", &json!({"store_number": "0175", "aliases": ["main", "old-9"]})).await.expect(201);
    stage.integration("it", json!({})).await;
    let events: Vec<Value> =
        ["175", "0175", "main", "old-9", "other"].iter().zip(1..).map(|(site, n)| of_site(site, n)).collect();
    stage.emit(json!(events)).await;
    let deliveries = stage.receiver.wait_for("/it", 5, SOON).await;
    let sites: Vec<Value> = deliveries.iter().map(|d| d.json()["site"].clone()).collect();
    assert_eq!(sites, ["175", "175", "175", "175", "other"]);
    assert_eq!(stage.api.all("/v1/events?site=175").await.len(), 4);
    assert!(stage.api.get("/v1/sites/175").await.expect(200)["last_event_at"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_only_an_event_named_is_listed_as_new_until_somebody_saves_it() {
    let mut stage = Stage::new().await;
    stage.emit(of_site("popup", 1)).await;
    let new = eventually("it is listed", SOON, async || {
        let answer = stage.api.get("/v1/sites/popup").await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!(new["is_new"], true);
    assert!(new["last_event_at"].is_string(), "{new}");
    stage.crash().await;
    assert_eq!(stage.api.get("/v1/sites/popup").await.expect(200)["last_event_at"], new["last_event_at"]);
    assert_eq!(stage.api.put("/v1/sites/popup", &json!({"name": "Fair"})).await.expect(200)["is_new"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_belongs_to_two_sites() {
    let stage = Stage::new().await;
    stage.api.put("/v1/sites/a", &json!({"store_number": "1", "aliases": ["north"]})).await.expect(201);
    for (wrong, path) in [
        (json!({"aliases": ["x", "north"]}), "aliases[1]"),
        (json!({"aliases": ["a"]}), "aliases[0]"),
        (json!({"store_number": "1"}), "store_number"),
        (json!({"timezone": "Vienna"}), "timezone"),
        (json!({"money": {"precision": 1}}), "money.precision"),
    ] {
        let problem = stage.api.put("/v1/sites/b", &wrong).await.expect(422);
        assert_eq!(problem["errors"][0]["path"], path, "{problem}");
    }
    stage.api.put("/v1/sites/a", &json!({"store_number": "1", "aliases": ["north", "a"]})).await.expect(200);
}
