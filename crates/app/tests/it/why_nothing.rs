//! Why nothing arrived: nothing came, or a rule kept it back. Every situation is made on purpose.

use serde_json::{Value, json};

use crate::support::{Api, Stage, command, event, order, run};

pub async fn why(api: &Api, query: &str) -> Value {
    api.get(&format!("/v1/why?{query}")).await.expect(200)
}

/// Verdict and advice.
#[track_caller]
pub fn assert_told(why: &Value, verdict: &str, advice: &str) {
    assert_eq!((&why["verdict"], &why["advice"]), (&json!(verdict), &json!(advice)), "{why}");
    assert!(why["summary"].as_str().unwrap().ends_with('.') && why["todo"].as_str().unwrap().ends_with('.'), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_was_never_heard_or_sends_other_things() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let never = why(&stage.api, "integration=it&site=175").await;
    assert_told(&never, "site_never_heard", "check_site_id");
    assert_eq!((&never["site"]["last_heard_at"], &never["received"]["count"]), (&Value::Null, &json!(0)));
    stage.api.put("/v1/sites/175", &json!({"aliases": ["main"]})).await.expect(201);
    assert_told(&why(&stage.api, "integration=it&site=175").await, "site_never_heard", "check_site");
    stage.emit(order("o", 1)).await;
    let other = why(&stage.api, "integration=it&site=main&entity=punch").await;
    assert_told(&other, "not_received", "check_source");
    assert_eq!((&other["site"]["id"], &other["site"]["silent"]), (&json!("175"), &json!(false)), "{other}");
    assert!(other["site"]["last_heard_at"].is_string(), "{other}");
    assert_told(&why(&stage.api, "entity=order&entity_id=none").await, "not_received", "check_source");
    assert_told(&why(&stage.api, "business_date=2026-11-21").await, "not_received", "check_source");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_is_found_by_entity_site_and_trading_day() {
    let stage = Stage::new().await;
    let mut dated = order("o", 1);
    dated["business_date"] = "2026-11-21".into();
    let ids = stage.emit(json!([dated, order("o", 2), order("p", 1), event("punch.saved", "q", 1)])).await;
    assert_told(&why(&stage.api, "entity=order").await, "no_integration", "create_integration");
    stage.integration("it", json!({})).await;
    for (query, count, last) in [
        ("", 4, 3),
        ("site=175", 4, 3),
        ("entity=order", 3, 2),
        ("entity=order&entity_id=o", 2, 1),
        ("business_date=2026-11-21", 1, 0),
        ("to=2999-01-01T00:00:00Z", 4, 3),
    ] {
        let told = why(&stage.api, query).await;
        assert_eq!(
            (&told["received"]["count"], &told["received"]["last_id"]),
            (&json!(count), &json!(ids[last])),
            "{query}"
        );
        assert_eq!(told["received"]["complete"], true, "{query}");
    }
    assert_eq!(why(&stage.api, "to=2020-01-01T00:00:00Z").await["received"]["count"], 0);
    for (wrong, path) in [("business_date=tomorrow", "business_date"), ("sight=175", ""), ("from=x", "")] {
        let problem = stage.api.get(&format!("/v1/why?{wrong}")).await.expect(400);
        assert!(path.is_empty() || problem["errors"][0]["path"] == path, "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_says_no_is_named_with_who_set_it_and_when() {
    let stage = Stage::new().await;
    let other = stage.holder(json!({"name": "other", "scopes": ["integrations:read", "integrations:write"]})).await;
    let who = stage.api.all("/v1/keys").await.iter().find(|k| k["name"] == "other").unwrap()["id"].clone();
    let who = format!("key {}", who.as_str().unwrap());
    stage.integration("site", json!({"name": "first"})).await;
    let off = json!({"availability": {"default": true, "sites": {"175": false}}});
    other.patch("/v1/integrations/site", &off).await.expect(200);
    stage.edit("site", json!({"description": "a later edit changes nothing"})).await;
    stage.integration("names", json!({"events": {"names": ["order.completed"]}})).await;
    let wheres =
        json!([{"path": "data.version", "op": "gt", "value": 0}, {"path": "data.version", "op": "gt", "value": 9}]);
    stage.integration("condition", json!({"events": {"where": wheres}})).await;
    let id = stage.emit(order("o", 1)).await.remove(0);
    for quiet in ["site", "names", "condition"] {
        stage.wait_until_idle(quiet).await;
    }
    let told = why(&stage.api, "integration=site&site=175").await;
    assert_told(&told, "site_off", "switch_site_on");
    let rule = &told["integrations"][0]["not_wanted"][0];
    assert_eq!((&rule["rule"], &rule["count"]), (&json!("availability"), &json!(1)));
    assert_eq!((&rule["set_by"]["actor"], &rule["set_by"]["version"]), (&json!(who), &json!(2)), "{rule}");
    assert!(told["summary"].as_str().unwrap().contains(&who), "{told}");
    let told = why(&stage.api, "integration=names&entity=order").await;
    assert_told(&told, "not_selected", "select_events");
    let told = why(&stage.api, "integration=condition&entity_id=o").await;
    assert_told(&told, "condition_fails", "change_condition");
    assert_eq!(told["integrations"][0]["not_wanted"][0]["rule"], "events.where[1]", "{told}");
    let explained = stage.api.get(&format!("/v1/events/{id}/explain")).await.expect(200);
    let story = explained["items"].as_array().unwrap().iter().find(|s| s["integration"] == "site").unwrap().clone();
    assert_eq!((&story["set_by"]["actor"], &story["set_by"]["version"]), (&json!(who), &json!(2)), "{story}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_an_integration_began_is_not_sent() {
    let stage = Stage::new().await;
    stage.emit(order("o", 1)).await;
    stage.integration("it", json!({})).await;
    assert_told(&why(&stage.api, "integration=it&entity_id=o").await, "before_start", "start_earlier");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_company_is_told_to_its_operator() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let operator = stage.operator().in_company("default");
    operator.post("/v1/companies/default/suspend", &Value::Null).await.expect(200);
    operator.post("/v1/events", &order("o", 1)).await.expect(202);
    assert_told(&why(&operator, "integration=it").await, "company_suspended", "resume_company");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_learns_nothing_of_what_it_does_not_reach() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let mut elsewhere = order("b", 1);
    elsewhere["site"] = "9".into();
    stage.emit(json!([order("a", 1), elsewhere])).await;
    stage.api.get("/v1/why?integration=none").await.expect(404);
    stage.operator().put("/v1/companies/acme", &json!({"name": "Acme"})).await.expect(201);
    let acme = stage.operator().in_company("acme");
    acme.get("/v1/why?integration=it").await.expect(404);
    assert_eq!(why(&acme, "").await["received"]["count"], 0);
    for (scopes, missing) in [(["deliveries:read"], "events:read"), (["events:read"], "deliveries:read")] {
        let part = stage.holder(json!({"name": "p", "scopes": scopes})).await;
        assert!(part.get("/v1/why").await.expect(403)["detail"].as_str().unwrap().contains(missing));
    }
    let of_other = stage.holder(json!({"name": "i", "scopes": ["deliveries:read"], "integrations": ["other"]})).await;
    of_other.get("/v1/why?integration=it").await.expect(404);
    assert_eq!(why(&of_other, "").await["integrations"], json!([]));
    let of_site = stage.holder(json!({"name": "s", "scopes": ["events:read"], "sites": ["9"]})).await;
    of_site.get("/v1/why?site=175").await.expect(404);
    of_site.get("/v1/why?integration=it").await.expect(403);
    let told = why(&of_site, "").await;
    assert_told(&told, "received", "nothing");
    assert_eq!((&told["received"]["count"], &told["integrations"]), (&json!(1), &json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_events_and_the_first_integrations_are_looked_at() {
    let stage = Stage::new().await;
    for n in 0..21 {
        stage.integration(&format!("i-{n:02}"), json!({"events": {"entities": ["punch"]}})).await;
    }
    let orders: Vec<Value> = (0..201).map(|n| order(&format!("o-{n}"), 1)).collect();
    stage.emit(json!(orders)).await;
    let all = why(&stage.api, "").await;
    assert_eq!((all["integrations"].as_array().unwrap().len(), &all["more_integrations"]), (20, &json!(true)));
    assert_eq!((&all["received"]["count"], &all["integrations"][0]["looked_at"]), (&json!(201), &json!(20)));
    let one = why(&stage.api, "integration=i-20").await;
    assert_eq!((&one["received"]["count"], &one["integrations"][0]["looked_at"]), (&json!(201), &json!(200)));
    assert_eq!(
        (&one["more_integrations"], &one["integrations"][0]["not_wanted"][0]["count"]),
        (&json!(false), &json!(200))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_says_it_in_words_and_in_json() {
    let stage = Stage::new().await;
    stage.integration("it", json!({"events": {"entities": ["punch"]}})).await;
    stage.emit(order("o 1", 1)).await;
    stage.wait_until_idle("it").await;
    let arguments = ["why", "--integration", "it", "--site", "175", "--entity", "order", "--entity-id", "o 1"];
    let words = run(command(&stage.hub, &arguments), "");
    assert_eq!(words.code, 0, "{}", words.stderr);
    for part in [
        "it is not selected",
        "What to do: Add the event",
        "site 175: last heard from at",
        "received: 1,",
        "not_selected",
    ] {
        assert!(words.stdout.contains(part), "{part}: {}", words.stdout);
    }
    let json = run(command(&stage.hub, &[&arguments[..], &["--json"]].concat()), "");
    let json: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_told(&json, "not_selected", "select_events");
    let unknown = run(command(&stage.hub, &["why", "--integration", "none"]), "");
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("none"), "{}", unknown.stderr);
}
