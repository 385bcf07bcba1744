//! Who may do what.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::document::{document, operations};
use crate::support::{App, assert_fits, assert_problem};

fn method(name: &str) -> Method {
    Method::from_bytes(name.to_ascii_uppercase().as_bytes()).unwrap()
}

fn with_header(request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    let mut request = request;
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn every_call_without_a_valid_key_is_401() {
    let app = App::start().await;
    for (name, path, _) in operations(&document()) {
        if !path.starts_with("/v1/") || path.starts_with("/v1/sessions") {
            continue;
        }
        for key in [None, Some("Bearer tsk_unknown"), Some("Bearer"), Some("Basic dXNlcjpwYXNz"), Some("Bearer \u{e9}")]
        {
            let request = Request::builder().method(method(name)).uri(path).body(Body::empty()).unwrap();
            let request = match key {
                Some(key) => with_header(request, "authorization", key),
                None => request,
            };
            let answer = app.send(request).await;
            assert_problem(&answer, 401, "unauthenticated");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
}

#[tokio::test]
async fn every_call_names_the_scope_that_is_missing() {
    let app = App::start().await;
    let key = app.key_with(&["gateways:write"]).await;
    for (name, path, _) in operations(&document()) {
        // Everybody may read their own company, and be told who they are.
        let open = name == "get" && path.starts_with("/v1/companies") || path.starts_with("/v1/session");
        if !path.starts_with("/v1/") || open {
            continue;
        }
        let body = if matches!(name, "post" | "put" | "patch") { sensible_body(path) } else { Value::Null };
        let answer = app.ask_as(&key, method(name), path, body).await;
        assert_problem(&answer, 403, "forbidden");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains(':') || detail.contains("instance"), "{name} {path}: {}", answer.body);
    }
}

fn contact() -> Value {
    json!({"name": "x", "channel": {"kind": "webhook", "url": "http://127.0.0.1:9/"}})
}

/// A body that can be read, so that the call gets as far as asking who may do it.
fn sensible_body(path: &str) -> Value {
    match path {
        "/v1/keys" => json!({"name": "x", "scopes": ["all"]}),
        "/v1/users" => json!({"email": "a@b"}),
        path if path.ends_with("portal-sessions") => json!({"capabilities": ["tools.view"]}),
        path if path.starts_with("/v1/companies") => json!({"name": "x"}),
        path if path.ends_with("rejected/retry") => json!({"ids": ["evt_01JD7ZQ4X8E9W3R5T6Y7P0A1BC"]}),
        path if path.ends_with("/replay") => json!({"from": "2026-11-20T00:00:00Z"}),
        path if path.ends_with("-all") => json!({"filter": {}}),
        path if path.starts_with("/v1/notifications") => contact(),
        "/v1/integrations/preview" => json!({"integration": {}, "from": "2020-01-01T00:00:00Z"}),
        _ => json!({}),
    }
}

#[tokio::test]
async fn what_belongs_to_another_company_is_as_unknown_as_what_does_not_exist() {
    let app = App::start().await;
    app.integration("erp", "http://127.0.0.1:9/", json!({})).await;
    let event = app.event("order.saved", "o1").await;
    assert_eq!(app.ask(Method::PUT, "/v1/sites/175", json!({})).await.status, 201);
    let contact = app.post("/v1/notifications", contact()).await.body["id"].as_str().unwrap().to_owned();
    let neighbour = app.neighbour().await;
    let keys = app.get("/v1/keys").await.body;
    let own_key = keys["items"][0]["id"].as_str().unwrap();
    let somebody = app.post("/v1/users", json!({"email": "ada@acme"})).await.body;
    let own_user = somebody["id"].as_str().unwrap();
    for (name, path, _) in operations(&document()) {
        // Whoever saves a site makes it in their own company.
        if !path.contains('{') || name == "put" && path == "/v1/sites/{site}" {
            continue;
        }
        let id = if path.starts_with("/v1/events") {
            &event
        } else if path.starts_with("/v1/keys") {
            own_key
        } else if path.starts_with("/v1/users") {
            own_user
        } else if path.starts_with("/v1/companies") {
            "acme"
        } else if path.starts_with("/v1/notifications") {
            &contact
        } else {
            "erp"
        };
        let path =
            path.replace("{id}", id).replace("{event_id}", &event).replace("{site}", "175").replace("{terminal}", "2");
        let needed = ["rejected/retry", "portal-sessions", "-all", "/replay"].iter().any(|end| path.ends_with(end));
        let body = if matches!(name, "put" | "patch") || needed { sensible_body(&path) } else { Value::Null };
        let answer = app.ask_as(&neighbour, method(name), &path, body).await;
        // What only operators may do is refused before it is looked at.
        let of_operators = path.starts_with("/v1/companies") && !path.ends_with("portal-sessions") && name != "get";
        let expected = if of_operators { 403 } else { 404 };
        assert_eq!(answer.status, expected, "{name} {path}: {}", answer.body);
    }
    for list in [
        "/v1/events",
        "/v1/integrations",
        "/v1/attempts",
        "/v1/sites",
        "/v1/held",
        "/v1/audit",
        "/v1/users",
        "/v1/notifications",
    ] {
        assert_eq!(app.ask_as(&neighbour, Method::GET, list, Value::Null).await.body["items"], json!([]), "{list}");
    }
    assert_eq!(app.get("/v1/integrations/erp").await.status, 200);
}

#[tokio::test]
async fn two_companies_may_use_the_same_id() {
    let app = App::start().await;
    app.integration("erp", "http://127.0.0.1:9/", json!({})).await;
    let neighbour = app.neighbour().await;
    let doc = json!({"id": "erp", "target": {"kind": "http", "url": "http://127.0.0.1:9/"}});
    assert_eq!(app.ask_as(&neighbour, Method::POST, "/v1/integrations", doc).await.status, 201);
    assert_eq!(app.ask_as(&neighbour, Method::DELETE, "/v1/integrations/erp", Value::Null).await.status, 204);
    assert_eq!(app.get("/v1/integrations/erp").await.status, 200);
}

#[tokio::test]
async fn a_key_is_shown_once_and_stops_working_when_it_is_deleted() {
    let app = App::start().await;
    let made = app.post("/v1/keys", json!({"name": "POS", "scopes": ["events:read"]})).await;
    assert_eq!(made.status, 201);
    assert_fits(&made.body, "KeyMade");
    let (key, id) = (made.body["key"].as_str().unwrap(), made.body["id"].as_str().unwrap());
    assert_eq!(app.ask_as(key, Method::GET, "/v1/events", Value::Null).await.status, 200);
    let listed = app.get("/v1/keys").await.body;
    assert!(!listed.to_string().contains(key));
    assert_fits(&listed["items"][0], "Key");
    assert_eq!(app.ask(Method::DELETE, &format!("/v1/keys/{id}"), Value::Null).await.status, 204);
    assert_problem(&app.ask_as(key, Method::GET, "/v1/events", Value::Null).await, 401, "unauthenticated");
    assert_problem(&app.ask(Method::DELETE, &format!("/v1/keys/{id}"), Value::Null).await, 404, "not-found");
}

#[tokio::test]
async fn a_key_gives_only_what_it_holds() {
    let app = App::start().await;
    let small = app.key_with(&["keys:write", "events:read"]).await;
    let wish = |scopes: &[&str]| json!({"name": "x", "scopes": scopes});
    assert_eq!(app.ask_as(&small, Method::POST, "/v1/keys", wish(&["events:read"])).await.status, 201);
    let answer = app.ask_as(&small, Method::POST, "/v1/keys", wish(&["events:read", "events:write"])).await;
    assert_problem(&answer, 403, "forbidden");
    assert!(answer.body["detail"].as_str().unwrap().contains("events:write"));
    assert_problem(&app.post("/v1/keys", wish(&["instance"])).await, 403, "forbidden");
    assert_problem(&app.post("/v1/keys", wish(&["events"])).await, 422, "invalid");
}

#[tokio::test]
async fn a_key_ends_at_its_expiry_and_its_use_is_noted() {
    let app = App::start().await;
    let made = app
        .post("/v1/keys", json!({"name": "x", "scopes": ["events:read"], "expires_at": "2026-11-21T10:01:00Z"}))
        .await;
    let key = made.body["key"].as_str().unwrap().to_owned();
    assert_eq!(app.ask_as(&key, Method::GET, "/v1/events", Value::Null).await.status, 200);
    app.hub.access().flush_used(app.hub.now()).await;
    let listed = app.get("/v1/keys").await.body;
    let used = listed["items"].as_array().unwrap().iter().find(|k| k["id"] == made.body["id"]).unwrap();
    assert_eq!(used["last_used_at"], "2026-11-21T10:00:00.000Z");
    app.pass(Duration::from_secs(60));
    assert_problem(&app.ask_as(&key, Method::GET, "/v1/events", Value::Null).await, 401, "unauthenticated");
}

#[tokio::test]
async fn an_operator_names_the_company() {
    let app = App::start().await;
    app.neighbour().await;
    app.integration("erp", "http://127.0.0.1:9/", json!({})).await;
    let bearer = format!("Bearer {}", app.operator().await);
    let ask = |path: &str, company: &str| {
        let request = with_header(get(path), "authorization", &bearer);
        if company.is_empty() { request } else { with_header(request, "tillstream-company", company) }
    };
    assert_problem(&app.send(ask("/v1/integrations", "")).await, 400, "company-required");
    assert_problem(&app.send(ask("/v1/integrations", "nobody")).await, 404, "not-found");
    assert_eq!(app.send(ask("/v1/integrations", "acme")).await.body["items"][0]["id"], "erp");
    assert_eq!(app.send(ask("/v1/integrations", "neighbour")).await.body["items"], json!([]));
    let companies = app.send(ask("/v1/companies", "")).await.body;
    assert_eq!(companies["items"].as_array().unwrap().len(), 2);
    assert_fits(&companies["items"][0], "Company");
    assert_eq!(app.send(ask("/v1/companies?limit=1", "")).await.body["next"], "acme");
    assert_eq!(app.send(ask("/v1/companies?after=acme", "")).await.body["items"][0]["id"], "neighbour");
    let own = app.get("/v1/companies").await.body;
    let shown = json!({
        "id": "acme", "name": "acme", "retention_days": 30, "status": "active", "timezone": "UTC",
        "limits": {"events_per_second": null, "stored_bytes": null, "integrations": null}, "unknown_sites": "accept",
        "lagging_after_seconds": null, "usage": {"stored_bytes": 0}, "ingest_drop": []
    });
    assert_eq!(own["items"], json!([shown]));
}

#[tokio::test]
async fn a_companys_key_reaches_no_other_by_naming_it() {
    let app = App::start().await;
    app.neighbour().await;
    let bearer = format!("Bearer {}", app.key);
    let ask =
        |company| with_header(with_header(get("/v1/events"), "authorization", &bearer), "tillstream-company", company);
    assert_problem(&app.send(ask("neighbour")).await, 404, "not-found");
    assert_eq!(app.send(ask("acme")).await.status, 200);
}

#[tokio::test]
async fn other_paths_and_methods_are_problems_too() {
    let app = App::start().await;
    assert_problem(&app.get("/v1/nothing").await, 404, "not-found");
    let answer = app.ask(Method::DELETE, "/v1/events", Value::Null).await;
    assert_problem(&answer, 405, "method-not-allowed");
    assert!(answer.headers.contains_key("allow"));
}

#[tokio::test]
async fn unknown_and_wrong_parameters_are_refused_with_their_name() {
    let app = App::start().await;
    for (path, place) in [
        ("/v1/integrations?limit=501", "limit"),
        ("/v1/integrations?limit=0", "limit"),
        ("/v1/integrations?limit=many", "limit"),
        ("/v1/events?from=yesterday", "from"),
        ("/v1/events?after=-1", "after"),
        ("/v1/attempts?status=good", "status"),
        ("/v1/attempts?domain_entity_type=order", "domain_entity_type"),
        ("/v1/attempts?after=1", "after"),
    ] {
        let answer = app.get(path).await;
        assert_problem(&answer, 400, "invalid-query");
        assert!(answer.body["errors"][0]["path"].as_str().unwrap().contains(place), "{path}: {}", answer.body);
    }
    let answer = app.get("/v1/events?colour=red").await;
    assert_problem(&answer, 400, "invalid-query");
    assert!(answer.body["detail"].as_str().unwrap().contains("colour"));
}

#[tokio::test]
async fn health_needs_no_key_and_metrics_are_only_for_this_machine() {
    let app = App::start().await;
    assert_eq!(app.send(get("/healthz")).await.status, 200);
    let ready = app.send(get("/readyz")).await;
    assert_eq!((ready.status.as_u16(), ready.body), (200, json!({"ready": true, "reasons": []})));
    let from = |peer: &str| {
        let mut request = get("/metrics");
        request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        request
    };
    let shown = app.send(from("127.0.0.1:5000")).await;
    assert_eq!(shown.status, 200);
    assert!(shown.body.as_str().unwrap().contains("# HELP tillstream_events_total"));
    assert_eq!(app.send(from("[::ffff:127.0.0.1]:5000")).await.status, 200);
    assert_problem(&app.send(from("10.0.0.1:5000")).await, 404, "not-found");
    assert_problem(&app.send(get("/metrics")).await, 404, "not-found");
}
