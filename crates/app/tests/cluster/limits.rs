//! Limits and counts of companies that several nodes serve.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::nodes::Nodes;
use crate::wait::{SOON, eventually};

fn of_site(site: &str, entity: &str) -> Value {
    json!({"name": "order.saved", "site": site, "data": {"_id": entity, "version": 1}})
}

async fn save_company(nodes: &Nodes, wish: Value) {
    let headers = [("content-type", "application/json")];
    let body = Bytes::from(wish.to_string());
    let answer = nodes.operator(0).send(Method::PUT, "/v1/companies/default", &headers, body).await;
    answer.expect("an answer").expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_allows_its_share_and_all_add_up_what_was_used() {
    let nodes = Nodes::start(2).await;
    save_company(&nodes, json!({"name": "Default", "limits": {"events_per_second": 4_001}})).await;
    let mut sent = 0;
    for api in &nodes.apis {
        eventually("a node allows half of the limit", SOON, async || {
            let answer = api.post("/v1/events", &of_site("175", "o")).await;
            answer.expect(202);
            sent += 1;
            let policy = answer.headers.get("ratelimit-policy")?.to_str().ok()?;
            (policy == "\"events\";q=2001;w=1").then_some(())
        })
        .await;
    }
    for api in &nodes.apis {
        eventually("what both of them took", SOON, async || {
            let days = api.all("/v1/companies/default/usage").await;
            (days.iter().map(|d| d["events"].as_u64().unwrap_or_default()).sum::<u64>() == sent).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_releases_another_holds_no_more() {
    let nodes = Nodes::start(2).await;
    save_company(&nodes, json!({"name": "Default", "unknown_sites": "hold"})).await;
    for (n, api) in nodes.apis.iter().enumerate() {
        eventually("a node holds events", SOON, async || {
            let event = json!({"id": format!("id-{n}"), "name": "a.b", "site": "9", "data": {}});
            let answer = api.post("/v1/events", &event).await.expect(202);
            answer.get("held").is_some().then_some(())
        })
        .await;
    }
    let released = nodes.apis[0].post("/v1/sites/9/release", &Value::Null).await.expect(200);
    assert!(released["appended"].as_u64().is_some_and(|n| n >= 1), "{released}");
    for api in &nodes.apis {
        let answer = api.post("/v1/events", &of_site("9", "o")).await.expect(202);
        assert_eq!(answer["accepted"].as_array().map(Vec::len), Some(1), "{answer}");
        assert!(api.all("/v1/held").await.is_empty());
    }
}
