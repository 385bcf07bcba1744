//! Traces: sent to a collector when one is configured, and nothing waits for it.

use http::Method;
use serde_json::json;

use crate::support::{Receiver, Reply, SOON, Setup, Stage, eventually, order};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

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

const CALLERS_SPAN: [u8; 8] = [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 2, 0xb7];

/// A span as it is written in a batch: its own id, its parent's and its name.
#[derive(Debug, PartialEq, Eq)]
struct Span {
    id: [u8; 8],
    parent: [u8; 8],
    name: String,
}

fn trace_in(traceparent: &str) -> [u8; 16] {
    u128::from_str_radix(&traceparent[3..35], 16).expect("a trace").to_be_bytes()
}

/// The spans of a trace in a batch (`opentelemetry.proto.trace.v1.Span`: fields 1, 2, 4 and 5).
fn spans_of(trace: &[u8], batch: &[u8]) -> Vec<Span> {
    let head = [&[0x0a, 16], trace, &[0x12, 8]].concat();
    let starts = batch.windows(head.len()).enumerate().filter(|(_, w)| *w == head).map(|(at, _)| at + head.len());
    let read = |at: usize| {
        let (id, rest) = batch[at..].split_first_chunk()?;
        let (parent, rest) = rest.strip_prefix(&[0x22, 8])?.split_first_chunk()?;
        let (length, rest) = rest.strip_prefix(&[0x2a])?.split_first()?;
        let name = String::from_utf8_lossy(rest.get(..usize::from(*length))?).into_owned();
        Some(Span { id: *id, parent: *parent, name })
    };
    starts.filter_map(read).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_go_on_with_the_trace_of_the_request_and_are_who_the_receiver_is_told() {
    let collector = Receiver::start().await;
    let stage = Stage::with(tracing_to(&collector.url(""))).await;
    stage.integration("it", json!({})).await;
    let unrecorded = TRACEPARENT.replace("4bf9", "0000").replace("-01", "-00");
    for (n, traceparent) in [unrecorded.as_str(), TRACEPARENT].into_iter().enumerate() {
        let headers = [("traceparent", traceparent), ("content-type", "application/json")];
        let event = order("o", n as u64).to_string();
        stage.api.send(Method::POST, "/v1/events", &headers, event.into()).await.expect("an answer").expect(202);
    }
    let delivered = stage.receiver.wait_for("/it", 2, SOON).await.remove(1);
    let told = u64::from_str_radix(&delivered.header("traceparent")[36..52], 16).expect("a span").to_be_bytes();
    let trace = trace_in(TRACEPARENT);
    let find = async |name: &str| {
        eventually(&format!("the span {name}"), SOON, async || {
            let batches = collector.deliveries("/v1/traces");
            batches.iter().flat_map(|b| spans_of(&trace, &b.body)).find(|span| span.name == name)
        })
        .await
    };
    let request = find("request").await;
    assert_eq!(request.parent, CALLERS_SPAN);
    assert_eq!(find("append").await.parent, request.id);
    let attempt = find("attempt").await;
    assert_eq!((attempt.parent, attempt.id), (CALLERS_SPAN, told));
    let all = collector.deliveries("/v1/traces");
    let found: Vec<Span> = all.iter().flat_map(|b| spans_of(&trace_in(&unrecorded), &b.body)).collect();
    assert!(found.is_empty(), "its caller does not record it: {found:?}");
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
