//! Any node takes events and answers for all lanes; the lanes of one company are spread over the nodes.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::nodes::Nodes;
use crate::wait::{SOON, eventually};

const INTEGRATIONS: usize = 24;

fn order(entity: &str, version: u64) -> Value {
    json!({"name": "order.saved", "site": "175", "data": {"_id": entity, "version": version}})
}

async fn shared_out(nodes: &Nodes) {
    eventually("the buckets are shared out", SOON, async || {
        let mut held = Vec::new();
        for node in 0..nodes.hubs.len() {
            held.push(nodes.figure(node, "tillstream_buckets_held").await);
        }
        let (sum, most) = (held.iter().sum::<f64>(), (64.0 / held.len() as f64).ceil());
        (sum == 64.0 && held.iter().all(|h| *h <= most && *h > 0.0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_companys_integrations_are_spread_over_three_hubs_and_each_event_goes_out_once() {
    let nodes = Nodes::start(3).await;
    shared_out(&nodes).await;
    for n in 0..INTEGRATIONS {
        nodes.integration(n % 3, &format!("it-{n}")).await;
    }
    for version in 1..=10 {
        for (node, api) in nodes.apis.iter().enumerate() {
            api.post("/v1/events", &order(&format!("e-{node}"), version)).await.expect(202);
        }
    }
    for n in 0..INTEGRATIONS {
        let path = format!("/it-{n}");
        let deliveries = nodes.receiver.wait_for(&path, 30, SOON).await;
        for node in 0..3 {
            let entity = format!("e-{node}");
            let versions: Vec<u64> =
                deliveries.iter().map(|d| d.version()).filter(|(e, _)| *e == entity).map(|(_, v)| v).collect();
            assert_eq!(versions, (1..=10).collect::<Vec<_>>(), "{path} {entity}");
        }
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut delivered = Vec::new();
    for node in 0..3 {
        delivered.push(nodes.figure(node, "tillstream_deliveries_total{outcome=\"delivered\"}").await);
    }
    assert_eq!(delivered.iter().sum::<f64>(), (INTEGRATIONS * 30) as f64, "{delivered:?}");
    assert!(delivered.iter().all(|d| *d > 0.0), "a node delivered nothing: {delivered:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feeds_consumer_may_ask_any_node_and_each_event_counts_once() {
    let nodes = Nodes::start(2).await;
    shared_out(&nodes).await;
    let (a, b) = (&nodes.apis[0], &nodes.apis[1]);
    // Neighbouring numbers fall into neighbouring buckets, so both nodes hold some of these.
    for n in 0..4 {
        let doc = json!({"id": format!("feed-{n}"), "target": {"kind": "feed"}});
        a.post("/v1/integrations", &doc).await.expect(201);
    }
    for version in 1..=10 {
        b.post("/v1/events", &order("e", version)).await.expect(202);
    }
    for n in 0..4 {
        let path = format!("/v1/integrations/feed-{n}");
        let (mut after, mut versions) = (String::new(), Vec::new());
        for api in [a, b, a, b, a, b] {
            let page = api.get(&format!("{path}/feed?limit=3{after}")).await.expect(200);
            versions.extend(page["items"].as_array().unwrap().iter().map(|i| i["data"]["version"].as_u64().unwrap()));
            after = format!("&after={}", page["next"].as_str().unwrap());
        }
        assert_eq!(versions, (1..=10).collect::<Vec<_>>(), "{path}");
        for api in [a, b] {
            let stats = api.get(&format!("{path}/stats")).await.expect(200);
            assert_eq!((&stats["totals"]["delivered"], &stats["cursor"]["seq"]), (&json!(10), &json!(10)), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_answers_for_every_lane() {
    let nodes = Nodes::start(2).await;
    shared_out(&nodes).await;
    // Neighbouring numbers fall into neighbouring buckets, so both nodes run some of these.
    for n in 0..8 {
        nodes.integration(0, &format!("it-{n}")).await;
    }
    for n in 0..8 {
        let path = format!("/v1/integrations/it-{n}");
        for api in &nodes.apis {
            api.post("/v1/events", &order("e", 1)).await.expect(202);
            let head = api.all("/v1/events?entity=order").await.len();
            nodes.receiver.wait_for(&format!("/it-{n}"), head, SOON).await;
            eventually("the cursor is seen from everywhere", SOON, async || {
                (api.get(&path).await.expect(200)["cursor"]["lag_events"] == 0).then_some(())
            })
            .await;
            api.post(&format!("{path}/stop"), &Value::Null).await.expect(200);
            api.post("/v1/events", &order("e", 1)).await.expect(202);
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(nodes.receiver.deliveries(&format!("/it-{n}")).len(), head, "it was stopped");
            api.post(&format!("{path}/start"), &Value::Null).await.expect(200);
            nodes.receiver.wait_for(&format!("/it-{n}"), head + 1, SOON).await;
        }
    }
    for (n, api) in [(0, 1), (1, 0), (2, 1), (3, 0)] {
        let events = json!({"events": {"names": ["order.closed"]}});
        nodes.apis[api].patch(&format!("/v1/integrations/it-{n}"), &events).await.expect(200);
        let before = nodes.receiver.deliveries(&format!("/it-{n}")).len();
        nodes.apis[1 - api].post("/v1/events", &order("e", 1)).await.expect(202);
        let closed = json!({"name": "order.closed", "site": "175", "data": {"_id": "e", "version": 2}});
        nodes.apis[1 - api].post("/v1/events", &closed).await.expect(202);
        let all = nodes.receiver.wait_for(&format!("/it-{n}"), before + 1, SOON).await;
        assert_eq!(all.last().map(|d| d.version().1), Some(2), "the edit counts at once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ends_in_good_order_hands_over_without_a_gap() {
    let mut nodes = Nodes::start(2).await;
    shared_out(&nodes).await;
    for n in 0..8 {
        nodes.integration(0, &format!("it-{n}")).await;
    }
    assert_eq!(nodes.hubs[0].stop(), Some(0));
    nodes.apis[1].post("/v1/events", &order("e", 1)).await.expect(202);
    for n in 0..8 {
        // Well below the eight seconds of a lease that nobody gave back.
        nodes.receiver.wait_for(&format!("/it-{n}"), 1, Duration::from_secs(4)).await;
    }
    nodes.restart(0).await;
    shared_out(&nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_which_nodes_there_are_and_what_they_run() {
    let mut nodes = Nodes::start(2).await;
    shared_out(&nodes).await;
    let operator = nodes.operator(1);
    let listed = operator.all("/v1/nodes").await;
    let told =
        |node: &Value| (node["name"].clone(), node["alive"].clone(), node["buckets"].clone(), node["this"].clone());
    let expected = [
        (json!("node-0"), json!(true), json!(32), json!(false)),
        (json!("node-1"), json!(true), json!(32), json!(true)),
    ];
    assert_eq!(listed.iter().map(told).collect::<Vec<_>>(), expected);
    nodes.hubs[0].kill();
    eventually("the other one is gone, and its lanes are taken over", Duration::from_secs(30), async || {
        let listed = operator.all("/v1/nodes").await;
        (listed[0]["alive"] == false && listed[1]["buckets"] == 64).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_was_not_told_it_finds_by_itself() {
    let nodes = Nodes::start(2).await;
    shared_out(&nodes).await;
    // Longer than a node waits for an answer, shorter than a lease.
    nodes.hubs[0].pause();
    let ids: Vec<String> = (0..8).map(|n| format!("it-{n}")).collect();
    join_all(ids.iter().map(|id| nodes.integration(1, id))).await;
    nodes.hubs[0].go_on();
    nodes.apis[1].post("/v1/events", &order("e", 1)).await.expect(202);
    for id in &ids {
        nodes.receiver.wait_for(&format!("/{id}"), 1, Duration::from_secs(60)).await;
    }
}
