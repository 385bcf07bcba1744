//! Terminals of sites.

use serde_json::{Value, json};

use crate::support::{SOON, Stage, eventually, order, slug};

fn of_terminal(terminal: &str, entity: &str) -> Value {
    let mut event = order(entity, 1);
    event["terminal"] = terminal.into();
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_is_saved_read_listed_and_deleted() {
    let mut stage = Stage::new().await;
    stage.api.put("/v1/sites/175/terminals/till-1", &json!({})).await.expect(404);
    for site in ["175", "176"] {
        stage.api.put(&format!("/v1/sites/{site}"), &json!({})).await.expect(201);
    }
    let wish = json!({"number": "1", "name": "Drive-through"});
    let made = stage.api.put("/v1/sites/175/terminals/till-1", &wish).await;
    assert_eq!((&made.expect(201)["number"], &made.json()["is_new"]), (&json!("1"), &json!(false)));
    stage.api.put("/v1/sites/175/terminals/till-2", &json!({})).await.expect(201);
    stage.api.put("/v1/sites/176/terminals/till-1", &wish).await.expect(201);
    stage.crash().await;
    let tag = made.headers["etag"].to_str().unwrap();
    let stale = [("if-match", "\"9\"")];
    stage.api.put_if("/v1/sites/175/terminals/till-1", &json!({}), &stale).await.expect(412);
    let named = [("if-match", tag)];
    stage.api.put_if("/v1/sites/175/terminals/till-1", &json!({"number": "7"}), &named).await.expect(200);
    let taken = stage.api.put("/v1/sites/175/terminals/till-2", &json!({"number": "7"})).await.expect(422);
    assert_eq!(taken["errors"][0]["path"], "number");
    let page = stage.api.get("/v1/sites/175/terminals?limit=1").await.expect(200);
    assert_eq!((&page["items"][0]["id"], &page["next"]), (&json!("till-1"), &json!("till-1")));
    assert_eq!(stage.api.all("/v1/sites/175/terminals").await.len(), 2);
    assert_eq!(stage.api.all("/v1/sites/176/terminals").await.len(), 1);
    assert_eq!(stage.api.delete("/v1/sites/175/terminals/till-2").await.status, 204);
    stage.api.get("/v1/sites/175/terminals/till-2").await.expect(404);
    assert_eq!(stage.api.delete("/v1/sites/175").await.status, 204);
    stage.api.put("/v1/sites/175", &json!({})).await.expect(201);
    assert!(stage.api.all("/v1/sites/175/terminals").await.is_empty(), "they went with their site");
    stage.api.get("/v1/sites/176/terminals/till-1").await.expect(200);
    let till = stage.holder(json!({"name": "t", "scopes": ["sites:read", "sites:write"], "sites": ["175"]})).await;
    till.get("/v1/sites/176/terminals/till-1").await.expect(404);
    till.put("/v1/sites/175/terminals/a", &json!({})).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_may_name_a_terminal_by_its_number_and_new_ones_are_noted() {
    let stage = Stage::new().await;
    stage.api.put("/v1/sites/175", &json!({"aliases": ["main"]})).await.expect(201);
    stage.api.put("/v1/sites/175/terminals/till-1", &json!({"number": "1"})).await.expect(201);
    let mut event = of_terminal("1", "a");
    event["site"] = "main".into();
    event["business_date"] = "2026-11-20".into();
    stage.emit(json!([event, of_terminal("9", "b")])).await;
    let events = stage.api.all("/v1/events").await;
    let terminals: Vec<&Value> = events.iter().map(|e| &e["terminal"]).collect();
    assert_eq!(terminals, [&json!("till-1"), &json!("9")]);
    let known = stage.api.get("/v1/sites/175/terminals/till-1").await.expect(200);
    assert_eq!((&known["business_date"], &known["is_new"]), (&json!("2026-11-20"), &json!(false)));
    assert!(known["last_event_at"].is_string());
    let new = eventually("the new one is noted", SOON, async || {
        let answer = stage.api.get("/v1/sites/175/terminals/9").await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!((&new["is_new"], &new["business_date"]), (&json!(true), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_has_so_many_terminals_and_no_more() {
    let stage = Stage::new().await;
    stage.api.put("/v1/sites/175", &json!({})).await.expect(201);
    let events: Value = (0..1_000).map(|n| of_terminal(&format!("t-{n:04}"), "o")).collect();
    stage.emit(events).await;
    eventually("all are noted", SOON, async || {
        (stage.api.all("/v1/sites/175/terminals").await.len() == 1_000).then_some(())
    })
    .await;
    eventually("one more is refused as soon as they are counted", SOON, async || {
        let answer = stage.api.put("/v1/sites/175/terminals/one-more", &json!({})).await;
        stage.api.delete("/v1/sites/175/terminals/one-more").await;
        (answer.status == 422).then(|| assert_eq!(slug(&answer.json()), "quota"))
    })
    .await;
    stage.api.put("/v1/sites/175/terminals/t-0000", &json!({"name": "Known"})).await.expect(200);
    assert_eq!(stage.api.delete("/v1/sites/175/terminals/t-0001").await.status, 204);
    stage.api.put("/v1/sites/175/terminals/one-more", &json!({})).await.expect(201);
}
