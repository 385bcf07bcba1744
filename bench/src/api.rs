//! Calls of the hub's own API that rows need (`contracts/hub-api.md`, "Integrations"). Slow and simple: none
//! of these is measured except where a row says so.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::wire::{Connection, request};

/// How long one call may take.
pub const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Pages of integrations that are deleted before something must be wrong.
pub const MAX_PAGES: usize = 100;
/// Requests in flight of an integration, and the concurrency of the bare client it is compared with.
pub const MAX_IN_FLIGHT: usize = 32;

/// A caller with a key, and with a company where the key is an operator's.
#[derive(Clone, Debug)]
pub struct Api {
    /// Where the hub listens.
    pub addr: SocketAddr,
    /// The bearer key.
    pub token: String,
    /// External id of the company, for keys of scope `instance`.
    pub company: Option<String>,
}

/// Which events an integration takes, and where to.
#[derive(Clone, Debug)]
pub struct Integration {
    /// Its id.
    pub id: String,
    /// Where deliveries go.
    pub url: String,
    /// Only events of this name; `None` takes all.
    pub name: Option<String>,
}

impl Api {
    /// Creates a running, ordered, signed integration of format `tillstream`.
    pub async fn create(&self, integration: &Integration) -> Result<()> {
        let mut body = json!({
            "id": integration.id,
            "name": integration.id,
            "format": "tillstream",
            "target": {"kind": "http", "url": integration.url},
            "delivery": {"ordering": "entity", "max_in_flight": MAX_IN_FLIGHT},
        });
        if let Some(name) = &integration.name {
            body["events"] = json!({"names": [name]});
        }
        self.call("POST", "/v1/integrations", Some(&body)).await.map(drop)
    }

    /// Points an integration at another URL.
    pub async fn retarget(&self, id: &str, url: &str) -> Result<()> {
        let body = json!({"target": {"kind": "http", "url": url}});
        self.call("PATCH", &format!("/v1/integrations/{id}"), Some(&body)).await.map(drop)
    }

    /// Stops an integration: its cursor stands still.
    pub async fn stop(&self, id: &str) -> Result<()> {
        self.call("POST", &format!("/v1/integrations/{id}/stop"), None).await.map(drop)
    }

    /// Starts an integration again.
    pub async fn start(&self, id: &str) -> Result<()> {
        self.call("POST", &format!("/v1/integrations/{id}/start"), None).await.map(drop)
    }

    /// Deletes an integration.
    pub async fn delete(&self, id: &str) -> Result<()> {
        self.call("DELETE", &format!("/v1/integrations/{id}"), None).await.map(drop)
    }

    /// Deletes every integration of the company, a page at a time.
    pub async fn delete_all(&self) -> Result<()> {
        for _ in 0..MAX_PAGES {
            let page = self.call("GET", "/v1/integrations?limit=500", None).await?;
            let items = page["items"].as_array().context("a list without items")?;
            if items.is_empty() {
                return Ok(());
            }
            for id in items.iter().filter_map(|item| item["id"].as_str()) {
                self.delete(id).await?;
            }
        }
        bail!("integrations are left after {MAX_PAGES} pages")
    }

    /// How many events an integration has yet to settle or park.
    pub async fn lag(&self, id: &str) -> Result<u64> {
        self.cursor(id, "lag_events").await
    }

    /// The position up to which an integration has settled or parked everything.
    pub async fn position(&self, id: &str) -> Result<u64> {
        self.cursor(id, "seq").await
    }

    async fn cursor(&self, id: &str, field: &str) -> Result<u64> {
        let found = self.call("GET", &format!("/v1/integrations/{id}"), None).await?;
        found["cursor"][field].as_u64().with_context(|| format!("no cursor.{field} in {found}"))
    }

    /// Makes any call; errors on an answer other than 2xx, saying what the hub said.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, answer) = self.raw(method, path, body).await?;
        let text = String::from_utf8_lossy(&answer);
        ensure!((200..300).contains(&status), "{method} {path}: {status} {text}");
        if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&answer)?) }
    }

    /// Makes any call and gives status and body as they came.
    pub async fn raw(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Vec<u8>)> {
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let bytes = request(method, path, &self.headers(), &body);
        let exchange = async {
            let mut connection = Connection::open(self.addr).await?;
            let answer = connection.exchange(&bytes).await?;
            Ok((answer.status, answer.body.to_vec()))
        };
        timeout(CALL_LIMIT, exchange).await.with_context(|| format!("{method} {path} is not answered"))?
    }

    fn headers(&self) -> String {
        let company = self.company.as_ref().map(|id| format!("tillstream-company: {id}\r\n"));
        let key = (!self.token.is_empty()).then(|| format!("authorization: Bearer {}\r\n", self.token));
        [key, company].into_iter().flatten().collect()
    }
}
