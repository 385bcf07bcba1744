//! `tillstream backup`: everything of a hub in one file, while it runs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tillstream_model::Time;

use crate::config::{self, Config, ConfigFile, Written, Wrong};
use crate::progress::Bar;
use crate::wire::Backed;
use crate::{output, wire};

const EXAMPLES: &str = "\
Examples:
  tillstream backup --to /mnt/backups/                    a new file in a folder, named by the time
  tillstream backup --data /var/lib/tillstream/data --to hub.tar.zst --json

The hub may run meanwhile. Everything that was accepted before the backup began is in it; the
master key never is: keep <DATA>.master-key somewhere else, secrets cannot be read without it.
With PostgreSQL use pg_dump or pg_basebackup, and after restoring one of those
`tillstream restore --mark-restored`.";

/// From where to where.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The new file, or a folder for it
    #[arg(long, value_name = "FILE|DIR")]
    to: PathBuf,
    /// The hub's data folder [default: data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print what was backed up as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

/// Makes it.
///
/// # Errors
/// When the hub keeps its data in a database, there is no data in the folder, or the file exists or cannot be written.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args { to, data, json, file } = args;
    let config = config::load(&file, Written { data, ..Written::default() })?;
    if config.database.is_some() {
        return Err(Wrong::new(
            "the hub keeps its data in PostgreSQL: back that up with pg_dump or pg_basebackup, as you do for your other \
             databases; after restoring it run `tillstream restore --mark-restored` before a node starts on it",
        )
        .into());
    }
    let to = if to.is_dir() { to.join(name(wire::now())) } else { to };
    let bar = Bar::new();
    let told = bar.clone();
    let backed = wire::backup(&config, to.clone(), move |progress| told.show(&progress)).await;
    bar.clear();
    let backed = backed?;
    if json { output::json(&document(&to, &backed)) } else { output::line(report(&config, &to, &backed)) }
}

/// A name that sorts by time and that every file system takes.
fn name(now: Time) -> String {
    let seconds: String = now.to_string().chars().take("2026-11-21T10:00:00".len()).collect();
    format!("tillstream-{}Z.tar.zst", seconds.replace(':', ""))
}

fn report(config: &Config, to: &Path, backed: &Backed) -> String {
    let key = config.shown("master_key_file").unwrap_or_else(|| "TILLSTREAM_MASTER_KEY".to_owned());
    format!(
        "{}: {} events, {} bytes; everything accepted before {} is in it.\nThe master key ({key}) is not: keep it elsewhere.",
        to.display(),
        backed.events,
        backed.bytes,
        backed.about.created_at,
    )
}

fn document(to: &Path, backed: &Backed) -> Value {
    json!({
        "file": to.display().to_string(),
        "created_at": backed.about.created_at,
        "epoch": backed.about.epoch,
        "events": backed.events,
        "bytes": backed.bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_time_without_characters_that_a_file_system_refuses() {
        assert_eq!(name(Time::from_millis(1_795_255_200_123)), "tillstream-2026-11-21T100000Z.tar.zst");
    }
}
