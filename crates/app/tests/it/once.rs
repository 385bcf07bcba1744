//! `Idempotency-Key`: a call that makes something is answered once, however often it is sent.

use http::Method;
use serde_json::{Value, json};

use crate::support::values::values;
use crate::support::{Answer, Api, Stage, database, slug};

async fn post(api: &Api, path: &str, key: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    api.send(Method::POST, path, &headers, body.to_string().into()).await.expect("an answer")
}

fn replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|v| v == "true")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_is_answered_as_the_first_time_and_does_nothing_again() {
    let mut stage = Stage::new().await;
    let wish = json!({"name": "till", "scopes": ["events:write"]});
    let first = post(&stage.api, "/v1/keys", "make a till", &wish).await;
    let made = first.expect(201);
    assert!(!replayed(&first));
    stage.crash().await;
    let again = post(&stage.api, "/v1/keys", "make a till", &wish).await;
    assert_eq!((again.expect(201), replayed(&again)), (made, true), "with the key that is shown once");
    assert_eq!(again.headers["content-type"], first.headers["content-type"]);
    assert_eq!(stage.api.all("/v1/keys").await.iter().filter(|k| k["name"] == "till").count(), 1);

    let wish = json!({"name": "ERP", "target": {"kind": "http", "url": stage.receiver.url("/erp")}});
    let first = post(&stage.api, "/v1/integrations", "1", &wish).await;
    let again = post(&stage.api, "/v1/integrations", "1", &wish).await;
    assert_eq!((first.expect(201), replayed(&first), replayed(&again)), (again.expect(201), false, true));
    for header in ["etag", "location"] {
        assert!(first.headers.contains_key(header) && first.headers[header] == again.headers[header], "{header}");
    }
    post(&stage.api, "/v1/integrations", "2", &wish).await.expect(409);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_stands_for_one_request_of_one_caller() {
    let stage = Stage::new().await;
    let wish = |name: &str| json!({"name": name, "scopes": ["all"]});
    let made = post(&stage.api, "/v1/keys", "k", &wish("a")).await.expect(201);
    for (path, body) in [("/v1/keys", wish("b")), ("/v1/integrations", wish("a"))] {
        let refused = post(&stage.api, path, "k", &body).await.expect(422);
        assert_eq!(slug(&refused), "idempotency-key-reused");
    }
    let other = stage.api.with_key(made["key"].as_str().unwrap());
    let theirs = post(&other, "/v1/keys", "k", &wish("a")).await;
    assert!(theirs.expect(201)["id"] != made["id"] && !replayed(&theirs));
    post(&stage.api.without_key(), "/v1/keys", "k", &wish("a")).await.expect(401);
    for wrong in ["", &"k".repeat(256)] {
        assert_eq!(slug(&post(&stage.api, "/v1/keys", wrong, &wish("c")).await.expect(400)), "invalid-header");
    }
    post(&stage.api, "/v1/keys", &"k".repeat(255), &wish("c")).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_may_be_tried_again_under_the_same_name() {
    let stage = Stage::new().await;
    post(&stage.api, "/v1/keys", "k", &json!({"name": "", "scopes": ["all"]})).await.expect(422);
    post(&stage.api, "/v1/keys", "k", &json!({"name": "a", "scopes": ["all"]})).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_makes_it() {
    let stage = Stage::new().await;
    let wish = json!({"name": "till", "scopes": ["events:write"]});
    let all = (0..8).map(|_| post(&stage.api, "/v1/keys", "k", &wish));
    let answers = futures_util::future::join_all(all).await;
    for answer in &answers {
        match answer.status {
            409 => assert!(slug(&answer.json()) == "in-progress" && answer.headers.contains_key("retry-after")),
            _ => drop(answer.expect(201)),
        }
    }
    assert_eq!(answers.iter().filter(|a| a.status == 201 && !replayed(a)).count(), 1);
    assert_eq!(stage.api.all("/v1/keys").await.iter().filter(|k| k["name"] == "till").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_kept_is_sealed() {
    let mut stage = Stage::new().await;
    let made = post(&stage.api, "/v1/keys", "k", &json!({"name": "till", "scopes": ["all"]})).await.expect(201);
    let secret = made["key"].as_str().unwrap().to_owned();
    stage.hub.stop();
    if database::of(stage.hub.folder()).is_some() {
        for (place, value) in values(stage.hub.folder()).await {
            assert!(!value.contains(&secret), "the key is in {place}");
        }
        return;
    }
    for entry in std::fs::read_dir(stage.hub.folder().join("data")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "the key is in {}", path.display());
    }
}
