//! `tillstream integrations`: the integrations of a running hub, over its API.

mod create;
mod history;
mod rejected;
mod show;

use clap::Subcommand;
use serde_json::json;

use super::one::One;
use crate::api_client::{Api, HubArgs, segment};
use crate::output;

pub use create::{Create, signing_secret};
pub use show::{flatten, plain};

const EXAMPLES: &str = "\
Examples:
  tillstream integrations list
  tillstream integrations create https://erp.example/hook --id erp --entities order
  tillstream integrations logs erp
  tillstream integrations rejected erp --retry all
  tillstream integrations stop erp --url https://hub.example --key tsk_…";

/// Most rows of a list when nobody asks for another number.
const DEFAULT_ROWS: &str = "50";

/// Which hub, and what to do.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// All integrations, with how far behind each is
    List {
        #[command(flatten)]
        rows: Rows,
    },
    /// Everything about one integration
    Show {
        #[command(flatten)]
        one: One,
    },
    /// Make an integration and print its signing secret
    Create(Box<Create>),
    /// Let an integration deliver, from where it stopped
    Start {
        #[command(flatten)]
        one: One,
    },
    /// Stop an integration; its events wait in the log
    Stop {
        #[command(flatten)]
        one: One,
    },
    /// Delete an integration with its history and rejected events
    Delete {
        #[command(flatten)]
        one: One,
    },
    /// What happened to an integration, newest first
    Logs {
        /// Its id
        id: String,
        #[command(flatten)]
        rows: Rows,
    },
    /// Attempts to deliver, newest first
    Attempts(history::Attempts),
    /// Events that were given up; show, retry or delete them
    Rejected(rejected::Rejected),
}

/// How much of a list, and how it is printed.
#[derive(clap::Args, Debug)]
struct Rows {
    /// Most rows
    #[arg(long, value_name = "N", default_value = DEFAULT_ROWS, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Does it.
///
/// # Errors
/// When the hub does not answer or refuses.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.verb {
        Verb::List { rows } => show::list(&rows).await,
        Verb::Show { one } => show::one(&one.hub.api()?, &one.id, one.json).await,
        Verb::Create(create) => create.run().await,
        Verb::Start { one } => switch(&one, "start", "running").await,
        Verb::Stop { one } => switch(&one, "stop", "stopped").await,
        Verb::Delete { one } => delete(&one).await,
        Verb::Logs { id, rows } => history::logs(&id, &rows).await,
        Verb::Attempts(attempts) => attempts.run().await,
        Verb::Rejected(rejected) => rejected.run().await,
    }
}

impl Rows {
    async fn of(&self, path: &str) -> anyhow::Result<Vec<serde_json::Value>> {
        self.hub.api()?.list(path, self.limit as usize).await
    }
}

async fn switch(one: &One, verb: &str, state: &str) -> anyhow::Result<()> {
    let api = one.hub.api()?;
    let saved = api.post(&format!("{}/{verb}", path(&one.id)), None).await?;
    if one.json { output::json(&saved) } else { output::line(format!("{} is {state}", one.id)) }
}

async fn delete(one: &One) -> anyhow::Result<()> {
    delete_integration(&one.hub.api()?, &one.id).await?;
    if one.json {
        output::json(&json!({"id": one.id, "deleted": true}))
    } else {
        output::line(format!("{} is deleted", one.id))
    }
}

/// Deletes an integration.
///
/// # Errors
/// When the hub does not answer or refuses.
pub async fn delete_integration(api: &Api, id: &str) -> anyhow::Result<()> {
    api.delete(&path(id)).await.map(drop)
}

fn path(id: &str) -> String {
    format!("/integrations/{}", segment(id))
}
