//! The database is away: for everybody, or for one node.

use std::time::Duration;

use serde_json::{Value, json};

use crate::network::Network;
use crate::nodes::Nodes;
use crate::postgres::Pair;
use crate::receiver::Reply;
use crate::wait::{SOON, eventually};

fn order(entity: &str, version: u64) -> Value {
    json!({"name": "order.saved", "site": "175", "data": {"_id": entity, "version": version}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_the_hub_answers_503_with_a_reason_and_recovers_by_itself() {
    let pair = Pair::start().await;
    let nodes = Nodes::on(vec![pair.url(pair.ports)]).await;
    nodes.integration(0, "it").await;
    let api = &nodes.apis[0];
    api.post("/v1/events", &order("e", 1)).await.expect(202);
    nodes.receiver.wait_for("/it", 1, SOON).await;

    pair.stop_primary();
    let refused = api.post("/v1/events", &order("e", 2)).await;
    assert!(refused.headers.contains_key("retry-after"), "{}", refused.text());
    let problem = refused.expect(503);
    assert!(problem["detail"].as_str().is_some_and(|d| !d.is_empty()), "{problem}");
    eventually("the hub is not ready", SOON, async || (api.get("/readyz").await.status == 503).then_some(())).await;
    let listed = api.get("/v1/integrations").await;
    assert_eq!(listed.status, 503, "{}", listed.text());

    pair.start_primary();
    eventually("events are taken again", SOON + SOON, async || {
        (api.post("/v1/events", &order("e", 2)).await.status == 202).then_some(())
    })
    .await;
    // The first may come twice: its outcome could have been on its way when the database went.
    let versions = eventually("the second is delivered", SOON + SOON, async || {
        let mut versions: Vec<u64> = nodes.receiver.deliveries("/it").iter().map(|d| d.version().1).collect();
        versions.dedup();
        versions.contains(&2).then_some(versions)
    })
    .await;
    assert_eq!(versions, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_cut_off_from_the_database_changes_nothing_that_counts_when_it_comes_back() {
    const LANES: usize = 8;
    let pair = Pair::start().await;
    let networks = [Network::to(pair.ports).await, Network::to(pair.ports).await];
    let nodes = Nodes::on(networks.iter().map(|n| pair.url(n.ports)).collect()).await;
    eventually("both nodes hold buckets", SOON, async || {
        (nodes.figure(0, "tillstream_buckets_held").await == 32.0).then_some(())
    })
    .await;
    for n in 0..LANES {
        // The first answer to each comes after the cut and refuses the event: whoever hears it would reject it.
        nodes.receiver.behave(&format!("/it-{n}"), {
            let first = std::sync::atomic::AtomicBool::new(true);
            move |_| match first.swap(false, std::sync::atomic::Ordering::AcqRel) {
                true => Reply::After(Duration::from_secs(3), 422),
                false => Reply::Status(200),
            }
        });
        nodes.integration(1, &format!("it-{n}")).await;
    }
    nodes.apis[1].post("/v1/events", &order("e", 1)).await.expect(202);
    for n in 0..LANES {
        nodes.receiver.wait_for(&format!("/it-{n}"), 1, SOON).await;
    }
    networks[0].cut();
    let seen = async || {
        let mut all = Vec::new();
        for n in 0..LANES {
            let path = format!("/v1/integrations/it-{n}");
            let rejected = nodes.apis[1].all(&format!("{path}/rejected")).await.len();
            let attempts = nodes.apis[1].all(&format!("{path}/attempts")).await.len();
            let cursor = nodes.apis[1].get(&path).await.expect(200)["cursor"]["seq"].clone();
            all.push((rejected, attempts, cursor));
        }
        all
    };
    // The other node takes over after a lease, sends once more, and all is settled.
    let settled = eventually("everything is settled by the other node", 2 * SOON + SOON, async || {
        let seen = seen().await;
        seen.iter().all(|(_, attempts, cursor)| *attempts == 1 && *cursor == json!(1)).then_some(seen)
    })
    .await;
    let taken_over = settled.iter().filter(|(rejected, ..)| *rejected == 0).count();
    assert!((1..LANES).contains(&taken_over), "some lanes were the other node's: {settled:?}");
    networks[0].mend();
    eventually("the node is back among the others", SOON, async || {
        (nodes.figure(0, "tillstream_buckets_held").await > 0.0).then_some(())
    })
    .await;
    assert_eq!(seen().await, settled);
}
