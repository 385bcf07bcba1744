//! Secrets that only some hubs are given: each where the document has a call that takes it.

use http::Method;
use serde_json::{Value, json};

use super::needles::Needles;
use crate::support::Reply;
use crate::walls::walk::World;

/// Long enough for a password, and in need of escapes in a URL.
fn made_up(needles: &mut Needles, name: &str) -> String {
    let secret = format!("s3cr3t {} ~ /+?= 0123456789", name.replace(' ', "-"));
    needles.add(name, &secret);
    secret
}

fn takes(world: &World, method: &Method, path: &str, member: &str) -> bool {
    let operation = world.document.operation(method, path);
    operation.is_some_and(|o| world.document.members_of_request(&o).iter().any(|m| m == member))
}

/// Client credentials, and the token that is got for them; an authorization that takes over later.
pub async fn to_targets(world: &World, needles: &mut Needles) {
    let path = "/v1/integrations";
    if !takes(world, &Method::POST, path, "client_secret") {
        return;
    }
    let token = "s3cr3t-access-token-0123456789";
    needles.add("an access token", token);
    let answer = json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600}).to_string();
    world.stage.receiver.behave("/token", move |_| Reply::Body(200, answer.clone().into()));
    let secret = made_up(needles, "a client secret");
    let credentials =
        json!({"token_url": world.stage.receiver.url("/token"), "client_id": "app", "client_secret": secret});
    let (now, next) = (made_up(needles, "an authorization of now"), made_up(needles, "the next authorization"));
    let authorization = json!({"default": now, "next": {"value": next, "from": "2099-01-01T00:00:00Z"}});
    for (id, how, value) in [("tokens", "oauth2", credentials), ("later", "authorization", authorization)] {
        let mut target = json!({"kind": "http", "url": world.stage.receiver.url(&format!("/{id}"))});
        target[how] = value;
        world.inside.api.post(path, &json!({"id": id, "name": id, "target": target})).await.expect(201);
    }
}

/// The key of a contact that is told by webhook.
pub async fn to_contacts(world: &World, needles: &mut Needles) {
    let path = "/v1/notifications";
    if !takes(world, &Method::POST, path, "secret") {
        return;
    }
    let text = "c2VjcmV0IG9mIGEgY29udGFjdCB0aGF0IGlzIHRvbGQ=";
    needles.add("a contact's secret", text);
    let channel =
        json!({"kind": "webhook", "url": world.stage.receiver.url("/told"), "secret": format!("whsec_{text}")});
    world.inside.api.post(path, &json!({"name": "told", "channel": channel})).await.expect(201);
}

/// Passwords, the links to set them, and sessions.
pub async fn to_people(world: &World, needles: &mut Needles) {
    if !takes(world, &Method::POST, "/v1/sessions/links", "password") {
        return;
    }
    let somebody = json!({"email": "secret@stores.example", "privileges": []});
    let made = world.inside.api.post("/v1/users", &somebody).await.expect(201);
    let link = made["link"]["token"].as_str().expect("a link's token");
    needles.add("a link to sign in", link);
    let password = made_up(needles, "a password");
    let nobody = world.stage.api.without_key();
    let signed_in = nobody.post("/v1/sessions/links", &json!({"token": link, "password": password})).await;
    signed_in.expect(201);
    let cookie = signed_in.headers["set-cookie"].to_str().expect("a cookie");
    needles.add("a session", between(cookie, "=", ";"));
    for (wrong, status) in [(json!(made_up(needles, "a wrong password")), 401), (json!({"x": 1}), 422)] {
        let body = json!({"company": world.inside.id, "email": "secret@stores.example", "password": wrong});
        nobody.post("/v1/sessions", &body).await.expect(status);
    }
    let session = json!({"capabilities": ["tools.view"]});
    let path = format!("/v1/companies/{}/portal-sessions", world.inside.id);
    let made: Value = world.inside.api.post(&path, &session).await.expect(201);
    let url = made["url"].as_str().expect("a URL");
    let token = between(url, "token=", "&");
    needles.add("a link to the portal", token);
    let began = nobody.post("/v1/sessions/portal", &json!({"token": token})).await.expect(201);
    needles.add("a portal's session", began["token"].as_str().expect("a token"));
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split_once(start).map_or(text, |(_, rest)| rest);
    rest.split(end).next().unwrap_or(rest)
}
