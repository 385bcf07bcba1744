//! Companies: what their operator sets, and what that changes.

use serde_json::{Value, json};

use crate::support::{SOON, Stage, eventually, order};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_makes_companies_and_a_repeat_changes_nothing() {
    let stage = Stage::new().await;
    let operator = stage.operator();
    let wish =
        json!({"name": "Acme", "retention_days": 90, "timezone": "Europe/Vienna", "limits": {"integrations": 1}});
    let made = operator.put("/v1/companies/acme", &wish).await.expect(201);
    assert_eq!((&made["id"], &made["status"], &made["retention_days"]), (&json!("acme"), &json!("active"), &json!(90)));
    assert!(made["ingest_drop"].to_string().contains("card.number"), "{made}");
    assert_eq!(operator.put("/v1/companies/acme", &wish).await.expect(200), made);
    assert_eq!(operator.get("/v1/companies/acme").await.expect(200), made);
    let ids: Vec<Value> = operator.all("/v1/companies").await.into_iter().map(|c| c["id"].clone()).collect();
    assert_eq!(ids, ["acme", "default"]);
    let audit = operator.in_company("acme").all("/v1/audit").await;
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!((&audit[0]["action"], &audit[0]["before"]), (&json!("company.saved"), &Value::Null));
    assert_eq!(audit[0]["after"]["timezone"], "Europe/Vienna");

    let acme = operator.in_company("acme");
    let integration =
        |id: &str| json!({"id": id, "name": id, "target": {"kind": "http", "url": stage.receiver.url("/x")}});
    acme.post("/v1/integrations", &integration("one")).await.expect(201);
    let refused = acme.post("/v1/integrations", &integration("two")).await.expect(422);
    assert!(refused["detail"].as_str().unwrap().contains("at most 1"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_sees_its_own_company_and_changes_none() {
    let stage = Stage::new().await;
    stage.operator().put("/v1/companies/acme", &json!({"name": "Acme"})).await.expect(201);
    stage.api.get("/v1/companies/default").await.expect(200);
    stage.api.get("/v1/companies/acme").await.expect(404);
    assert_eq!(stage.api.all("/v1/companies").await.len(), 1);
    for answer in [
        stage.api.put("/v1/companies/default", &json!({"name": "Mine"})).await,
        stage.api.put("/v1/companies/acme", &json!({"name": "Mine"})).await,
        stage.api.post("/v1/companies/default/suspend", &Value::Null).await,
        stage.api.post("/v1/companies/acme/resume", &Value::Null).await,
    ] {
        assert!(answer.expect(403)["detail"].as_str().unwrap().contains("instance"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_company_is_named() {
    let stage = Stage::new().await;
    let operator = stage.operator();
    let wrong = json!({"name": "", "retention_days": 31, "timezone": "Mars", "ingest_drop": ["a..b"]});
    let problem = operator.put("/v1/companies/a%20b", &wrong).await.expect(422);
    let paths: Vec<&str> = problem["errors"].as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["id", "name", "timezone", "ingest_drop[0]", "retention_days"]);
    operator.put("/v1/companies/x", &json!({"name": "X", "unknown": 1})).await.expect(422);
    operator.get("/v1/companies/x").await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_company_sends_and_receives_nothing_and_goes_on_when_it_is_resumed() {
    let mut stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    stage.emit(order("o", 1)).await;
    stage.receiver.wait_for("/it", 1, SOON).await;
    let operator = stage.operator();
    let suspended = operator.post("/v1/companies/default/suspend", &Value::Null).await.expect(200);
    assert_eq!(suspended["status"], "suspended");
    for answer in [stage.api.post("/v1/events", &order("o", 2)).await, stage.api.get("/v1/integrations").await] {
        assert!(answer.expect(403)["type"].as_str().unwrap().ends_with(":suspended"));
    }
    let operator = operator.in_company("default");
    operator.post("/v1/events", &order("o", 3)).await.expect(202);
    stage.crash().await;
    let operator = operator.at(&stage.hub.url);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(stage.receiver.deliveries("/it").len(), 1, "nothing is sent");
    operator.post("/v1/companies/default/resume", &Value::Null).await.expect(200);
    stage.receiver.wait_for("/it", 2, SOON).await;
    eventually("its keys work again", SOON, async || {
        (stage.api.post("/v1/events", &order("o", 4)).await.status == 202).then_some(())
    })
    .await;
    stage.receiver.wait_for("/it", 3, SOON).await;
}
