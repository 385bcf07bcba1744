//! `tillstream export`: what a hub is, as a file for `tillstream apply`.

use clap::ValueEnum;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::called::{Called, OF_CONTACTS, OF_KEYS};
use super::noun::{OF_INTEGRATIONS, OF_SITES, without};
use crate::api_client::{Api, HubArgs, Refused};
use crate::commands::companies;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  tillstream export > hub.yaml
  tillstream export --company acme --key tsk_… --format json

Secrets are masked, and mean \"unchanged\" to the hub they are from. For another hub write
${NAME} in their place. Sites that nobody has saved are left out. Keys are listed without
what opens: `tillstream apply` makes new ones elsewhere.";

/// Most things of a kind.
const MOST: usize = 100_000;

/// What to write down.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which company, for an operator's key
    #[arg(long, value_name = "ID")]
    company: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
    #[command(flatten)]
    hub: HubArgs,
}

/// How to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Yaml,
    Json,
}

/// Writes it to standard output.
///
/// # Errors
/// When the hub does not answer or refuses.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut api = args.hub.api()?;
    if let Some(company) = &args.company {
        api = api.in_company(company);
    }
    let document = document(&api, args.company.as_deref()).await?;
    match args.format {
        Format::Json => output::json(&document),
        Format::Yaml => output::line(serde_saphyr::to_string(&document)?.trim_end()),
    }
}

async fn document(api: &Api, company: Option<&str>) -> anyhow::Result<Value> {
    let mut document = Map::new();
    if let Some(id) = company {
        let company = api.get(&companies::path(id)).await?;
        let mut settings = companies::writable(&company);
        settings.insert("id".into(), id.into());
        document.insert("company".into(), settings.into());
    }
    let sites = api.list("/sites", MOST).await?;
    let sites = sites.iter().filter(|site| site["is_new"] != true).filter_map(|site| thing(site, &OF_SITES));
    document.insert("sites".into(), Value::Object(sites.collect()));
    let integrations = api.list("/integrations", MOST).await?;
    let integrations = integrations.iter().filter_map(|integration| thing(integration, &OF_INTEGRATIONS));
    document.insert("integrations".into(), Value::Object(integrations.map(without_signing).collect()));
    let contacts = api.list(Called::Contact.list(), MOST).await?;
    document.insert("contacts".into(), by_name(&contacts, &OF_CONTACTS).map(without_secret).collect());
    match keys(api).await? {
        Some(keys) => drop(document.insert("keys".into(), by_name(&keys, &OF_KEYS).collect())),
        None => eprintln!("tillstream: the keys are left out, because this key may not see them"),
    }
    Ok(document.into())
}

/// None for a key that may not see keys.
async fn keys(api: &Api) -> anyhow::Result<Option<Vec<Value>>> {
    match api.list(Called::Key.list(), MOST).await {
        Ok(keys) => Ok(Some(keys)),
        Err(e) if e.downcast_ref::<Refused>().is_some_and(|r| r.status == StatusCode::FORBIDDEN) => Ok(None),
        Err(e) => Err(e),
    }
}

/// By their names; those that share one by their ids.
fn by_name<'a>(things: &'a [Value], read_only: &'a [&str]) -> impl Iterator<Item = (String, Value)> + 'a {
    let is_shared = |name: &str| things.iter().filter(|thing| thing["name"] == name).nth(1).is_some();
    things.iter().filter_map(move |value| {
        let (id, mut thing) = thing(value, read_only)?;
        match value["name"].as_str().filter(|name| !is_shared(name)) {
            Some(name) => {
                thing.as_object_mut()?.remove("name");
                Some((name.to_owned(), thing))
            }
            None => Some((id, thing)),
        }
    })
}

/// By its id, without what is not written and what nobody set.
fn thing(value: &Value, read_only: &[&str]) -> Option<(String, Value)> {
    let id = value["id"].as_str()?.to_owned();
    let mut members = without(value.as_object()?, read_only);
    members.retain(|_, value| !value.is_null() && *value != json!({}) && *value != json!([]));
    Some((id, members.into()))
}

/// Keys that sign are the hub's to make; a masked one would be of no use elsewhere.
fn without_signing((id, mut integration): (String, Value)) -> (String, Value) {
    if let Some(members) = integration.as_object_mut() {
        members.remove("signing");
    }
    (id, integration)
}

fn without_secret((name, mut contact): (String, Value)) -> (String, Value) {
    if let Some(channel) = contact["channel"].as_object_mut() {
        channel.remove("secret");
    }
    (name, contact)
}
