//! A company that is deleted through one node is gone on all of them, and none writes anything for it any more.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::nodes::Nodes;
use crate::rows;
use crate::stream::Stream;
use crate::wait::{SOON, eventually};

/// The number of the first company.
const FIRST: i32 = 1;
/// Requests with events that are there before, each with so many.
const REQUESTS: u64 = 8;
const AT_ONCE: u64 = 1_000;

fn order(version: u64) -> Value {
    json!({"name": "order.saved", "site": "175", "data": {"_id": format!("e-{}", version % 50), "version": version}})
}

async fn delete(operator: &Api) -> Value {
    let path = "/v1/companies/default?confirm=default";
    operator.send(Method::DELETE, path, &[], Bytes::new()).await.expect("an answer").expect(202)
}

async fn done(operator: &Api, job: &Value) {
    let path = format!("/v1/jobs/{}", job["id"].as_str().expect("its id"));
    eventually("the job is done", 3 * SOON, async || {
        // While its node is lost another one may not have taken over.
        let job = operator.get(&path).await.expect(200);
        assert!(job["status"] == "running" || job["status"] == "done", "{job}");
        (job["status"] == "done").then_some(())
    })
    .await;
}

/// What is left in the end: that the number was used.
async fn only_its_number_is_left(nodes: &Nodes) {
    let (url, _) = nodes.hubs[0].setup.shared.as_ref().expect("a database");
    let mut left = rows::of_company(url, FIRST).await;
    left.retain(|_, rows| *rows > 0);
    let expected = [("gone".to_owned(), 1), ("log_heads".to_owned(), 1)].into();
    assert_eq!(left, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_that_is_deleted_through_one_node_is_gone_on_all_while_they_write_for_it() {
    let mut nodes = Nodes::start(2).await;
    for n in 0..8 {
        nodes.integration(0, &format!("it-{n}")).await;
    }
    let mut streams = Vec::new();
    for api in &nodes.apis {
        streams.push(Stream::open(api, "/v1/events/stream", &[]).await);
    }
    let mut producers = tokio::task::JoinSet::new();
    for api in nodes.apis.clone() {
        producers.spawn(async move {
            for version in 0.. {
                let answer = api.post("/v1/events", &order(version)).await;
                match answer.status {
                    202 => {}
                    // Who was let in a moment before is told that it is gone.
                    401 | 404 => return version,
                    other => panic!("{other}: {}", answer.text()),
                }
            }
            0
        });
    }
    nodes.receiver.wait_for("/it-0", 20, SOON).await;
    let operator = nodes.operator(1);
    let job = delete(&operator).await;
    for api in &nodes.apis {
        api.get("/v1/events").await.expect(401);
    }
    while let Some(ended) = producers.join_next().await {
        assert!(ended.expect("a producer") > 0);
    }
    for stream in &mut streams {
        stream.rest(SOON).await;
    }
    done(&operator, &job).await;
    // A node that ends in good order writes down all that it has counted.
    for hub in &mut nodes.hubs {
        hub.stop();
    }
    only_its_number_is_left(&nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_goes_on_when_the_node_that_does_it_is_killed() {
    let mut nodes = Nodes::start(2).await;
    for request in 0..REQUESTS {
        let events: Vec<Value> = (0..AT_ONCE).map(|n| order(request * AT_ONCE + n)).collect();
        nodes.apis[0].post("/v1/events", &json!(events)).await.expect(202);
    }
    let (mut operators, job) = (vec![nodes.operator(0), nodes.operator(1)], delete(&nodes.operator(0)).await);
    // Whichever it is, the other one finishes.
    nodes.hubs[0].kill();
    done(&operators.remove(1), &job).await;
    nodes.hubs[1].stop();
    only_its_number_is_left(&nodes).await;
}
