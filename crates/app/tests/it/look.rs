//! Lists, filters, pages and figures.

use serde_json::{Value, json};

use crate::support::{Reply, SOON, Stage, order, slug};

const ATTEMPTS: &str = "/v1/integrations/it/attempts";

/// Six events of three orders, of which `bad` fails once.
async fn with_history() -> Stage {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |d| {
        let fails = d.version().0 == "bad" && d.header("tillstream-attempt") == "1";
        if fails { Reply::Body(500, "x".repeat(10_000).into()) } else { Reply::Status(200) }
    });
    stage.integration("it", json!({"delivery": {"retry": {"schedule_seconds": [0, 0]}}})).await;
    for entity in ["a", "bad", "c", "d", "e"] {
        stage.emit(order(entity, 1)).await;
    }
    stage
        .emit(json!({"name": "punch.saved", "data": {"_id": "p", "version": 1}, "correlation": {"order_id": "a"}}))
        .await;
    stage.wait_for_attempts("it", 7).await;
    // Attempts are listed a moment before what they led to is counted.
    stage.wait_until_idle("it").await;
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_are_listed_newest_first_with_what_came_back() {
    let stage = with_history().await;
    let attempts = stage.attempts("it").await;
    assert_eq!(attempts.len(), 7);
    let times: Vec<&str> = attempts.iter().map(|a| a["attempted_at"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let failed = attempts.iter().find(|a| a["status"] == "failure").expect("the failure");
    assert_eq!((&failed["response_status"], &failed["retries_remaining"]), (&json!(500), &json!(1)));
    assert!(failed["response_time_ms"].is_u64());
    assert_eq!(failed["failure"]["answer"].as_str().unwrap().len(), 4096, "the first 4 KiB of the answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_are_filtered() {
    let stage = with_history().await;
    let times: Vec<Value> = stage.attempts("it").await.iter().map(|a| a["attempted_at"].clone()).collect();
    let (newest, oldest) = (times[0].as_str().unwrap(), times[6].as_str().unwrap());
    let newer = times.iter().filter(|t| t.as_str().unwrap() >= newest).count();
    for (filter, count) in [
        ("status=failure", 1),
        ("status=success", 6),
        ("event_name=punch.saved", 1),
        ("event_name=order.saved", 6),
        ("event_name=no.such", 0),
        ("domain_entity_id=a", 2),
        ("domain_entity_id=bad", 2),
        ("domain_entity_id=bad&status=success", 1),
        (&format!("from={newest}"), newer),
        (&format!("from={oldest}"), 7),
        ("to=2020-01-01T00:00:00Z", 0),
        ("from=2999-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(stage.api.all(&format!("{ATTEMPTS}?{filter}")).await.len(), count, "{filter}");
        assert_eq!(
            stage.api.all(&format!("/v1/attempts?{filter}")).await.len(),
            count,
            "{filter}, over all integrations"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_list_is_paged_without_gaps_and_repeats() {
    let stage = with_history().await;
    for path in [ATTEMPTS, "/v1/events", "/v1/attempts"] {
        let whole = stage.api.all(path).await;
        let mut pages = Vec::new();
        let mut after = String::new();
        loop {
            let page = stage.api.get(&format!("{path}?limit=2{after}")).await.expect(200);
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 2, "{path}");
            pages.extend(items.iter().cloned());
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(pages, whole, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_pages_and_unknown_parameters_are_refused() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    for path in [
        "/v1/events?limit=501",
        "/v1/events?limit=0",
        "/v1/events?limit=many",
        "/v1/events?after=nonsense",
        "/v1/events?nam=order.saved",
        "/v1/integrations?state=running",
        "/v1/integrations/it/attempts?status=maybe",
        "/v1/integrations/it/attempts?from=yesterday",
        "/v1/integrations/it/rejected?x=1",
        "/v1/integrations/it/logs?x=1",
        "/v1/keys?x=1",
        "/v1/attempts?x=1",
    ] {
        let answer = stage.api.get(path).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        slug(&answer.json());
    }
    stage.api.get("/v1/events?limit=500").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_found_by_what_they_are() {
    let stage = Stage::new().await;
    let at = |name: &str, site: &str, terminal: &str, id: &str| json!({"name": name, "site": site, "terminal": terminal, "data": {"_id": id}});
    stage
        .emit(json!([
            at("order.saved", "1", "t1", "a"),
            at("order.closed", "2", "t1", "a"),
            at("punch.saved", "1", "t2", "p")
        ]))
        .await;
    for (filter, count) in [
        ("entity=order", 2),
        ("name=order.saved", 1),
        ("site=1", 2),
        ("terminal=t1", 2),
        ("entity_id=a", 2),
        ("entity=order&site=1", 1),
        ("site=3", 0),
        ("from=2020-01-01T00:00:00Z", 3),
        ("to=2020-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(stage.api.all(&format!("/v1/events?{filter}")).await.len(), count, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_and_metrics_count_what_happened() {
    let stage = with_history().await;
    let stats = stage.api.get("/v1/integrations/it/stats").await.expect(200);
    assert_eq!((&stats["totals"]["delivered"], &stats["totals"]["failures"]), (&json!(6), &json!(1)), "{stats}");
    assert_eq!((&stats["head"], &stats["cursor"]["lag_events"]), (&json!(6), &json!(0)));
    let metrics = stage.api.without_key().get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.text().contains("# TYPE tillstream_"), "{}", metrics.text());
    assert!(!metrics.text().contains("default"), "no company in a label");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempts_request_is_shown_again_with_secrets_masked() {
    let stage = Stage::new().await;
    stage.integration("it", json!({"target": {"authorization": "Bearer very-secret-value"}})).await;
    let id = stage.emit(order("o", 1)).await.remove(0);
    let delivery = stage.receiver.wait_for("/it", 1, SOON).await.remove(0);
    stage.wait_for_attempts("it", 1).await;
    let shown = stage.api.get(&format!("{ATTEMPTS}/{id}")).await.expect(200);
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(shown["request"]["url"], stage.receiver.url("/it"));
    assert_eq!(shown["request"]["body"], delivery.json());
    assert!(!shown.to_string().contains("very-secret"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_needs_no_key() {
    let stage = Stage::new().await;
    let anybody = stage.api.without_key();
    assert_eq!(anybody.get("/healthz").await.status, 200);
    assert_eq!(anybody.get("/readyz").await.status, 200);
}
