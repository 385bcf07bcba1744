//! Keys that reach some sites or integrations only: everything else does not exist for them.

use serde_json::{Value, json};

use crate::support::{Reply, SOON, Stage, order};

fn of_site(site: Option<&str>, entity: &str) -> Value {
    let mut event = order(entity, 1);
    event["site"] = json!(site);
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_a_site_reaches_that_site_and_no_other() {
    let stage = Stage::new().await;
    for site in ["175", "176"] {
        stage.api.put(&format!("/v1/sites/{site}"), &json!({"aliases": [format!("alias-{site}")]})).await.expect(201);
    }
    let foreign = stage.emit(of_site(Some("176"), "foreign")).await.remove(0);
    let scopes = ["events:write", "events:read", "events:payload", "sites:read", "sites:write"];
    let till = stage.holder(json!({"name": "till", "scopes": scopes, "sites": ["175"]})).await;
    let events = json!([
        of_site(Some("175"), "a"),
        of_site(Some("176"), "b"),
        of_site(None, "c"),
        of_site(Some("alias-175"), "d"),
        of_site(Some("alias-176"), "e")
    ]);
    let receipt = till.post("/v1/events", &events).await.expect(207);
    let indices = |list: &str| -> Vec<Value> {
        receipt[list].as_array().unwrap().iter().map(|row| row["index"].clone()).collect()
    };
    assert_eq!(
        (indices("accepted"), indices("rejected")),
        (vec![json!(0), json!(3)], vec![json!(1), json!(2), json!(4)])
    );
    assert!(receipt["rejected"][0]["problem"]["type"].as_str().unwrap().ends_with(":not-found"));
    assert_eq!(till.all("/v1/events").await.len(), 2);
    till.get(&format!("/v1/events/{foreign}")).await.expect(404);
    let sites = till.all("/v1/sites").await;
    assert_eq!((sites.len(), &sites[0]["id"]), (1, &json!("175")));
    till.put("/v1/sites/175", &json!({"name": "Mine"})).await.expect(200);
    for answer in [
        till.get("/v1/sites/176").await,
        till.put("/v1/sites/176", &json!({})).await,
        till.put("/v1/sites/new", &json!({})).await,
        till.delete("/v1/sites/176").await,
    ] {
        answer.expect(404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_an_integration_reaches_that_integration_and_no_other() {
    let stage = Stage::new().await;
    for id in ["mine", "theirs"] {
        stage.receiver.behave(&format!("/{id}"), |_| Reply::Status(400));
        stage.integration(id, json!({})).await;
    }
    let event = stage.emit(order("o", 1)).await.remove(0);
    for id in ["mine", "theirs"] {
        stage.receiver.wait_for(&format!("/{id}"), 1, SOON).await;
        stage.wait_for_rejected(id, 1).await;
    }
    let scopes = ["integrations:read", "deliveries:read", "deliveries:write"];
    let partner = stage.holder(json!({"name": "partner", "scopes": scopes, "integrations": ["mine"]})).await;
    let listed = partner.all("/v1/integrations").await;
    assert_eq!((listed.len(), &listed[0]["id"]), (1, &json!("mine")));
    let attempts = partner.all("/v1/attempts").await;
    assert!(!attempts.is_empty() && attempts.iter().all(|a| a["integration"] == "mine"), "{attempts:?}");
    for (path, status) in [("mine", 200), ("theirs", 404), ("nobody", 404)] {
        for what in ["", "/attempts", "/rejected", "/logs", "/stats"] {
            assert_eq!(partner.get(&format!("/v1/integrations/{path}{what}")).await.status, status, "{path}{what}");
        }
        let of_event = |what: &str| format!("/v1/integrations/{path}/{what}/{event}");
        assert_eq!(partner.get(&of_event("rejected")).await.status, status);
    }
    for answer in [
        partner.post("/v1/integrations/theirs/rejected/retry-all", &json!({"filter": {}})).await,
        partner.delete(&format!("/v1/integrations/theirs/rejected/{event}")).await,
        partner.post("/v1/integrations/theirs/brake/release", &Value::Null).await,
    ] {
        answer.expect(404);
    }
    assert_eq!(stage.api.all("/v1/integrations/theirs/rejected").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_key_holds_only_scopes_that_know_the_bound_and_gives_no_more_than_it_reaches() {
    let stage = Stage::new().await;
    for (wish, path) in [
        (json!({"scopes": ["events:read", "integrations:read"], "sites": ["1"]}), "sites"),
        (json!({"scopes": ["all"], "sites": ["1"]}), "sites"),
        (json!({"scopes": ["deliveries:read", "events:read"], "integrations": ["a"]}), "integrations"),
        (json!({"scopes": ["events:read"], "sites": vec!["1"; 101]}), "sites"),
    ] {
        let mut wish = wish;
        wish["name"] = "k".into();
        let problem = stage.api.post("/v1/keys", &wish).await.expect(422);
        assert_eq!(problem["errors"][0]["path"], path, "{problem}");
    }
    let made = stage.api.post("/v1/keys", &json!({"name": "k", "scopes": ["events:read"], "sites": ["1", "2"]})).await;
    assert_eq!((&made.expect(201)["sites"], &made.json()["integrations"]), (&json!(["1", "2"]), &json!([])));
}
