//! What is known of event names, and what outgoing calls may reach.

use serde_json::{Value, json};

use crate::support::{Stage, slug};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_types_are_listed_by_name_in_pages_for_keys_that_have_to_do_with_events() {
    let stage = Stage::new().await;
    let anybody = stage.holder(json!({"name": "k", "scopes": ["events:write"]})).await;
    let all = anybody.all("/v1/event-types").await;
    let names: Vec<&str> = all.iter().map(|t| t["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted() && names.len() > 50, "{names:?}");
    for name in ["order.saved", "punch.saved", "customer.address_deleted", "site_eod.reached", "integration.stopped"] {
        assert!(names.contains(&name), "{name}");
    }
    let orders = anybody.get("/v1/event-types?entity=order&limit=2").await.expect(200);
    assert_eq!((&orders["items"][0]["name"], &orders["next"]), (&json!("order.cancelled"), &json!("order.completed")));
    let next = anybody.get("/v1/event-types?entity=order&after=order.completed&limit=500").await.expect(200);
    let items = next["items"].as_array().unwrap();
    let shipped = items.iter().find(|t| t["name"] == "order.shipped").unwrap();
    assert_eq!((&shipped["deprecated"], &shipped["identity"]), (&json!("order.completed"), &json!(["_id", "id"])));
    assert_eq!((items.len(), &next["next"]), (6, &Value::Null));
    stage.api.without_key().get("/v1/event-types").await.expect(401);
    let other = stage.holder(json!({"name": "k", "scopes": ["sites:read"]})).await;
    assert!(other.get("/v1/event-types").await.expect(403)["detail"].as_str().unwrap().contains("events:read"));
    stage.api.get("/v1/event-types?limit=501").await.expect(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_a_type_that_sources_make_is_accepted() {
    let stage = Stage::new().await;
    let types = stage.api.all("/v1/event-types").await;
    for known in types {
        let event = json!({"name": known["name"], "data": known["example"]});
        let answer = stage.api.post("/v1/events", &event).await;
        if known["origin"] == "source" {
            let id = answer.expect(202)["accepted"][0]["id"].clone();
            let kept = stage.api.get(&format!("/v1/events/{}", id.as_str().unwrap())).await.expect(200);
            assert!(kept["entity_id"].is_string(), "{kept}");
        } else if known["name"] != "storage.low" {
            assert_eq!(answer.status, 422, "{}", answer.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn egress_says_whether_a_url_may_be_called_and_which_setting_would_open_it() {
    let stage = Stage::new().await;
    let look = async |url: &str| stage.api.get(&format!("/v1/egress?url={url}")).await.expect(200)["url"].clone();
    let open = look("http://127.0.0.1:9/x").await;
    assert_eq!((&open["allowed"], &open["addresses"]), (&json!(true), &json!(["127.0.0.1:9"])));
    for (url, setting) in [
        ("http://10.1.2.3/hook", "10.1.2.3/32"),
        ("https://[fd12::1]/", "fd12::1/128"),
        ("http://0xa9fea9fe/latest", "169.254.169.254/32"),
    ] {
        let closed = look(url).await;
        assert_eq!(
            (&closed["allowed"], &closed["cause"], &closed["url"]),
            (&json!(false), &json!("blocked"), &json!(url))
        );
        assert!(closed["reason"].as_str().unwrap().ends_with(&format!("add {setting} to TILLSTREAM_ALLOW_NETWORKS")));
    }
    let wrong = look("ftp://erp.example").await;
    assert_eq!((&wrong["allowed"], &wrong["cause"]), (&json!(false), &json!("invalid_url")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_operator_sees_what_is_open_inside() {
    let stage = Stage::new().await;
    let theirs = stage.api.get("/v1/egress").await.expect(200);
    assert_eq!((&theirs["allowed_networks"], &theirs["url"]), (&Value::Null, &Value::Null));
    let operators = stage.operator().get("/v1/egress").await.expect(200);
    assert_eq!(operators["allowed_networks"], json!(["127.0.0.0/8"]));
    let other = stage.holder(json!({"name": "k", "scopes": ["events:read"]})).await;
    assert_eq!(slug(&other.get("/v1/egress").await.expect(403)), "forbidden");
}
