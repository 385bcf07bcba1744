//! The portal inside somebody's own page: sessions without an account.

use serde_json::{Value, json};

use crate::support::{Api, Stage, order};

/// Makes a session and begins it; gives a client with its token.
async fn begin(stage: &Stage, wish: Value) -> Api {
    let made = stage.api.post("/v1/companies/default/portal-sessions", &wish).await.expect(201);
    let url = made["url"].as_str().expect("a URL");
    let (page, token) = url.split_once("#token=").expect("a token");
    assert_eq!(page, format!("{}/embed", stage.hub.url));
    let anybody = stage.api.without_key();
    let begun = anybody.post("/v1/sessions/portal", &json!({"token": token})).await;
    assert!(!begun.headers.contains_key("set-cookie"), "a page of another site has no cookies of ours");
    let begun = begun.expect(201);
    assert_eq!(begun["expires_at"], made["expires_at"]);
    anybody.post("/v1/sessions/portal", &json!({"token": token})).await.expect(401);
    let token = begun["token"].as_str().expect("a token");
    assert!(token.starts_with("tss_"), "{token}");
    stage.api.with_key(token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_has_exactly_its_capabilities_and_integrations() {
    let stage = Stage::new().await;
    for id in ["mine", "theirs"] {
        stage.integration(id, json!({})).await;
    }
    let event = stage.emit(order("o", 1)).await.remove(0);
    for id in ["mine", "theirs"] {
        stage.wait_for_attempts(id, 1).await;
    }
    let wish = json!({"capabilities": ["tools.view", "tools.manage"], "integrations": ["mine"], "expires_in": 600});
    let page = begin(&stage, wish).await;
    let ids: Vec<Value> = page.all("/v1/integrations").await.into_iter().map(|i| i["id"].clone()).collect();
    assert_eq!(ids, ["mine"]);
    assert_eq!(page.all("/v1/attempts").await.len(), 1);
    let attempts = page.get(&format!("/v1/integrations/mine/attempts/{event}")).await.expect(200);
    assert!(attempts["request"].get("body").is_none(), "no payload without events.view_payload");
    page.post("/v1/integrations/mine/rejected/retry-all", &json!({"filter": {}})).await.expect(202);
    for answer in [
        page.get("/v1/integrations/theirs").await,
        page.get(&format!("/v1/integrations/theirs/attempts/{event}")).await,
    ] {
        answer.expect(404);
    }
    for answer in [
        page.get("/v1/events").await,
        page.get("/v1/sites").await,
        page.get("/v1/keys").await,
        page.post("/v1/integrations", &json!({"id": "x"})).await,
        page.post("/v1/integrations/mine/signing/reveal", &json!({"password": "x"})).await,
    ] {
        answer.expect(403);
    }
    let me = page.get("/v1/session").await.expect(200);
    assert_eq!((&me["kind"], &me["integrations"]), (&json!("portal"), &json!(["mine"])));
    let audit = stage.api.all("/v1/audit").await;
    let retried = audit.iter().find(|e| e["action"] == "job.started").expect("noted");
    assert_eq!(retried["actor"], format!("portal {}", me["id"].as_str().unwrap()));
    assert_eq!(page.delete("/v1/session").await.status, 204);
    page.get("/v1/session").await.expect(401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_survives_a_crash_and_changes_what_it_may() {
    let mut stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let page = begin(&stage, json!({"capabilities": ["tools.manage", "tools.view"]})).await;
    stage.crash().await;
    let page = page.at(&stage.hub.url);
    page.post("/v1/integrations/it/stop", &Value::Null).await.expect(200);
    let problem = page.post("/v1/integrations/it/signing/reveal", &json!({"password": "x"})).await.expect(403);
    assert!(problem["detail"].as_str().unwrap().contains("person"), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_made_by_whoever_holds_what_it_gives_in_their_own_company() {
    let stage = Stage::new().await;
    let operator = stage.operator();
    operator.put("/v1/companies/acme", &json!({"name": "Acme"})).await.expect(201);
    let wish = json!({"capabilities": ["tools.view"]});
    let path = |company: &str| format!("/v1/companies/{company}/portal-sessions");
    operator.post(&path("acme"), &wish).await.expect(201);
    operator.post(&path("nobody"), &wish).await.expect(404);
    operator.in_company("acme").post(&path("default"), &wish).await.expect(404);
    stage.api.post(&path("acme"), &wish).await.expect(404);
    let writer = stage.holder(json!({"name": "k", "scopes": ["users:write"]})).await;
    let problem = writer.post(&path("default"), &wish).await.expect(403);
    assert!(problem["detail"].as_str().unwrap().contains("tools.view"), "{problem}");
    let reader = stage.holder(json!({"name": "k", "scopes": ["integrations:read"]})).await;
    reader.post(&path("default"), &wish).await.expect(403);
    for (wrong, place) in [
        (json!({"capabilities": ["all"]}), "capabilities[0]"),
        (json!({"capabilities": ["tools.view", "users.manage"]}), "capabilities[1]"),
        (json!({"capabilities": ["tools.view"], "expires_in": 86_401}), "expires_in"),
    ] {
        let problem = stage.api.post(&path("default"), &wrong).await.expect(422);
        assert_eq!(problem["errors"][0]["path"], place, "{problem}");
    }
}
