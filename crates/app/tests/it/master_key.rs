//! The master key is replaced, and everything that it sealed still opens.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::hub::{MASTER_KEY, tillstream};
use crate::support::{Output, SOON, Stage, command, database, order, run};

const NEW: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

/// Runs a command on a folder whose key is in its file.
fn on_file(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = tillstream(folder);
    command.env_remove("TILLSTREAM_MASTER_KEY").env_remove("TILLSTREAM_DATABASE").args(arguments);
    run(command, "")
}

fn rotate(stage: &Stage, keys: &str) -> Output {
    let mut command = command(&stage.hub, &["master-key", "rotate", "--data", "data", "--json"]);
    command.env("TILLSTREAM_MASTER_KEY", keys);
    run(command, "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_opens_with_the_new_key_only_and_delivers_as_before() {
    let mut stage = Stage::new().await;
    stage.integration("erp", json!({"target": {"authorization": "Bearer s3cr3t-bearer"}})).await;
    stage.hub.stop();
    let refused = rotate(&stage, MASTER_KEY);
    assert!(refused.code == 2 && refused.stderr.contains("NEW,OLD"), "{refused:?}");
    let there = rotate(&stage, &format!("{NEW},{MASTER_KEY}"));
    assert_eq!(there.code, 0, "{}", there.stderr);
    let told: Value = serde_json::from_str(&there.stdout).expect("JSON");
    assert!(told["resealed"].as_u64() >= Some(2) && told["left"] == json!([]), "{told}");
    assert!(!stage.hub.restart().await, "the old key opens nothing any more");
    let back = rotate(&stage, &format!("{MASTER_KEY},{NEW}"));
    assert_eq!(back.code, 0, "{}", back.stderr);
    stage.restart().await;
    stage.emit(order("a", 1)).await;
    let delivered = stage.receiver.wait_for("/erp", 1, SOON).await;
    assert_eq!(delivered[0].header("authorization"), "Bearer s3cr3t-bearer");
}

#[test]
fn a_key_file_is_replaced_and_the_old_key_is_kept_beside_it() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let made = on_file(folder.path(), &["keys", "create", "--data", "data", "--name", "x", "--scope", "all"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let old = std::fs::read_to_string(path("data.master-key")).unwrap();
    let rotated = on_file(folder.path(), &["master-key", "rotate", "--data", "data"]);
    assert_eq!(rotated.code, 0, "{}", rotated.stderr);
    let new = std::fs::read_to_string(path("data.master-key")).unwrap();
    assert_ne!(old, new);
    assert_eq!(std::fs::metadata(path("data.master-key")).unwrap().permissions().mode() & 0o777, 0o600);
    let names = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path());
    let kept: Vec<_> = names.filter(|p| std::fs::read_to_string(p).is_ok_and(|text| text == old)).collect();
    assert_eq!(kept.len(), 1, "for backups from before");
    assert_eq!(on_file(folder.path(), &["keys", "list", "--data", "data"]).code, 0);

    // As after a crash between sealing and replacing: with both keys there, whatever is stored opens, and the same
    // command goes on.
    std::fs::rename(path("data.master-key"), path("data.master-key.new")).unwrap();
    std::fs::rename(&kept[0], path("data.master-key")).unwrap();
    assert_eq!(on_file(folder.path(), &["keys", "list", "--data", "data"]).code, 0);
    let again = on_file(folder.path(), &["master-key", "rotate", "--data", "data"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(std::fs::read_to_string(path("data.master-key")).unwrap(), new);
    assert!(!path("data.master-key.new").exists());
}

#[test]
fn a_key_is_made_for_people_and_for_files() {
    let folder = tempdir().unwrap();
    let printed = on_file(folder.path(), &["master-key", "create"]).stdout;
    let key = printed.trim();
    assert!(key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
    let made = on_file(folder.path(), &["master-key", "create", "--to", "k"]);
    assert!(made.code == 0 && !made.stdout.contains(std::fs::read_to_string(folder.path().join("k")).unwrap().trim()));
    let again = on_file(folder.path(), &["master-key", "create", "--to", "k"]);
    assert!(again.code == 1 && again.stderr.contains("key file k"), "{}", again.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_hub_keeps_its_folder_from_being_rotated() {
    let stage = Stage::new().await;
    if database::is_used() {
        return;
    }
    let refused = rotate(&stage, &format!("{NEW},{MASTER_KEY}"));
    assert!(refused.code == 1 && refused.stderr.contains("stop the hub first"), "{refused:?}");
}
