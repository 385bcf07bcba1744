//! A hub that is backed up while it works, and goes on elsewhere from the backup.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::support::{Api, Output, Reply, SOON, Stage, command, database, eventually, order, run, slug};

/// Events of a request of the producer.
const BATCH: u64 = 5;
/// Entities that its events are about.
const ENTITIES: u64 = 7;

/// Runs a command without standing in the way of what else the test does.
async fn execute(stage: &Stage, arguments: &[&str]) -> Output {
    let command = command(&stage.hub, arguments);
    tokio::task::spawn_blocking(move || run(command, "")).await.expect("its end")
}

fn numbered(n: u64) -> Value {
    let mut order = order(&format!("e-{}", n % ENTITIES), n);
    order["id"] = json!(format!("o-{n}"));
    order
}

/// Sends events until it is told to stop; `accepted` is the number of the last one that was answered.
async fn produce(api: Api, stop: Arc<AtomicBool>, accepted: Arc<AtomicU64>) {
    while !stop.load(Ordering::Acquire) {
        let from = accepted.load(Ordering::Acquire) + 1;
        let batch: Vec<Value> = (from..from + BATCH).map(numbered).collect();
        api.post("/v1/events", &json!(batch)).await.expect(202);
        accepted.store(from + BATCH - 1, Ordering::Release);
    }
}

/// The versions of all events after a position, with the last one's seq.
async fn versions_after(api: &Api, after: &str) -> (Vec<u64>, u64) {
    let (mut versions, mut last, mut after) = (Vec::new(), 0, after.to_owned());
    loop {
        let page = api.get(&format!("/v1/events?limit=500&after={after}")).await.expect(200);
        for item in page["items"].as_array().expect("a list") {
            versions.push(item["data"]["version"].as_u64().expect("a version"));
            last = item["seq"].as_u64().expect("a seq");
        }
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return (versions, last),
        }
    }
}

fn epoch_of(position: &str) -> u64 {
    position.split_once('-').expect("<epoch>-<seq>").0.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_under_load_goes_on_elsewhere_with_everything_accepted_before_it() {
    if database::is_used() {
        return refuses_a_database().await;
    }
    let mut stage = Stage::new().await;
    stage.receiver.behave("/down", |_| Reply::Status(503));
    for id in ["well", "down"] {
        stage.integration(id, json!({})).await;
    }
    let (stop, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let producing = produce(stage.api.clone(), stop.clone(), accepted.clone());
    let backing_up = async {
        eventually("some events", SOON, async || (accepted.load(Ordering::Acquire) >= 200).then_some(())).await;
        let before = accepted.load(Ordering::Acquire);
        let output = execute(&stage, &["backup", "--data", "data", "--to", "hub.tar.zst", "--json"]).await;
        assert_eq!(output.code, 0, "{}", output.stderr);
        let later = accepted.load(Ordering::Acquire);
        let more = later + 10 * BATCH;
        eventually("more events", SOON, async || (accepted.load(Ordering::Acquire) >= more).then_some(())).await;
        stop.store(true, Ordering::Release);
        (before, serde_json::from_str::<Value>(&output.stdout).expect("JSON"))
    };
    let ((), (before, backed)) = tokio::join!(producing, backing_up);
    let after = accepted.load(Ordering::Acquire);
    assert!(after > before && backed["events"].as_u64().expect("a count") >= before, "{before} {after} {backed}");
    let old = stage
        .receiver
        .wait_for("/well", after as usize, SOON)
        .await
        .last()
        .expect("one")
        .header("tillstream-seq")
        .to_owned();

    stage.hub.kill();
    std::fs::rename(stage.hub.folder().join("data"), stage.hub.folder().join("lost")).expect("moved away");
    let output = execute(&stage, &["restore", "--from", "hub.tar.zst", "--data", "data", "--json"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    let restored: Value = serde_json::from_str(&output.stdout).expect("JSON");
    let epoch = restored["epoch"].as_u64().expect("a number");
    assert!(epoch_of(&old) == 1 && epoch > 1, "{old} {restored}");
    stage.receiver.behave("/down", |_| Reply::Status(200));
    let refused = stage.receiver.deliveries("/down").len();
    stage.restart().await;

    let (kept, head) = versions_after(&stage.api, "0").await;
    assert!(head >= before, "{head} {before}");
    assert_eq!(kept, (1..=head).collect::<Vec<_>>(), "everything accepted before is there, without a hole");
    let delivered = async || {
        let mut seen: Vec<u64> = stage.receiver.deliveries("/down")[refused..].iter().map(|d| d.version().1).collect();
        seen.sort_unstable();
        seen.dedup();
        (seen == kept).then_some(())
    };
    eventually("what waited is delivered", SOON, delivered).await;

    // The next event stands where another one stood in the first life, and says so.
    stage.emit(json!([numbered(after + 1)])).await;
    let arrived = async || stage.receiver.deliveries("/well").into_iter().find(|d| d.version().1 == after + 1);
    let new = eventually("the new one", SOON, arrived).await.header("tillstream-seq").to_owned();
    assert_eq!(new, format!("{epoch}-{}", head + 1));
    assert_eq!(versions_after(&stage.api, &old).await.0, [after + 1], "an old position goes on where the backup ended");
    assert_eq!(versions_after(&stage.api, &format!("1-{}", head - 1)).await.0, [head, after + 1]);
    let unknown = stage.api.get(&format!("/v1/events?after={}-1", epoch - 1)).await.expect(400);
    assert_eq!(slug(&unknown), "invalid-query");
}

async fn refuses_a_database() {
    let stage = Stage::new().await;
    let output = execute(&stage, &["backup", "--to", "hub.tar.zst"]).await;
    assert_eq!(output.code, 2, "{}", output.stderr);
    assert!(output.stderr.contains("pg_dump") && output.stderr.contains("--mark-restored"), "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_restored_begins_a_new_epoch() {
    let mut stage = Stage::new().await;
    if !database::is_used() {
        let output = execute(&stage, &["restore", "--mark-restored"]).await;
        assert!(output.code == 2 && output.stderr.contains("--database"), "{}", output.stderr);
        return;
    }
    stage.integration("well", json!({})).await;
    stage.emit(json!([numbered(1), numbered(2)])).await;
    stage.receiver.wait_for("/well", 2, SOON).await;
    let output = execute(&stage, &["restore", "--mark-restored"]).await;
    assert!(output.code == 1 && output.stderr.contains("a node runs on it"), "{}", output.stderr);
    stage.hub.stop();
    let output = execute(&stage, &["restore", "--mark-restored", "--json"]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    let epoch = serde_json::from_str::<Value>(&output.stdout).expect("JSON")["epoch"].as_u64().expect("a number");
    stage.restart().await;
    stage.emit(json!([numbered(3)])).await;
    let delivered = stage.receiver.wait_for("/well", 3, SOON).await;
    assert_eq!(delivered[2].header("tillstream-seq"), format!("{epoch}-3"));
    assert_eq!(versions_after(&stage.api, "1-9").await.0, [3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_backed_up_or_restored_is_said_in_one_line() {
    let stage = Stage::new().await;
    if database::is_used() {
        return;
    }
    let said = async |arguments: &[&str], code: i32, words: &str| {
        let output = execute(&stage, arguments).await;
        assert_eq!(output.code, code, "{arguments:?}: {}", output.stderr);
        assert!(output.stderr.contains(words) && output.stderr.trim_end().lines().count() == 1, "{}", output.stderr);
    };
    let made = execute(&stage, &["backup", "--to", "a.tar.zst"]).await;
    assert!(made.code == 0 && made.stdout.contains("everything accepted before"), "{made:?}");
    said(&["backup", "--to", "a.tar.zst"], 1, "exists already").await;
    said(&["backup", "--data", "nowhere", "--to", "b.tar.zst"], 1, "there is no hub's data in it").await;
    said(&["restore", "--from", "a.tar.zst", "--data", "data"], 1, "something in it already").await;
    said(&["restore", "--from", "stdout-0.txt", "--data", "new"], 1, "no backup of Tillstream").await;
    assert!(!stage.hub.folder().join("new").exists());
}
