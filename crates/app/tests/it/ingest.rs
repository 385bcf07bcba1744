//! Events in: forms of a request, what is taken and what is refused.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::support::{SOON, Stage, order, slug};

const JSON: (&str, &str) = ("content-type", "application/json");
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

fn lines(events: &[Value]) -> String {
    events.iter().map(|e| format!("{e}\n")).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("written to memory");
    encoder.finish().expect("written to memory")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_an_array_and_lines_are_accepted_and_delivered() {
    let stage = Stage::new().await;
    stage.integration("all", json!({})).await;
    let one = stage.emit(order("o-1", 1)).await;
    let array = stage.emit(json!([order("o-2", 1), order("o-3", 1)])).await;
    let body = lines(&[order("o-4", 1), order("o-5", 1)]);
    let answer = stage.api.post_bytes("/v1/events", &[NDJSON], body).await.expect(202);
    assert_eq!((one.len(), array.len()), (1, 2));
    let accepted = answer["accepted"].as_array().unwrap();
    let indexes: Vec<u64> = accepted.iter().map(|a| a["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, [0, 1]);
    assert!(accepted.iter().all(|a| a["duplicate"] == false && !a["seq"].is_null()), "{answer}");
    assert_eq!(answer["rejected"], json!([]));
    let mut entities: Vec<String> =
        stage.receiver.wait_for("/all", 5, SOON).await.iter().map(|d| d.version().0).collect();
    entities.sort();
    assert_eq!(entities, ["o-1", "o-2", "o-3", "o-4", "o-5"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gzip_and_zstd_are_unpacked() {
    let stage = Stage::new().await;
    stage.integration("all", json!({})).await;
    let gz = gzip(order("gz", 1).to_string().as_bytes());
    let zs = zstd::encode_all(lines(&[order("zs", 1)]).as_bytes(), 3).unwrap();
    stage.api.post_bytes("/v1/events", &[JSON, ("content-encoding", "gzip")], gz).await.expect(202);
    stage.api.post_bytes("/v1/events", &[NDJSON, ("content-encoding", "zstd")], zs).await.expect(202);
    let deliveries = stage.receiver.wait_for("/all", 2, SOON).await;
    let mut entities: Vec<String> = deliveries.iter().map(|d| d.version().0).collect();
    entities.sort();
    assert_eq!(entities, ["gz", "zs"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_not_what_it_says_is_refused_whole() {
    let stage = Stage::new().await;
    let half = gzip(order("a", 1).to_string().as_bytes());
    let half = half[..half.len() / 2].to_vec();
    for (headers, body) in [
        (vec![JSON, ("content-encoding", "gzip")], b"{}".to_vec()),
        (vec![JSON, ("content-encoding", "gzip")], half),
        (vec![JSON, ("content-encoding", "zstd")], b"{}".to_vec()),
        (vec![JSON, ("content-encoding", "br")], b"{}".to_vec()),
        (vec![JSON], b"".to_vec()),
        (vec![JSON], b"{".to_vec()),
        (vec![JSON], b"7".to_vec()),
        (vec![JSON], b"{\"name\":\"order.saved\",\"data\":{\"_id\":\"\xff\"}}".to_vec()),
    ] {
        let shown = format!("{headers:?} {:?}", String::from_utf8_lossy(&body));
        let answer = stage.api.post_bytes("/v1/events", &headers, body).await;
        assert!((400..500).contains(&answer.status), "{shown}: {} {}", answer.status, answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_in_a_batch_is_refused_alone() {
    let stage = Stage::new().await;
    stage.integration("all", json!({})).await;
    let batch = json!([order("a", 1), {"name": "no dot", "data": {}}, order("b", 1)]);
    let answer = stage.api.post("/v1/events", &batch).await.expect(207);
    let indexes = |list: &str| -> Vec<u64> {
        answer[list].as_array().unwrap().iter().map(|a| a["index"].as_u64().unwrap()).collect()
    };
    assert_eq!((indexes("accepted"), indexes("rejected")), (vec![0, 2], vec![1]));
    slug(&answer["rejected"][0]["problem"]);
    let none = stage.api.post("/v1/events", &json!([{"name": "no dot", "data": {}}, {"data": {}}])).await;
    assert_eq!(none.status, 422, "{}", none.text());
    let fence = stage.emit(order("c", 1)).await;
    let deliveries = stage.receiver.wait_for("/all", 3, SOON).await;
    assert_eq!(deliveries.len(), 3);
    assert!(deliveries.iter().any(|d| d.id() == fence[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_the_hub_itself_are_refused() {
    let stage = Stage::new().await;
    for name in
        ["site_eod.ready", "terminal_eod.ready", "site.silent", "gateway.seen", "integration.stopped", "audit.key"]
    {
        let answer = stage.api.post("/v1/events", &json!({"name": name, "site": "1", "data": {"_id": "x"}})).await;
        assert_eq!(answer.status, 422, "{name}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_have_a_form() {
    let stage = Stage::new().await;
    for name in ["", "order", "Order.saved", "order.", ".saved", "order.saved.twice", "1order.saved", "order.sa-ved"] {
        let answer = stage.api.post("/v1/events", &json!({"name": name, "data": {"_id": "x"}})).await;
        assert_eq!(answer.status, 422, "{name}: {}", answer.text());
    }
    for name in ["order.saved", "o.s", "my_thing.happened_2"] {
        stage.emit(json!({"name": name, "data": {"_id": "x"}})).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_stands_twice_in_one_object_is_refused() {
    let stage = Stage::new().await;
    for body in [
        r#"{"name":"order.saved","name":"order.saved","data":{"_id":"a"}}"#,
        r#"{"name":"order.saved","data":{"_id":"a","_id":"b"}}"#,
        r#"{"name":"order.saved","data":{"_id":"a","deep":[{"x":{"k":1,"\u006b":2}}]}}"#,
    ] {
        let answer = stage.api.post_bytes("/v1/events", &[JSON], body).await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_no_event_has_is_refused_with_its_name() {
    let stage = Stage::new().await;
    let answer =
        stage.api.post("/v1/events", &json!({"name": "order.saved", "sitee": "175", "data": {"_id": "a"}})).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("sitee"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_text_passes_through_unharmed() {
    let stage = Stage::new().await;
    stage.integration("all", json!({})).await;
    let text = "Crème brûlée 🍮 \u{202e}right-to-left \u{0000} \u{ffff} \"quoted\" \\ / 日本語";
    let id = "Größe/日本:1";
    stage.emit(json!({"name": "order.saved", "site": "Köln 1", "data": {"_id": id, "text": text, "Ключ": 1}})).await;
    let body = stage.receiver.wait_for("/all", 1, SOON).await[0].json();
    assert_eq!(body["data"], json!({"_id": id, "text": text, "Ключ": 1}));
    assert_eq!((&body["site"], &body["entity_id"]), (&json!("Köln 1"), &json!(id)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_answered_202_is_there_after_a_crash() {
    let mut stage = Stage::new().await;
    let mut ids = Vec::new();
    for n in 0..40 {
        ids.extend(stage.emit(json!([order(&format!("a{n}"), 1), order(&format!("b{n}"), 1)])).await);
    }
    // Not one step between the last answer and the end.
    stage.crash().await;
    let stored = stage.api.all("/v1/events").await;
    let stored: std::collections::HashSet<&str> = stored.iter().map(|e| e["id"].as_str().unwrap()).collect();
    let missing: Vec<&String> = ids.iter().filter(|id| !stored.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "{} of {} are gone: {missing:?}", missing.len(), ids.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn card_numbers_tracks_and_codes_of_payments_are_never_stored() {
    let stage = Stage::new().await;
    // Nothing is redacted on the way out, so what is missing was never stored.
    stage.integration("all", json!({"redaction": []})).await;
    let card = json!({"number": "4111111111111111", "cvv": "739", "track1": "%B4111111111111111^X^2512?",
        "track2": ";4111111111111111=2512?", "brand": "visa", "last_four": "1111"});
    let data = json!({"_id": "o-1", "payment_info": {"payments": [{"amount": 10, "card": card}, {"card": card}]}});
    let id = stage.emit(json!({"name": "order.saved", "site": "175", "data": data})).await.remove(0);
    let delivered = stage.receiver.wait_for("/all", 1, SOON).await[0].json();
    let shown = stage.api.get(&format!("/v1/events/{id}")).await.expect(200);
    for (place, document) in [("delivered", &delivered), ("shown", &shown)] {
        let text = document.to_string();
        assert!(!text.contains("4111111111111111") && !text.contains("739"), "{place}: {text}");
        assert!(text.contains("last_four") && text.contains("visa"), "{place}: {text}");
    }
    let found = crate::secrets::places_with(&stage.hub, "4111111111111111").await;
    assert!(found.is_empty(), "{found:?}");
}
