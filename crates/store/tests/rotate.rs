//! Sealing everything anew under another master key.

use std::path::Path;
use std::sync::Arc;

use tillstream_model::CompanyNo;
use tillstream_store::state::{Expected, LogEntry};
use tillstream_store::suite::{START, settings};
use tillstream_store::{MasterKey, Retention, Stores, sqlite};

const A: CompanyNo = CompanyNo(1);

fn old() -> MasterKey {
    MasterKey::new([1; 32])
}

fn new() -> MasterKey {
    MasterKey::new([2; 32])
}

fn open(folder: &Path, key: MasterKey) -> Result<Stores, String> {
    let options = sqlite::Options { min_free_bytes: 0, ..sqlite::Options::new(Arc::new(|| START), key) };
    sqlite::open(folder, options).map_err(|e| e.to_string())
}

fn rotate(folder: &Path, key: MasterKey) -> Result<(u64, Vec<String>), String> {
    sqlite::rotate_key(folder, &key).map(|r| (r.resealed, r.left)).map_err(|e| e.to_string())
}

fn entry() -> LogEntry {
    LogEntry { action: "created".into(), reason: String::new(), actor: "key k".into(), at: START }
}

async fn fill(stores: &Stores) {
    stores.state.create_company("a", "A", Retention::Month, vec![]).await.unwrap();
    stores.state.create_integration(A, settings("erp", "s3cret"), 0, entry()).await.unwrap();
    stores.state.save_settings(A, settings("erp", "an0ther"), Some(1), 0, entry()).await.unwrap();
    stores.state.put_document(Some(A), "site", "175", "{\"name\":\"no secret\"}".into(), Expected::New).await.unwrap();
}

async fn versions(stores: &Stores) -> String {
    let no = stores.state.integration(A, "erp").await.unwrap().unwrap().no;
    format!("{:?}", stores.state.versions(no, None, 10).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_rotation_only_the_new_key_opens_everything() {
    let folder = tempfile::tempdir().unwrap();
    let before = {
        let stores = open(folder.path(), old()).unwrap();
        fill(&stores).await;
        assert!(rotate(folder.path(), new().after(&old())).unwrap_err().contains("stop the hub first"));
        versions(&stores).await
    };
    assert!(rotate(folder.path(), new()).unwrap_err().contains("was made with master key"), "the old key is needed");
    let (resealed, left) = rotate(folder.path(), new().after(&old())).unwrap();
    assert!(resealed >= 8 && left.is_empty(), "{resealed} {left:?}");
    assert!(open(folder.path(), old()).map(drop).unwrap_err().contains("was made with master key"));
    assert_eq!(versions(&open(folder.path(), new()).unwrap()).await, before);
    assert_eq!(rotate(folder.path(), new().after(&old())).unwrap(), (0, vec![]), "done again it changes nothing");
    let state = std::fs::read(folder.path().join("state.db")).unwrap();
    let sealed_with = |key: &MasterKey| {
        let mark = format!("sealed:v1:{}:", key.id());
        state.windows(mark.len()).any(|w| w == mark.as_bytes())
    };
    assert!(sealed_with(&new()) && !sealed_with(&old()), "nothing of the old key is left in the file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_both_keys_a_hub_opens_before_and_after_a_rotation_and_seals_with_the_one_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    {
        let stores = open(folder.path(), old()).unwrap();
        fill(&stores).await;
    }
    let both = || new().after(&old());
    {
        let stores = open(folder.path(), both()).unwrap();
        stores.state.save_settings(A, settings("erp", "a third"), None, 0, entry()).await.unwrap();
    }
    let before = versions(&open(folder.path(), old()).unwrap()).await;
    rotate(folder.path(), both()).unwrap();
    assert_eq!(versions(&open(folder.path(), both()).unwrap()).await, before);
}

/// A text that somebody wrote keeps nobody from rotating, and is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_only_looks_sealed_is_told_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let body = format!("{{\"name\":\"sealed:v1:{}:AAAA\"}}", old().id());
    {
        let stores = open(folder.path(), old()).unwrap();
        fill(&stores).await;
        stores.state.put_document(Some(A), "site", "x", body.clone(), Expected::New).await.unwrap();
    }
    let (_, left) = rotate(folder.path(), new().after(&old())).unwrap();
    assert_eq!(left, ["documents.body"]);
    let stores = open(folder.path(), new()).unwrap();
    assert_eq!(stores.state.document(Some(A), "site", "x").await.unwrap().unwrap().body, body);
}
