//! Nothing that is secret can be found where it does not belong.

mod backup;
mod everywhere;
mod given;
mod needles;

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::signature::secret_in;
use crate::support::{Hub, Reply, SOON, Stage, database, order, values};

/// Places in what a hub stores that have this text in them.
pub async fn places_with(hub: &Hub, needle: &str) -> Vec<String> {
    if database::is_used() {
        let values = values::values(hub.folder()).await;
        return values.into_iter().filter(|(_, value)| value.contains(needle)).map(|(place, _)| place).collect();
    }
    let files = files_with(&hub.folder().join("data"), needle.as_bytes());
    files.into_iter().map(|file| file.display().to_string()).collect()
}

/// Files in a folder and below that have these bytes in them.
fn files_with(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if std::fs::read(&path).is_ok_and(|bytes| contains(&bytes, needle)) {
            found.push(path);
        }
    }
    found
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|w| w == needle)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_search_for_secrets_finds_what_is_there() {
    let stage = Stage::new().await;
    stage.emit(order("a-needle-that-is-no-secret", 1)).await;
    assert!(!places_with(&stage.hub, "a-needle-that-is-no-secret").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_in_no_file_no_log_no_answer_and_no_metric() {
    let mut stage = Stage::new().await;
    let (bearer, value) = ("Bearer s3cr3t-bearer-abcdefgh", "s3cr3t-header-value-ijklmnop");
    let target = json!({"target": {"authorization": bearer, "headers": {"x-tenant-token": value}}});
    stage.receiver.behave("/erp", |_| Reply::Status(400));
    let created = stage.integration("erp", target).await;
    let signing = secret_in(&created);
    let api_key = stage.api.post("/v1/keys", &json!({"name": "k", "scopes": ["events:write"]})).await.expect(201);
    let api_key = key_in(&api_key.to_string());
    let event = stage.emit(order("o", 1)).await.remove(0);
    let delivered = stage.receiver.wait_for("/erp", 1, SOON).await.remove(0);
    assert_eq!((delivered.header("authorization"), delivered.header("x-tenant-token")), (bearer, value));
    stage.wait_for_rejected("erp", 1).await;

    let secrets = [bearer, value, &signing, signing.trim_start_matches("whsec_"), &api_key, &stage.hub.key()];
    for path in readable_paths(&event) {
        let answer = stage.api.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        for secret in secrets {
            assert!(!answer.text().contains(secret), "{secret} in {path}: {}", answer.text());
        }
    }
    stage.hub.stop();
    let folder = stage.hub.folder().to_owned();
    for secret in secrets {
        let found = places_with(&stage.hub, secret).await;
        assert!(found.is_empty(), "{secret} in {found:?}");
        assert!(!contains(&std::fs::read(folder.join("hub.log")).unwrap(), secret.as_bytes()), "{secret} in the log");
    }
}

fn key_in(text: &str) -> String {
    let start = text.find("tsk_").expect("a key shown once");
    text[start..].split('"').next().expect("a text before the quote").to_owned()
}

fn readable_paths(event: &str) -> Vec<String> {
    let of_integration = ["", "/attempts", "/rejected", "/logs", "/stats"];
    let mut paths: Vec<String> = of_integration.iter().map(|p| format!("/v1/integrations/erp{p}")).collect();
    paths.push(format!("/v1/integrations/erp/rejected/{event}"));
    paths.push(format!("/v1/events/{event}/explain"));
    paths.extend(["/v1/integrations", "/v1/keys", "/v1/attempts", "/v1/events", "/metrics"].map(str::to_owned));
    paths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_masked_value_in_a_write_means_unchanged() {
    let stage = Stage::new().await;
    let target = json!({"target": {"authorization": "Bearer first-0001", "headers": {"x-token": "second-0002"}}});
    stage.integration("erp", target).await;
    let shown = stage.shown("erp").await;
    let text = shown["target"].to_string();
    assert!(text.contains("…0001") && !text.contains("first") && !text.contains("second"), "{text}");
    stage.edit("erp", json!({"target": shown["target"], "name": "another name"})).await;
    stage.emit(order("o", 1)).await;
    let delivery = stage.receiver.wait_for("/erp", 1, SOON).await.remove(0);
    assert_eq!(delivery.header("authorization"), "Bearer first-0001");
    assert_eq!(delivery.header("x-token"), "second-0002");
}
