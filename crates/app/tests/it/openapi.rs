//! The API's own document tells the truth.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, Stage, order};

const VERBS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_the_document_is_answered_as_it_says() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Status(400));
    let event = stage.emit(order("o", 1)).await.remove(0);
    stage.integration("it", from_the_beginning()).await;
    stage.wait_for_rejected("it", 1).await;
    put_site(&stage).await;
    let key = stage.api.post("/v1/keys", &json!({"name": "k", "scopes": ["events:read"]})).await.expect(201);
    let (contact, tested) = (contact(&stage).await, contact(&stage).await);
    let document = stage.api.without_key().get("/v1/openapi.json").await.expect(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let wish = json!({"filter": {"entity": "none"}});
    let job = stage.api.post("/v1/integrations/it/rejected/delete-all", &wish).await.expect(202);
    let job = job["id"].as_str().unwrap().to_owned();
    let mut calls = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for verb in reading_first(operations) {
            calls += 1;
            // What is deleted here is not the event that other calls are about.
            let deleted = if verb == "delete" && path.starts_with("/v1/events") { Some("spare") } else { None };
            let event = match deleted {
                Some(entity) => stage.emit(order(entity, 1)).await.remove(0),
                None => event.clone(),
            };
            // Somebody else for each path: one of them deletes.
            let user = stage.api.post("/v1/users", &json!({"email": format!("ada@call-{calls}")})).await.expect(201);
            let concrete = match path.as_str() {
                "/v1/notifications/{id}" => path.replace("{id}", &contact),
                "/v1/notifications/{id}/test" => path.replace("{id}", &tested),
                path if path.starts_with("/v1/jobs/{id}") => path.replace("{id}", &job),
                _ => fill(path, &event, key["id"].as_str().unwrap(), user["id"].as_str().unwrap()),
            };
            let method: Method = verb.to_uppercase().parse().unwrap();
            let answer =
                stage.api.send(method, &concrete, &[("content-type", "application/json")], "{}".into()).await.unwrap();
            let told = operations[verb]["responses"].as_object().unwrap();
            let status = answer.status.to_string();
            assert!(told.contains_key(&status), "{verb} {concrete} answers {status}: {}", answer.text());
            assert!(![404, 405, 500].contains(&answer.status), "{verb} {concrete}: {}", answer.text());
            if verb != "get" && concrete.starts_with("/v1/integrations/it") {
                put_back(&stage).await;
            }
            if verb == "delete" && concrete.starts_with("/v1/sites/") {
                put_site(&stage).await;
            }
        }
    }
    assert!(calls >= 25, "only {calls} calls");
}

/// A contact's id.
async fn contact(stage: &Stage) -> String {
    let wish = json!({"name": "Ops", "channel": {"kind": "webhook", "url": stage.receiver.url("/ops")}});
    stage.api.post("/v1/notifications", &wish).await.expect(201)["id"].as_str().unwrap().to_owned()
}

fn from_the_beginning() -> Value {
    json!({"starts_at": "2020-01-01T00:00:00Z"})
}

/// Makes the site and its terminal again.
async fn put_site(stage: &Stage) {
    for path in ["/v1/sites/175", "/v1/sites/175/terminals/2"] {
        let answer = stage.api.put(path, &json!({})).await;
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
    }
}

/// Makes the integration and its rejected event again, whatever a call did to them.
async fn put_back(stage: &Stage) {
    stage.api.delete("/v1/integrations/it").await;
    stage.integration("it", from_the_beginning()).await;
    stage.wait_for_rejected("it", 1).await;
}

/// So that nothing is deleted before it was read.
fn reading_first(operations: &Value) -> impl Iterator<Item = &'static str> {
    VERBS.into_iter().filter(|verb| operations.get(verb).is_some())
}

fn fill(path: &str, event: &str, key: &str, user: &str) -> String {
    let id = if path.starts_with("/v1/events/") {
        event
    } else if path.starts_with("/v1/keys/") {
        key
    } else if path.starts_with("/v1/users/") {
        user
    } else if path.starts_with("/v1/companies/") {
        "default"
    } else {
        "it"
    };
    path.replace("{event_id}", event).replace("{id}", id).replace("{site}", "175").replace("{terminal}", "2")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_is_rendered_for_people() {
    let stage = Stage::new().await;
    let anybody = stage.api.without_key();
    let mut page = anybody.get("/docs").await;
    if let Some(place) = page.headers.get("location") {
        page = anybody.get(place.to_str().unwrap()).await;
    }
    assert_eq!(page.status, 200);
    assert!(page.text().to_lowercase().contains("<html"), "{}", page.text());
    for elsewhere in ["src=\"http", "href=\"http", "src=\"//"] {
        assert!(!page.text().contains(elsewhere), "nothing is loaded from elsewhere");
    }
}
