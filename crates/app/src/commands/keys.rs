//! `tillstream keys`: API keys, written into the data folder; works while the hub runs.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};
use tillstream_hub::access::{NewKey, Scopes};
use tillstream_model::{CompanyNo, Time};
use tillstream_store::State;
use tillstream_store::state::{Bound, Key};

use crate::config::{self, Config, ConfigFile, Written, Wrong};
use crate::{bootstrap, output, wire};

const EXAMPLES: &str = "\
Examples:
  tillstream keys create --name till-7 --scope events:write
  TILLSTREAM_KEY=$(tillstream keys create --name me --scope all)
  tillstream keys create --name operator --scope instance
  tillstream keys list --json
  tillstream keys delete key_0123456789abcdef

Scopes: events:write, events:read, events:payload, integrations:read|write,
deliveries:read|write, sites:read|write, keys:write, users:write, gateways:write,
extractor:read|write, audit:read; `all` is all of these for the first company, `instance`
the operator's, for every company. A deleted key stops working within seconds.";

/// What to do.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Make a key and print it, alone, on standard output; it is not shown again
    Create {
        /// What people call it
        #[arg(long)]
        name: String,
        /// What it may do; may be given several times
        #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',')]
        scopes: Vec<String>,
        /// Not valid from then on, such as 2027-01-31T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires_at: Option<Time>,
        #[command(flatten)]
        place: Place,
    },
    /// The keys of the first company and the operator's
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Delete a key
    Delete {
        /// Its id, from the list
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Whose keys.
#[derive(clap::Args, Debug)]
struct Place {
    /// The hub's data folder [default: data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The PostgreSQL server that holds the hub's state instead of the folder
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// File with certificates that the database server's may be signed with
    #[arg(long, value_name = "FILE")]
    database_ca: Option<PathBuf>,
    /// File with the hub's master key [default: <DATA>.master-key]
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    #[command(flatten)]
    file: ConfigFile,
}

/// Does it.
///
/// # Errors
/// When the data folder cannot be opened, or there is no such key.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.verb {
        Verb::Create { name, scopes, expires_at, place } => create(name, scopes, expires_at, place).await,
        Verb::List { json, place } => list(json, place).await,
        Verb::Delete { id, place } => delete(&id, place).await,
    }
}

async fn create(name: String, scopes: Vec<String>, expires_at: Option<Time>, place: Place) -> anyhow::Result<()> {
    let parsed = Scopes::parse(&scopes).map_err(|e| Wrong::new(e.to_string()))?;
    let state = wire::open_state(&place.config()?).await?;
    let company = if parsed.is_operator() { None } else { Some(bootstrap::first_company(&*state).await?.no) };
    let new = NewKey { company, name, scopes, bound: Bound::default(), expires_at };
    output::line(bootstrap::make_key(&*state, new, wire::now()).await?)
}

async fn list(json: bool, place: Place) -> anyhow::Result<()> {
    let state = place.open_existing().await?;
    let keys = all(&*state).await?;
    if json {
        return output::json(&keys.iter().map(document).collect::<Vec<_>>());
    }
    if keys.is_empty() {
        return output::line("no keys yet; make one with `tillstream keys create --name NAME --scope all`");
    }
    let rows: Vec<[String; 5]> = keys.iter().map(row).collect();
    output::line(output::table(["ID", "NAME", "SCOPES", "CREATED", "LAST USED"], &rows))
}

async fn delete(id: &str, place: Place) -> anyhow::Result<()> {
    let state = place.open_existing().await?;
    for company in reach(&*state).await? {
        if state.delete_key(company, id).await? {
            return output::line(format!("{id} is deleted"));
        }
    }
    bail!("there is no key {id}; `tillstream keys list` shows them")
}

impl Place {
    fn config(self) -> Result<Config, Wrong> {
        let Self { data, database, database_ca, master_key_file, file } = self;
        config::load(&file, Written { data, database, database_ca, master_key_file, ..Written::default() })
    }

    /// Looking at keys makes no folder where there is none.
    async fn open_existing(self) -> anyhow::Result<Arc<dyn State>> {
        let config = self.config()?;
        if config.database.is_none() && !config.data.is_dir() {
            bail!("there is no data folder {}; name the hub's with --data", config.data.display());
        }
        wire::open_state(&config).await
    }
}

async fn all(state: &dyn State) -> anyhow::Result<Vec<Key>> {
    let mut keys = Vec::new();
    for company in reach(state).await? {
        keys.extend(state.keys(company).await?);
    }
    Ok(keys)
}

/// The operator, then the first company if there is one.
async fn reach(state: &dyn State) -> anyhow::Result<Vec<Option<CompanyNo>>> {
    let first = state.companies().await?.into_iter().map(|company| company.no).min();
    Ok(std::iter::once(None).chain(first.map(Some)).collect())
}

fn row(key: &Key) -> [String; 5] {
    let last_used = key.last_used_at.map_or_else(|| "never".to_owned(), |t| t.to_string());
    [key.id.clone(), key.name.clone(), key.scopes.join(","), key.created_at.to_string(), last_used]
}

fn document(key: &Key) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
    })
}
