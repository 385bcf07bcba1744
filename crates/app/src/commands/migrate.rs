//! `tillstream migrate`: moves a stopped hub from its folder into a database.

use std::path::PathBuf;

use serde_json::json;
use tillstream_store::transfer::Moved;

use crate::config::{self, Config, ConfigFile, Database, Written, Wrong};
use crate::progress::Bar;
use crate::{audit, output, wire};

const EXAMPLES: &str = "\
Examples:
  tillstream migrate --to postgres://till@db/tillstream
  tillstream migrate --data /var/lib/tillstream/data --to postgres://till@db-1,db-2/tillstream

Stop the hub first; the database must be empty. Positions, cursors, ids, secrets and keys stay
what they are. The folder is only marked as moved, so that no hub goes on from it by mistake.
A move that broke off is repeated with the same command.";

/// From where to where.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The empty PostgreSQL database to move into [default: the configured `database`]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// The stopped hub's data folder [default: data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// File with certificates that the database server's may be signed with
    #[arg(long, value_name = "FILE")]
    database_ca: Option<PathBuf>,
    /// File with the hub's master key [default: <DATA>.master-key]
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    /// Print what was moved as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

/// Moves it.
///
/// # Errors
/// When a hub has the folder open, there is nothing in it, or the database cannot be reached or belongs to a hub.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args { to: database, data, database_ca, master_key_file, json, file } = args;
    let written = Written { database, data, database_ca, master_key_file, ..Written::default() };
    let config = config::load(&file, written)?;
    let Some(database) = &config.database else {
        return Err(Wrong::new("where to? Name an empty database with --to postgres://user@host/name").into());
    };
    let bar = Bar::new();
    let moved = wire::migrate(&config, database, &mut |progress| bar.show(&progress)).await;
    bar.clear();
    let moved = moved?;
    let state = wire::open_state(&config).await?;
    let from = format!("folder {}", config.data.display());
    audit::note(&*state, None, "hub.moved", from, (None, Some(document(&moved)))).await?;
    if json { output::json(&document(&moved)) } else { output::line(report(&config, database, &moved)) }
}

fn report(config: &Config, database: &Database, moved: &Moved) -> String {
    let key = config.shown("master_key_file").map_or_else(String::new, |file| format!(" --master-key-file {file}"));
    format!(
        "\
{} are in {} now, with {} attempts.

  Next, on every node, with the same master key:
    tillstream serve --database '{}'{key}
  Once all is well, the folder {} may go.",
        counted(moved),
        database.shown(),
        moved.attempts,
        database.shown(),
        config.data.display(),
    )
}

fn counted(moved: &Moved) -> String {
    let of = |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    format!(
        "{}, {} and {}",
        of(moved.companies, "company", "companies"),
        of(moved.integrations, "integration", "integrations"),
        of(moved.events, "event", "events")
    )
}

fn document(moved: &Moved) -> serde_json::Value {
    json!({
        "companies": moved.companies,
        "integrations": moved.integrations,
        "events": moved.events,
        "attempts": moved.attempts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_counted_as_one() {
        let moved = Moved { companies: 1, integrations: 0, events: 2, attempts: 0 };
        assert_eq!(counted(&moved), "1 company, 0 integrations and 2 events");
    }
}
