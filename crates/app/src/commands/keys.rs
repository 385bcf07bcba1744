//! `tillstream keys`: API keys, written into the data folder; works while the hub runs.

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};
use tillstream_hub::access::{NewKey, Scopes};
use tillstream_model::{CompanyNo, Time};
use tillstream_store::State;
use tillstream_store::state::{Bound, Key};

use super::place::Place;
use crate::config::Wrong;
use crate::{audit, bootstrap, output, wire};

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
    let (text, key) = bootstrap::make_key(&*state, new, wire::now()).await?;
    audit::note(&*state, company, "key.created", format!("key {}", key.id), (None, Some(document(&key)))).await?;
    output::line(text)
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
        let known = state.keys(company).await?.into_iter().find(|k| k.id == id);
        if state.delete_key(company, id).await? {
            let before = known.as_ref().map(document);
            audit::note(&*state, company, "key.deleted", format!("key {id}"), (before, None)).await?;
            return output::line(format!("{id} is deleted"));
        }
    }
    bail!("there is no key {id}; `tillstream keys list` shows them")
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
