//! Looking at an integration through the API.

use std::time::Duration;

use serde_json::Value;

use super::{Delivery, Receiver, SOON, Stage, eventually};

impl Receiver {
    /// Waits until at least so many deliveries came to a path, and gives all of them.
    pub async fn wait_for(&self, path: &str, count: usize, deadline: Duration) -> Vec<Delivery> {
        let what = format!("{count} deliveries to {path}");
        eventually(&what, deadline, async || Some(self.deliveries(path)).filter(|d| d.len() >= count)).await
    }
}

impl Stage {
    /// Everything rejected, newest first.
    pub async fn rejected(&self, id: &str) -> Vec<Value> {
        self.api.all(&format!("/v1/integrations/{id}/rejected")).await
    }

    /// Every attempt, newest first.
    pub async fn attempts(&self, id: &str) -> Vec<Value> {
        self.api.all(&format!("/v1/integrations/{id}/attempts")).await
    }

    /// The actions in the integration's log, newest first.
    pub async fn actions(&self, id: &str) -> Vec<String> {
        let entries = self.api.all(&format!("/v1/integrations/{id}/logs")).await;
        entries.iter().map(|e| e["action"].as_str().expect("an action").to_owned()).collect()
    }

    /// Waits until so many are rejected.
    pub async fn wait_for_rejected(&self, id: &str, count: usize) -> Vec<Value> {
        let what = format!("{count} rejected of {id}");
        eventually(&what, SOON, async || Some(self.rejected(id).await).filter(|r| r.len() >= count)).await
    }

    /// Waits until so many attempts are stored; gives them, newest first.
    pub async fn wait_for_attempts(&self, id: &str, count: usize) -> Vec<Value> {
        let what = format!("{count} attempts of {id}");
        eventually(&what, SOON, async || Some(self.attempts(id).await).filter(|a| a.len() >= count)).await
    }

    /// Waits until the log has an action.
    pub async fn wait_for_action(&self, id: &str, action: &str) {
        let what = format!("{action} in the log of {id}");
        eventually(&what, SOON, async || self.actions(id).await.iter().any(|a| a == action).then_some(())).await;
    }

    /// Waits until the integration has this status.
    pub async fn wait_for_status(&self, id: &str, status: &str) -> Value {
        let what = format!("{id} is {status}");
        eventually(&what, SOON, async || Some(self.shown(id).await).filter(|i| i["status"] == status)).await
    }

    /// Waits until nothing is left to deliver.
    pub async fn wait_until_idle(&self, id: &str) -> Value {
        let idle = |i: &Value| i["cursor"]["lag_events"] == 0 && i["cursor"]["parked"] == 0;
        eventually(&format!("{id} has nothing left"), SOON, async || Some(self.shown(id).await).filter(idle)).await
    }
}
