//! People: who may sign in, what they may do, and that it ends when it is taken from them.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::secrets::places_with;
use crate::support::people::PASSWORD;
use crate::support::{SOON, Stage, eventually, order};

fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().expect("a detail")
}

fn of_site(site: &str, entity: &str) -> Value {
    let mut event = order(entity, 1);
    event["site"] = site.into();
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_new_sets_a_password_with_a_link_once_and_signs_in_and_out() {
    let mut stage = Stage::new().await;
    let made = stage.somebody("Ada@Stores.example", json!([{"privilege": "tools.view"}])).await;
    assert_eq!((&made["status"], &made["has_password"]), (&json!("active"), &json!(false)));
    let token = made["link"]["token"].as_str().unwrap().to_owned();
    assert_eq!(made["link"]["url"], format!("{}/sign-in#token={token}", stage.hub.url));
    let short = stage.follow(&token, "eleven char").await.expect(422);
    assert_eq!(short["errors"][0]["path"], "password");
    let answer = stage.follow(&token, PASSWORD).await;
    let cookie = answer.headers["set-cookie"].to_str().unwrap().to_owned();
    for part in ["tillstream_session=tsu_", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(part), "{part} is not in {cookie}");
    }
    assert!(!cookie.contains("Secure"), "a browser would not send it over http: {cookie}");
    let first = stage.api.with_session(&answer);
    stage.follow(&token, PASSWORD).await.expect(401);

    let answer = stage.sign_in(" ada@STORES.example", PASSWORD).await;
    assert_eq!(answer.expect(201)["email"], "Ada@Stores.example");
    let second = stage.api.with_session(&answer);
    let me = second.get("/v1/session").await.expect(200);
    assert_eq!((&me["kind"], &me["id"], &me["company"]), (&json!("user"), &made["id"], &json!("default")));
    assert_eq!(me["privileges"], json!([{"privilege": "tools.view", "sites": []}]));
    second.get("/v1/integrations").await.expect(200);
    stage.sign_in("ada@stores.example", "wrong horse battery").await.expect(401);

    stage.crash().await;
    let (first, second) = (first.at(&stage.hub.url), second.at(&stage.hub.url));
    first.get("/v1/session").await.expect(200);
    let out = first.delete("/v1/session").await;
    assert_eq!(out.status, 204);
    assert!(out.headers["set-cookie"].to_str().unwrap().starts_with("tillstream_session=; "));
    first.get("/v1/session").await.expect(401);
    second.get("/v1/session").await.expect(200);
    let row = stage.api.get(&format!("/v1/users/{}", made["id"].as_str().unwrap())).await.expect(200);
    assert!(row["last_signed_in_at"].is_string() && row["has_password"] == true, "{row}");

    stage.hub.stop();
    for secret in [PASSWORD, &token, first.cookie(), second.cookie()] {
        let secret = secret.trim_start_matches("tillstream_session=");
        let found = places_with(&stage.hub, secret).await;
        assert!(found.is_empty(), "{secret} in {found:?}");
        let log = std::fs::read_to_string(stage.hub.folder().join("hub.log")).unwrap();
        assert!(!log.contains(secret), "{secret} in the log");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_privilege_is_refused_by_its_name() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let (_, nobody) = stage.person("nobody@x", json!([{"privilege": "company.view"}])).await;
    nobody.get("/v1/sites").await.expect(200);
    for (privilege, answer) in [
        ("tools.view", nobody.get("/v1/integrations").await),
        ("tools.view", nobody.get("/v1/events").await),
        ("tools.manage", nobody.post("/v1/integrations/it/stop", &Value::Null).await),
        ("services.configure", nobody.put("/v1/sites/175", &json!({})).await),
        ("users.manage", nobody.get("/v1/users").await),
        ("users.manage", nobody.post("/v1/keys", &json!({"name": "k", "scopes": ["sites:read"]})).await),
        ("all", nobody.get("/v1/audit").await),
    ] {
        let problem = answer.expect(403);
        assert!(detail(&problem).contains(privilege), "{privilege}: {problem}");
    }
    let (id, boss) = stage.person("boss@x", json!([{"privilege": "all"}])).await;
    boss.post("/v1/integrations/it/stop", &Value::Null).await.expect(200);
    boss.post("/v1/keys", &json!({"name": "till", "scopes": ["events:write"]})).await.expect(201);
    boss.post("/v1/keys", &json!({"name": "op", "scopes": ["instance"]})).await.expect(403);
    let log = stage.api.all("/v1/audit?object=integration%20it").await;
    assert_eq!(log[0]["actor"], format!("user {id}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_privilege_for_a_site_reaches_that_site_beside_others_for_the_company() {
    let stage = Stage::new().await;
    for site in ["175", "9"] {
        stage.api.put(&format!("/v1/sites/{site}"), &json!({})).await.expect(201);
    }
    let own = stage.emit(of_site("175", "own")).await.remove(0);
    let other = stage.emit(of_site("9", "other")).await.remove(0);
    let of_175 = |privilege: &str| json!({"privilege": privilege, "sites": ["175"]});
    let privileges = json!([of_175("site_services.view"), of_175("events.view_payload"), {"privilege": "tools.view"}]);
    let (_, ada) = stage.person("ada@x", privileges).await;
    let sites = ada.all("/v1/sites").await;
    assert_eq!((sites.len(), &sites[0]["id"]), (1, &json!("175")));
    ada.get("/v1/sites/175").await.expect(200);
    ada.get("/v1/sites/9").await.expect(404);
    let events = ada.all("/v1/events").await;
    assert_eq!(events.len(), 2, "the tools are for the whole company");
    for event in &events {
        assert_eq!(event.get("data").is_some(), event["site"] == "175", "{event}");
    }
    assert!(ada.get(&format!("/v1/events/{own}")).await.expect(200).get("data").is_some());
    assert!(ada.get(&format!("/v1/events/{other}")).await.expect(200).get("data").is_none());

    let (_, bob) = stage.person("bob@x", json!([of_175("events.view_payload"), of_175("services.configure")])).await;
    assert_eq!(bob.all("/v1/events").await.len(), 1);
    bob.get(&format!("/v1/events/{other}")).await.expect(404);
    bob.put("/v1/sites/175", &json!({"name": "Mine"})).await.expect(200);
    bob.put("/v1/sites/9", &json!({"name": "Mine"})).await.expect(404);
    bob.post("/v1/integrations", &json!({"id": "x"})).await.expect(403);
    let held = bob.get("/v1/session").await.expect(200)["scopes"].clone();
    let named: Vec<&str> = held.as_array().unwrap().iter().map(|s| s["scope"].as_str().unwrap()).collect();
    assert_eq!(named, ["events:read", "events:payload", "sites:write"]);
    assert!(held.as_array().unwrap().iter().all(|s| s["sites"] == json!(["175"])), "{held}");
    let wrong = json!({"email": "eve@x", "privileges": [{"privilege": "tools.view"}, of_175("users.manage")]});
    let problem = stage.api.post("/v1/users", &wrong).await.expect(422);
    assert_eq!(problem["errors"][0]["path"], "privileges[1].sites");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gives_more_than_they_hold_or_takes_the_place_of_somebody_who_holds_more() {
    let stage = Stage::new().await;
    let (admin, _) = stage.person("admin@x", json!([{"privilege": "all"}])).await;
    let held = json!([{"privilege": "users.manage"}, {"privilege": "site_services.view", "sites": ["175"]}]);
    let (own, clerk) = stage.person("clerk@x", held).await;
    let make = async |grant: Value| clerk.post("/v1/users", &json!({"email": "new@x", "privileges": [grant]})).await;
    for more in [
        json!({"privilege": "tools.view"}),
        json!({"privilege": "all"}),
        json!({"privilege": "site_services.view"}),
        json!({"privilege": "site_services.view", "sites": ["175", "9"]}),
    ] {
        let problem = make(more.clone()).await.expect(403);
        assert!(detail(&problem).contains(more["privilege"].as_str().unwrap()), "{problem}");
    }
    let made = make(json!({"privilege": "site_services.view", "sites": ["175"]})).await.expect(201);
    let path = |id: &str| format!("/v1/users/{id}");
    clerk.patch(&path(made["id"].as_str().unwrap()), &json!({"privileges": [{"privilege": "all"}]})).await.expect(403);
    clerk.patch(&path(&own), &json!({"privileges": [{"privilege": "all"}]})).await.expect(403);
    for answer in [
        clerk.patch(&path(&admin), &json!({"status": "disabled"})).await,
        clerk.patch(&path(&admin), &json!({"email": "clerk2@x"})).await,
        clerk.patch(&path(&admin), &json!({"privileges": []})).await,
        clerk.delete(&path(&admin)).await,
        clerk.post(&format!("{}/links", path(&admin)), &Value::Null).await,
    ] {
        assert!(detail(&answer.expect(403)).contains("all"));
    }
    let keeper = stage.holder(json!({"name": "k", "scopes": ["users:write"]})).await;
    keeper.delete(&path(&admin)).await.expect(403);
    keeper.post("/v1/users", &json!({"email": "plain@x"})).await.expect(201);
    clerk.post("/v1/keys", &json!({"name": "k", "scopes": ["sites:read"], "sites": ["9"]})).await.expect(422);
    clerk.post("/v1/keys", &json!({"name": "k", "scopes": ["sites:read"]})).await.expect(422);
    clerk.post("/v1/keys", &json!({"name": "k", "scopes": ["sites:read"], "sites": ["175"]})).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_from_somebody_is_gone_from_their_sessions_at_once() {
    let stage = Stage::new().await;
    let all = json!([{"privilege": "tools.view"}, {"privilege": "users.manage"}]);
    let (id, ada) = stage.person("ada@x", all).await;
    let path = format!("/v1/users/{id}");
    ada.get("/v1/integrations").await.expect(200);
    stage.api.patch(&path, &json!({"privileges": [{"privilege": "users.manage"}]})).await.expect(200);
    ada.get("/v1/integrations").await.expect(403);
    ada.get("/v1/users").await.expect(200);
    stage.api.patch(&path, &json!({"status": "disabled"})).await.expect(200);
    ada.get("/v1/users").await.expect(401);
    stage.sign_in("ada@x", PASSWORD).await.expect(401);
    stage.api.patch(&path, &json!({"status": "active"})).await.expect(200);
    ada.get("/v1/users").await.expect(401);
    let ada = stage.api.with_session(&stage.sign_in("ada@x", PASSWORD).await);
    let other = stage.api.with_session(&stage.sign_in("ada@x", PASSWORD).await);
    let wish = |old: &str| json!({"password": old, "new_password": "another horse battery"});
    ada.put("/v1/session/password", &wish("wrong horse battery")).await.expect(403);
    other.get("/v1/session").await.expect(200);
    let fresh = ada.with_session(&ada.put("/v1/session/password", &wish(PASSWORD)).await);
    ada.get("/v1/session").await.expect(401);
    other.get("/v1/session").await.expect(401);
    fresh.get("/v1/session").await.expect(200);
    stage.sign_in("ada@x", PASSWORD).await.expect(401);
    assert_eq!(stage.api.delete(&path).await.status, 204);
    fresh.get("/v1/session").await.expect(401);
    stage.sign_in("ada@x", "another horse battery").await.expect(401);
    let actions: Vec<Value> = stage.api.all("/v1/audit").await.into_iter().map(|e| e["action"].clone()).collect();
    for action in ["user.created", "user.changed", "user.signed_in", "user.password_set", "user.deleted"] {
        assert!(actions.contains(&json!(action)), "{action} is not in {actions:?}");
    }
    assert!(!json!(stage.api.all("/v1/audit").await).to_string().contains("argon2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_belongs_to_one_person_of_a_company_whatever_its_case() {
    let stage = Stage::new().await;
    let operator = stage.operator();
    operator.put("/v1/companies/acme", &json!({"name": "Acme"})).await.expect(201);
    let ada = stage.somebody("Ada@x", json!([])).await;
    let wish = json!({"email": "aDA@X"});
    let problem = stage.api.post("/v1/users", &wish).await.expect(409);
    assert_eq!(problem["errors"][0]["path"], "email");
    let neighbour = operator.in_company("acme");
    let there = neighbour.post("/v1/users", &wish).await.expect(201);
    let bob = stage.somebody("bob@x", json!([])).await;
    let path = |user: &Value| format!("/v1/users/{}", user["id"].as_str().unwrap());
    stage.api.patch(&path(&bob), &wish).await.expect(409);
    stage.api.patch(&path(&ada), &json!({"email": "ada@x"})).await.expect(200);
    stage.api.patch(&path(&ada), &json!({"email": "lovelace@x"})).await.expect(200);
    stage.api.patch(&path(&bob), &wish).await.expect(200);
    stage.api.delete(&path(&bob)).await;
    stage.somebody("ada@x", json!([])).await;
    for answer in [
        stage.api.get(&path(&there)).await,
        stage.api.patch(&path(&there), &json!({"name": "x"})).await,
        stage.api.delete(&path(&there)).await,
        stage.api.post(&format!("{}/links", path(&there)), &Value::Null).await,
    ] {
        answer.expect(404);
    }
    let mut emails: Vec<String> =
        stage.api.all("/v1/users").await.iter().map(|u| u["email"].as_str().unwrap().to_owned()).collect();
    emails.sort_unstable();
    assert_eq!(emails, ["ada@x", "admin@localhost", "lovelace@x"]);
    let stale = stage.api.send(Method::DELETE, &path(&ada), &[("if-match", "\"1\"")], Bytes::new()).await.unwrap();
    stale.expect(412);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_is_refused_after_ten_failures_of_an_address_or_from_a_peer() {
    let stage = Stage::new().await;
    stage.person("ada@x", json!([])).await;
    for _ in 0..10 {
        stage.sign_in("ada@x", "wrong horse battery").await.expect(401);
    }
    let refused = stage.sign_in("ada@x", PASSWORD).await;
    refused.expect(429);
    let wait: u32 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=900).contains(&wait), "{wait}");
    stage.sign_in("somebody.else@x", PASSWORD).await.expect(429);
    stage.api.get("/v1/integrations").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_origin_changes_nothing_with_the_cookie() {
    let stage = Stage::new().await;
    let (_, ada) = stage.person("ada@x", json!([{"privilege": "all"}])).await;
    let host = stage.hub.url.trim_start_matches("http://").to_owned();
    let put = async |headers: &[(&str, &str)]| {
        let headers = [&[("cookie", ada.cookie()), ("content-type", "application/json")], headers].concat();
        stage.api.without_key().send(Method::PUT, "/v1/sites/175", &headers, "{}".into()).await.unwrap()
    };
    for other in [&[][..], &[("origin", "http://evil.example")], &[("sec-fetch-site", "cross-site")]] {
        put(other).await.expect(403);
    }
    assert!(stage.api.all("/v1/sites").await.is_empty());
    put(&[("origin", &format!("http://{host}"))]).await.expect(201);
    put(&[("sec-fetch-site", "same-origin")]).await.expect(200);
    put(&[("tillstream-requested-with", "x")]).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_keys_are_revealed_to_a_person_who_says_their_password_again() {
    let stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    let (id, ada) = stage.person("ada@x", json!([{"privilege": "all"}])).await;
    let path = "/v1/integrations/it/signing/reveal";
    let problem = ada.post(path, &json!({})).await.expect(422);
    assert_eq!(problem["errors"][0]["path"], "password");
    ada.post(path, &json!({"password": "wrong horse battery"})).await.expect(403);
    let shown = ada.post(path, &json!({"password": PASSWORD})).await.expect(200);
    assert!(shown.to_string().contains("whsec_"), "{shown}");
    assert_eq!(stage.api.post(path, &Value::Null).await.expect(200), shown);
    let audit = stage.api.all("/v1/audit?object=integration%20it").await;
    let revealed: Vec<&str> =
        audit.iter().filter(|e| e["action"] == "signing.revealed").map(|e| e["actor"].as_str().unwrap()).collect();
    assert_eq!(revealed.len(), 2);
    assert_eq!(revealed[1], format!("user {id}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_at_a_payload_is_in_the_audit_once() {
    let stage = Stage::new().await;
    stage.receiver.behave("/it", |_| crate::support::Reply::Status(400));
    stage.integration("it", json!({})).await;
    let event = stage.emit(order("o", 1)).await.remove(0);
    stage.wait_for_rejected("it", 1).await;
    let (id, ada) = stage.person("ada@x", json!([{"privilege": "all"}])).await;
    let (_, bob) = stage.person("bob@x", json!([{"privilege": "tools.view"}])).await;
    let of_integration = |part: &str| format!("/v1/integrations/it/{part}/{event}");
    for path in [of_integration("rejected"), of_integration("attempts"), format!("/v1/events/{event}")] {
        for person in [&ada, &bob, &stage.api] {
            person.get(&path).await.expect(200);
        }
    }
    ada.get("/v1/events").await.expect(200);
    let looks: Vec<Value> =
        stage.api.all("/v1/audit").await.into_iter().filter(|e| e["action"] == "payload.viewed").collect();
    let objects: Vec<&str> = looks.iter().map(|e| e["object"].as_str().unwrap()).collect();
    assert_eq!(objects, ["events 1 to 1".to_owned(), format!("event {event}")]);
    assert!(looks.iter().all(|e| e["actor"] == format!("user {id}")), "{looks:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_changed_on_another_node_loses_their_session_within_seconds() {
    let stage = Stage::new().await;
    let (id, ada) = stage.person("ada@x", json!([])).await;
    ada.get("/v1/session").await.expect(200);
    let link = crate::support::command(&stage.hub, &["users", "link", "--data", "data", "--email", "ada@x"]);
    let told = crate::support::run(link, "");
    assert_eq!(told.code, 0, "{}", told.stderr);
    let token = told.stdout.trim().split_once("#token=").expect("a link").1.to_owned();
    stage.follow(&token, "another horse battery").await.expect(201);
    eventually("the session ends", SOON, async || (ada.get("/v1/session").await.status == 401).then_some(())).await;
    let audit = stage.api.all(&format!("/v1/audit?object=user%20{id}")).await;
    let by_cli = audit.iter().find(|e| e["action"] == "user.link_created").expect("noted");
    assert!(by_cli["actor"].as_str().unwrap().starts_with("cli "), "{by_cli}");
}
