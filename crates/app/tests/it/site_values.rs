//! One site's values of an integration's settings.

use serde_json::json;

use crate::support::{SOON, Stage, order};

const VALUES: &str = "/v1/integrations/it/sites/175";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sites_values_are_set_read_and_removed() {
    let stage = Stage::new().await;
    let settings = json!({"availability": false, "target": {"authorization": "Bearer for-everyone"}});
    stage.integration("it", settings).await;
    assert_eq!(stage.api.get(VALUES).await.expect(200), json!({}));
    let values = json!({"availability": true, "authorization": "Bearer only-175-QX"});
    let saved = stage.api.put(VALUES, &values).await.expect(200);
    assert_eq!(saved, json!({"availability": true, "authorization": "…5-QX"}));
    let shown = stage.shown("it").await;
    assert_eq!(shown["version"], 2);
    assert_eq!(shown["availability"], json!({"default": false, "sites": {"175": true}}));
    assert_eq!(stage.api.get(VALUES).await.expect(200), json!({"availability": true, "authorization": "…5-QX"}));
    let mut elsewhere = order("x", 1);
    elsewhere["site"] = "9".into();
    stage.emit(json!([elsewhere, order("o", 2)])).await;
    let delivery = stage.receiver.wait_for("/it", 1, SOON).await.remove(0);
    assert_eq!((delivery.version().1, delivery.header("authorization")), (2, "Bearer only-175-QX"));
    let masked = json!({"authorization": "…5-QX"});
    let saved = stage.api.put(VALUES, &masked).await.expect(200);
    assert_eq!(saved, masked, "what is left out is as for every site");
    stage.edit("it", json!({"availability": true})).await;
    stage.emit(order("o", 3)).await;
    let delivery = stage.receiver.wait_for("/it", 2, SOON).await.remove(1);
    assert_eq!(delivery.header("authorization"), "Bearer only-175-QX", "a mask keeps the secret");
    stage.api.put(VALUES, &json!({"authorization": null})).await.expect(200);
    stage.emit(order("o", 4)).await;
    let delivery = stage.receiver.wait_for("/it", 3, SOON).await.remove(2);
    assert!(!delivery.headers.contains_key("authorization"), "null is a value: no such header");
    stage.api.delete(VALUES).await.expect(204);
    assert_eq!(stage.shown("it").await["target"]["authorization"]["sites"], json!({}));
    let audit = stage.api.all("/v1/audit?object=integration%20it").await;
    assert_eq!(audit.iter().filter(|e| e["action"] == "integration.edited").count(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_of_something_else_than_was_read_is_refused() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let tag = stage.api.get("/v1/integrations/it").await.headers["etag"].to_str().unwrap().to_owned();
    let values = json!({"availability": false});
    stage.api.put_if(VALUES, &values, &[("if-match", &tag)]).await.expect(200);
    stage.api.put_if(VALUES, &json!({"availability": true}), &[("if-match", &tag)]).await.expect(412);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_bound_to_a_site_sets_the_values_of_that_site_only() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let wish = json!({"name": "s", "scopes": ["integrations:write"], "sites": ["175"]});
    let bound = stage.holder(wish).await;
    bound.put(VALUES, &json!({"availability": false})).await.expect(200);
    bound.get(VALUES).await.expect(200);
    let patch = bound.patch("/v1/integrations/it", &json!({"name": "x"})).await.expect(403);
    assert!(patch["detail"].as_str().unwrap().contains("bound to sites"), "nothing but the values: {patch}");
    bound.post("/v1/integrations/it/stop", &serde_json::Value::Null).await.expect(403);
    for verb in ["get", "put", "delete"] {
        let other = "/v1/integrations/it/sites/9";
        let answer = match verb {
            "get" => bound.get(other).await,
            "put" => bound.put(other, &json!({"availability": false})).await,
            _ => bound.delete(other).await,
        };
        answer.expect(404);
    }
    let reader = stage.holder(json!({"name": "r", "scopes": ["integrations:read"]})).await;
    reader.get(VALUES).await.expect(200);
    let problem = reader.put(VALUES, &json!({})).await.expect(403);
    assert!(problem["detail"].as_str().unwrap().contains("integrations:write"));
    stage.api.put("/v1/integrations/none/sites/175", &json!({})).await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_values_are_refused_with_their_place() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    stage.api.post("/v1/integrations", &json!({"id": "feed", "target": {"kind": "feed"}})).await.expect(201);
    for (path, values) in [
        ("availability", json!({"availability": "yes"})),
        ("authorization", json!({"authorization": 7})),
        ("target.authorization.sites.175", json!({"authorization": "a\nb"})),
        ("target.authorization.sites.175", json!({"authorization": "…none"})),
        ("colour", json!({"colour": "red"})),
    ] {
        let problem = stage.api.put(VALUES, &values).await.expect(422);
        assert_eq!(problem["errors"][0]["path"], path, "{problem}");
    }
    let problem = stage.api.put("/v1/integrations/feed/sites/1", &json!({"authorization": "x"})).await.expect(422);
    assert_eq!(problem["errors"][0]["path"], "authorization");
    let long = "s".repeat(129);
    stage.api.put(&format!("/v1/integrations/it/sites/{long}"), &json!({})).await.expect(404);
    stage.api.put(&format!("/v1/integrations/it/sites/{}", &long[1..]), &json!({})).await.expect(200);
    assert_eq!(stage.shown("it").await["version"], 1);
}
