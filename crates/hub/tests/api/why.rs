//! Answers that take time to become true: sites that fall silent, late deliveries, rules of yesterday.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::support::App;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

async fn told(app: &App, query: &str) -> (String, String, Value) {
    let answer = app.get(&format!("/v1/why?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
    (text("verdict"), text("advice"), answer.body.clone())
}

#[tokio::test]
async fn a_site_is_silent_after_its_own_time_or_an_hour() {
    let app = App::start().await;
    app.event("order.saved", "a").await;
    let asked = "site=175&entity=punch";
    app.pass(59 * MINUTE);
    assert_eq!(told(&app, asked).await.0, "not_received");
    app.pass(MINUTE);
    let (verdict, advice, body) = told(&app, asked).await;
    assert_eq!((verdict.as_str(), advice.as_str()), ("site_silent", "check_site"), "{body}");
    assert_eq!(
        (&body["site"]["silent"], &body["site"]["last_heard_at"]),
        (&json!(true), &json!("2026-11-21T10:00:00.000Z"))
    );
    app.ask(Method::PUT, "/v1/sites/175", json!({"silent_after_minutes": 90})).await;
    assert_eq!(told(&app, asked).await.0, "not_received");
    app.pass(30 * MINUTE);
    assert_eq!(told(&app, asked).await.0, "site_silent");
}

#[tokio::test]
async fn what_was_delivered_late_is_told_as_late() {
    let mut app = App::start().await;
    let (url, _) = app.receiver(200).await;
    app.integration("erp", &url, json!({})).await;
    app.post("/v1/integrations/erp/stop", Value::Null).await;
    app.event("order.saved", "a").await;
    app.pass(16 * MINUTE);
    app.event("order.saved", "b").await;
    app.post("/v1/integrations/erp/start", Value::Null).await;
    app.wait_for("/v1/integrations/erp/stats", |stats| stats["totals"]["delivered"] == 2).await;
    let (verdict, advice, body) = told(&app, "integration=erp").await;
    assert_eq!((verdict.as_str(), advice.as_str()), ("delivered_late", "nothing"), "{body}");
    let delivered = &body["integrations"][0]["delivered"];
    assert_eq!((&delivered["count"], &delivered["late"]), (&json!(2), &json!(1)));
    assert_eq!(told(&app, "integration=erp&entity_id=b").await.0, "delivered");
}

#[tokio::test]
async fn a_site_that_was_switched_off_yesterday_is_told_with_that_day() {
    let mut app = App::start().await;
    let (url, _) = app.receiver(200).await;
    app.integration("erp", &url, json!({})).await;
    app.pass(DAY);
    let off = json!({"availability": {"default": true, "sites": {"175": false}}});
    assert_eq!(app.ask(Method::PATCH, "/v1/integrations/erp", off).await.status, 200);
    app.pass(DAY);
    app.event("order.saved", "a").await;
    let (verdict, _, body) = told(&app, "integration=erp&site=175").await;
    assert_eq!(verdict, "site_off", "{body}");
    let set = &body["integrations"][0]["not_wanted"][0]["set_by"];
    assert_eq!((&set["at"], &set["version"]), (&json!("2026-11-22T10:00:00.000Z"), &json!(2)), "{body}");
}

#[tokio::test]
async fn without_an_id_or_a_trading_day_it_is_about_the_last_day() {
    let app = App::start().await;
    app.event("order.saved", "a").await;
    app.pass(DAY + MINUTE);
    assert_eq!(told(&app, "entity=order").await.0, "not_received");
    assert_eq!(told(&app, "entity=order&entity_id=a").await.0, "no_integration");
    assert_eq!(told(&app, "entity=order&from=2026-11-21T10:00:00Z").await.0, "no_integration");
}
