//! Looking at a target before it matters.

use serde_json::{Value, json};

use crate::support::{Reply, Stage, order};

fn check<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let checks = answer["checks"].as_array().unwrap();
    checks.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no {name}: {answer}"))
}

const UNSAVED: &str = "/v1/integrations/validate";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_are_not_saved_can_be_validated() {
    let stage = Stage::new().await;
    let target = |url: String| json!({"name": "New", "target": {"kind": "http", "url": url}});
    let found = stage.api.post(UNSAVED, &target(stage.receiver.url("/it"))).await.expect(200);
    assert_eq!(found["ok"], true, "{found}");
    for name in ["settings", "dns", "connect"] {
        assert_eq!(check(&found, name)["ok"], true, "{found}");
    }
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let found = stage.api.post(UNSAVED, &target(format!("http://{nobody}/"))).await.expect(200);
    assert_eq!((&found["ok"], &check(&found, "connect")["ok"]), (&json!(false), &json!(false)));
    let found = stage.api.post(UNSAVED, &target("http://no-such-host.invalid/".into())).await.expect(200);
    assert_eq!(check(&found, "dns")["ok"], false);
    let found = stage.api.post(UNSAVED, &target(stage.receiver.url("/").replace("http:", "https:"))).await.expect(200);
    assert_eq!((&check(&found, "connect")["ok"], &check(&found, "tls")["ok"]), (&json!(true), &json!(false)));
    let found = stage.api.post(UNSAVED, &target("http://169.254.169.254/".into())).await.expect(200);
    assert!(check(&found, "settings")["detail"].as_str().unwrap().contains("TILLSTREAM_ALLOW_NETWORKS"), "{found}");
    let mut wrong = target(stage.receiver.url("/it"));
    wrong["delivery"] = json!({"timeout_seconds": 61});
    let found = stage.api.post(UNSAVED, &wrong).await.expect(200);
    assert!(check(&found, "settings")["detail"].as_str().unwrap().contains("delivery.timeout_seconds"), "{found}");
    assert!(stage.api.all("/v1/integrations").await.is_empty(), "nothing is saved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_integration_can_be_validated_with_its_token() {
    let stage = Stage::new().await;
    stage.receiver.behave("/token", |_| Reply::Body(200, r#"{"access_token":"t","expires_in":60}"#.into()));
    let oauth2 = json!({"token_url": stage.receiver.url("/token"), "client_id": "c", "client_secret": "a-secret-1234"});
    let made = stage.integration("it", json!({"target": {"oauth2": oauth2}})).await;
    let found = stage.api.post("/v1/integrations/it/validate", &Value::Null).await.expect(200);
    assert_eq!((&found["ok"], &check(&found, "token")["ok"]), (&json!(true), &json!(true)));
    let sent = stage.receiver.deliveries("/it");
    assert_eq!(sent.len(), 1);
    assert!(sent[0].body.is_empty() && !sent[0].headers.contains_key("authorization"), "{sent:?}");
    stage.receiver.behave("/token", |_| Reply::Status(500));
    let found = stage.api.post(UNSAVED, &made).await.expect(200);
    assert!(check(&found, "token")["detail"].as_str().unwrap().contains("500"), "{found}");
    assert_eq!(check(&found, "settings")["ok"], true, "masked secrets stand for the saved ones");
    let asked = stage.receiver.deliveries("/token");
    assert_eq!(asked[0].header("authorization"), asked[1].header("authorization"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_event_goes_to_the_real_target_and_into_no_count() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Body(202, "b".repeat(5_000).into()));
    let settings = json!({"events": {"names": ["order.saved"]}, "target": {"authorization": "Bearer very-s3cret"}});
    stage.integration("it", settings).await;
    let tested = stage.api.post("/v1/integrations/it/test", &Value::Null).await.expect(200);
    assert_eq!((&tested["ok"], &tested["response"]["status"]), (&json!(true), &json!(202)));
    assert_eq!(tested["response"]["body"].as_str().unwrap().len(), 4_096);
    let sent = stage.receiver.deliveries("/it").remove(0);
    assert_eq!(
        (sent.header("tillstream-event"), sent.header("authorization")),
        ("tillstream.test", "Bearer very-s3cret")
    );
    assert!(sent.header("webhook-signature").starts_with("v1,"));
    assert_eq!(tested["request"]["body"], sent.json());
    assert!(!tested.to_string().contains("very-s3cret"), "{tested}");
    assert_eq!(stage.attempts("it").await.len(), 0);
    let stats = stage.api.get("/v1/integrations/it/stats").await.expect(200);
    assert_eq!((&stats["totals"]["delivered"], &stats["head"]), (&json!(0), &json!(0)));
    let audit = stage.api.all("/v1/audit?object=integration%20it").await;
    assert_eq!(audit[0]["action"], "integration.tested");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_fails_says_why_and_uses_the_sites_authorization() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Body(422, "no".into()));
    let authorization = json!({"default": "Bearer all", "sites": {"175": "Bearer only-175"}});
    stage.integration("it", json!({"target": {"authorization": authorization}})).await;
    stage.switch("it", "stop").await;
    let test = "/v1/integrations/it/test";
    let tested = stage.api.post(test, &json!({"site": "175"})).await.expect(200);
    assert_eq!((&tested["ok"], &tested["response"]["body"]), (&json!(false), &json!("no")));
    assert_eq!(stage.receiver.deliveries("/it")[0].header("authorization"), "Bearer only-175");
    let wish = json!({"name": "b", "scopes": ["deliveries:write"], "integrations": ["other"]});
    stage.holder(wish).await.post(test, &Value::Null).await.expect(404);
    let lacks = stage.holder(json!({"name": "l", "scopes": ["deliveries:read"]})).await;
    lacks.post(test, &Value::Null).await.expect(403);
    stage.receiver.behave("/it", |_| Reply::Close);
    let tested = stage.api.post(test, &Value::Null).await.expect(200);
    assert!(tested["response"].is_null() && tested["failure"]["cause"].is_string(), "{tested}");
    stage.api.post("/v1/integrations", &json!({"id": "in", "target": {"kind": "inbox"}})).await.expect(201);
    stage.api.post("/v1/integrations/in/test", &Value::Null).await.expect(422);
    stage.emit(order("o", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_of_the_api_are_no_ids() {
    let stage = Stage::new().await;
    let problem = stage.try_integration("validate", json!({})).await.expect(422);
    assert_eq!(problem["errors"][0]["path"], "id");
}
