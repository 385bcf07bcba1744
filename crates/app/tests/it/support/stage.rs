//! A hub and a receiver, ready to play.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::{Answer, Api, Hub, Receiver, Setup, command, run};

/// A running hub with a client that may do everything in the first company, and a receiver.
pub struct Stage {
    pub hub: Hub,
    pub api: Api,
    pub receiver: Receiver,
}

impl Stage {
    /// A hub that may deliver to this machine.
    pub async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    /// A hub set up in another way.
    pub async fn with(setup: Setup) -> Self {
        let hub = Hub::start(setup).await;
        let api = Api::new(&hub.url, Some(&hub.key()));
        Self { hub, api, receiver: Receiver::start().await }
    }

    /// A client with an operator's key.
    pub fn operator(&self) -> Api {
        let arguments = ["keys", "create", "--data", "data", "--name", "op", "--scope", "instance"];
        let output = run(command(&self.hub, &arguments), "");
        assert_eq!(output.code, 0, "{}", output.stderr);
        self.api.with_key(output.stdout.trim())
    }

    /// A client with a new key made of this wish.
    pub async fn holder(&self, wish: Value) -> Api {
        let made = self.api.post("/v1/keys", &wish).await.expect(201);
        self.api.with_key(made["key"].as_str().expect("the key, this once"))
    }

    /// Makes an integration that delivers to the receiver's path `/<id>` unless `settings` name another target;
    /// gives back what the hub answered.
    pub async fn integration(&self, id: &str, settings: Value) -> Value {
        self.try_integration(id, settings).await.expect(201)
    }

    /// As [`Stage::integration`], whatever the hub says.
    pub async fn try_integration(&self, id: &str, settings: Value) -> Answer {
        let mut body =
            json!({"id": id, "name": id, "target": {"kind": "http", "url": self.receiver.url(&format!("/{id}"))}});
        merge(&mut body, settings);
        self.api.post("/v1/integrations", &body).await
    }

    /// Changes an integration.
    pub async fn edit(&self, id: &str, patch: Value) -> Value {
        self.api.patch(&format!("/v1/integrations/{id}"), &patch).await.expect(200)
    }

    /// The integration as it is now.
    pub async fn shown(&self, id: &str) -> Value {
        self.api.get(&format!("/v1/integrations/{id}")).await.expect(200)
    }

    /// `start` or `stop`.
    pub async fn switch(&self, id: &str, verb: &str) -> Value {
        self.api.post(&format!("/v1/integrations/{id}/{verb}"), &Value::Null).await.expect(200)
    }

    /// Posts one event or an array of them; all must be accepted. Gives their ids.
    pub async fn emit(&self, events: Value) -> Vec<String> {
        let answer = self.api.post("/v1/events", &events).await.expect(202);
        accepted_ids(&answer)
    }

    /// Kills the hub the hard way and starts it again on the same data.
    pub async fn crash(&mut self) {
        self.hub.kill();
        self.restart().await;
    }

    /// Ends the hub in good order and starts it again on the same data.
    pub async fn bounce(&mut self) {
        self.hub.stop();
        self.restart().await;
    }

    /// Starts the hub again after it has ended.
    pub async fn restart(&mut self) {
        assert!(self.hub.restart().await, "the hub ended while it started");
        self.api = Api::new(&self.hub.url, Some(&self.hub.key()));
    }
}

/// The ids in an answer to events, in the order of the request.
pub fn accepted_ids(answer: &Value) -> Vec<String> {
    let accepted = answer["accepted"].as_array().expect("a list of accepted events");
    accepted.iter().map(|a| a["id"].as_str().expect("an id").to_owned()).collect()
}

/// Lays `patch` over `base`, objects into each other.
fn merge(base: &mut Value, patch: Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, patch) => *base = patch,
    }
}

/// Calls that must be answered, in short.
impl Api {
    /// The same hub with another key.
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    /// The same key at a hub that is elsewhere by now.
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// The same hub, with the company that an operator names.
    pub fn in_company(&self, company: &str) -> Self {
        Self { company: Some(company.to_owned()), ..self.clone() }
    }

    /// The key; there must be one.
    pub fn key(&self) -> &str {
        self.key.as_deref().expect("a key")
    }

    /// The same hub without a key.
    pub fn without_key(&self) -> Self {
        Self { key: None, ..self.clone() }
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], Bytes::new()).await.expect("an answer")
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        if body.is_null() {
            return self.send(Method::POST, path, &[], Bytes::new()).await.expect("an answer");
        }
        self.try_post(path, body).await.expect("an answer")
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.put_if(path, body, &[]).await
    }

    /// With more headers, such as `If-Match`.
    pub async fn put_if(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        self.send(Method::PUT, path, &all, body.to_string().into()).await.expect("an answer")
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.patch_if(path, body, &[]).await
    }

    /// With more headers, such as `If-Match`.
    pub async fn patch_if(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("content-type", "application/merge-patch+json")];
        all.extend(headers);
        self.send(Method::PATCH, path, &all, body.to_string().into()).await.expect("an answer")
    }

    /// A body that is not built from JSON.
    pub async fn post_bytes(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, path, headers, body.into()).await.expect("an answer")
    }
}
