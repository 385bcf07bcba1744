//! `tillstream restore`: a data folder from a backup, or a new epoch in a database that was restored.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::config::{self, Config, ConfigFile, Written, Wrong};
use crate::progress::Bar;
use crate::wire::Restored;
use crate::{output, wire};

const EXAMPLES: &str = "\
Examples:
  tillstream restore --from hub.tar.zst --data /var/lib/tillstream/data
  tillstream restore --from hub.tar.zst --data ./other --master-key-file old.master-key
  tillstream restore --mark-restored --database postgres://till@db/tillstream

The folder must be empty or not there; every sum is compared, and the master key must be the one
the backup was made with. The log begins a new epoch: positions that were handed out before go on
where the backup ended. Never let two hubs run that were restored from the same backup: both
deliver what waited in it.";

/// From where to where.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The backup, as `tillstream backup` made it
    #[arg(long, value_name = "FILE", required_unless_present = "mark_restored")]
    from: Option<PathBuf>,
    /// The folder to restore to, empty or not there yet [default: data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Only begin a new epoch, in a PostgreSQL database that was restored by its own means
    #[arg(long, conflicts_with = "from")]
    mark_restored: bool,
    /// The restored PostgreSQL database [default: the configured `database`]
    #[arg(long, value_name = "URL", requires = "mark_restored")]
    database: Option<String>,
    /// File with certificates that the database server's may be signed with
    #[arg(long, value_name = "FILE", requires = "mark_restored")]
    database_ca: Option<PathBuf>,
    /// File with the hub's master key [default: <DATA>.master-key]
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    /// Print what was restored as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

/// Restores.
///
/// # Errors
/// When there is something in the folder, the file is no whole backup, the master key is another one, or a node runs on
/// the database.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args { from, data, mark_restored, database, database_ca, master_key_file, json, file } = args;
    let written = Written { data, database, database_ca, master_key_file, ..Written::default() };
    let config = config::load(&file, written)?;
    match from {
        Some(from) if !mark_restored => restore(&config, &from, json).await,
        _ => mark(&config, json).await,
    }
}

async fn restore(config: &Config, from: &Path, json: bool) -> anyhow::Result<()> {
    if config.database.is_some() {
        return Err(Wrong::new(
            "a database is configured, and a backup of a folder is restored to a folder: leave the database away; \
             `tillstream migrate` moves the folder into one afterwards",
        )
        .into());
    }
    let bar = Bar::new();
    let told = bar.clone();
    let restored = wire::restore(config, from.to_owned(), move |progress| told.show(&progress)).await;
    bar.clear();
    let restored = restored?;
    if json {
        return output::json(&json!({
            "data": config.data.display().to_string(),
            "epoch": restored.epoch,
            "backup_epoch": restored.about.epoch,
            "created_at": restored.about.created_at,
        }));
    }
    output::line(report(config, &restored))
}

async fn mark(config: &Config, json: bool) -> anyhow::Result<()> {
    let Some(database) = &config.database else {
        return Err(Wrong::new("which database was restored? Name it with --database postgres://user@host/name").into());
    };
    let epoch = wire::mark_restored(config, database).await?;
    if json {
        return output::json(&json!({"epoch": epoch}));
    }
    output::line(format!("{} begins epoch {epoch}; nodes may start on it now", database.shown()))
}

fn report(config: &Config, restored: &Restored) -> String {
    let key = config.shown("master_key_file").map_or_else(String::new, |file| format!(" --master-key-file {file}"));
    format!(
        "\
{} is as it was at {}, and its log begins epoch {}.

  Next:
    tillstream serve --data {}{key}",
        config.data.display(),
        restored.about.created_at,
        restored.epoch,
        config.data.display(),
    )
}
