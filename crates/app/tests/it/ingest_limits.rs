//! The numbers at the door, each tried at its edge.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Stage, order};

const JSON: (&str, &str) = ("content-type", "application/json");
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");
/// Most events in an array.
const MOST_EVENTS: usize = 1_000;
/// Largest event, in bytes.
const LARGEST_EVENT_BYTES: usize = 1024 * 1024;
/// Largest body, in bytes.
const LARGEST_BODY_BYTES: usize = 10 * 1024 * 1024;

fn orders(count: usize) -> Vec<Value> {
    (0..count).map(|n| order(&format!("o-{n}"), 1)).collect()
}

/// An event that takes exactly so many bytes as it is written here.
fn event_of(bytes: usize, entity: &str) -> String {
    let empty = json!({"name": "order.saved", "site": "1", "data": {"_id": entity, "filling": ""}}).to_string();
    empty.replace("\"filling\":\"\"", &format!("\"filling\":\"{}\"", "x".repeat(bytes - empty.len())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_array_has_at_most_a_thousand_events() {
    let stage = Stage::new().await;
    assert_eq!(stage.emit(orders(MOST_EVENTS).into()).await.len(), MOST_EVENTS);
    let answer = stage.api.post("/v1/events", &orders(MOST_EVENTS + 1).into()).await;
    assert!([413, 422].contains(&answer.status), "{} {}", answer.status, answer.text());
    let stored = stage.api.all("/v1/events").await;
    assert_eq!(stored.len(), MOST_EVENTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_has_at_most_a_mebibyte() {
    let stage = Stage::new().await;
    let largest = event_of(LARGEST_EVENT_BYTES, "largest");
    stage.api.post_bytes("/v1/events", &[JSON], largest).await.expect(202);
    // Far enough above the limit for either way of counting what belongs to an event.
    let larger = event_of(LARGEST_EVENT_BYTES + 1024, "larger");
    let alone = stage.api.post_bytes("/v1/events", &[JSON], larger.clone()).await;
    assert!([413, 422].contains(&alone.status), "{} {}", alone.status, alone.text());
    let batch = stage.api.post_bytes("/v1/events", &[NDJSON], format!("{larger}\n{}\n", order("small", 1))).await;
    let answer = batch.expect(207);
    assert_eq!((&answer["accepted"][0]["index"], &answer["rejected"][0]["index"]), (&json!(1), &json!(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_has_at_most_ten_mebibytes() {
    let stage = Stage::new().await;
    let line = format!("{}\n", event_of(LARGEST_EVENT_BYTES / 2 - 1, "o"));
    let fits = line.repeat(LARGEST_BODY_BYTES / line.len());
    assert_eq!(fits.len(), LARGEST_BODY_BYTES);
    let answer = stage.api.post_bytes("/v1/events", &[NDJSON], fits.clone()).await.expect(202);
    assert_eq!(answer["accepted"].as_array().unwrap().len(), 20);
    // The answer may come, and the connection end, before the whole body was sent.
    if let Ok(answer) = stage.api.send(Method::POST, "/v1/events", &[NDJSON], format!("{fits}\n").into()).await {
        assert_eq!(answer.status, 413, "{}", answer.text());
    }
    assert_eq!(stage.api.all("/v1/events").await.len(), 20, "nothing of it was kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_unpacks_to_more_than_its_limit_is_refused() {
    let stage = Stage::new().await;
    let blank = vec![b' '; 1024 * 1024];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..200 {
        gzip.write_all(&blank).unwrap();
        zstd.write_all(&blank).unwrap();
    }
    for (encoding, bomb) in [("gzip", gzip.finish().unwrap()), ("zstd", zstd.finish().unwrap())] {
        assert!(bomb.len() < LARGEST_BODY_BYTES / 10, "{encoding}: a bomb is small outside");
        let answer = stage.api.post_bytes("/v1/events", &[NDJSON, ("content-encoding", encoding)], bomb).await;
        assert_eq!(answer.status, 413, "{encoding}: {}", answer.text());
    }
    stage.emit(order("after", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nesting_that_would_exhaust_a_stack_is_refused() {
    let stage = Stage::new().await;
    for depth in [10_000, 500_000] {
        let deep =
            format!(r#"{{"name":"order.saved","data":{{"_id":"x","d":{}{}}}}}"#, "[".repeat(depth), "]".repeat(depth));
        let answer = stage.api.post_bytes("/v1/events", &[JSON], deep).await;
        assert_eq!(answer.status, 422, "{depth}: {}", answer.text());
    }
    stage.emit(order("after", 1)).await;
}
