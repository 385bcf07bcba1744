//! `tillstream why`: why something did not arrive, and the one thing to do.

use serde_json::Value;

use crate::api_client::{HubArgs, segment};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  tillstream why --integration erp --site 175
  tillstream why --integration erp --entity order --entity-id 4711
  tillstream why --site 175 --business-date 2026-11-21 --json";

/// What did not arrive. All that is given has to hold.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where it did not arrive; without this, all integrations
    #[arg(long, value_name = "ID")]
    integration: Option<String>,
    /// The site it comes from
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// The entity, such as order
    #[arg(long, value_name = "ENTITY")]
    entity: Option<String>,
    /// The id of the entity
    #[arg(long, value_name = "ID")]
    entity_id: Option<String>,
    /// The trading day
    #[arg(long, value_name = "YYYY-MM-DD")]
    business_date: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Asks and prints the answer.
///
/// # Errors
/// When the hub does not answer or refuses.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let why = args.hub.api()?.get(&args.path()).await?;
    if args.json { output::json(&why) } else { output::line(text(&why)) }
}

impl Args {
    fn path(&self) -> String {
        let given = [
            ("integration", &self.integration),
            ("site", &self.site),
            ("entity", &self.entity),
            ("entity_id", &self.entity_id),
            ("business_date", &self.business_date),
        ];
        let set = given.iter().filter_map(|(name, value)| Some(format!("{name}={}", segment(value.as_deref()?))));
        format!("/why?{}", set.collect::<Vec<_>>().join("&"))
    }
}

/// The answer first, then what it rests on.
fn text(why: &Value) -> String {
    let mut lines = vec![said(&why["summary"]), format!("What to do: {}", said(&why["todo"])), String::new()];
    if why["site"].is_object() {
        let site = &why["site"];
        let silent = if site["silent"] == true { ", silent" } else { "" };
        lines.push(format!("site {}: last heard from {}{silent}", said(&site["id"]), or_never(&site["last_heard_at"])));
    }
    let received = &why["received"];
    let part = if received["complete"] == false { " (only the newest part was looked at)" } else { "" };
    lines.push(format!("received: {}, the last one {}{part}", received["count"], or_never(&received["last_at"])));
    let integrations = why["integrations"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !integrations.is_empty() {
        let rows: Vec<[String; 7]> = integrations.iter().map(row).collect();
        let headings = ["INTEGRATION", "VERDICT", "DELIVERED", "WAITING", "REJECTED", "NOT WANTED", "WHY"];
        lines.extend([String::new(), output::table(headings, &rows)]);
    }
    if why["more_integrations"] == true {
        lines.push("There are more integrations: name one with --integration.".to_owned());
    }
    lines.join("\n")
}

fn row(item: &Value) -> [String; 7] {
    [
        said(&item["integration"]),
        said(&item["verdict"]),
        item["delivered"]["count"].to_string(),
        item["pending"]["count"].to_string(),
        sum(&item["rejected"]),
        sum(&item["not_wanted"]),
        said(&item["summary"]),
    ]
}

fn sum(rows: &Value) -> String {
    let counts = rows.as_array().into_iter().flatten().filter_map(|r| r["count"].as_u64());
    counts.sum::<u64>().to_string()
}

fn said(value: &Value) -> String {
    output::one_line(value.as_str().unwrap_or_default())
}

fn or_never(at: &Value) -> String {
    at.as_str().map_or_else(|| "never".to_owned(), |at| format!("at {at}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_answer_comes_first_and_what_it_rests_on_below() {
        let why = json!({
            "verdict": "stopped", "summary": "1 waits.", "todo": "Start it.", "more_integrations": false,
            "site": {"id": "175", "last_heard_at": null, "silent": false},
            "received": {"count": 1, "last_at": "2026-11-21T10:00:00.000Z", "complete": true},
            "integrations": [{"integration": "erp", "verdict": "stopped", "summary": "1 waits.",
                "delivered": {"count": 0}, "pending": {"count": 1}, "rejected": [{"count": 2}, {"count": 3}], "not_wanted": []}],
        });
        let text = text(&why);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["1 waits.", "What to do: Start it."]);
        assert_eq!(
            lines[3..5],
            ["site 175: last heard from never", "received: 1, the last one at 2026-11-21T10:00:00.000Z"]
        );
        let cells: Vec<&str> = lines[7].split_whitespace().collect();
        assert_eq!(cells[..6], ["erp", "stopped", "0", "1", "5", "0"]);
    }
}
