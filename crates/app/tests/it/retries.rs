//! Answers and what they lead to: tried again when, given up when.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Delivery, Reply, SOON, Stage, eventually, order};

fn schedule(seconds: &[u32]) -> Value {
    json!({"delivery": {"retry": {"schedule_seconds": seconds}}})
}

fn attempt(delivery: &Delivery) -> u32 {
    delivery.header("tillstream-attempt").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_of_ones_own_is_kept() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |d| Reply::Status(if attempt(d) < 4 { 500 } else { 204 }));
    stage.integration("it", schedule(&[0, 0, 1, 1])).await;
    stage.emit(order("o", 1)).await;
    let deliveries = stage.receiver.wait_for("/it", 4, SOON).await;
    assert_eq!(deliveries.iter().map(attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let gaps: Vec<Duration> = deliveries.windows(2).map(|w| w[1].at - w[0].at).collect();
    assert!(gaps[1].as_millis() >= 950 && gaps[2].as_millis() >= 950, "{gaps:?}");
    assert!(gaps.iter().all(|g| g.as_secs() < 5), "{gaps:?}");
    assert!(deliveries.windows(2).all(|w| w[0].id() == w[1].id()), "an event keeps its id");
    stage.wait_until_idle("it").await;
    assert_eq!(stage.rejected("it").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_last_attempt_an_event_is_rejected() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Status(500));
    stage.integration("it", schedule(&[0, 0, 0])).await;
    let id = stage.emit(order("o", 1)).await.remove(0);
    let rejected = stage.wait_for_rejected("it", 1).await;
    assert_eq!(
        (&rejected[0]["id"], &rejected[0]["last_status"], &rejected[0]["attempts"]),
        (&json!(id), &json!(500), &json!(3))
    );
    assert_eq!(stage.receiver.deliveries("/it").len(), 3);
    assert_eq!(stage.shown("it").await["status"], "running");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_integration_that_should_stop_when_attempts_are_used_up_stops() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Status(503));
    let delivery = json!({"retry": {"schedule_seconds": [0, 0]}, "on_exhausted": "stop"});
    stage.integration("it", json!({"delivery": delivery})).await;
    stage.emit(order("o", 1)).await;
    let stopped = stage.wait_for_status("it", "stopped").await;
    let reason = stopped["status_reason"].as_str().expect("a reason");
    for part in [stage.receiver.url("/it").as_str(), "503", "2"] {
        assert!(reason.contains(part), "{part} is missing in: {reason}");
    }
    assert!(stage.actions("it").await.contains(&"stopped".to_owned()));
    assert_eq!(stage.rejected("it").await.len(), 0, "nothing is lost");
    stage.receiver.behave("/it", |_| Reply::Status(200));
    stage.emit(order("p", 1)).await;
    stage.switch("it", "start").await;
    let deliveries = stage.receiver.wait_for("/it", 4, SOON).await;
    assert_eq!(deliveries[2..].iter().map(|d| d.version().0).collect::<std::collections::BTreeSet<_>>().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn these_answers_are_tried_again() {
    let stage = Stage::new().await;
    stage.integration("it", schedule(&[0, 0, 0])).await;
    for status in [401, 403, 404, 408, 409, 425, 429, 500, 502, 503, 504, 301, 302, 307, 308] {
        let before = stage.receiver.deliveries("/it").len();
        stage.receiver.behave("/it", move |d| Reply::Status(if attempt(d) == 1 { status } else { 200 }));
        stage.emit(order(&format!("o-{status}"), 1)).await;
        let deliveries = stage.receiver.wait_for("/it", before + 2, SOON).await;
        assert_eq!(deliveries[before..].iter().map(attempt).collect::<Vec<_>>(), [1, 2], "{status}");
    }
    assert_eq!(stage.rejected("it").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn these_answers_reject_at_once() {
    let stage = Stage::new().await;
    stage.integration("it", schedule(&[0, 0, 0])).await;
    let refusals = [400, 402, 405, 406, 411, 413, 415, 418, 422, 451];
    for (n, status) in refusals.into_iter().enumerate() {
        stage.receiver.behave("/it", move |_| Reply::Status(status));
        stage.emit(order(&format!("o-{status}"), 1)).await;
        let rejected = stage.wait_for_rejected("it", n + 1).await;
        assert_eq!(rejected[0]["last_status"], status);
        assert_eq!(rejected[0]["reason"], "rejected");
    }
    stage.receiver.behave("/it", |_| Reply::Status(200));
    stage.emit(order("fence", 1)).await;
    assert_eq!(stage.receiver.wait_for("/it", refusals.len() + 1, SOON).await.len(), refusals.len() + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_2xx_is_delivered() {
    let stage = Stage::new().await;
    stage.integration("it", schedule(&[0, 0])).await;
    for (n, status) in [200, 201, 202, 204, 206, 299].into_iter().enumerate() {
        stage.receiver.behave("/it", move |_| Reply::Status(status));
        stage.emit(order("o", 1 + n as u64)).await;
        stage.wait_until_idle("it").await;
        assert_eq!(stage.receiver.deliveries("/it").len(), n + 1, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_not_followed() {
    let stage = Stage::new().await;
    let elsewhere = stage.receiver.url("/elsewhere");
    stage.receiver.behave("/it", move |d| {
        if attempt(d) == 1 { Reply::Header(307, "location", elsewhere.clone()) } else { Reply::Status(200) }
    });
    stage.integration("it", schedule(&[0, 0])).await;
    stage.emit(order("o", 1)).await;
    stage.receiver.wait_for("/it", 2, SOON).await;
    stage.wait_until_idle("it").await;
    assert!(stage.receiver.deliveries("/elsewhere").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_pauses_the_whole_lane() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |d| {
        let first = d.version().0 == "first" && attempt(d) == 1;
        if first { Reply::Header(429, "retry-after", "2".into()) } else { Reply::Status(200) }
    });
    stage.integration("it", schedule(&[0, 0, 0])).await;
    stage.emit(order("first", 1)).await;
    let asked = stage.receiver.wait_for("/it", 1, SOON).await[0].at;
    let paused = |s: &Value| !s["lane"]["paused_until"].is_null();
    eventually("the lane is paused", SOON, async || {
        Some(stage.api.get("/v1/integrations/it/stats").await.expect(200)).filter(paused)
    })
    .await;
    stage.emit(json!([order("second", 1), order("third", 1)])).await;
    let deliveries = stage.receiver.wait_for("/it", 4, SOON).await;
    for later in &deliveries[1..] {
        let waited = later.at - asked;
        assert!(waited >= Duration::from_millis(1900), "{:?} came {waited:?} after the answer", later.version());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_is_asked_once_more_after_ten_seconds_and_then_stops() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Status(410));
    stage.integration("it", json!({})).await;
    stage.emit(order("o", 1)).await;
    let stopped = stage.wait_for_status("it", "stopped").await;
    let deliveries = stage.receiver.deliveries("/it");
    assert_eq!(deliveries.len(), 2);
    assert!(deliveries[1].at - deliveries[0].at >= Duration::from_millis(9_900));
    assert!(stopped["status_reason"].as_str().unwrap().contains("410"), "{}", stopped["status_reason"]);
    assert_eq!(stage.rejected("it").await.len(), 0);
    stage.receiver.behave("/it", |_| Reply::Status(200));
    stage.switch("it", "start").await;
    stage.receiver.wait_for("/it", 3, SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_answer_that_is_not_gone_goes_on() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |d| Reply::Status(if attempt(d) == 1 { 410 } else { 200 }));
    stage.integration("it", json!({})).await;
    stage.emit(order("o", 1)).await;
    stage.receiver.wait_for("/it", 2, SOON).await;
    assert_eq!(stage.wait_until_idle("it").await["status"], "running");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_may_switch_itself_off() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Header(200, "webhook-delivery", "disable".into()));
    stage.integration("it", json!({})).await;
    stage.emit(order("o", 1)).await;
    let stopped = stage.wait_for_status("it", "stopped").await;
    assert!(stopped["status_reason"].as_str().unwrap().contains("webhook-delivery: disable"), "{stopped}");
    let log = stage.api.all("/v1/integrations/it/logs").await;
    assert_eq!((&log[0]["action"], &log[0]["reason"]), (&json!("stopped"), &stopped["status_reason"]));
    stage.emit(order("o", 2)).await;
    stage.receiver.behave("/it", |_| Reply::Status(200));
    stage.switch("it", "start").await;
    let versions: Vec<u64> = stage.receiver.wait_for("/it", 2, SOON).await.iter().map(|d| d.version().1).collect();
    assert_eq!(versions, [1, 2], "what it answered with that header was delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_takes_too_long_is_a_failure_with_its_cause() {
    let stage = Stage::new().await;
    for (id, reply) in [("hangs", Reply::Hang), ("drips", Reply::Drip)] {
        stage.receiver.behave(&format!("/{id}"), move |_| reply.clone());
        let delivery = json!({"retry": {"schedule_seconds": [0]}, "timeout_seconds": 1});
        stage.integration(id, json!({"delivery": delivery})).await;
    }
    let started = Instant::now();
    stage.emit(order("o", 1)).await;
    for id in ["hangs", "drips"] {
        stage.wait_for_rejected(id, 1).await;
        let failed = stage.attempts(id).await.remove(0);
        assert_eq!(
            (&failed["status"], &failed["failure"]["cause"]),
            (&json!("failure"), &json!("timeout")),
            "{id}: {failed}"
        );
        let took = failed["response_time_ms"].as_u64().unwrap();
        assert!((900..5_000).contains(&took), "{id}: {took} ms");
    }
    assert!(started.elapsed() >= Duration::from_millis(950));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn causes_of_failures_are_told_apart() {
    let stage = Stage::new().await;
    stage.receiver.behave("/closes", |_| Reply::Close);
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let urls = [
        ("refused", format!("http://{nobody}/")),
        ("dns", "http://no-such-host.invalid/".to_owned()),
        ("tls", stage.receiver.url("/").replace("http:", "https:")),
        ("closes", stage.receiver.url("/closes")),
    ];
    for (id, url) in &urls {
        let settings = json!({"target": {"url": url}, "delivery": {"retry": {"schedule_seconds": [0]}}});
        stage.integration(id, settings).await;
    }
    stage.emit(order("o", 1)).await;
    for (id, _) in &urls {
        let failed = eventually(&format!("an attempt of {id}"), SOON, async || stage.attempts(id).await.pop()).await;
        let cause = failed["failure"]["cause"].as_str().unwrap_or_default().to_owned();
        let expected: &[&str] = if *id == "closes" { &["reset", "closed"] } else { std::slice::from_ref(id) };
        assert!(expected.contains(&cause.as_str()), "{id}: {failed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_is_listed_as_expired_and_not_sent() {
    let stage = Stage::new().await;
    stage.integration("it", json!({"delivery": {"max_age_seconds": 1}})).await;
    stage.switch("it", "stop").await;
    let id = stage.emit(order("old", 1)).await.remove(0);
    let event = stage.api.get(&format!("/v1/events/{id}")).await.expect(200);
    let accepted: jiff::Timestamp = event["accepted_at"].as_str().unwrap().parse().unwrap();
    let too_old = accepted + jiff::SignedDuration::from_millis(1_050);
    eventually("the event is too old", SOON, async || (jiff::Timestamp::now() > too_old).then_some(())).await;
    stage.switch("it", "start").await;
    let rejected = stage.wait_for_rejected("it", 1).await;
    assert_eq!((&rejected[0]["id"], &rejected[0]["reason"]), (&json!(id), &json!("expired")));
    stage.emit(order("young", 1)).await;
    let deliveries = stage.receiver.wait_for("/it", 1, SOON).await;
    assert_eq!(deliveries[0].version().0, "young");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_is_not_exceeded() {
    let stage = Stage::new().await;
    stage.integration("it", json!({"delivery": {"rate_per_second": 10}})).await;
    stage.emit((0..30).map(|n| order(&format!("o-{n}"), 1)).collect()).await;
    let deliveries = stage.receiver.wait_for("/it", 30, SOON).await;
    // A second's worth may come at once; the other 20 need two seconds.
    let span = deliveries[29].at - deliveries[0].at;
    assert!(span >= Duration::from_millis(1_800), "30 in {span:?}");
    let fastest = deliveries.windows(21).map(|w| w[20].at - w[0].at).min().unwrap();
    assert!(fastest >= Duration::from_millis(900), "21 within {fastest:?}");
}
