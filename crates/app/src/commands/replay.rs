//! `tillstream replay`: past events once more, over the API of a running hub.

use serde_json::{Map, Value, json};

use super::jobs;
use crate::api_client::{HubArgs, segment};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  tillstream replay erp --from 2026-11-20T00:00:00Z --dry-run               how many it would be
  tillstream replay erp --from 2026-11-20T00:00:00Z --only undelivered
  tillstream replay erp --from 2026-11-01T00:00:00Z --entity-id 4711 --no-wait

It sends what the integration wants of its past, beside the live flow and yielding to it. Receivers see the
same webhook-id, and the header tillstream-replay.";

/// What to send again.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The integration's id
    id: String,
    /// Accepted at or after, such as 2026-11-20T00:00:00Z
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Accepted before; now when left out
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only events of this name; repeatable
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Only about this one
    #[arg(long, value_name = "ID")]
    entity_id: Option<String>,
    /// Only of this site
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Only of this trading day, such as 2026-11-20
    #[arg(long, value_name = "DATE")]
    business_date: Option<String>,
    /// Only those that were never delivered, or that are listed as rejected
    #[arg(long, value_parser = ["all", "undelivered", "rejected"], default_value = "all")]
    only: String,
    /// Only count
    #[arg(long)]
    dry_run: bool,
    /// Do not wait until it has ended
    #[arg(long)]
    no_wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Starts it, and waits until it has ended.
///
/// # Errors
/// When the hub does not answer or refuses.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let api = args.hub.api()?;
    let answer = api.post(&format!("/integrations/{}/replay", segment(&args.id)), Some(&args.wish())).await?;
    if args.dry_run {
        return if args.json { output::json(&answer) } else { output::line(counted(&answer)) };
    }
    let job = if args.no_wait { answer } else { jobs::wait(&api, answer).await? };
    jobs::show(&job, args.json)
}

impl Args {
    fn wish(&self) -> Value {
        let mut wish = Map::new();
        wish.insert("from".into(), json!(self.from));
        wish.insert("names".into(), json!(self.names));
        wish.insert("only".into(), json!(self.only));
        wish.insert("dry_run".into(), json!(self.dry_run));
        for (key, value) in [
            ("to", &self.to),
            ("entity_id", &self.entity_id),
            ("site", &self.site),
            ("business_date", &self.business_date),
        ] {
            if let Some(value) = value {
                wish.insert(key.into(), json!(value));
            }
        }
        Value::Object(wish)
    }
}

fn counted(count: &Value) -> String {
    let looked = &count["looked_at"];
    if count["complete"] == true {
        return format!("{} of {looked} events would be sent", count["matched"]);
    }
    let of = &count["of"];
    format!("at least {} events would be sent: {looked} of {of} were looked at before time was up", count["matched"])
}
