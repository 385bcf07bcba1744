//! What happened: the integration's log and its attempts.

use serde_json::Value;

use super::show::plain;
use super::{Rows, path};
use crate::api_client::segment;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  tillstream integrations attempts erp --failed
  tillstream integrations attempts erp --limit 500 --json";

/// Which attempts.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Attempts {
    /// The integration's id
    id: String,
    /// Only failed ones
    #[arg(long, conflicts_with = "succeeded")]
    failed: bool,
    /// Only successful ones
    #[arg(long)]
    succeeded: bool,
    /// Only of events with this name
    #[arg(long, value_name = "NAME")]
    event_name: Option<String>,
    #[command(flatten)]
    rows: Rows,
}

impl Attempts {
    /// Prints them.
    ///
    /// # Errors
    /// When the hub does not answer or refuses.
    pub async fn run(&self) -> anyhow::Result<()> {
        let items = self.rows.of(&self.path()).await?;
        if self.rows.json {
            return output::json(&items);
        }
        if items.is_empty() {
            return output::line("no attempts");
        }
        let rows: Vec<[String; 7]> = items.iter().map(attempt).collect();
        output::line(output::table(["AT", "EVENT", "NAME", "RESULT", "MS", "LEFT", "ERROR"], &rows))
    }

    fn path(&self) -> String {
        let status = match (self.failed, self.succeeded) {
            (true, _) => "?status=failure",
            (_, true) => "?status=success",
            _ => "",
        };
        let separator = if status.is_empty() { '?' } else { '&' };
        let name = self.event_name.as_deref().map(|n| format!("{separator}event_name={}", segment(n)));
        format!("{}/attempts{status}{}", path(&self.id), name.unwrap_or_default())
    }
}

/// Prints the log of an integration.
pub async fn logs(id: &str, rows: &Rows) -> anyhow::Result<()> {
    let items = rows.of(&format!("{}/logs", path(id))).await?;
    if rows.json {
        return output::json(&items);
    }
    let entry = |i: &Value| [plain(&i["created_at"]), plain(&i["action"]), plain(&i["actor"]), plain(&i["reason"])];
    let rows: Vec<[String; 4]> = items.iter().map(entry).collect();
    output::line(output::table(["AT", "ACTION", "BY", "REASON"], &rows))
}

fn attempt(item: &Value) -> [String; 7] {
    let result = if item["response_status"].is_null() { &item["status"] } else { &item["response_status"] };
    [
        plain(&item["attempted_at"]),
        plain(&item["event_id"]),
        plain(&item["event_name"]),
        plain(result),
        plain(&item["response_time_ms"]),
        plain(&item["retries_remaining"]),
        plain(&item["failure"]["detail"]),
    ]
}
