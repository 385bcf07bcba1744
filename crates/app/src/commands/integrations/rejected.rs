//! `tillstream integrations rejected`: events that were given up.

use serde_json::{Value, json};

use super::show::plain;
use super::{Rows, path};
use crate::api_client::{Api, segment};
use crate::commands::jobs;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  tillstream integrations rejected erp
  tillstream integrations rejected erp --show evt_…    the event with its payload
  tillstream integrations rejected erp --retry evt_…   send it once more; `--retry all` for all
  tillstream integrations rejected erp --delete evt_…";

/// The word for every event.
const ALL: &str = "all";

/// Which, and what to do with them.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Rejected {
    /// The integration's id
    id: String,
    /// Show one with its payload
    #[arg(long, value_name = "EVENT_ID", group = "verb")]
    show: Option<String>,
    /// Send one again, or `all`
    #[arg(long, value_name = "EVENT_ID", group = "verb")]
    retry: Option<String>,
    /// Delete one, or `all`
    #[arg(long, value_name = "EVENT_ID", group = "verb")]
    delete: Option<String>,
    #[command(flatten)]
    rows: Rows,
}

impl Rejected {
    /// Does it.
    ///
    /// # Errors
    /// When the hub does not answer or refuses.
    pub async fn run(&self) -> anyhow::Result<()> {
        let api = self.rows.hub.api()?;
        match (&self.show, &self.retry, &self.delete) {
            (Some(event), ..) => output::json(&api.get(&self.path_of(event)).await?),
            (_, Some(event), _) => self.retry(&api, event).await,
            (.., Some(event)) => self.delete(&api, event).await,
            _ => self.list().await,
        }
    }

    async fn list(&self) -> anyhow::Result<()> {
        let items = self.listed().await?;
        if self.rows.json {
            return output::json(&items);
        }
        if items.is_empty() {
            return output::line("nothing is rejected");
        }
        let rows: Vec<[String; 6]> = items.iter().map(row).collect();
        output::line(output::table(["AT", "EVENT", "NAME", "REASON", "STATUS", "DETAIL"], &rows))
    }

    async fn retry(&self, api: &Api, event: &str) -> anyhow::Result<()> {
        if event == ALL {
            return self.all(api, "retry-all", "will be sent again").await;
        }
        api.post(&format!("{}/retry", self.path_of(event)), None).await?;
        self.done(json!({"retried": 1}), "1 will be sent again".into())
    }

    async fn delete(&self, api: &Api, event: &str) -> anyhow::Result<()> {
        if event == ALL {
            return self.all(api, "delete-all", "deleted").await;
        }
        api.delete(&self.path_of(event)).await?;
        self.done(json!({"deleted": 1}), "1 deleted".into())
    }

    /// Has the hub do it, and waits until it has.
    async fn all(&self, api: &Api, verb: &str, done: &str) -> anyhow::Result<()> {
        let job = api.post(&format!("{}/rejected/{verb}", path(&self.id)), Some(&json!({"filter": {}}))).await?;
        let job = jobs::wait(api, job).await?;
        let text = format!("{} {done}", plain(&job["progress"]["done"]));
        self.done(job, text)
    }

    fn done(&self, json: Value, text: String) -> anyhow::Result<()> {
        if self.rows.json { output::json(&json) } else { output::line(text) }
    }

    async fn listed(&self) -> anyhow::Result<Vec<Value>> {
        self.rows.of(&format!("{}/rejected", path(&self.id))).await
    }

    fn path_of(&self, event: &str) -> String {
        format!("{}/rejected/{}", path(&self.id), segment(event))
    }
}

fn row(item: &Value) -> [String; 6] {
    ["created_at", "id", "name", "reason", "last_status", "detail"].map(|key| plain(&item[key]))
}
