//! Who may do what.

use serde_json::{Value, json};

use crate::support::{Answer, Api, Stage, command, order, run, slug};

/// A client with a new key that has these scopes.
async fn holder(stage: &Stage, scopes: &[&str]) -> Api {
    stage.holder(json!({"name": "k", "scopes": scopes})).await
}

/// Fails unless this is a whole problem document.
#[track_caller]
fn assert_problem(answer: &Answer, status: u16) -> Value {
    let problem = answer.expect(status);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    slug(&problem);
    assert_eq!(problem["status"], status);
    for text in ["title", "detail", "instance"] {
        assert!(problem[text].as_str().is_some_and(|t| !t.is_empty()), "{text} is missing: {problem}");
    }
    problem
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_valid_key_there_is_nothing_to_see() {
    let stage = Stage::new().await;
    let unknown = format!("tsk_{}", "A".repeat(43));
    let mut clients = vec![stage.api.without_key()];
    clients.extend(["tsk_", "nonsense", unknown.as_str()].map(|key| stage.api.with_key(key)));
    for client in clients {
        for path in ["/v1/integrations", "/v1/events", "/v1/keys", "/v1/attempts"] {
            assert_problem(&client.get(path).await, 401);
        }
        assert_problem(&client.post("/v1/events", &order("o", 1)).await, 401);
    }
    assert_eq!(stage.api.all("/v1/events").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_scope_is_refused_by_its_name() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let nobody = holder(&stage, &["sites:read"]).await;
    let nothing = Value::Null;
    for (scope, answer) in [
        ("events:write", nobody.post("/v1/events", &order("o", 1)).await),
        ("events:read", nobody.get("/v1/events").await),
        ("integrations:read", nobody.get("/v1/integrations").await),
        ("integrations:write", nobody.post("/v1/integrations/it/stop", &nothing).await),
        ("integrations:write", nobody.delete("/v1/integrations/it").await),
        ("deliveries:read", nobody.get("/v1/integrations/it/attempts").await),
        ("deliveries:write", nobody.post("/v1/integrations/it/rejected/retry-all", &json!({"filter": {}})).await),
        ("keys:write", nobody.post("/v1/keys", &json!({"name": "k", "scopes": ["sites:read"]})).await),
    ] {
        let problem = assert_problem(&answer, 403);
        assert!(problem["detail"].as_str().unwrap().contains(scope), "{scope}: {problem}");
    }
    assert_eq!(stage.shown("it").await["status"], "running");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_scope_opens_what_it_says() {
    let stage = Stage::new().await;
    let writer = holder(&stage, &["events:write"]).await;
    let id = writer.post("/v1/events", &order("o", 1)).await.expect(202)["accepted"][0]["id"].clone();
    let path = format!("/v1/events/{}", id.as_str().unwrap());
    let reader = holder(&stage, &["events:read"]).await;
    let seen = reader.get(&path).await.expect(200);
    assert!(seen.get("data").is_none_or(Value::is_null), "the payload needs events:payload: {seen}");
    let auditor = holder(&stage, &["events:read", "events:payload"]).await;
    assert_eq!(auditor.get(&path).await.expect(200)["data"]["_id"], "o");
    let keeper = holder(&stage, &["integrations:read"]).await;
    keeper.get("/v1/integrations").await.expect(200);
    assert_problem(&keeper.post("/v1/integrations", &json!({"id": "x"})).await, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_is_not_shown_on_the_way_round_either() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| crate::support::Reply::Status(400));
    stage.integration("it", json!({})).await;
    let mut event = order("o", 1);
    event["data"]["marker"] = "only in the document".into();
    let id = stage.emit(event).await.remove(0);
    stage.wait_for_rejected("it", 1).await;
    let reader = holder(&stage, &["events:read", "deliveries:read", "integrations:read"]).await;
    for path in [
        "/v1/events".to_owned(),
        format!("/v1/events/{id}/explain"),
        format!("/v1/integrations/it/rejected/{id}"),
        format!("/v1/integrations/it/attempts/{id}"),
    ] {
        let answer = reader.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(!answer.text().contains("only in the document"), "{path} shows the document: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_grants_only_what_it_holds() {
    let stage = Stage::new().await;
    let keeper = holder(&stage, &["keys:write", "events:write"]).await;
    for scopes in [vec!["events:read"], vec!["events:write", "integrations:write"], vec!["all"], vec!["instance"]] {
        let answer = keeper.post("/v1/keys", &json!({"name": "more", "scopes": scopes})).await;
        assert_problem(&answer, 403);
    }
    assert_problem(&stage.api.post("/v1/keys", &json!({"name": "more", "scopes": ["instance"]})).await, 403);
    keeper.post("/v1/keys", &json!({"name": "less", "scopes": ["events:write"]})).await.expect(201);
    for scopes in [json!([]), json!(["events:destroy"])] {
        assert_problem(&stage.api.post("/v1/keys", &json!({"name": "odd", "scopes": scopes})).await, 422);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_shown_once_listed_without_itself_and_deleted_for_good() {
    let mut stage = Stage::new().await;
    let made = stage.api.post("/v1/keys", &json!({"name": "till", "scopes": ["events:write"]})).await.expect(201);
    let (id, key) = (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned());
    assert!(key.starts_with("tsk_") && key.len() >= 4 + 43, "256 random bits: {key}");
    let till = stage.api.with_key(&key);
    till.post("/v1/events", &order("o", 1)).await.expect(202);
    let listed = stage.api.all("/v1/keys").await;
    let row = listed.iter().find(|k| k["id"] == id.as_str()).expect("listed");
    assert_eq!((&row["name"], &row["scopes"]), (&json!("till"), &json!(["events:write"])));
    assert!(!json!(listed).to_string().contains(&key));
    assert_eq!(stage.api.delete(&format!("/v1/keys/{id}")).await.status, 204);
    assert_problem(&till.post("/v1/events", &order("o", 2)).await, 401);
    assert_problem(&stage.api.delete(&format!("/v1/keys/{id}")).await, 404);
    stage.crash().await;
    assert_problem(&stage.api.with_key(&key).post("/v1/events", &order("o", 2)).await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_key_is_no_key() {
    let stage = Stage::new().await;
    let soon = jiff::Timestamp::now().as_millisecond() + 1_500;
    let soon = jiff::Timestamp::from_millisecond(soon).expect("a time");
    let wish = json!({"name": "brief", "scopes": ["events:read"], "expires_at": soon.to_string()});
    let made = stage.api.post("/v1/keys", &wish).await.expect(201);
    let brief = stage.api.with_key(made["key"].as_str().unwrap());
    brief.get("/v1/events").await.expect(200);
    let end = crate::support::SOON;
    crate::support::eventually("the key expires", end, async || {
        (brief.get("/v1/events").await.status == 401).then_some(())
    })
    .await;
    assert!(jiff::Timestamp::now() >= soon, "not before its time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_made_on_the_command_line_works_at_once_while_the_hub_runs() {
    let stage = Stage::new().await;
    let arguments =
        ["keys", "create", "--data", "data", "--name", "t", "--scope", "events:read", "--scope", "events:write"];
    let output = run(command(&stage.hub, &arguments), "");
    assert_eq!(output.code, 0, "{}", output.stderr);
    let key = output.stdout.strip_suffix('\n').expect("one line");
    assert!(key.starts_with("tsk_") && !key.contains(char::is_whitespace), "the key alone: {key:?}");
    let client = stage.api.with_key(key);
    client.get("/v1/events").await.expect(200);
    assert_problem(&client.get("/v1/integrations").await, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_must_name_a_company_that_exists() {
    let stage = Stage::new().await;
    let operator = stage.operator();
    let path = "/v1/integrations";
    let named = async |company: &str| operator.in_company(company).get(path).await;
    named("default").await.expect(200);
    assert_problem(&named("no-such-company").await, 404);
    let answer = operator.get(path).await;
    assert!((400..500).contains(&answer.status), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_exist_is_a_problem_that_says_so() {
    let stage = Stage::new().await;
    for path in [
        "/v1/integrations/nobody",
        "/v1/integrations/nobody/attempts",
        "/v1/integrations/nobody/rejected",
        "/v1/events/evt_00000000000000000000000000",
        "/v1/events/nonsense/explain",
        "/v1/no/such/path",
    ] {
        assert_problem(&stage.api.get(path).await, 404);
    }
    assert_problem(&stage.api.delete("/v1/integrations").await, 405);
}
