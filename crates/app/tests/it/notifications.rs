//! Contacts: who is told what happens.

use serde_json::{Value, json};

use crate::secrets::places_with;
use crate::support::signature::{matching, secret_in};
use crate::support::{Reply, SOON, Setup, Stage, database, eventually, slug};

fn webhook(stage: &Stage, path: &str) -> Value {
    json!({"name": "Ops", "channel": {"kind": "webhook", "url": stage.receiver.url(path)}})
}

async fn contact(stage: &Stage, path: &str) -> Value {
    stage.api.post("/v1/notifications", &webhook(stage, path)).await.expect(201)
}

fn place(contact: &Value) -> String {
    format!("/v1/notifications/{}", contact["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_is_made_read_replaced_and_deleted_and_its_key_is_shown_once() {
    let mut stage = Stage::new().await;
    let made = stage.api.post("/v1/notifications", &webhook(&stage, "/ops")).await;
    let tag = made.headers["etag"].to_str().unwrap().to_owned();
    let made = made.expect(201);
    let secret = secret_in(&made);
    assert_eq!((&made["on"], &made["enabled"], &made["waiting"]), (&json!([]), &json!(true), &json!(0)));
    stage.crash().await;
    let read = stage.api.get(&place(&made)).await.expect(200);
    let masked = read["channel"]["secret"].as_str().unwrap().to_owned();
    assert!(masked.starts_with('…') && secret.ends_with(masked.trim_start_matches('…')), "{masked}");
    assert_eq!(stage.api.all("/v1/notifications").await, std::slice::from_ref(&read));
    let mut wish = webhook(&stage, "/other");
    wish["channel"]["secret"] = masked.clone().into();
    wish["on"] = json!(["integration.stopped"]);
    stage.api.put_if(&place(&made), &wish, &[("if-match", "\"9\"")]).await.expect(412);
    let saved = stage.api.put_if(&place(&made), &wish, &[("if-match", &tag)]).await.expect(200);
    assert_eq!((&saved["channel"]["secret"], &saved["on"]), (&json!(masked), &wish["on"]));
    let own = format!("whsec_{}", "A".repeat(40));
    wish["channel"]["secret"] = own.clone().into();
    assert_eq!(secret_in(&stage.api.put(&place(&made), &wish).await.expect(200)), own);
    let audit = stage.api.get("/v1/audit").await.expect(200).to_string();
    assert!(audit.contains("contact.created") && !audit.contains(&own) && !audit.contains(&secret));
    for secret in [&secret, &own] {
        assert!(places_with(&stage.hub, secret.trim_start_matches("whsec_")).await.is_empty(), "it is sealed");
    }
    assert_eq!(stage.api.delete(&place(&made)).await.status, 204);
    stage.api.get(&place(&made)).await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_contact_is_named_with_its_place() {
    let stage = Stage::new().await;
    let url = stage.receiver.url("/ops");
    for (wrong, path) in [
        (json!({"name": " ", "channel": {"kind": "webhook", "url": url}}), "name"),
        (json!({"name": "x", "channel": {"kind": "webhook", "url": "ftp://x"}}), "channel.url"),
        (json!({"name": "x", "channel": {"kind": "webhook", "url": url, "secret": "s"}}), "channel.secret"),
        (json!({"name": "x", "channel": {"kind": "email", "to": ["a@example.com"]}}), "channel.kind"),
        (json!({"name": "x", "channel": {"kind": "webhook", "url": url}, "on": ["order.saved"]}), "on[0]"),
    ] {
        let problem = stage.api.post("/v1/notifications", &wrong).await.expect(422);
        let places: Vec<&Value> = problem["errors"].as_array().unwrap().iter().map(|e| &e["path"]).collect();
        assert_eq!(places, [path], "{problem}");
    }
    for _ in 0..50 {
        contact(&stage, "/ops").await;
    }
    let full = stage.api.post("/v1/notifications", &webhook(&stage, "/ops")).await.expect(422);
    assert_eq!(slug(&full), "quota");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_are_behind_the_walls() {
    let stage = Stage::new().await;
    let made = contact(&stage, "/ops").await;
    let operator = stage.operator();
    let other = operator.in_company("other");
    operator.put("/v1/companies/other", &json!({"name": "Other"})).await.expect(201);
    other.get(&place(&made)).await.expect(404);
    operator.get(&place(&made)).await.expect(404);
    assert!(other.all("/v1/notifications").await.is_empty() && operator.all("/v1/notifications").await.is_empty());
    other.delete(&place(&made)).await.expect(404);
    other.post(&format!("{}/test", place(&made)), &Value::Null).await.expect(404);
    let reader = stage.holder(json!({"name": "r", "scopes": ["integrations:read"]})).await;
    reader.get(&place(&made)).await.expect(200);
    let refused = reader.post("/v1/notifications", &webhook(&stage, "/ops")).await.expect(403);
    assert!(refused["detail"].as_str().unwrap().contains("integrations:write"), "{refused}");

    let mut wish = webhook(&stage, "/ops");
    wish["integrations"] = json!(["erp"]);
    wish["on"] = json!(["integration.failing"]);
    let own = stage.api.post("/v1/notifications", &wish).await.expect(201);
    let scopes = json!(["integrations:read"]);
    let bound = stage.holder(json!({"name": "b", "scopes": scopes, "integrations": ["erp"]})).await;
    bound.get(&place(&made)).await.expect(404);
    bound.get(&place(&own)).await.expect(200);
    assert_eq!(bound.all("/v1/notifications").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_told_what_happened_signed_with_its_own_key() {
    let stage = Stage::new().await;
    let made = contact(&stage, "/ops").await;
    let secret = secret_in(&made);
    let mut other = webhook(&stage, "/other");
    other["on"] = json!(["integration.stopped"]);
    other["integrations"] = json!(["crm"]);
    stage.api.post("/v1/notifications", &other).await.expect(201);
    stage.integration("erp", json!({})).await;
    stage.switch("erp", "stop").await;
    let told = stage.receiver.wait_for("/ops", 1, SOON).await.remove(0);
    assert_eq!(matching(&told, &secret), 1);
    let body = told.json();
    assert_eq!(
        (&body["company"], &body["contact"], &body["id"]),
        (&json!("default"), &json!("Ops"), &json!(told.id()))
    );
    let notice = &body["notices"][0];
    assert_eq!((&notice["name"], &notice["subject"]), (&json!("integration.stopped"), &json!("erp")));
    assert_eq!((&notice["count"], &notice["newest"][0]["data"]["integration"]), (&json!(1), &json!("erp")));
    let tested = stage.api.post(&format!("{}/test", place(&made)), &Value::Null).await.expect(200);
    assert_eq!(tested, json!({"delivered": true, "detail": null}));
    let test = stage.receiver.wait_for("/ops", 2, SOON).await.remove(1).json();
    assert_eq!(test["notices"][0]["name"], "notification.test");
    stage.integration("crm", json!({})).await;
    stage.switch("crm", "stop").await;
    let about = stage.receiver.wait_for("/other", 1, SOON).await.remove(0).json();
    assert_eq!(about["notices"][0]["subject"], "crm");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_could_not_be_sent_is_sent_again_after_a_crash_and_makes_no_event() {
    let mut stage = Stage::new().await;
    stage.receiver.behave("/ops", |_| Reply::Status(500));
    let mut wish = webhook(&stage, "/ops");
    wish["on"] = json!(["integration.stopped", "integration.failing"]);
    let made = stage.api.post("/v1/notifications", &wish).await.expect(201);
    stage.integration("erp", json!({})).await;
    stage.switch("erp", "stop").await;
    let first = stage.receiver.wait_for("/ops", 1, SOON).await.remove(0);
    let shown = eventually("the failure is shown", SOON, async || {
        Some(stage.api.get(&place(&made)).await.json()).filter(|c| !c["last_error"].is_null())
    })
    .await;
    assert!(shown["last_error"].as_str().unwrap().contains("500") && shown["next_try_at"].is_string(), "{shown}");
    assert_eq!(shown["waiting"], 1);
    let detail = stage.api.post(&format!("{}/test", place(&made)), &Value::Null).await.expect(200);
    assert_eq!(detail["delivered"], false);
    stage.crash().await;
    stage.receiver.behave("/ops", |_| Reply::Status(200));
    let again = stage.receiver.wait_for("/ops", 3, SOON).await.remove(2);
    assert_eq!((again.id(), &again.json()["notices"]), (first.id(), &first.json()["notices"]));
    eventually("nothing waits", SOON, async || {
        (stage.api.get(&place(&made)).await.json()["waiting"] == 0).then_some(())
    })
    .await;
    let about = stage.api.all("/v1/events?entity=integration").await;
    assert_eq!(about.len(), 1, "only that it was stopped: {about:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_of_a_blocked_address_is_not_called() {
    let stage = Stage::with(Setup { allow_networks: None, ..Setup::default() }).await;
    let made = contact(&stage, "/ops").await;
    let tested = stage.api.post(&format!("{}/test", place(&made)), &Value::Null).await.expect(200);
    assert_eq!(tested["delivered"], false);
    assert!(tested["detail"].as_str().unwrap().contains("allow"), "{tested}");
    assert!(stage.receiver.deliveries("/ops").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operators_contacts_are_told_of_a_disk_with_little_room_and_no_company_is() {
    if database::is_used() {
        return;
    }
    let room = |bytes: u64| {
        vec![("TILLSTREAM_STORAGE_LOW_PERCENT", "0".to_owned()), ("TILLSTREAM_STORAGE_LOW_BYTES", bytes.to_string())]
    };
    let mut stage = Stage::with(Setup { variables: room(0), ..Setup::default() }).await;
    let made = stage.operator().post("/v1/notifications", &webhook(&stage, "/operator")).await.expect(201);
    contact(&stage, "/company").await;
    stage.hub.setup.variables = room(u64::MAX);
    stage.bounce().await;
    let told = stage.receiver.wait_for("/operator", 1, SOON).await.remove(0);
    assert_eq!(matching(&told, &secret_in(&made)), 1);
    let body = told.json();
    assert_eq!((&body["company"], &body["notices"][0]["name"]), (&Value::Null, &json!("storage.low")));
    assert!(body["notices"][0]["newest"][0]["data"]["free_bytes"].is_u64(), "{body}");
    stage.bounce().await;
    assert!(stage.api.all("/v1/events").await.is_empty());
    assert_eq!(stage.receiver.deliveries("/operator").len(), 1, "told once");
    assert!(stage.receiver.deliveries("/company").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_count_messages_and_tell_what_the_process_uses() {
    let stage = Stage::new().await;
    let made = contact(&stage, "/ops").await;
    stage.api.post(&format!("{}/test", place(&made)), &Value::Null).await.expect(200);
    eventually("the metrics tell", SOON, async || {
        let text = stage.api.get("/metrics").await.text();
        let value = |name: &str| {
            let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
            line.trim().parse::<f64>().unwrap_or_default()
        };
        let sent = value("tillstream_notifications_total{result=\"sent\"}");
        (sent == 1.0 && value("process_resident_memory_bytes") > 1e6 && value("process_cpu_seconds_total") > 0.0)
            .then_some(())
    })
    .await;
}
