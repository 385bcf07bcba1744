//! Jobs in lists that are longer than what is read at once.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tillstream_store::state::Expected;

use super::support::App;

/// Names of open jobs that the runner reads at once.
const LISTED: usize = 500;

/// Asks for a job that has nothing to do; its id. Each is asked for at a time of its own.
async fn job(app: &App, integration: &str) -> String {
    app.pass(Duration::from_millis(1));
    let begun = app.post(&format!("/v1/integrations/{integration}/rejected/delete-all"), json!({"filter": {}})).await;
    assert_eq!(begun.status, 202, "{}", begun.body);
    begun.body["id"].as_str().unwrap().to_owned()
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn jobs_are_listed_page_by_page_and_a_bound_key_finds_its_own_behind_those_of_others() {
    let app = App::start().await;
    for id in ["own", "other"] {
        app.integration(id, "http://127.0.0.1:9/", json!({})).await;
    }
    let own = job(&app, "own").await;
    let mut all = vec![own.clone()];
    for _ in 0..5 {
        all.insert(0, job(&app, "other").await);
    }
    let first = app.get("/v1/jobs?limit=4").await.body;
    let next = first["next"].as_str().expect("more");
    let second = app.get(&format!("/v1/jobs?limit=4&after={next}")).await.body;
    assert_eq!([ids(&first), ids(&second)].concat(), all);
    assert_eq!((ids(&first).len(), &second["next"]), (4, &Value::Null));
    let key = json!({"name": "own", "scopes": ["deliveries:read"], "integrations": ["own"]});
    let key = app.post("/v1/keys", key).await.body["key"].as_str().unwrap().to_owned();
    let seen = app.ask_as(&key, Method::GET, "/v1/jobs?limit=1", Value::Null).await.body;
    assert_eq!((ids(&seen), &seen["next"]), (vec![own.as_str()], &Value::Null));
}

#[tokio::test]
async fn a_job_is_taken_up_behind_all_that_are_named_and_not_saved_yet() {
    let app = App::start().await;
    app.integration("erp", "http://127.0.0.1:9/", json!({})).await;
    let named = json!({"company": app.acme}).to_string();
    for n in 0..LISTED {
        let id = format!("job_{n:020}");
        app.hub.state().put_document(None, "job.open", &id, named.clone(), Expected::New).await.unwrap();
    }
    let id = job(&app, "erp").await;
    app.wait_for(&format!("/v1/jobs/{id}"), |job| job["status"] == "done").await;
}
