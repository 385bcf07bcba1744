//! `tillstream master-key`: the key that seals stored secrets.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::place::Place;
use crate::config::{Config, MasterKeySource, Wrong};
use crate::output;
use crate::wire::{self, MasterKey};

const EXAMPLES: &str = "\
Examples:
  tillstream master-key create                    print a new key, for TILLSTREAM_MASTER_KEY
  tillstream master-key rotate --data ./data      the hub is stopped; its key file is replaced
  TILLSTREAM_MASTER_KEY=NEW,OLD tillstream master-key rotate --database postgres://till@db/tillstream

With PostgreSQL nodes may go on: first give every node NEW,OLD and restart one after the other,
then rotate, then give every node NEW alone. A rotation that broke off goes on with the same
command. Keep old keys for as long as backups from before are: a backup opens only with the key
it was made with.";

/// What to do.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Make a key and print it, alone, on standard output, or write it into a new file
    Create {
        /// The new file, which only its owner can read
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Seal every stored secret anew under a new key
    Rotate {
        /// Print what was done as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
}

/// Does it.
///
/// # Errors
/// When the hub runs on the folder, or what is stored was sealed with another key.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.verb {
        Verb::Create { to: None } => output::line(MasterKey::random().reveal()),
        Verb::Create { to: Some(file) } => {
            let key = MasterKey::random().create(&file)?;
            output::line(format!("{} has a new master key, {}", file.display(), key.id()))
        }
        Verb::Rotate { json, place } => rotate(&place.config()?, json).await,
    }
}

async fn rotate(config: &Config, json: bool) -> anyhow::Result<()> {
    refuse_one_key(config)?;
    let (rotated, key) = wire::rotate(config).await?;
    if json {
        return output::json(&json!({"key": key.id(), "resealed": rotated.resealed, "left": rotated.left}));
    }
    if rotated.left.is_empty() {
        return output::line(format!(
            "{} secrets are sealed with key {} now, and none with another one",
            rotated.resealed,
            key.id()
        ));
    }
    output::line(format!(
        "{} secrets are sealed with key {} now; texts in {} still look sealed with another one: run this again, and keep \
         the old key until nothing is left",
        rotated.resealed,
        key.id(),
        rotated.left.join(", ")
    ))
}

/// A new key is only made where its file can be replaced.
fn refuse_one_key(config: &Config) -> Result<(), Wrong> {
    let needed =
        "give the new and the old key, as in TILLSTREAM_MASTER_KEY=NEW,OLD; `tillstream master-key create` makes one";
    match &config.master_key {
        MasterKeySource::Given(key) if !key.reveal().contains(',') => Err(Wrong::new(needed)),
        MasterKeySource::File(file) if config.database.is_some() => {
            let keys = std::fs::read_to_string(file).unwrap_or_default();
            if keys.contains(',') {
                Ok(())
            } else {
                Err(Wrong::new(format!("{needed}; or both in {}", file.display())))
            }
        }
        _ => Ok(()),
    }
}
