//! Replay: what is sent again, how it is marked, and that it stays beside the live flow.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Delivery, Reply, SOON, Stage, command, eventually, order, run, slug};

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

async fn replay(stage: &Stage, wish: Value) -> Value {
    let mut body = json!({"from": LONG_AGO});
    body.as_object_mut().unwrap().extend(wish.as_object().unwrap().clone());
    stage.api.post("/v1/integrations/it/replay", &body).await.expect(202)
}

async fn ended(stage: &Stage, job: &Value) -> Value {
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    eventually("the job has ended", SOON, async || {
        let job = stage.api.get(&path).await.expect(200);
        (job["status"] != "running").then_some(job)
    })
    .await
}

fn again(stage: &Stage) -> Vec<Delivery> {
    let all = stage.receiver.deliveries("/it");
    all.into_iter().filter(|d| d.headers.contains_key("tillstream-replay")).collect()
}

fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|d| d.id().to_owned()).collect()
}

/// An integration that has delivered so many orders of ten entities.
async fn with_past(count: u64) -> (Stage, Vec<String>) {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let events: Vec<Value> = (0..count).map(|n| order(&format!("o-{}", n % 10), n)).collect();
    let ids = stage.emit(json!(events)).await;
    stage.receiver.wait_for("/it", count as usize, SOON).await;
    stage.wait_until_idle("it").await;
    (stage, ids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_past_event_is_sent_once_more_marked_and_in_order_of_its_entity() {
    let (stage, sent) = with_past(60).await;
    let job = replay(&stage, json!({})).await;
    assert_eq!((&job["kind"], &job["integration"]), (&json!("replay"), &json!("it")));
    let done = ended(&stage, &job).await;
    assert_eq!((&done["status"], &done["progress"]["done"]), (&json!("done"), &json!(60)), "{done}");
    assert_eq!(done["progress"]["looked_at"], done["progress"]["of"]);
    let again = again(&stage);
    assert_eq!(ids(&again).into_iter().collect::<BTreeSet<_>>(), sent.iter().cloned().collect());
    assert_eq!(again.len(), 60);
    assert!(again.iter().all(|d| d.header("tillstream-replay") == job["id"]));
    let mut last = BTreeMap::new();
    for (entity, version) in again.iter().map(Delivery::version) {
        assert!(last.insert(entity, version).is_none_or(|before| before < version), "out of order");
    }
    stage.wait_for_action("it", "replay_finished").await;
    let actions = stage.actions("it").await;
    assert_eq!(&actions[..2], ["replay_finished", "replay_started"]);
    assert_eq!(stage.shown("it").await["cursor"]["lag_events"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_counts_and_sends_nothing() {
    let (stage, _) = with_past(25).await;
    for (wish, matched) in [
        (json!({}), 25),
        (json!({"entity_id": "o-3"}), 3),
        (json!({"names": ["order.saved"]}), 25),
        (json!({"names": ["order.opened"]}), 0),
        (json!({"site": "175"}), 25),
        (json!({"site": "176"}), 0),
        (json!({"business_date": "2026-11-20"}), 0),
        (json!({"only": "undelivered"}), 0),
        (json!({"only": "rejected"}), 0),
        (json!({"to": "2020-01-02T00:00:00Z"}), 0),
    ] {
        let mut body = json!({"from": LONG_AGO, "dry_run": true});
        body.as_object_mut().unwrap().extend(wish.as_object().unwrap().clone());
        let count = stage.api.post("/v1/integrations/it/replay", &body).await.expect(200);
        assert_eq!((&count["matched"], &count["complete"]), (&json!(matched), &json!(true)), "{wish} {count}");
    }
    assert_eq!(stage.receiver.deliveries("/it").len(), 25);
    assert_eq!(stage.api.all("/v1/jobs").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_never_delivered_or_only_what_is_rejected() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    stage.receiver.behave("/it", |d| Reply::Status(if d.version().1 % 3 == 0 { 400 } else { 200 }));
    let events: Vec<Value> = (1..=12).map(|n| order(&format!("o-{n}"), n)).collect();
    let sent = stage.emit(json!(events)).await;
    stage.receiver.wait_for("/it", 12, SOON).await;
    stage.wait_for_rejected("it", 4).await;
    // Somebody throws one of them away: it is not rejected any more, but was never delivered.
    let thrown = format!("/v1/integrations/it/rejected/{}", sent[2]);
    assert_eq!(stage.api.delete(&thrown).await.status, 204);
    let refused: Vec<String> = [2, 5, 8, 11].map(|n: usize| sent[n].clone()).to_vec();
    stage.receiver.behave("/it", |d| Reply::Status(if d.version().1 == 6 { 422 } else { 200 }));
    let done = ended(&stage, &replay(&stage, json!({"only": "rejected"})).await).await;
    assert_eq!((&done["progress"]["done"], &done["progress"]["failed"]), (&json!(2), &json!(1)), "{done}");
    assert_eq!(BTreeSet::from_iter(ids(&again(&stage))), BTreeSet::from_iter(refused[1..].to_vec()));
    let left = stage.rejected("it").await;
    assert_eq!((left.len(), &left[0]["id"], &left[0]["last_status"]), (1, &json!(sent[5]), &json!(422)));
    stage.receiver.behave("/it", |_| Reply::Status(200));
    let before = again(&stage).len();
    let done = ended(&stage, &replay(&stage, json!({"only": "undelivered"})).await).await;
    assert_eq!(done["progress"]["done"], 2, "{done}");
    let rest = again(&stage).split_off(before);
    assert_eq!(BTreeSet::from_iter(ids(&rest)), BTreeSet::from([sent[2].clone(), sent[5].clone()]));
    assert_eq!(stage.rejected("it").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_events_pass_a_replay_that_is_stuck() {
    let (stage, _) = with_past(20).await;
    stage.receiver.behave("/it", |d| match d.headers.contains_key("tillstream-replay") {
        true => Reply::After(Duration::from_millis(400), 200),
        false => Reply::Status(200),
    });
    let job = replay(&stage, json!({})).await;
    eventually("it has begun", SOON, async || (!again(&stage).is_empty()).then_some(())).await;
    let live = stage.emit(json!((100..110).map(|n| order(&format!("new-{n}"), n)).collect::<Vec<_>>())).await;
    eventually("all live events are there", SOON, async || {
        let came: BTreeSet<String> = ids(&stage.receiver.deliveries("/it")).into_iter().collect();
        live.iter().all(|id| came.contains(id)).then_some(())
    })
    .await;
    assert!(again(&stage).len() < 20, "the live ones came first");
    let second = stage.api.post("/v1/integrations/it/replay", &json!({"from": LONG_AGO})).await.expect(409);
    assert_eq!(slug(&second), "under-way");
    assert_eq!(ended(&stage, &job).await["progress"]["done"], 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_goes_on_after_a_crash_and_can_be_cancelled() {
    let (mut stage, sent) = with_past(40).await;
    stage.receiver.behave("/it", |_| Reply::After(Duration::from_millis(100), 200));
    let job = replay(&stage, json!({})).await;
    eventually("it has begun", SOON, async || (again(&stage).len() > 5).then_some(())).await;
    stage.crash().await;
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    stage.receiver.behave("/it", |_| Reply::Status(200));
    let done = ended(&stage, &job).await;
    assert_eq!(done["status"], "done");
    assert_eq!(ids(&again(&stage)).into_iter().collect::<BTreeSet<_>>(), sent.iter().cloned().collect());
    stage.receiver.behave("/it", |_| Reply::After(Duration::from_millis(200), 200));
    let before = again(&stage).len();
    let other = replay(&stage, json!({})).await;
    eventually("the second has begun", SOON, async || (again(&stage).len() > before).then_some(())).await;
    let cancel = format!("/v1/jobs/{}/cancel", other["id"].as_str().unwrap());
    let cancelled = stage.api.post(&cancel, &Value::Null).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(stage.api.post(&cancel, &Value::Null).await.expect(200)["status"], "cancelled");
    let stopped_at = again(&stage).len();
    // What follows goes out, and nothing of the replay with it.
    stage.receiver.behave("/it", |_| Reply::Status(200));
    let last = stage.emit(order("o-1", 1_000)).await.remove(0);
    eventually("the live event is there", SOON, async || {
        ids(&stage.receiver.deliveries("/it")).contains(&last).then_some(())
    })
    .await;
    assert!(again(&stage).len() <= stopped_at + 2 && again(&stage).len() < before + 40);
    assert_eq!(stage.api.get(&path).await.expect(200)["status"], "done");
    assert_eq!(stage.api.all("/v1/jobs").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused_with_its_place() {
    let (stage, _) = with_past(1).await;
    for (wish, path) in [
        (json!({"from": "2999-01-01T00:00:00Z"}), "from"),
        (json!({"from": LONG_AGO, "to": "2019-01-01T00:00:00Z"}), "from"),
        (json!({"from": LONG_AGO, "business_date": "yesterday"}), "business_date"),
        (json!({"from": LONG_AGO, "names": vec!["a.b"; 101]}), "names"),
        (json!({"from": LONG_AGO, "only": "some"}), "only"),
        (json!({"only": "all"}), ""),
    ] {
        let problem = stage.api.post("/v1/integrations/it/replay", &wish).await.expect(422);
        let found = problem["errors"][0]["path"].as_str().unwrap_or_default();
        assert_eq!(found, path, "{wish} {problem}");
    }
    stage.switch("it", "stop").await;
    let stopped = stage.api.post("/v1/integrations/it/replay", &json!({"from": LONG_AGO})).await.expect(422);
    assert_eq!(stopped["errors"][0]["path"], "status");
    stage.api.get("/v1/jobs/job_0").await.expect(404);
    stage.api.post("/v1/jobs/job_0/cancel", &Value::Null).await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_is_sent_again_as_a_new_attempt() {
    let (stage, sent) = with_past(2).await;
    let path = |id: &str| format!("/v1/integrations/it/attempts/{id}/send");
    let answer = stage.api.post(&path(&sent[1]), &Value::Null).await.expect(202);
    assert_eq!((&answer["id"], &answer["was_waiting"]), (&json!(sent[1]), &json!(false)));
    let came = stage.receiver.wait_for("/it", 3, SOON).await;
    assert_eq!(came[2].id(), sent[1]);
    stage.wait_for_attempts("it", 3).await;
    stage.integration("other", json!({})).await;
    let never = format!("/v1/integrations/other/attempts/{}/send", sent[1]);
    stage.api.post(&never, &Value::Null).await.expect(404);
    stage.api.post(&path("evt_01JD7ZQ4X8E9W3R5T6Y7P0A1BC"), &Value::Null).await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_counts_replays_and_lists_jobs() {
    let (stage, _) = with_past(7).await;
    let url = stage.hub.url.clone();
    let said = |arguments: &[&str]| {
        let all = [arguments, &["--url", &url, "--data", "data"]].concat();
        let output = run(command(&stage.hub, &all), "");
        assert_eq!(output.code, 0, "{}", output.stderr);
        output.stdout
    };
    assert_eq!(said(&["replay", "it", "--from", LONG_AGO, "--dry-run"]).trim(), "7 of 7 events would be sent");
    let job = said(&["replay", "it", "--from", LONG_AGO, "--only", "all"]);
    assert!(job.contains("done") && job.contains("7 done, 0 failed"), "{job}");
    assert_eq!(again(&stage).len(), 7);
    assert!(said(&["jobs", "list"]).contains("replay"));
    let id = job.split_whitespace().next().unwrap();
    assert!(said(&["jobs", "wait", id]).contains("done"));
}
