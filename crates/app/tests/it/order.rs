//! Order per entity, and that one entity's trouble is its own.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::support::{Delivery, Reply, SOON, Stage, order};

/// Retries at once, again and again.
fn impatient() -> Value {
    json!({"delivery": {"retry": {"schedule_seconds": vec![0; 20]}}})
}

/// Fails when an entity ever goes back to an older version.
fn assert_in_order(deliveries: &[Delivery]) {
    let mut newest: HashMap<String, u64> = HashMap::new();
    for delivery in deliveries {
        let (entity, version) = delivery.version();
        let before = newest.insert(entity.clone(), version).unwrap_or_default();
        assert!(version == before || version == before + 1, "{entity} went from {before} to {version}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entity_never_goes_backwards_while_the_receiver_fails_at_random() {
    const ENTITIES: usize = 12;
    const VERSIONS: u64 = 10;
    let stage = Stage::new().await;
    let dice = Mutex::new(StdRng::seed_from_u64(11));
    stage.receiver.behave("/it", move |_| match dice.lock().unwrap().random_range(0..10) {
        0 | 1 => Reply::Status(503),
        2 => Reply::Close,
        3 => Reply::Status(409),
        _ => Reply::Status(200),
    });
    stage.integration("it", impatient()).await;
    for version in 1..=VERSIONS {
        let batch: Vec<Value> = (0..ENTITIES).map(|e| order(&format!("o-{e}"), version)).collect();
        stage.emit(batch.into()).await;
    }
    stage.wait_until_idle("it").await;
    let deliveries = stage.receiver.deliveries("/it");
    assert_in_order(&deliveries);
    assert!(deliveries.len() > ENTITIES * VERSIONS as usize, "some failed");
    let last = deliveries.iter().map(Delivery::version).collect::<HashMap<_, _>>();
    assert!(last.len() == ENTITIES && last.values().all(|v| *v == VERSIONS), "{last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entitys_next_event_waits_for_the_answer_to_the_one_before() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::After(Duration::from_millis(20), 200));
    stage.integration("it", json!({})).await;
    let batch: Vec<Value> = (1..=5).flat_map(|v| [order("a", v), order("b", v)]).collect();
    stage.emit(batch.into()).await;
    let deliveries = stage.receiver.wait_for("/it", 10, SOON).await;
    assert_in_order(&deliveries);
    for entity in ["a", "b"] {
        let times: Vec<_> = deliveries.iter().filter(|d| d.version().0 == entity).map(|d| d.at).collect();
        let shortest = times.windows(2).map(|w| w[1] - w[0]).min().unwrap();
        assert!(shortest.as_millis() >= 20, "{entity}: the next came {shortest:?} after the one before");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_always_fails_holds_back_its_entity_only() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |d| {
        let poisoned = d.version() == ("sick".to_owned(), 1);
        Reply::Status(if poisoned { 500 } else { 200 })
    });
    stage.integration("it", json!({"delivery": {"retry": {"schedule_seconds": [0, 600]}}})).await;
    stage.emit(json!([order("sick", 1), order("sick", 2)])).await;
    stage.receiver.wait_for("/it", 1, SOON).await;
    let healthy: Vec<Value> = (0..100).map(|n| order(&format!("well-{}", n % 20), 1 + n / 20)).collect();
    stage.emit(healthy.into()).await;
    let deliveries = stage.receiver.wait_for("/it", 101, SOON).await;
    assert_in_order(&deliveries);
    assert!(!deliveries.iter().any(|d| d.version() == ("sick".to_owned(), 2)));
    let shown = stage.shown("it").await;
    assert_eq!((&shown["cursor"]["circuit"], &shown["cursor"]["parked"]), (&json!("closed"), &json!(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_order_an_entitys_events_overtake_a_slow_one() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |d| if d.version().1 == 1 { Reply::Hang } else { Reply::Status(200) });
    stage.integration("it", json!({"delivery": {"ordering": "none"}})).await;
    let batch: Vec<Value> = (1..=5).map(|v| order("same", v)).collect();
    stage.emit(batch.into()).await;
    stage.receiver.wait_for("/it", 5, SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_holds_over_a_crash_and_only_the_newest_is_repeated() {
    let mut stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::After(Duration::from_millis(5), 200));
    stage.integration("it", json!({})).await;
    for version in 1..=20 {
        stage.emit((0..10).map(|e| order(&format!("o-{e}"), version)).collect()).await;
    }
    stage.receiver.wait_for("/it", 30, SOON).await;
    stage.crash().await;
    stage.wait_until_idle("it").await;
    let deliveries = stage.receiver.deliveries("/it");
    assert_in_order(&deliveries);
    let last = deliveries.iter().map(Delivery::version).collect::<HashMap<_, _>>();
    assert!(last.len() == 10 && last.values().all(|v| *v == 20), "{last:?}");
}
