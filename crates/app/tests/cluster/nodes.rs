//! Hubs that share a database.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::database;
use crate::hub::{Hub, Setup, signal, tillstream};
use crate::receiver::{Delivery, Receiver};
use crate::wait::eventually;

/// Hubs on one database, with a client for each that may do everything in the first company, and a receiver.
pub struct Nodes {
    pub hubs: Vec<Hub>,
    pub apis: Vec<Api>,
    pub receiver: Arc<Receiver>,
    key: String,
}

impl Nodes {
    /// So many hubs on a database of their own.
    pub async fn start(count: usize) -> Self {
        let url = database::make_named(&format!("cluster_{:016x}", rand::random::<u64>())).await;
        Self::on(vec![url; count]).await
    }

    /// A hub for each way to one database.
    pub async fn on(urls: Vec<String>) -> Self {
        let mut hubs = Vec::new();
        for (n, url) in urls.into_iter().enumerate() {
            let shared = Some((url, format!("node-{n}")));
            hubs.push(Hub::start(Setup { shared, ..Setup::default() }).await);
        }
        let key = hubs[0].key();
        let apis = hubs.iter().map(|hub| Api::new(&hub.url, Some(&key))).collect();
        Self { hubs, apis, receiver: Arc::new(Receiver::start().await), key }
    }

    /// Starts a node again that has ended.
    pub async fn restart(&mut self, node: usize) {
        assert!(self.hubs[node].restart().await, "node {node} ended while it started");
        self.apis[node] = Api::new(&self.hubs[node].url, Some(&self.key));
    }

    /// A client of a node with an operator's key.
    pub fn operator(&self, node: usize) -> Api {
        let hub = &self.hubs[node];
        let (url, _) = hub.setup.shared.as_ref().expect("a database");
        let mut command = tillstream(hub.folder());
        let output =
            command.args(["keys", "create", "--name", "op", "--scope", "instance", "--database", url]).output();
        let key = String::from_utf8(output.expect("it runs").stdout).expect("text");
        Api::new(&hub.url, Some(key.trim()))
    }

    /// Makes an integration through a node, with the receiver's path `/<id>` as its target.
    pub async fn integration(&self, node: usize, id: &str) -> Value {
        let target = json!({"kind": "http", "url": self.receiver.url(&format!("/{id}"))});
        let body = json!({"id": id, "name": id, "target": target});
        self.apis[node].post("/v1/integrations", &body).await.expect(201)
    }

    /// How many lanes a node runs and how many buckets it holds.
    pub async fn figure(&self, node: usize, metric: &str) -> f64 {
        let text = self.apis[node].get("/metrics").await.text();
        let line = text.lines().find(|l| l.starts_with(metric) && !l.starts_with('#'));
        line.and_then(|l| l.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }
}

impl Hub {
    /// It stands still and hears nothing, and does not know.
    pub fn pause(&self) {
        signal(self.child.id(), "STOP");
    }

    /// After a pause.
    pub fn go_on(&self) {
        signal(self.child.id(), "CONT");
    }
}

impl Api {
    /// Sends a document; fails when there is no answer.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        if body.is_null() {
            return self.send(Method::POST, path, &[], Bytes::new()).await.expect("an answer");
        }
        self.try_post(path, body).await.expect("an answer")
    }

    /// Changes something.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/merge-patch+json")];
        self.send(Method::PATCH, path, &headers, Bytes::from(body.to_string())).await.expect("an answer")
    }
}

impl Receiver {
    /// Waits until at least so many deliveries came to a path, and gives all of them.
    pub async fn wait_for(&self, path: &str, count: usize, deadline: Duration) -> Vec<Delivery> {
        let what = format!("{count} deliveries to {path}");
        eventually(&what, deadline, async || Some(self.deliveries(path)).filter(|d| d.len() >= count)).await
    }
}
