//! What answers mean by an integration's own word.

use serde_json::{Value, json};

use crate::support::{Reply, SOON, Stage, eventually, order};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_integration_says_what_an_answer_means() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |d| {
        let first = d.header("tillstream-attempt") == "1";
        Reply::Status(match d.version().0.as_str() {
            "known" => 409,
            "refused" => 503,
            "late" if first => 422,
            _ => 200,
        })
    });
    let verdicts = json!({"409": "delivered", "503": "reject", "422": "retry"});
    let delivery = json!({"verdicts": verdicts, "retry": {"schedule_seconds": [0, 0, 0]}});
    let made = stage.integration("it", json!({"delivery": delivery})).await;
    assert_eq!(made["delivery"]["verdicts"], verdicts);
    stage.emit(json!([order("known", 1), order("refused", 1), order("late", 1)])).await;
    let rejected = stage.wait_for_rejected("it", 1).await;
    assert_eq!((&rejected[0]["entity_id"], &rejected[0]["last_status"]), (&json!("refused"), &json!(503)));
    assert_eq!(stage.receiver.wait_for("/it", 4, SOON).await.len(), 4);
    let counted = |stats: &Value| stats["totals"]["delivered"] == 2 && stats["totals"]["rejected"] == 1;
    eventually("two are delivered and one is rejected", SOON, async || {
        Some(stage.api.get("/v1/integrations/it/stats").await.expect(200)).filter(counted)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_may_mean_that_the_integration_stops() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Status(402));
    stage.integration("it", json!({"delivery": {"verdicts": {"402": "stop"}}})).await;
    stage.emit(order("o", 1)).await;
    let stopped = stage.wait_for_status("it", "stopped").await;
    let reason = stopped["status_reason"].as_str().unwrap();
    assert!(reason.contains("402") && reason.contains("delivery.verdicts"), "{reason}");
    assert_eq!(stage.rejected("it").await.len(), 0, "the event stays pending");
    stage.receiver.behave("/it", |_| Reply::Status(200));
    stage.switch("it", "start").await;
    stage.receiver.wait_for("/it", 2, SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_that_make_no_sense_are_refused_with_their_place() {
    let stage = Stage::new().await;
    let many: serde_json::Map<_, _> = (400..451).map(|s| (s.to_string(), json!("retry"))).collect();
    for (place, verdicts) in [
        ("delivery.verdicts.600", json!({"600": "retry"})),
        ("delivery.verdicts.99", json!({"99": "retry"})),
        ("delivery.verdicts", json!({"teapot": "retry"})),
        ("delivery.verdicts.418", json!({"418": "drink"})),
        ("delivery.verdicts", json!(many)),
    ] {
        let answer = stage.try_integration("it", json!({"delivery": {"verdicts": verdicts}})).await;
        let problem = answer.expect(422);
        assert!(problem["errors"][0]["path"].as_str().unwrap().starts_with(place), "{problem}");
    }
}
