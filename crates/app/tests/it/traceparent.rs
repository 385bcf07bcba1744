//! The trace that a source's request belongs to: its events' deliveries go on with it, however they come about.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::support::stage::accepted_ids;
use crate::support::{Answer, Delivery, Reply, SOON, Stage, eventually, order};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const OTHER: &str = "0af7651916cd43dd8448eb211c80319c";

fn named(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{SPAN}-{flags}")
}

async fn send(stage: &Stage, traceparent: &[&str], kind: &str, body: String) -> Answer {
    let mut headers = vec![("content-type", kind), ("tracestate", "vendor=1")];
    headers.extend(traceparent.iter().map(|value| ("traceparent", *value)));
    stage.api.send(Method::POST, "/v1/events", &headers, body.into()).await.expect("an answer")
}

async fn emit(stage: &Stage, traceparent: &str, events: Value) -> Vec<String> {
    accepted_ids(&send(stage, &[traceparent], "application/json", events.to_string()).await.expect(202))
}

/// A delivery's trace, span and flags.
#[track_caller]
fn trace_of(delivery: &Delivery) -> (&str, &str, &str) {
    let parts: Vec<&str> = delivery.header("traceparent").split('-').collect();
    let [version, trace, span, flags] = parts[..] else { panic!("{parts:?}") };
    assert_eq!((version, trace.len(), span.len()), ("00", 32, 16));
    (trace, span, flags)
}

/// Asserts that all go on with this trace, each in a span of its own.
#[track_caller]
fn assert_go_on(deliveries: &[Delivery], trace: &str, flags: &str) {
    for delivery in deliveries {
        let (found, span, set) = trace_of(delivery);
        assert_eq!((found, set), (trace, flags));
        assert_ne!(span, SPAN, "the caller's span is the caller's");
        assert!(!delivery.headers.contains_key("tracestate"));
    }
    let spans: BTreeSet<&str> = deliveries.iter().map(|d| trace_of(d).1).collect();
    assert_eq!(spans.len(), deliveries.len(), "{spans:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_delivery_of_a_request_goes_on_with_its_trace() {
    let stage = Stage::new().await;
    for id in ["it", "other"] {
        stage.integration(id, json!({})).await;
    }
    emit(&stage, &named(TRACE, "01"), order("a", 1)).await;
    emit(&stage, &named(TRACE, "01"), json!([order("a", 2), order("b", 1)])).await;
    let lines = format!("{}\n{}\n", order("c", 1), order("c", 2));
    send(&stage, &[&named(TRACE, "01")], "application/x-ndjson", lines).await.expect(202);
    let mut all = stage.receiver.wait_for("/it", 5, SOON).await;
    all.extend(stage.receiver.wait_for("/other", 5, SOON).await);
    assert_go_on(&all, TRACE, "01");
    emit(&stage, &named(OTHER, "00"), order("d", 1)).await;
    let last = stage.receiver.wait_for("/it", 6, SOON).await.split_off(5);
    assert_go_on(&last, OTHER, "00");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_trace_that_can_be_read_the_event_begins_one() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let twice = [named(TRACE, "01"), named(OTHER, "01")];
    let (upper, zeros) = (named(&TRACE.to_uppercase(), "01"), named(&"0".repeat(32), "01"));
    let unreadable: [&[&str]; 6] =
        [&[], &["x"], &[&upper], &[&zeros], &[&twice[0].replacen("00", "ff", 1)], &[&twice[0], &twice[1]]];
    for (n, traceparent) in unreadable.into_iter().enumerate() {
        let event = order(&format!("o-{n}"), 1).to_string();
        send(&stage, traceparent, "application/json", event).await.expect(202);
    }
    let deliveries = stage.receiver.wait_for("/it", unreadable.len(), SOON).await;
    let traces: BTreeSet<&str> = deliveries.iter().map(|d| trace_of(d).0).collect();
    assert_eq!(traces.len(), unreadable.len(), "each event has its own: {traces:?}");
    assert!(!traces.contains(TRACE) && !traces.contains(OTHER), "{traces:?}");
    assert!(deliveries.iter().all(|d| trace_of(d).2 == "01"));
}

/// Waits until so many attempts that succeeded are committed, so that nothing waits any more.
async fn wait_for_delivered(stage: &Stage, count: usize) {
    eventually("the delivery is committed", SOON, async || {
        let attempts = stage.attempts("it").await;
        let delivered = attempts.iter().filter(|a| a["response_status"] == 204).count();
        (delivered == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_a_restart_and_what_is_sent_again_stay_in_the_trace() {
    let mut stage = Stage::new().await;
    stage.receiver.behave("/it", |_| Reply::Status(503));
    stage.integration("it", json!({"delivery": {"retry": {"schedule_seconds": [0, 0, 1, 1]}}})).await;
    let id = emit(&stage, &named(TRACE, "00"), order("o", 1)).await.remove(0);
    stage.receiver.wait_for("/it", 3, SOON).await;
    stage.receiver.behave("/it", |_| Reply::Status(422));
    stage.crash().await;
    stage.wait_for_rejected("it", 1).await;
    stage.receiver.behave("/it", |_| Reply::Status(204));
    stage.crash().await;
    let refused = stage.receiver.deliveries("/it").len();
    let path = |end: &str| format!("/v1/integrations/it/{end}");
    stage.api.post(&path(&format!("rejected/{id}/retry")), &Value::Null).await.expect(202);
    wait_for_delivered(&stage, 1).await;
    stage.api.post(&path(&format!("attempts/{id}/send")), &Value::Null).await.expect(202);
    wait_for_delivered(&stage, 2).await;
    stage.api.post(&path("replay"), &json!({"from": "2020-01-01T00:00:00Z"})).await.expect(202);
    let all = stage.receiver.wait_for("/it", refused + 3, SOON).await;
    assert!(all.last().expect("one").headers.contains_key("tillstream-replay"));
    assert_go_on(&all, TRACE, "00");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_stays_in_the_trace_of_the_first_and_a_held_event_in_its_own() {
    let stage = Stage::new().await;
    stage.api.put("/v1/sites/175", &json!({})).await.expect(201);
    let mut first = order("o", 1);
    first["id"] = "once".into();
    let ids = emit(&stage, &named(TRACE, "01"), first.clone()).await;
    assert_eq!(emit(&stage, &named(OTHER, "01"), first).await, ids, "another trace makes no other event");
    let hold = json!({"name": "Default", "unknown_sites": "hold"});
    stage.operator().put("/v1/companies/default", &hold).await.expect(200);
    let mut sites = 0;
    // A site whose event was still accepted is known from then on.
    let site = eventually("an event is held", SOON, async || {
        sites += 1;
        let site = format!("unknown-{sites}");
        let mut unknown = order("p", 1);
        unknown["site"] = site.as_str().into();
        let answer = send(&stage, &[&named(OTHER, "00")], "application/json", unknown.to_string()).await.expect(202);
        answer.get("held").is_some().then_some(site)
    })
    .await;
    stage.integration("it", json!({"starts_at": "2020-01-01T00:00:00Z"})).await;
    stage.api.post(&format!("/v1/sites/{site}/release"), &Value::Null).await.expect(200);
    let arrived = async |is_it: &dyn Fn(&Delivery) -> bool| {
        eventually("it is delivered", SOON, async || stage.receiver.deliveries("/it").into_iter().find(|d| is_it(d)))
            .await
    };
    let first = arrived(&|d| d.id() == ids[0]).await;
    assert_eq!((trace_of(&first).0, trace_of(&first).2), (TRACE, "01"));
    let held = arrived(&|d| d.json()["site"] == site.as_str()).await;
    assert_eq!((trace_of(&held).0, trace_of(&held).2), (OTHER, "00"));
}
