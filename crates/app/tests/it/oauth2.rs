//! Access tokens for client credentials, and authorizations that take over at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::support::{Reply, SOON, Stage, order};

const SECRET: &str = "client-s3cret-QX7Z";

/// A token server on `/token` that gives `token-1`, `token-2` … for so many seconds each, and the status it answers
/// with instead when that is not 200.
fn token_server(stage: &Stage, seconds: u64) -> Arc<AtomicU16> {
    let (status, count) = (Arc::new(AtomicU16::new(200)), AtomicU64::new(0));
    let answers = status.clone();
    stage.receiver.behave("/token", move |_| match answers.load(Ordering::SeqCst) {
        200 => {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            let token =
                json!({"access_token": format!("token-{number}"), "token_type": "Bearer", "expires_in": seconds});
            Reply::Body(200, token.to_string().into())
        }
        other => Reply::Body(other, r#"{"error":"invalid_client"}"#.into()),
    });
    status
}

fn oauth2(stage: &Stage) -> Value {
    let url = stage.receiver.url("/token");
    json!({"target": {"oauth2": {"token_url": url, "client_id": "my app", "client_secret": SECRET, "scope": "a b"}},
        "delivery": {"retry": {"schedule_seconds": [0]}}})
}

fn sent(stage: &Stage) -> Vec<String> {
    stage.receiver.deliveries("/it").iter().map(|d| d.header("authorization").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_is_asked_for_and_used_while_it_is_good() {
    let stage = Stage::new().await;
    token_server(&stage, 3_600);
    let made = stage.integration("it", oauth2(&stage)).await;
    assert_eq!(made["target"]["oauth2"]["client_secret"], "…QX7Z");
    stage.emit((0..20).map(|n| order(&format!("o-{n}"), 1)).collect()).await;
    stage.receiver.wait_for("/it", 20, SOON).await;
    assert!(sent(&stage).iter().all(|a| a == "Bearer token-1"), "{:?}", sent(&stage));
    let asked = stage.receiver.deliveries("/token");
    assert_eq!(asked.len(), 1, "however many wait for it");
    assert_eq!(asked[0].body, "grant_type=client_credentials&scope=a+b");
    assert_eq!(asked[0].header("authorization"), "Basic bXkrYXBwOmNsaWVudC1zM2NyZXQtUVg3Wg==");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_replaced_before_it_ends() {
    let stage = Stage::new().await;
    token_server(&stage, 0);
    stage.integration("it", oauth2(&stage)).await;
    for n in 1..=3 {
        stage.emit(order("o", n)).await;
        stage.receiver.wait_for("/it", n as usize, SOON).await;
    }
    assert_eq!(sent(&stage), ["Bearer token-1", "Bearer token-2", "Bearer token-3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_the_receiver_does_not_take_is_replaced_once() {
    let stage = Stage::new().await;
    token_server(&stage, 3_600);
    stage
        .receiver
        .behave("/it", |d| Reply::Status(if d.header("authorization") == "Bearer token-1" { 401 } else { 200 }));
    stage.integration("it", oauth2(&stage)).await;
    stage.emit(order("o", 1)).await;
    stage.wait_until_idle("it").await;
    assert_eq!(sent(&stage), ["Bearer token-1", "Bearer token-2"]);
    assert_eq!(stage.attempts("it").await.len(), 1, "both belong to one attempt");
    stage.receiver.behave("/it", |_| Reply::Status(401));
    stage.emit(order("o", 2)).await;
    stage.wait_for_rejected("it", 1).await;
    assert_eq!(sent(&stage).len(), 4, "a fresh token that is not taken either is not replaced again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_nothing_is_rejected_and_the_reason_shows() {
    let stage = Stage::new().await;
    let status = token_server(&stage, 3_600);
    status.store(401, Ordering::SeqCst);
    stage.integration("it", oauth2(&stage)).await;
    stage.emit(order("o", 1)).await;
    stage.wait_for_action("it", "circuit_opened").await;
    let failed = stage.attempts("it").await.remove(0);
    assert_eq!((&failed["failure"]["cause"], &failed["attempt"]), (&json!("token"), &json!(0)));
    let detail = failed["failure"]["detail"].as_str().unwrap();
    assert!(
        detail.contains("no access token") && detail.contains("401") && detail.contains("invalid_client"),
        "{detail}"
    );
    assert_eq!(stage.rejected("it").await.len(), 0);
    assert_eq!(stage.receiver.deliveries("/it").len(), 0);
    status.store(200, Ordering::SeqCst);
    stage.receiver.wait_for("/it", 1, SOON).await;
    stage.wait_until_idle("it").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_secret_and_the_token_are_never_shown() {
    let stage = Stage::new().await;
    token_server(&stage, 3_600);
    stage.integration("it", oauth2(&stage)).await;
    let id = stage.emit(order("o", 1)).await.remove(0);
    stage.receiver.wait_for("/it", 1, SOON).await;
    stage.wait_for_attempts("it", 1).await;
    let edited = stage.edit("it", json!({"target": {"oauth2": {"scope": "other"}}})).await;
    assert_eq!(edited["target"]["oauth2"]["client_secret"], "…QX7Z");
    let attempt = stage.api.get(&format!("/v1/integrations/it/attempts/{id}")).await.expect(200);
    let headers = attempt["request"]["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["authorization", "…"])), "{attempt}");
    for path in ["/v1/integrations/it", "/v1/integrations/it/versions", "/v1/audit"] {
        let text = stage.api.get(path).await.text();
        assert!(!text.contains(SECRET) && !text.contains("token-1"), "{path}: {text}");
    }
    let log = std::fs::read_to_string(stage.hub.folder().join("hub.log")).unwrap();
    assert!(!log.contains(SECRET) && !log.contains("token-1"), "{log}");
    stage.emit(order("o", 2)).await;
    stage.receiver.wait_for("/it", 2, SOON).await;
    let asked = stage.receiver.deliveries("/token");
    assert_eq!(asked[0].header("authorization"), asked[1].header("authorization"), "a mask keeps the secret");
    assert!(asked[1].body.ends_with(b"scope=other"), "a new version asks anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authorization_beside_client_credentials_is_refused() {
    let stage = Stage::new().await;
    let mut both = oauth2(&stage);
    both["target"]["authorization"] = json!("Bearer x");
    let problem = stage.try_integration("it", both).await.expect(422);
    assert_eq!(problem["errors"][0]["path"], "target.oauth2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_authorization_takes_over_at_its_time_and_the_log_says_so_once() {
    let stage = Stage::new().await;
    let from = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let next = json!({"value": "Bearer the-new-one", "from": from.to_string()});
    let authorization = json!({"default": "Bearer the-old-one", "sites": {"9": "Bearer only-9"}, "next": next});
    let made = stage.integration("it", json!({"target": {"authorization": authorization}})).await;
    assert_eq!(made["target"]["authorization"]["next"]["value"]["default"], "…-one");
    stage.emit(order("o", 1)).await;
    assert_eq!(stage.receiver.wait_for("/it", 1, SOON).await[0].header("authorization"), "Bearer the-old-one");
    stage.wait_for_action("it", "authorization_changed").await;
    stage.emit(order("o", 2)).await;
    assert_eq!(stage.receiver.wait_for("/it", 2, SOON).await[1].header("authorization"), "Bearer the-new-one");
    let shown = stage.shown("it").await;
    assert_eq!(shown["target"]["authorization"], json!({"default": "…-one", "sites": {}}));
    assert_eq!(
        (&shown["version"], stage.actions("it").await),
        (&json!(2), vec!["authorization_changed".into(), "created".into()])
    );
}
