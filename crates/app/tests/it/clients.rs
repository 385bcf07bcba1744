//! Receivers' own libraries accept our signatures: the `standardwebhooks` packages of npm and PyPI.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::signature::secret_in;
use crate::support::{Delivery, SOON, Stage, order, run};

/// Headers that a receiver's library looks at.
const SIGNED_HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn independent_packages_accept_signatures_before_during_and_after_a_rotation() {
    let stage = Stage::new().await;
    let old = secret_in(&stage.integration("it", json!({})).await);
    let before = deliver(&stage, 1).await;
    let new = rotate(&stage, 600).await;
    let during = deliver(&stage, 2).await;
    let newest = rotate(&stage, 0).await;
    let after = deliver(&stage, 3).await;
    let mut changed = after.clone();
    changed.body = String::from_utf8(changed.body.to_vec()).unwrap().replace("\"version\":3", "\"version\":4").into();
    assert_ne!(changed.body, after.body);
    let cases = [
        (&before, &old, true),
        (&before, &new, false),
        (&during, &old, true),
        (&during, &new, true),
        (&after, &newest, true),
        (&after, &old, false),
        (&after, &new, false),
        (&changed, &newest, false),
    ];
    let asked: Value = cases.iter().map(|(delivery, secret, _)| question(delivery, secret)).collect();
    let expected: Value = cases.iter().map(|(.., accepted)| *accepted).collect();
    assert_eq!(ask(node(), &asked), expected, "npm");
    assert_eq!(ask(python(), &asked), expected, "PyPI");
}

async fn deliver(stage: &Stage, version: u64) -> Delivery {
    let mut event = order("o", version);
    event["data"]["text"] = "Crème brûlée 🍮".into();
    stage.emit(event).await;
    let count = usize::try_from(version).unwrap();
    stage.receiver.wait_for("/it", count, SOON).await.remove(count - 1)
}

async fn rotate(stage: &Stage, overlap_seconds: u32) -> String {
    let wish = json!({"overlap_seconds": overlap_seconds});
    secret_in(&stage.api.post("/v1/integrations/it/signing/rotate", &wish).await.expect(200))
}

fn question(delivery: &Delivery, secret: &str) -> Value {
    let headers: Value =
        SIGNED_HEADERS.iter().map(|name| ((*name).to_owned(), Value::from(delivery.header(name)))).collect();
    json!({"secret": secret, "headers": headers, "body": std::str::from_utf8(&delivery.body).unwrap()})
}

fn ask(command: Command, deliveries: &Value) -> Value {
    let output = run(command, &deliveries.to_string());
    assert_eq!(output.code, 0, "{}", output.stderr);
    serde_json::from_str(&output.stdout).expect("a list of answers")
}

fn node() -> Command {
    prepared("node_modules/standardwebhooks");
    let mut command = Command::new("node");
    command.arg(folder().join("verify.mjs"));
    command
}

fn python() -> Command {
    prepared(".venv/bin/python");
    let mut command = Command::new(folder().join(".venv/bin/python"));
    command.arg(folder().join("verify.py"));
    command
}

fn prepared(path: &str) {
    let path = folder().join(path);
    assert!(path.exists(), "{} is missing: run `make clients` first", path.display());
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients")
}
