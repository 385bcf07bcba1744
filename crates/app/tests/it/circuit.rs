//! A receiver that fails altogether: the circuit and the reject brake.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Receiver, Reply, SOON, Stage, eventually, order};

fn orders(count: usize) -> Value {
    (0..count).map(|n| order(&format!("o-{n}"), 1)).collect()
}

async fn wait_for_circuit(stage: &Stage, state: &str) {
    let what = format!("the circuit is {state}");
    let is = |i: &Value| i["cursor"]["circuit"] == state;
    eventually(&what, SOON, async || Some(stage.shown("it").await).filter(is)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listening_opens_the_circuit_and_somebody_listening_closes_it() {
    let stage = Stage::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let settings = json!({"target": {"url": format!("http://{address}/late")}});
    stage.integration("it", settings).await;
    stage.emit(orders(10)).await;
    wait_for_circuit(&stage, "open").await;
    let late = Receiver::on(TcpListener::bind(address).await.expect("the port is still free"));
    let deliveries = late.wait_for("/late", 10, SOON).await;
    wait_for_circuit(&stage, "closed").await;
    stage.wait_until_idle("it").await;
    stage.wait_for_action("it", "circuit_closed").await;
    let actions = stage.actions("it").await;
    assert_eq!(actions.iter().filter(|a| *a == "circuit_opened").count(), 1, "{actions:?}");
    assert_eq!(actions.iter().filter(|a| *a == "circuit_closed").count(), 1, "{actions:?}");
    assert_eq!(actions.iter().filter(|a| *a == "retry_triggered").count(), 1, "{actions:?}");
    let highest = deliveries.iter().map(|d| d.header("tillstream-attempt").parse::<u32>().unwrap()).max().unwrap();
    assert!(highest <= 3, "an outage burns no attempts, yet one had {highest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_for_everything_open_the_circuit_and_one_probe_is_left() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Status(500));
    stage.integration("it", json!({"delivery": {"retry": {"schedule_seconds": [0, 1, 2, 3, 3, 3, 3, 3, 3]}}})).await;
    stage.emit(orders(8)).await;
    wait_for_circuit(&stage, "open").await;
    let before = stage.receiver.deliveries("/it").len();
    let probes = stage.receiver.wait_for("/it", before + 2, SOON).await.split_off(before);
    let gap = probes[1].at - probes[0].at;
    assert!(gap.as_millis() >= 900, "two probes within {gap:?}");
    stage.receiver.behave("/it", |_| Reply::Status(200));
    wait_for_circuit(&stage, "closed").await;
    stage.wait_until_idle("it").await;
    assert_eq!(stage.rejected("it").await.len(), 0);
    stage.wait_for_action("it", "circuit_opened").await;
    stage.wait_for_action("it", "circuit_closed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_fails_now_and_then_keeps_its_circuit_closed() {
    let stage = Stage::new().await;
    let count = std::sync::atomic::AtomicU32::new(0);
    stage.receiver.behave("/it", move |_| {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Reply::Status(if n.is_multiple_of(5) { 500 } else { 200 })
    });
    stage.integration("it", json!({"delivery": {"retry": {"schedule_seconds": vec![0; 20]}}})).await;
    stage.emit(orders(300)).await;
    stage.wait_until_idle("it").await;
    assert!(!stage.actions("it").await.contains(&"circuit_opened".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_rejects_everything_loses_no_more_than_the_brake_allows() {
    const MAX_IN_FLIGHT: usize = 4;
    const EVENTS: usize = 200;
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Status(400));
    stage.integration("it", json!({"delivery": {"max_in_flight": MAX_IN_FLIGHT}})).await;
    stage.emit(orders(EVENTS)).await;
    stage.wait_for_action("it", "braked").await;
    let before = stage.receiver.deliveries("/it").len();
    stage.receiver.wait_for("/it", before + 2, SOON).await;
    let lost = stage.rejected("it").await.len();
    assert!((20..=20 + MAX_IN_FLIGHT).contains(&lost), "{lost} are rejected");
    stage.receiver.behave("/it", |_| Reply::Status(200));
    stage.wait_until_idle("it").await;
    let mut delivered: Vec<String> = stage.receiver.deliveries("/it").iter().map(|d| d.id().to_owned()).collect();
    delivered.sort();
    delivered.dedup();
    assert_eq!(delivered.len(), EVENTS, "everything was tried");
    assert_eq!(stage.rejected("it").await.len(), lost, "none was rejected while the brake was on");
    let totals = async || Some(stage.api.get("/v1/integrations/it/stats").await.expect(200)["totals"].clone());
    let all_counted = async || totals().await.filter(|t| t["delivered"] == EVENTS - lost && t["rejected"] == lost);
    eventually("every event is counted", SOON, all_counted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_may_have_everything_rejected_anyway() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Status(400));
    stage.integration("it", json!({"delivery": {"max_in_flight": 4}})).await;
    stage.emit(orders(60)).await;
    stage.wait_for_action("it", "braked").await;
    stage.api.post("/v1/integrations/it/brake/release", &Value::Null).await.expect(204);
    stage.wait_for_rejected("it", 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brake_and_what_it_holds_outlive_a_crash() {
    let mut stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Status(400));
    stage.integration("it", json!({"delivery": {"max_in_flight": 2}})).await;
    stage.emit(orders(60)).await;
    stage.wait_for_action("it", "braked").await;
    stage.crash().await;
    stage.receiver.behave("/it", |_| Reply::Status(200));
    stage.wait_until_idle("it").await;
    let lost = stage.rejected("it").await.len();
    // The count in a row begins anew with the process.
    assert!(lost <= 2 * (20 + 2), "{lost} are rejected");
    let mut seen: Vec<String> = stage.receiver.deliveries("/it").iter().map(|d| d.id().to_owned()).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 60, "everything was tried");
}
