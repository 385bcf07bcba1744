//! An integration that lives as long as the command.

use anyhow::{Context, anyhow};
use serde_json::json;

use crate::api_client::{Api, HubArgs};
use crate::commands::integrations::{delete_integration, signing_secret};

/// An integration that delivers here.
pub struct Temporary {
    /// Its id.
    pub id: String,
    /// What its deliveries are signed with.
    pub secret: String,
    api: Api,
}

impl Temporary {
    /// Makes it, for every event from now on.
    ///
    /// # Errors
    /// When the hub does not answer or refuses.
    pub async fn create(hub: &HubArgs, url: &str) -> anyhow::Result<Self> {
        let api = hub.api()?;
        let id = format!("listen-{:08x}", rand::random::<u32>());
        let settings = json!({
            "id": id,
            "name": "tillstream listen",
            "description": "made by `tillstream listen --create`, which deletes it when it ends",
            "target": {"kind": "http", "url": url},
        });
        let made = api.post("/integrations", Some(&settings)).await?;
        let secret =
            signing_secret(&made).ok_or_else(|| anyhow!("the hub made {id} without a signing secret"))?.to_owned();
        Ok(Self { id, secret, api })
    }

    /// Deletes it.
    ///
    /// # Errors
    /// When the hub does not answer or refuses; the text says how to do it by hand.
    pub async fn delete(self) -> anyhow::Result<()> {
        let deleted = delete_integration(&self.api, &self.id).await;
        deleted.with_context(|| {
            format!("{id} is still there; `tillstream integrations delete {id}` removes it", id = self.id)
        })
    }
}
