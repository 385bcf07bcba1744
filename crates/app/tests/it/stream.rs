//! Following a company's log as it grows.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{SOON, Stage, Stream, eventually, order, slug};

const PATH: &str = "/v1/events/stream";
/// A stream looks up every five seconds whether its key counts, and what is known of a key counts as long.
const NOTICED: Duration = Duration::from_secs(20);

fn of_site(site: &str, version: u64) -> Value {
    let mut event = order("o", version);
    event["site"] = site.into();
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_on_the_stream_within_half_a_second_as_the_list_shows_it() {
    let stage = Stage::new().await;
    stage.emit(order("before", 1)).await;
    let mut stream = Stream::open(&stage.api, PATH, &[]).await;
    let beginning = stream.block(SOON).await.unwrap();
    assert_eq!((beginning.id.as_str(), beginning.event.as_str()), ("1-1", ""));
    let mut fastest = Duration::MAX;
    for n in 2..=6_u64 {
        let sent = Instant::now();
        stage.emit(order("o", n)).await;
        let event = stream.event(SOON).await;
        fastest = fastest.min(sent.elapsed());
        assert_eq!((event.id, event.event.as_str()), (format!("1-{n}"), "order.saved"));
        let listed = stage.api.get(&format!("/v1/events?after={}", n - 1)).await.expect(200);
        assert_eq!(event.data, listed["items"][0]);
        assert_eq!(event.data["data"]["version"], n);
    }
    assert!(fastest < Duration::from_millis(500), "{fastest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_comes_back_misses_nothing_also_over_a_crash_of_the_hub() {
    let mut stage = Stage::new().await;
    let mut stream = Stream::open(&stage.api, PATH, &[]).await;
    stage.emit(json!([order("a", 1), order("b", 2)])).await;
    let first = stream.event(SOON).await;
    drop(stream);
    stage.crash().await;
    stage.emit(order("c", 3)).await;
    for (path, headers) in [
        (PATH.to_owned(), &[("last-event-id", first.id.as_str())][..]),
        (format!("{PATH}?after={}", first.id), &[][..]),
        (format!("{PATH}?after=1-3"), &[("last-event-id", first.id.as_str())][..]),
    ] {
        let mut stream = Stream::open(&stage.api, &path, headers).await;
        for n in 2..=3 {
            assert_eq!(stream.event(SOON).await.data["seq"], n, "{path}");
        }
    }
    for wrong in ["x", "7-1", "1-x", ""] {
        let problem = stage.api.get(&format!("{PATH}?after={wrong}")).await.expect(400);
        assert_eq!((slug(&problem), &problem["errors"][0]["path"]), ("invalid-query", &json!("after")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_the_filters_pass_comes_and_a_long_stretch_without_says_where_it_is() {
    let stage = Stage::new().await;
    let mut wanted = of_site("9", 1);
    wanted["name"] = "return.processed".into();
    wanted["terminal"] = "2".into();
    wanted["business_date"] = "2026-11-21".into();
    wanted["correlation"] = json!({"order_id": "o-7"});
    let others: Vec<Value> = (0..999).map(|n| of_site("175", n)).collect();
    stage.emit(json!(others)).await;
    stage.emit(json!([of_site("175", 1), wanted])).await;
    for filter in [
        "entity=return",
        "name=return.processed",
        "site=9",
        "terminal=2",
        "business_date=2026-11-21",
        "correlation=order_id:o-7",
        "entity=return&entity_id=o&site=9",
    ] {
        let mut stream = Stream::open(&stage.api, &format!("{PATH}?after=0&{filter}"), &[]).await;
        stream.block(SOON).await.unwrap();
        let place = stream.block(SOON).await.unwrap();
        assert_eq!((place.id.as_str(), &place.data), ("1-1000", &Value::Null), "{filter}");
        assert_eq!(stream.event(SOON).await.data["name"], "return.processed", "{filter}");
    }
    for (wrong, path) in [("correlation=o-7", "correlation"), ("business_date=today", "business_date")] {
        let problem = stage.api.get(&format!("{PATH}?{wrong}")).await.expect(400);
        assert_eq!(problem["errors"][0]["path"], path);
    }
    stage.api.get(&format!("{PATH}?unknown=1")).await.expect(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_follows_only_what_it_may_see() {
    let stage = Stage::new().await;
    let bound = json!({"name": "k", "scopes": ["events:read"], "sites": ["9"]});
    let bound = stage.holder(bound).await;
    let mut stream = Stream::open(&bound, PATH, &[]).await;
    stage.emit(json!([of_site("175", 1), of_site("9", 2)])).await;
    let event = stream.event(SOON).await;
    assert_eq!((&event.data["site"], event.data.get("data")), (&json!("9"), None), "no payload without its scope");
    bound.get(&format!("{PATH}?site=175")).await.expect(404);
    let other = stage.holder(json!({"name": "k", "scopes": ["sites:read"]})).await;
    assert!(other.get(PATH).await.expect(403)["detail"].as_str().unwrap().contains("events:read"));
    stage.api.without_key().get(PATH).await.expect(401);

    let operator = stage.operator();
    operator.put("/v1/companies/acme", &json!({"name": "Acme"})).await.expect(201);
    let acme = operator.in_company("acme");
    acme.post("/v1/events", &order("theirs", 1)).await.expect(202);
    stage.emit(of_site("9", 3)).await;
    assert_eq!(stream.event(SOON).await.data["seq"], 3, "nothing of another company is between");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_its_key_is_deleted_and_when_the_company_is_suspended() {
    let stage = Stage::new().await;
    let made = stage.api.post("/v1/keys", &json!({"name": "k", "scopes": ["events:read"]})).await.expect(201);
    let theirs = stage.api.with_key(made["key"].as_str().unwrap());
    let mut deleted = Stream::open(&theirs, PATH, &[]).await;
    let mut kept = Stream::open(&stage.api, PATH, &[]).await;
    assert_eq!(stage.api.delete(&format!("/v1/keys/{}", made["id"].as_str().unwrap())).await.status, 204);
    deleted.rest(NOTICED).await;
    stage.emit(order("o", 1)).await;
    assert_eq!(kept.event(SOON).await.data["seq"], 1, "another key's goes on");
    stage.operator().post("/v1/companies/default/suspend", &Value::Null).await.expect(200);
    kept.rest(NOTICED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_ends_in_good_order_ends_its_streams_and_does_not_wait_for_them() {
    let mut stage = Stage::new().await;
    let mut stream = Stream::open(&stage.api, PATH, &[]).await;
    let asked = Instant::now();
    let ended = tokio::task::block_in_place(|| stage.hub.stop());
    assert_eq!(ended, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    stream.rest(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_has_a_hundred_streams_and_one_that_is_closed_makes_room() {
    let stage = Stage::new().await;
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(Stream::open(&stage.api, PATH, &[]).await);
    }
    let refused = stage.api.get(PATH).await;
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(slug(&refused.expect(429)), "too-many-streams");
    open.pop();
    eventually("there is room again", SOON, async || (stage.api.get(PATH).await.status == 200).then_some(())).await;
    stage.emit(order("o", 1)).await;
    for stream in &mut open {
        assert_eq!(stream.event(SOON).await.data["seq"], 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_stream_says_every_fifteen_seconds_that_it_lives() {
    let stage = Stage::new().await;
    let mut stream = Stream::open(&stage.api, PATH, &[]).await;
    stream.block(SOON).await.unwrap();
    assert!(stream.block(Duration::from_secs(19)).await.unwrap().comment);
}
