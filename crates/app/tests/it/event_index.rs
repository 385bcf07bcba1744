//! Events are found by what they are, whether they are indexed already or not.

use serde_json::{Value, json};

use crate::support::{SOON, Stage, database, eventually};

/// Of each kind of filter some events of many.
fn varied(count: u64) -> Value {
    let one = |n: u64| {
        json!({
            "name": if n.is_multiple_of(100) { "order.rare" } else { "order.saved" },
            "site": format!("s{}", n % 3), "terminal": format!("t{}", n % 7),
            "business_date": format!("2026-11-{:02}", 1 + n % 20),
            "correlation": {"customer_id": format!("c{}", n % 50), "order_id": n},
            "data": {"_id": format!("e{}", n % 200), "version": n}
        })
    };
    (0..count).map(one).collect()
}

const EVENTS: u64 = 1_000;
const FILTERS: [(&str, u64); 9] = [
    ("name=order.rare", 10),
    ("site=s1", 333),
    ("terminal=t3", 143),
    ("business_date=2026-11-05", 50),
    ("correlation=customer_id:c7", 20),
    ("correlation=order_id:77", 1),
    ("entity=order&entity_id=e5", 5),
    ("site=s1&correlation=customer_id:c7", 7),
    ("entity_id=none", 0),
];

async fn check(stage: &Stage, times: u64, when: &str) {
    for (filter, count) in FILTERS {
        let found = stage.api.all(&format!("/v1/events?{filter}")).await;
        assert_eq!(found.len() as u64, count * times, "{filter}, {when}");
        let seqs: Vec<u64> = found.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
        assert!(seqs.is_sorted_by(|a, b| a < b), "{filter}, {when}: {seqs:?}");
    }
    let mut pages = 0;
    let (mut found, mut after) = (0, "0".to_owned());
    loop {
        let page = stage.api.get(&format!("/v1/events?site=s1&limit=100&after={after}")).await.expect(200);
        found += page["items"].as_array().unwrap().len() as u64;
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        after = next.to_owned();
    }
    assert!(found == 333 * times && pages > 3, "{found} on {pages} pages, {when}");
}

async fn wait_until_indexed(stage: &Stage) {
    eventually("everything is indexed", SOON, async || {
        let page = stage.api.get("/v1/events?limit=1").await.expect(200);
        (page["index"]["lag_events"] == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_misses_an_event_before_while_and_after_it_is_indexed() {
    let mut stage = Stage::new().await;
    stage.emit(varied(EVENTS)).await;
    check(&stage, 1, "right away").await;
    wait_until_indexed(&stage).await;
    check(&stage, 1, "indexed").await;
    stage.emit(varied(EVENTS)).await;
    check(&stage, 2, "half indexed").await;
    stage.crash().await;
    check(&stage, 2, "after a crash").await;
    wait_until_indexed(&stage).await;
    check(&stage, 2, "all indexed").await;
    for wrong in ["correlation=order_id", "business_date=2026-11-31"] {
        let problem = stage.api.get(&format!("/v1/events?{wrong}")).await.expect(400);
        assert_eq!(problem["errors"][0]["path"], wrong.split('=').next().unwrap(), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_was_lost_is_derived_again() {
    if database::is_used() {
        return;
    }
    let mut stage = Stage::new().await;
    stage.emit(varied(EVENTS)).await;
    wait_until_indexed(&stage).await;
    stage.hub.stop();
    std::fs::remove_dir_all(stage.hub.folder().join("data/index")).unwrap();
    stage.restart().await;
    check(&stage, 1, "without an index").await;
    wait_until_indexed(&stage).await;
    assert!(std::fs::read_dir(stage.hub.folder().join("data/index")).unwrap().count() > 0);
    check(&stage, 1, "derived again").await;
}
