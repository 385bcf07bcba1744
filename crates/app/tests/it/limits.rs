//! What companies and keys may use, and what they used.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Api, SOON, Stage, eventually, order, slug};

/// So many events in one request.
fn many(entity: &str, n: usize) -> Value {
    (0..n).map(|n| order(&format!("{entity}-{n}"), 1)).collect()
}

async fn limit(operator: &Api, limits: Value) -> Value {
    operator.put("/v1/companies/default", &json!({"name": "Default", "limits": limits})).await.expect(200)
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// Sends until the hub has taken note of a limit and answers with how it stands.
async fn limited(api: &Api, event: &Value) -> Answer {
    eventually("the limit counts", SOON, async || {
        let answer = api.post("/v1/events", event).await;
        answer.headers.contains_key("ratelimit").then_some(answer)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_sends_up_to_its_limit_and_nothing_is_kept_of_what_is_over_it() {
    let stage = Stage::new().await;
    let first = stage.api.post("/v1/events", &order("o", 1)).await;
    assert!(!first.headers.contains_key("ratelimit"), "nothing is said where no limit is set");
    let operator = stage.operator();
    let shown = limit(&operator, json!({"events_per_second": 5})).await;
    assert_eq!(shown["limits"], json!({"events_per_second": 5, "stored_bytes": null, "integrations": null}));
    let answer = limited(&stage.api, &order("o", 2)).await;
    assert_eq!((answer.status, header(&answer, "ratelimit-policy")), (202, "\"events\";q=5;w=1"));
    assert!(header(&answer, "ratelimit").starts_with("\"events\";r=999;t="), "{:?}", answer.headers);
    stage.api.post("/v1/events", &many("a", 999)).await.expect(202);
    let before = stage.api.all("/v1/events").await.len();
    let refused = stage.api.post("/v1/events", &many("b", 500)).await;
    assert_eq!(slug(&refused.expect(429)), "rate-limited");
    let wait: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((90..=100).contains(&wait), "500 events at 5 a second: {wait}");
    assert_eq!(header(&refused, "ratelimit-policy"), "\"events\";q=5;w=1");
    assert_eq!(stage.api.all("/v1/events").await.len(), before);
    tokio::time::sleep(Duration::from_millis(450)).await;
    stage.api.post("/v1/events", &many("c", 2)).await.expect(202);
    limit(&operator, json!({})).await;
    eventually("the limit is gone", SOON, async || {
        (stage.api.post("/v1/events", &many("d", 900)).await.status == 202).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_sends_up_to_its_own_limit_and_gives_no_more_than_that() {
    let stage = Stage::new().await;
    let wish = json!({"name": "till", "scopes": ["events:write", "keys:write"], "events_per_second": 3});
    let made = stage.api.post("/v1/keys", &wish).await.expect(201);
    assert_eq!(made["events_per_second"], 3);
    let till = stage.api.with_key(made["key"].as_str().unwrap());
    till.post("/v1/events", &many("a", 1_000)).await.expect(202);
    let refused = till.post("/v1/events", &many("b", 10)).await.expect(429);
    assert!(refused["detail"].as_str().unwrap().contains("the key may send 3"), "{refused}");
    stage.api.post("/v1/events", &many("c", 1_000)).await.expect(202);
    for (rate, status) in [(json!(3), 201), (json!(4), 422), (Value::Null, 422)] {
        let wish = json!({"name": "k", "scopes": ["events:write"], "events_per_second": rate});
        till.post("/v1/keys", &wish).await.expect(status);
    }
    for rate in [0, 1_000_001] {
        let wish = json!({"name": "k", "scopes": ["events:write"], "events_per_second": rate});
        let wrong = stage.api.post("/v1/keys", &wish).await.expect(422);
        assert_eq!(wrong["errors"][0]["path"], "events_per_second");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_stores_up_to_its_share_also_after_a_restart() {
    let mut stage = Stage::new().await;
    let big = |n: u64| {
        let mut event = order(&format!("o-{n}"), n);
        event["data"]["text"] = "x".repeat(100_000).into();
        event
    };
    for n in 0..5 {
        stage.emit(big(n)).await;
    }
    let operator = stage.operator();
    let stored = async |api: &Api| {
        let shown = api.get("/v1/companies/default").await.expect(200);
        shown["usage"]["stored_bytes"].as_u64().unwrap()
    };
    let bytes = stored(&operator).await;
    assert!((500_000..=520_000).contains(&bytes), "five events of 100 kB: {bytes}");
    limit(&operator, json!({"stored_bytes": 650_000})).await;
    stage.bounce().await;
    assert_eq!(stored(&operator.at(&stage.hub.url)).await, bytes, "nothing is forgotten");
    stage.emit(big(5)).await;
    let refused = stage.api.post("/v1/events", &big(6)).await;
    assert_eq!(slug(&refused.expect(429)), "storage-limit");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(stage.api.all("/v1/events").await.len(), 6);
    limit(&operator.at(&stage.hub.url), json!({"stored_bytes": 0})).await;
    eventually("nothing more is taken", SOON, async || {
        (stage.api.post("/v1/events", &order("small", 1)).await.status == 429).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_used_is_told_by_day_and_outlives_a_restart() {
    let mut stage = Stage::new().await;
    stage.receiver.behave("/bad", |_| crate::support::Reply::Status(400));
    stage.integration("good", json!({})).await;
    stage.integration("bad", json!({})).await;
    stage.emit(many("o", 3)).await;
    stage.receiver.wait_for("/good", 3, SOON).await;
    stage.wait_for_rejected("bad", 3).await;
    stage.bounce().await;
    let days = stage.api.all("/v1/companies/default/usage").await;
    let sum = |name: &str| days.iter().map(|d| d[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("events"), sum("delivered"), sum("rejected"), sum("expired")), (3, 3, 3, 0), "{days:?}");
    assert!(sum("attempts") >= 6 && sum("bytes") > 600, "{days:?}");
    let operator = stage.operator();
    let today = days[0]["date"].as_str().unwrap();
    let one = operator.all(&format!("/v1/companies/default/usage?from={today}&to={today}")).await;
    assert_eq!(one[..], days[..1]);
    assert!(operator.all("/v1/companies/default/usage?from=2020-01-01&to=2020-12-31").await.is_empty());
    for wrong in ["from=x", "from=2020-01-02&to=2020-01-01", "from=2020-01-01&to=2021-12-31", "day=1"] {
        operator.get(&format!("/v1/companies/default/usage?{wrong}")).await.expect(400);
    }
    operator.put("/v1/companies/acme", &json!({"name": "Acme"})).await.expect(201);
    stage.api.get("/v1/companies/acme/usage").await.expect(404);
    let bound = stage.holder(json!({"name": "till", "scopes": ["events:read"], "sites": ["175"]})).await;
    bound.get("/v1/companies/default/usage").await.expect(403);
    assert_eq!(bound.get("/v1/companies/default").await.expect(200)["usage"], Value::Null);
}
