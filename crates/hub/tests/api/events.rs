//! Events in, and looking at them.

use std::io::Write;

use axum::body::Body;
use http::{Request, header};
use serde_json::{Value, json};

use crate::support::{Answer, App, assert_fits, assert_problem};

fn event(id: &str, entity_id: &str) -> Value {
    json!({"id": id, "name": "order.saved", "site": "175", "entity_id": entity_id, "data": {"total": 1.50}})
}

async fn send(app: &App, media_type: &str, encoding: Option<&str>, body: impl Into<Body>) -> Answer {
    let mut request = Request::post("/v1/events")
        .header(header::AUTHORIZATION, format!("Bearer {}", app.key))
        .header(header::CONTENT_TYPE, media_type);
    if let Some(encoding) = encoding {
        request = request.header(header::CONTENT_ENCODING, encoding);
    }
    app.send(request.body(body.into()).unwrap()).await
}

fn seqs(answer: &Answer) -> Vec<u64> {
    answer.body["accepted"].as_array().unwrap().iter().map(|a| a["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn one_event_an_array_and_lines_are_taken_packed_or_not() {
    let app = App::start().await;
    let one = event("a", "o1").to_string();
    let answer = send(&app, "application/json", None, one).await;
    assert_eq!((answer.status.as_u16(), seqs(&answer)), (202, vec![1]));
    assert_fits(&answer.body, "Receipt");

    let many = json!([event("b", "o1"), event("c", "o2")]).to_string();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(many.as_bytes()).unwrap();
    let answer = send(&app, "application/json; charset=utf-8", Some("gzip"), gzip.finish().unwrap()).await;
    assert_eq!((answer.status.as_u16(), seqs(&answer)), (202, vec![2, 3]));

    let lines = format!("{}\n{}\n", event("d", "o1"), event("e", "o2"));
    let answer = send(&app, "application/x-ndjson", Some("zstd"), zstd::encode_all(lines.as_bytes(), 1).unwrap()).await;
    assert_eq!((answer.status.as_u16(), seqs(&answer)), (202, vec![4, 5]));
}

#[tokio::test]
async fn a_repeat_is_a_duplicate_and_another_event_under_its_id_a_conflict() {
    let app = App::start().await;
    let first = app.post("/v1/events", event("a", "o1")).await.body["accepted"][0].clone();
    let again = app.post("/v1/events", event("a", "o1")).await;
    assert_eq!(again.status, 202);
    assert_eq!(again.body["accepted"][0]["duplicate"], true);
    assert_eq!(again.body["accepted"][0]["id"], first["id"]);
    let other = app.post("/v1/events", json!([event("a", "o2"), event("b", "o2")])).await;
    assert_eq!(other.status, 207);
    assert_eq!(other.body["rejected"][0]["index"], 0);
    assert_eq!(other.body["rejected"][0]["problem"]["type"], "urn:tillstream:problem:idempotency-conflict");
    assert_fits(&other.body, "Receipt");
}

#[tokio::test]
async fn when_all_are_refused_the_answer_is_422_with_each_reason() {
    let app = App::start().await;
    let wrong = json!([{"name": "Order", "data": {}}, {"name": "gateway.lost", "data": {}}]);
    let answer = app.post("/v1/events", wrong).await;
    assert_eq!(answer.status, 422);
    let types: Vec<_> =
        answer.body["rejected"].as_array().unwrap().iter().map(|r| r["problem"]["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["urn:tillstream:problem:invalid-event", "urn:tillstream:problem:name-reserved"]);
    assert_eq!(app.get("/v1/events").await.body["items"], json!([]));
}

#[tokio::test]
async fn bodies_that_are_no_events_are_refused_as_a_whole() {
    let app = App::start().await;
    let too_many = format!("[{}]", vec!["{}"; 1_001].join(","));
    let ten_mib = vec![b' '; (10 << 20) + 1];
    let bomb = zstd::encode_all(ten_mib.as_slice(), 1).unwrap();
    let json = "application/json";
    for (answer, status, slug) in [
        (send(&app, json, None, "{").await, 422, ""),
        (send(&app, json, None, "").await, 400, "invalid-body"),
        (send(&app, json, None, "[").await, 400, "invalid-body"),
        (send(&app, json, None, too_many).await, 413, "too-many-events"),
        (send(&app, json, None, ten_mib).await, 413, "too-large"),
        (send(&app, json, Some("zstd"), bomb).await, 413, "too-large"),
        (send(&app, json, Some("gzip"), "not packed").await, 400, "invalid-body"),
        (send(&app, json, Some("br"), "x").await, 415, "unsupported-encoding"),
        (send(&app, "text/plain", None, "{}").await, 415, "unsupported-media-type"),
    ] {
        if slug.is_empty() {
            assert_eq!(answer.status, status, "{}", answer.body);
        } else {
            assert_problem(&answer, status, slug);
        }
    }
}

#[tokio::test]
async fn the_log_is_listed_oldest_first_in_pages() {
    let app = App::start().await;
    for (name, entity_id) in
        [("order.saved", "o1"), ("punch.saved", "p1"), ("order.saved", "o2"), ("order.voided", "o1")]
    {
        app.event(name, entity_id).await;
    }
    let seqs = |body: &Value| -> Vec<u64> {
        body["items"].as_array().unwrap().iter().map(|e| e["seq"].as_u64().unwrap()).collect()
    };
    let first = app.get("/v1/events?limit=3").await.body;
    assert_eq!(seqs(&first), [1, 2, 3]);
    assert_fits(&first["items"][0], "Event");
    let next = first["next"].as_str().unwrap();
    let second = app.get(&format!("/v1/events?limit=3&after={next}")).await.body;
    assert_eq!((seqs(&second), &second["next"]), (vec![4], &Value::Null));
    for (filter, expected) in [
        ("entity=order", vec![1, 3, 4]),
        ("name=order.saved", vec![1, 3]),
        ("entity=order&entity_id=o1", vec![1, 4]),
        ("site=175&terminal=1", vec![]),
        ("site=175", vec![1, 2, 3, 4]),
        ("from=2026-11-21T10:00:00Z", vec![1, 2, 3, 4]),
        ("from=2026-11-21T10:00:01Z", vec![]),
        ("to=2026-11-21T10:00:00Z", vec![]),
    ] {
        assert_eq!(seqs(&app.get(&format!("/v1/events?{filter}")).await.body), expected, "{filter}");
    }
}

#[tokio::test]
async fn payloads_are_only_shown_with_their_scope() {
    let app = App::start().await;
    let id = app.event("order.saved", "o1").await;
    let path = format!("/v1/events/{id}");
    assert_eq!(app.get(&path).await.body["data"].to_string(), r#"{"total":12.5}"#);
    let key = app.key_with(&["events:read"]).await;
    let shown = app.ask_as(&key, http::Method::GET, &path, Value::Null).await;
    assert_eq!((shown.status.as_u16(), shown.body.get("data")), (200, None));
    assert_eq!(shown.body["id"], id);
    assert_problem(&app.get("/v1/events/evt_01JD7ZQ4X8E9W3R5T6Y7P0A1BC").await, 404, "not-found");
    assert_problem(&app.get("/v1/events/nonsense").await, 404, "not-found");
}
