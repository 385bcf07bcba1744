//! Integrations: make, read, edit, start, stop, delete; their keys and their log.

use axum::body::Body;
use http::{Method, Request, header};
use serde_json::{Value, json};

use crate::support::{Answer, App, assert_fits, assert_problem, places};

const URL: &str = "http://127.0.0.1:9/hook";

async fn patch(app: &App, patch: Value) -> Answer {
    app.ask(Method::PATCH, "/v1/integrations/erp", patch).await
}

async fn patch_if(app: &App, tag: &str, patch: Value) -> Answer {
    let request = Request::patch("/v1/integrations/erp")
        .header(header::AUTHORIZATION, format!("Bearer {}", app.key))
        .header(header::CONTENT_TYPE, "application/merge-patch+json")
        .header(header::IF_MATCH, tag);
    app.send(request.body(Body::from(patch.to_string())).unwrap()).await
}

async fn actions(app: &App) -> Vec<String> {
    let log = app.get("/v1/integrations/erp/logs").await.body;
    log["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn making_one_shows_its_signing_key_in_full_once() {
    let app = App::start().await;
    let doc =
        json!({"name": "ERP: Orders", "target": {"kind": "http", "url": URL, "authorization": "Bearer abcdef-123456"}});
    let made = app.post("/v1/integrations", doc.clone()).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.headers[header::LOCATION], "/v1/integrations/erp-orders");
    assert_eq!(made.headers[header::ETAG], "\"1-running\"");
    assert_fits(&made.body, "Integration");
    let secret = made.body["signing"]["secrets"][0]["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    assert_eq!(made.body["target"]["authorization"]["default"], "…3456");

    let read = app.get("/v1/integrations/erp-orders").await;
    assert_eq!(read.headers[header::ETAG], "\"1-running\"");
    assert_eq!(read.body["signing"]["secrets"][0]["secret"], format!("…{}", &secret[secret.len() - 4..]));
    assert_fits(&read.body, "Integration");
    assert_problem(&app.post("/v1/integrations", doc).await, 409, "taken");
}

#[tokio::test]
async fn wrong_settings_are_refused_with_every_place() {
    let app = App::start().await;
    let doc = json!({"id": "Übel", "target": {"kind": "http", "url": "ftp://x"}, "delivery": {"timeout_seconds": 61},
        "events": {"where": [{"path": "data.x", "op": "in", "value": 1}]}});
    let answer = app.post("/v1/integrations", doc).await;
    assert_problem(&answer, 422, "invalid");
    for place in ["id", "target.url", "delivery.timeout_seconds", "events.where[0].value"] {
        assert!(places(&answer).contains(&place), "{place}: {}", answer.body);
    }
    let unknown =
        app.post("/v1/integrations", json!({"id": "x", "colour": "red", "target": {"kind": "http", "url": URL}})).await;
    assert_problem(&unknown, 422, "invalid");
    let inside =
        app.post("/v1/integrations", json!({"id": "x", "target": {"kind": "http", "url": "http://10.1.2.3/"}})).await;
    assert_problem(&inside, 422, "invalid");
    assert_eq!(places(&inside), ["target.url"]);
    assert!(inside.body["detail"].as_str().unwrap().contains("TILLSTREAM_ALLOW_NETWORKS"), "{}", inside.body);
    assert_eq!(app.get("/v1/integrations").await.body["items"], json!([]));
}

#[tokio::test]
async fn bodies_that_are_no_documents_are_refused() {
    let app = App::start().await;
    let send = async |media_type: &str, body: Vec<u8>| {
        let request = Request::post("/v1/integrations").header(header::AUTHORIZATION, format!("Bearer {}", app.key));
        app.send(request.header(header::CONTENT_TYPE, media_type).body(body.into()).unwrap()).await
    };
    assert_problem(&send("application/json", b"{".to_vec()).await, 400, "invalid-body");
    assert_problem(&send("application/json", b"{} {}".to_vec()).await, 400, "invalid-body");
    assert_problem(&send("text/plain", b"{}".to_vec()).await, 415, "unsupported-media-type");
    assert_problem(&send("application/json", vec![b' '; (1 << 20) + 1]).await, 413, "too-large");
    assert_problem(&send("application/json", b"[]".to_vec()).await, 422, "invalid");
}

#[tokio::test]
async fn they_are_listed_by_id_in_pages() {
    let app = App::start().await;
    for id in ["c", "a", "b"] {
        app.integration(id, URL, json!({})).await;
    }
    let ids = |body: &Value| -> Vec<String> {
        body["items"].as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap().into()).collect()
    };
    let first = app.get("/v1/integrations?limit=2").await.body;
    assert_eq!((ids(&first), &first["next"]), (vec!["a".into(), "b".into()], &json!("b")));
    assert_fits(&first["items"][0], "Integration");
    let second = app.get("/v1/integrations?limit=2&after=b").await.body;
    assert_eq!((ids(&second), &second["next"]), (vec!["c".into()], &Value::Null));
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_keeps_secrets_behind_their_masks() {
    let app = App::start().await;
    app.integration(
        "erp",
        URL,
        json!({"target": {"kind": "http", "url": URL, "authorization": "Bearer abcdef-123456"}}),
    )
    .await;
    let keys = app.post("/v1/integrations/erp/signing/reveal", Value::Null).await.body;
    let answer = patch(&app, json!({"description": "new", "delivery": {"rate_per_second": 5}, "target": {"authorization": {"sites": {"175": "Bearer 175-abcdefgh"}}}})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.headers[header::ETAG], "\"2-running\"");
    assert_eq!(answer.body["delivery"]["rate_per_second"], 5);
    assert_eq!(answer.body["delivery"]["max_in_flight"], 32);
    assert_eq!(answer.body["target"]["authorization"], json!({"default": "…3456", "sites": {"175": "…efgh"}}));
    assert_eq!(app.post("/v1/integrations/erp/signing/reveal", Value::Null).await.body, keys);

    let wrong = patch(&app, json!({"target": {"authorization": "…9999"}})).await;
    assert_problem(&wrong, 422, "invalid");
    assert_eq!(places(&wrong), ["target.authorization"]);
    assert_eq!(places(&patch(&app, json!({"id": "other"})).await), ["id"]);
    assert_eq!(places(&patch(&app, json!({"status": "stopped"})).await), ["status"]);
    assert_problem(&app.ask(Method::PATCH, "/v1/integrations/nobody", json!({})).await, 404, "not-found");
}

#[tokio::test]
async fn an_edit_made_from_an_older_state_is_refused() {
    let app = App::start().await;
    app.integration("erp", URL, json!({})).await;
    assert_eq!(patch_if(&app, "\"1-running\"", json!({"name": "A"})).await.status, 200);
    assert_problem(&patch_if(&app, "\"1-running\"", json!({"name": "B"})).await, 412, "changed");
    assert_eq!(patch_if(&app, "\"1-running\", \"2-running\"", json!({"name": "C"})).await.status, 200);
    app.post("/v1/integrations/erp/stop", Value::Null).await;
    assert_problem(&patch_if(&app, "\"3-running\"", json!({"name": "D"})).await, 412, "changed");
    assert_eq!(app.get("/v1/integrations/erp").await.body["name"], "C");
}

#[tokio::test]
async fn what_was_read_can_be_written_back_and_changes_nothing() {
    let app = App::start().await;
    let more = json!({"events": {"entities": ["order"], "where": [{"any": [{"path": "data.x", "op": "exists"}]}]},
        "availability": {"default": false, "sites": {"175": true}}, "delivery": {"retry": {"schedule_seconds": [0, 5]}}});
    app.integration("erp", URL, more).await;
    let read = app.get("/v1/integrations/erp").await.body;
    let written = app.ask(Method::PUT, "/v1/integrations/erp", read.clone()).await;
    assert_eq!(written.status, 200, "{}", written.body);
    assert_eq!(written.body["version"], 1);
    let small = app
        .ask(Method::PUT, "/v1/integrations/erp", json!({"name": "New", "target": {"kind": "http", "url": URL}}))
        .await;
    assert_eq!((&small.body["version"], &small.body["name"]), (&json!(2), &json!("New")));
    assert_eq!(small.body["events"]["entities"], json!([]));
    assert_eq!(small.body["signing"], read["signing"]);
}

#[tokio::test]
async fn starting_and_stopping_twice_changes_nothing_and_is_logged_once() {
    let app = App::start().await;
    app.integration("erp", URL, json!({})).await;
    let stopped = app.post("/v1/integrations/erp/stop", json!({"reason": "moving house"})).await;
    assert_eq!((&stopped.body["status"], &stopped.body["status_reason"]), (&json!("stopped"), &json!("moving house")));
    assert_eq!(stopped.headers[header::ETAG], "\"1-stopped\"");
    let again = app.post("/v1/integrations/erp/stop", Value::Null).await;
    assert_eq!((again.status.as_u16(), &again.body["status_reason"]), (200, &json!("moving house")));
    for _ in 0..2 {
        assert_eq!(app.post("/v1/integrations/erp/start", json!({})).await.body["status"], "running");
    }
    patch(&app, json!({"name": "X"})).await;
    assert_eq!(actions(&app).await, ["edited", "started", "stopped", "created"]);
    let entry = app.get("/v1/integrations/erp/logs?limit=1").await.body;
    assert_fits(&entry["items"][0], "LogEntry");
    assert!(entry["items"][0]["actor"].as_str().unwrap().starts_with("key key_"));
    assert_eq!(entry["items"][0]["reason"], "changed: name");
    let next = entry["next"].as_str().unwrap();
    assert_eq!(
        app.get(&format!("/v1/integrations/erp/logs?limit=1&after={next}")).await.body["items"][0]["action"],
        "started"
    );
    assert_problem(&app.get("/v1/integrations/erp/logs?after=7").await, 400, "invalid-query");
    assert_problem(&app.post("/v1/integrations/erp/stop", json!({"why": "x"})).await, 422, "invalid");
}

#[tokio::test]
async fn deleting_takes_everything_and_the_id_is_free_again() {
    let app = App::start().await;
    app.integration("erp", URL, json!({})).await;
    let request = Request::delete("/v1/integrations/erp").header(header::AUTHORIZATION, format!("Bearer {}", app.key));
    let request = request.header(header::IF_MATCH, "\"9-running\"").body(Body::empty()).unwrap();
    assert_problem(&app.send(request).await, 412, "changed");
    assert_eq!(app.ask(Method::DELETE, "/v1/integrations/erp", Value::Null).await.status, 204);
    for path in ["", "/logs", "/stats", "/attempts", "/rejected"] {
        assert_problem(&app.get(&format!("/v1/integrations/erp{path}")).await, 404, "not-found");
    }
    app.integration("erp", URL, json!({})).await;
    assert_eq!(actions(&app).await, ["created"]);
}

#[tokio::test]
async fn rotating_puts_a_new_key_in_front_and_lets_the_old_one_run_out() {
    let app = App::start().await;
    let made = app.integration("erp", URL, json!({})).await.body;
    let old = made["signing"]["secrets"][0]["secret"].as_str().unwrap();
    let rotated = app.post("/v1/integrations/erp/signing/rotate", json!({"overlap_seconds": 3600})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.body);
    assert_fits(&rotated.body, "Rotated");
    let new = rotated.body["secret"].as_str().unwrap();
    assert!(new != old && new.starts_with("whsec_"));
    let revealed = app.post("/v1/integrations/erp/signing/reveal", Value::Null).await.body;
    assert_eq!(
        revealed,
        json!({"secrets": [{"secret": new}, {"secret": old, "expires_at": "2026-11-21T11:00:00.000Z"}]})
    );
    let wrong = app.post("/v1/integrations/erp/signing/rotate", json!({"secret": "whsec_short"})).await;
    assert_eq!(places(&wrong), ["secret"]);
    let reader = app.key_with(&["integrations:read"]).await;
    let answer = app.ask_as(&reader, Method::POST, "/v1/integrations/erp/signing/reveal", Value::Null).await;
    assert_problem(&answer, 403, "forbidden");
}
