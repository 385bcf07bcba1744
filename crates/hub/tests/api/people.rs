//! People: how long what they hold lasts.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tillstream_hub::Config;
use tillstream_hub::access::sessions::{IDLE, LONGEST, MAX_SESSIONS};
use tillstream_hub::api::MAX_USERS;
use tillstream_hub::people::{LINK_LIFE, Link, PORTAL_LINK_LIFE, PortalLink, throttle};
use tillstream_hub::{access, documents, people};
use tillstream_store::state::{AuditFilter, Expected};

use crate::support::{Answer, App, assert_fits, assert_problem, places};

const PASSWORD: &str = "correct horse battery";
const MINUTE: Duration = Duration::from_secs(60);

impl App {
    /// A request without a key.
    async fn open(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Makes somebody with these privileges; gives the token of their link.
    async fn somebody(&self, email: &str, privileges: Value) -> (String, String) {
        let made = self.post("/v1/users", json!({"email": email, "privileges": privileges})).await;
        assert_eq!(made.status, 201, "{}", made.body);
        assert_fits(&made.body, "UserMade");
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        (text(&made.body["id"]), text(&made.body["link"]["token"]))
    }

    async fn follow(&self, token: &str) -> Answer {
        self.open(Method::POST, "/v1/sessions/links", &[], json!({"token": token, "password": PASSWORD})).await
    }

    async fn sign_in(&self, email: &str, password: &str) -> Answer {
        self.open(Method::POST, "/v1/sessions", &[], json!({"email": email, "password": password})).await
    }

    async fn session(&self, cookie: &str) -> Answer {
        self.open(Method::GET, "/v1/session", &[("cookie", cookie)], json!({})).await
    }
}

/// The cookie of an answer, as it is sent back.
fn cookie(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    assert_fits(&answer.body, "Session");
    answer.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_session_ends_when_nothing_is_asked_for_12_hours() {
    let app = App::start().await;
    let (_, link) = app.somebody("ada@acme", json!([])).await;
    let cookie = cookie(&app.follow(&link).await);
    for _ in 0..3 {
        app.pass(IDLE - MINUTE);
        assert_eq!(app.session(&cookie).await.status, 200);
    }
    app.pass(IDLE);
    assert_problem(&app.session(&cookie).await, 401, "unauthenticated");
}

#[tokio::test]
async fn a_session_ends_after_7_days_however_it_is_used() {
    let app = App::start().await;
    let (_, link) = app.somebody("ada@acme", json!([])).await;
    let cookie = cookie(&app.follow(&link).await);
    let steps = LONGEST.as_secs() / IDLE.as_secs() * 2;
    for _ in 1..steps {
        app.pass(IDLE / 2);
        assert_eq!(app.session(&cookie).await.status, 200);
    }
    app.pass(IDLE / 2);
    assert_problem(&app.session(&cookie).await, 401, "unauthenticated");
    people::sweep(app.hub.state(), app.hub.now()).await.unwrap();
    let left = documents::list::<access::sessions::Session>(app.hub.state(), Some(app.acme), "", 10).await.unwrap();
    assert_eq!(left.len(), 0);
}

#[tokio::test]
async fn an_address_whose_owner_was_never_saved_is_free_after_a_minute() {
    let app = App::start().await;
    let orphan = json!({"user": "usr_gone"}).to_string();
    app.hub.state().put_document(Some(app.acme), "user_email", "ada@acme", orphan, Expected::New).await.unwrap();
    let make = async || app.post("/v1/users", json!({"email": "ada@acme"})).await;
    app.pass(MINUTE - Duration::from_millis(1));
    assert_problem(&make().await, 409, "taken");
    app.pass(Duration::from_millis(1));
    assert_eq!(make().await.status, 201);
    assert_problem(&make().await, 409, "taken");
}

#[tokio::test]
async fn a_company_has_no_more_people_than_the_most() {
    let app = App::start().await;
    let saves = (1..MAX_USERS).map(|n| {
        let (state, id) = (app.hub.state(), format!("usr_{n}"));
        let (body, of) = (json!({"email": format!("{n}@acme")}).to_string(), Some(app.acme));
        async move { state.put_document(of, "user", &id, body, Expected::New).await.unwrap() }
    });
    futures_util::future::join_all(saves).await;
    let make = async |email: &str| app.post("/v1/users", json!({"email": email})).await;
    assert_eq!(make("last@acme").await.status, 201);
    assert_problem(&make("more@acme").await, 422, "quota");
}

#[tokio::test]
async fn what_signs_in_is_bounded() {
    let app = App::start().await;
    let at_most = |company: usize, email: usize, password: usize| json!({"company": "c".repeat(company), "email": "e".repeat(email), "password": "ü".repeat(password)});
    let ask = async |body: Value| app.open(Method::POST, "/v1/sessions", &[], body).await;
    assert_problem(&ask(at_most(64, people::MAX_EMAIL, 200)).await, 401, "unauthenticated");
    let answer = ask(at_most(65, people::MAX_EMAIL + 1, 201)).await;
    assert_problem(&answer, 422, "invalid");
    assert_eq!(places(&answer), ["email", "password", "company"]);
}

#[tokio::test]
async fn a_proxy_in_front_says_who_asks_and_how() {
    let app = App::with(Config { behind_proxy: true, ..Config::default() }).await;
    let forwarded = [("x-forwarded-host", "hub.example"), ("x-forwarded-proto", "https")];
    let key = format!("Bearer {}", app.key);
    let headers = [&forwarded[..], &[("authorization", &key)]].concat();
    let made = app.open(Method::POST, "/v1/users", &headers, json!({"email": "ada@acme"})).await;
    let link = made.body["link"]["token"].as_str().unwrap();
    assert_eq!(made.body["link"]["url"], format!("https://hub.example/sign-in#token={link}"));
    let body = json!({"token": link, "password": PASSWORD});
    let answer = app.open(Method::POST, "/v1/sessions/links", &forwarded, body).await;
    assert!(answer.headers["set-cookie"].to_str().unwrap().ends_with("; Secure"));
    let sign_in = async |peers: &str, email: &str| {
        let body = json!({"email": email, "password": PASSWORD});
        app.open(Method::POST, "/v1/sessions", &[("x-forwarded-for", peers)], body).await
    };
    for n in 0..throttle::MAX_FAILURES {
        let peers = format!("10.0.0.{n}, 203.0.113.7");
        assert_problem(&sign_in(&peers, &format!("{n}@acme")).await, 401, "unauthenticated");
    }
    assert_problem(&sign_in("203.0.113.7", "ada@acme").await, 429, "too-many-attempts");
    let other = sign_in("203.0.113.7, 203.0.113.8", "ada@acme").await;
    assert!(!other.headers["set-cookie"].to_str().unwrap().contains("Secure"), "this one came over http");
    cookie(&other);
}

#[tokio::test]
async fn a_link_is_good_for_a_day_and_another_password_ends_it() {
    let app = App::start().await;
    let (ada, first) = app.somebody("ada@acme", json!([])).await;
    let (_, late) = app.somebody("bob@acme", json!([])).await;
    let path = format!("/v1/users/{ada}/links");
    let second = app.post(&path, Value::Null).await.body["token"].as_str().unwrap().to_owned();
    app.pass(LINK_LIFE - Duration::from_millis(1));
    cookie(&app.follow(&first).await);
    for used in [&first, &second] {
        assert_problem(&app.follow(used).await, 401, "unauthenticated");
    }
    app.pass(Duration::from_millis(1));
    assert_problem(&app.follow(&late).await, 401, "unauthenticated");
    people::sweep(app.hub.state(), app.hub.now()).await.unwrap();
    assert!(documents::list::<Link>(app.hub.state(), Some(app.acme), "", 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_further_session_than_the_most_ends_the_oldest() {
    let app = App::start().await;
    let (_, link) = app.somebody("ada@acme", json!([])).await;
    let mut cookies = vec![cookie(&app.follow(&link).await)];
    for _ in 1..MAX_SESSIONS {
        cookies.push(cookie(&app.sign_in("ada@acme", PASSWORD).await));
    }
    assert_eq!(app.session(&cookies[0]).await.status, 200);
    cookies.push(cookie(&app.sign_in("ada@acme", PASSWORD).await));
    assert_problem(&app.session(&cookies[0]).await, 401, "unauthenticated");
    for cookie in &cookies[1..] {
        assert_eq!(app.session(cookie).await.status, 200);
    }
}

#[tokio::test]
async fn guessing_waits_a_quarter_of_an_hour_after_ten_failures() {
    let app = App::start().await;
    let (_, link) = app.somebody("ada@acme", json!([])).await;
    app.follow(&link).await;
    for n in 0..throttle::MAX_FAILURES {
        let email = if n % 2 == 0 { "ada@acme" } else { " ADA@acme " };
        assert_problem(&app.sign_in(email, "wrong").await, 401, "unauthenticated");
    }
    let answer = app.sign_in("ada@acme", PASSWORD).await;
    assert_problem(&answer, 429, "too-many-attempts");
    assert_eq!(answer.headers["retry-after"], "900");
    app.pass(throttle::WINDOW);
    cookie(&app.sign_in("ada@acme", PASSWORD).await);
}

#[tokio::test]
async fn nobody_is_told_which_addresses_are_known() {
    let app = App::start().await;
    let (_, link) = app.somebody("ada@acme", json!([])).await;
    app.follow(&link).await;
    app.somebody("new@acme", json!([])).await;
    let mut answers = Vec::new();
    for email in ["ada@acme", "new@acme", "nobody@acme", "no address"] {
        let mut answer = app.sign_in(email, "wrong").await.body;
        answer.as_object_mut().unwrap().remove("instance");
        answers.push(answer);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    let elsewhere = json!({"company": "nobody", "email": "ada@acme", "password": PASSWORD});
    let answer = app.open(Method::POST, "/v1/sessions", &[], elsewhere).await;
    assert_problem(&answer, 401, "unauthenticated");
    app.neighbour().await;
    let answer = app.sign_in("ada@acme", PASSWORD).await;
    assert_problem(&answer, 422, "invalid");
    let named = json!({"company": "acme", "email": "ada@acme", "password": PASSWORD});
    cookie(&app.open(Method::POST, "/v1/sessions", &[], named).await);
    let other = json!({"company": "neighbour", "email": "ada@acme", "password": PASSWORD});
    assert_problem(&app.open(Method::POST, "/v1/sessions", &[], other).await, 401, "unauthenticated");
}

#[tokio::test]
async fn the_url_of_a_portal_session_is_good_once_for_ten_minutes_and_the_session_until_its_end() {
    let app = App::start().await;
    let wish = json!({"capabilities": ["tools.view"], "expires_in": 3_600});
    let make = async || {
        let made = app.post("/v1/companies/acme/portal-sessions", wish.clone()).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["url"].as_str().unwrap().split_once("#token=").unwrap().1.to_owned()
    };
    let begin = async |token: &str| app.open(Method::POST, "/v1/sessions/portal", &[], json!({"token": token})).await;
    let (first, late) = (make().await, make().await);
    app.pass(PORTAL_LINK_LIFE - Duration::from_millis(1));
    let begun = begin(&first).await;
    assert_eq!(begun.status, 201, "{}", begun.body);
    assert_fits(&begun.body, "PortalToken");
    assert_problem(&begin(&first).await, 401, "unauthenticated");
    app.pass(Duration::from_millis(1));
    assert_problem(&begin(&late).await, 401, "unauthenticated");
    let token = begun.body["token"].as_str().unwrap();
    let ask = async || app.ask_as(token, Method::GET, "/v1/integrations", Value::Null).await;
    app.pass(Duration::from_secs(3_600) - PORTAL_LINK_LIFE - Duration::from_millis(1));
    assert_eq!(ask().await.status, 200);
    app.pass(Duration::from_millis(1));
    assert_problem(&ask().await, 401, "unauthenticated");
    make().await;
    app.pass(PORTAL_LINK_LIFE);
    people::sweep(app.hub.state(), app.hub.now()).await.unwrap();
    assert!(documents::list::<PortalLink>(app.hub.state(), Some(app.acme), "", 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_look_at_a_payload_is_noted_once_an_hour_for_each_person_and_never_for_a_key() {
    let app = App::start().await;
    let event = app.event("order.saved", "o1").await;
    let (ada, link) = app.somebody("ada@acme", json!([{"privilege": "events.view_payload"}])).await;
    let cookie = cookie(&app.follow(&link).await);
    let path = format!("/v1/events/{event}");
    let looks = async || {
        let filter = AuditFilter { object: Some(format!("event {event}")), ..AuditFilter::default() };
        let page = app.hub.state().audit(Some(app.acme), &filter, None, 100).await.unwrap();
        page.items.into_iter().map(|e| (e.actor, e.action)).collect::<Vec<_>>()
    };
    assert_eq!(app.get(&path).await.body["data"]["total"], 12.5);
    assert!(looks().await.is_empty());
    for _ in 0..2 {
        let seen = app.open(Method::GET, &path, &[("cookie", &cookie)], json!({})).await;
        assert_eq!(seen.body["data"]["total"], 12.5);
    }
    let look = (format!("user {ada}"), "payload.viewed".to_owned());
    assert_eq!(looks().await, std::slice::from_ref(&look));
    app.pass(Duration::from_secs(3_600));
    app.open(Method::GET, &path, &[("cookie", &cookie)], json!({})).await;
    assert_eq!(looks().await, [look.clone(), look]);
}
