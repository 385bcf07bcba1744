//! Rejected events by the many: jobs over them, and the export.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Reply, SOON, Stage, eventually, order};

/// As many rejected events, every second one for another reason.
async fn with_rejected(count: u64) -> Stage {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    stage.receiver.behave("/it", |d| Reply::Status(if d.version().1 % 2 == 0 { 400 } else { 422 }));
    for batch in 0..count.div_ceil(10) {
        let events: Vec<Value> = (0..10).map(|n| order(&format!("o-{batch}-{n}"), n)).collect();
        stage.emit(json!(events)).await;
    }
    eventually("all are rejected", SOON, async || {
        stage.api.post("/v1/integrations/it/brake/release", &Value::Null).await;
        (stage.rejected("it").await.len() as u64 == count).then_some(())
    })
    .await;
    stage
}

async fn job(stage: &Stage, verb: &str, filter: Value) -> Value {
    let path = format!("/v1/integrations/it/rejected/{verb}");
    let job = stage.api.post(&path, &json!({"filter": filter})).await.expect(202);
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    eventually("the job has ended", SOON, async || {
        let job = stage.api.get(&path).await.expect(200);
        (job["status"] != "running").then_some(job)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_match_are_tried_again_and_the_others_stay() {
    let stage = with_rejected(120).await;
    stage.receiver.behave("/it", |_| Reply::Status(200));
    // Some were probes, which come twice.
    let before = stage.receiver.deliveries("/it").len();
    let done = job(&stage, "retry-all", json!({"last_status": 422})).await;
    assert_eq!((&done["status"], &done["progress"]["done"]), (&json!("done"), &json!(60)), "{done}");
    stage.receiver.wait_for("/it", before + 60, SOON).await;
    stage.wait_until_idle("it").await;
    let left = stage.rejected("it").await;
    assert!(left.len() == 60 && left.iter().all(|r| r["last_status"] == 400));
    let done = job(&stage, "retry-all", json!({"entity": "punch"})).await;
    assert_eq!(done["progress"]["done"], 0);
    assert_eq!(stage.receiver.deliveries("/it").len(), before + 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_are_refused_again_are_not_tried_for_ever() {
    let stage = with_rejected(10).await;
    let done = job(&stage, "retry-all", json!({})).await;
    assert_eq!(done["progress"]["done"], 10, "{done}");
    eventually("all are rejected again", SOON, async || {
        stage.api.post("/v1/integrations/it/brake/release", &Value::Null).await;
        (stage.rejected("it").await.len() == 10).then_some(())
    })
    .await;
    assert_eq!(stage.attempts("it").await.iter().filter(|a| a["attempt"] != 0).count(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_match_are_deleted_also_after_a_restart() {
    let mut stage = with_rejected(30).await;
    let path = "/v1/integrations/it/rejected/delete-all";
    let job = stage.api.post(path, &json!({"filter": {"last_status": 400}})).await.expect(202);
    stage.crash().await;
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    eventually("it ended", SOON, async || (stage.api.get(&path).await.expect(200)["status"] == "done").then_some(()))
        .await;
    let left = stage.rejected("it").await;
    assert!(left.len() == 15 && left.iter().all(|r| r["last_status"] == 422), "{}", left.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_export_has_every_matching_event_with_its_payload_one_a_line() {
    let stage = with_rejected(120).await;
    let answer = stage.api.get("/v1/integrations/it/rejected/export?last_status=422").await;
    assert_eq!((answer.status, answer.headers["content-type"].to_str().unwrap()), (200, "application/x-ndjson"));
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() == 60 && text.ends_with('\n'));
    assert!(lines.iter().all(|l| l["last_status"] == 422 && l["event"]["data"]["version"].as_u64().unwrap() % 2 == 1));
    assert_eq!(lines.iter().map(|l| l["id"].as_str().unwrap()).collect::<BTreeSet<_>>().len(), 60);
    let reader = stage.holder(json!({"name": "r", "scopes": ["deliveries:read"]})).await;
    reader.get("/v1/integrations/it/rejected/export").await.expect(403);
    let audit = stage.api.all("/v1/audit").await;
    assert!(audit.iter().any(|e| e["action"] == "rejected.exported"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_ends_with_its_integration() {
    let stage = with_rejected(10).await;
    stage.receiver.behave("/it", |_| Reply::Hang);
    let replay = stage.api.post("/v1/integrations/it/replay", &json!({"from": "2020-01-01T00:00:00Z"})).await;
    let id = replay.expect(202)["id"].as_str().unwrap().to_owned();
    assert_eq!(stage.api.delete("/v1/integrations/it").await.status, 204);
    let job = stage.api.get(&format!("/v1/jobs/{id}")).await.expect(200);
    assert_eq!((&job["status"], &job["failure"]), (&json!("failed"), &json!("its integration was deleted")));
}
