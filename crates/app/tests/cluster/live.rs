//! Streams and figures of several nodes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::nodes::Nodes;
use crate::stream::Stream;
use crate::wait::{SOON, eventually};

const PATH: &str = "/v1/events/stream";

fn order(version: u64) -> Value {
    json!({"name": "order.saved", "data": {"_id": "o", "version": version}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_on_the_streams_of_all_nodes_within_half_a_second_and_any_node_takes_a_stream_up() {
    let mut nodes = Nodes::start(2).await;
    let mut streams = Vec::new();
    for api in &nodes.apis {
        streams.push(Stream::open(api, PATH, &[]).await);
    }
    let mut fastest = Duration::MAX;
    for version in 1..=6 {
        let sent = Instant::now();
        nodes.apis[0].post("/v1/events", &order(version)).await.expect(202);
        for stream in &mut streams {
            assert_eq!(stream.event(SOON).await.data["seq"], version);
        }
        fastest = fastest.min(sent.elapsed());
    }
    assert!(fastest < Duration::from_millis(500), "{fastest:?}");
    nodes.hubs[1].stop();
    assert!(streams[1].rest(SOON).await.is_empty());
    let mut again = Stream::open(&nodes.apis[0], PATH, &[("last-event-id", "1-5")]).await;
    let place = again.block(SOON).await.expect("the beginning");
    assert_eq!((place.id.as_str(), place.comment), ("1-5", false));
    let last = again.event(SOON).await;
    assert_eq!((last.id.as_str(), last.event.as_str()), ("1-6", "order.saved"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_several_nodes_count_adds_up_and_every_lane_is_known_to_all() {
    let nodes = Nodes::start(2).await;
    for n in 0..8 {
        nodes.integration(0, &format!("it-{n}")).await;
    }
    for api in &nodes.apis {
        api.post("/v1/events", &json!([order(1), order(2)])).await.expect(202);
    }
    for api in &nodes.apis {
        let overview = eventually("everything is counted and delivered", SOON, async || {
            let overview = api.get("/v1/overview").await.expect(200);
            let sum = |figure: &str| -> u64 {
                let hours = overview["hours"].as_array().expect("hours");
                hours.iter().map(|h| h[figure].as_u64().expect("a count")).sum()
            };
            let is_done = (sum("accepted"), sum("delivered")) == (4, 32) && overview["pending"]["events"] == 0;
            is_done.then_some(overview)
        })
        .await;
        let integrations = &overview["integrations"];
        assert_eq!((&integrations["total"], &integrations["healthy"]), (&json!(8), &json!(8)), "{integrations}");
    }
}
