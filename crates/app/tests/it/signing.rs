//! Signatures, checked with code of our own.

use serde_json::{Value, json};

use crate::support::signature::{matching, secret_in, signatures};
use crate::support::{Delivery, SOON, Stage, order};

const ROTATE: &str = "/v1/integrations/it/signing/rotate";

/// The next delivery after one more event.
async fn next(stage: &Stage, version: u64) -> Delivery {
    let before = stage.receiver.deliveries("/it").len();
    stage.emit(order("o", version)).await;
    stage.receiver.wait_for("/it", before + 1, SOON).await.remove(before)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_signed_with_the_integrations_secret() {
    let stage = Stage::new().await;
    let secret = secret_in(&stage.integration("it", json!({})).await);
    let delivery = next(&stage, 1).await;
    assert_eq!((matching(&delivery, &secret), signatures(&delivery).len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_a_rotation_both_secrets_sign_and_afterwards_the_new_one() {
    let mut stage = Stage::new().await;
    let old = secret_in(&stage.integration("it", json!({})).await);
    let new = secret_in(&stage.api.post(ROTATE, &json!({"overlap_seconds": 600})).await.expect(200));
    assert_ne!(old, new);
    let during = next(&stage, 1).await;
    assert_eq!((matching(&during, &old), matching(&during, &new), signatures(&during).len()), (1, 1, 2));
    stage.crash().await;
    let after_crash = next(&stage, 2).await;
    assert_eq!((matching(&after_crash, &old), matching(&after_crash, &new)), (1, 1));
    let newest = secret_in(&stage.api.post(ROTATE, &json!({"overlap_seconds": 0})).await.expect(200));
    let after = next(&stage, 3).await;
    assert_eq!((matching(&after, &newest), signatures(&after).len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_is_signed_again_under_the_same_id() {
    let stage = Stage::new().await;
    let secret =
        secret_in(&stage.integration("it", json!({"delivery": {"retry": {"schedule_seconds": [0, 1]}}})).await);
    stage.receiver.behave("/it", |d| {
        crate::support::Reply::Status(if d.header("tillstream-attempt") == "1" { 500 } else { 200 })
    });
    stage.emit(order("o", 1)).await;
    let both = stage.receiver.wait_for("/it", 2, SOON).await;
    assert_eq!(both[0].id(), both[1].id());
    assert!(both.iter().all(|d| matching(d, &secret) == 1));
    assert_eq!(both[1].header("tillstream-attempt"), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_is_shown_when_made_and_when_revealed_and_masked_otherwise() {
    let stage = Stage::new().await;
    let secret = secret_in(&stage.integration("it", json!({})).await);
    let shown = stage.shown("it").await["signing"].to_string();
    assert!(!shown.contains("whsec_") && shown.contains('…'), "{shown}");
    let revealed = stage.api.post("/v1/integrations/it/signing/reveal", &Value::Null).await.expect(200);
    assert_eq!(secret_in(&revealed), secret);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_of_ones_own_is_taken_and_a_weak_one_refused() {
    use base64::Engine;
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let own = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode([7u8; 32]));
    stage.api.post(ROTATE, &json!({"secret": own, "overlap_seconds": 0})).await.expect(200);
    assert_eq!(matching(&next(&stage, 1).await, &own), 1);
    for wrong in ["whsec_", "whsec_AAAA", "nothing", "whsec_!!!!"] {
        let answer = stage.api.post(ROTATE, &json!({"secret": wrong})).await;
        assert_eq!(answer.status, 422, "{wrong}: {}", answer.text());
    }
}
