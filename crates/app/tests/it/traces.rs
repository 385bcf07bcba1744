//! Traces: sent to a collector when one is configured, and nothing waits for it.

use serde_json::json;

use crate::support::{Receiver, Reply, SOON, Setup, Stage, eventually, order};

fn tracing_to(collector: &str) -> Setup {
    let variables = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.to_owned()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=acme".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
    ];
    Setup { variables, ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_is_sent_the_spans_of_requests_appends_and_attempts() {
    let collector = Receiver::start().await;
    let stage = Stage::with(tracing_to(&collector.url(""))).await;
    stage.integration("it", json!({})).await;
    let event = stage.emit(order("o", 1)).await.remove(0);
    stage.receiver.wait_for("/it", 1, SOON).await;
    let wanted = ["request", "/v1/events", "append", "attempt", event.as_str()];
    eventually("all spans are there", SOON, async || {
        let batches = collector.deliveries("/v1/traces");
        let has = |text: &str| batches.iter().any(|b| b.body.windows(text.len()).any(|w| w == text.as_bytes()));
        wanted.iter().all(|text| has(text)).then_some(())
    })
    .await;
    let batch = collector.deliveries("/v1/traces").remove(0);
    assert_eq!((batch.header("content-type"), batch.header("x-tenant")), ("application/x-protobuf", "acme"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_hangs_or_fails_holds_nothing_up() {
    for reply in [Reply::Hang, Reply::Status(500)] {
        let collector = Receiver::start().await;
        collector.behave("/v1/traces", move |_| reply.clone());
        let mut stage = Stage::with(tracing_to(&collector.url(""))).await;
        stage.integration("it", json!({})).await;
        for n in 0..50 {
            stage.emit(order(&format!("o-{n}"), 1)).await;
        }
        stage.receiver.wait_for("/it", 50, SOON).await;
        collector.wait_for("/v1/traces", 1, SOON).await;
        assert_eq!(stage.hub.stop(), Some(0));
    }
}
