//! `tillstream companies`: the companies of a running hub, over its API.

use std::io::{BufRead, IsTerminal, Write};

use clap::Subcommand;
use http::Method;
use serde_json::{Map, Value, json};

use super::integrations::{flatten, plain};
use super::jobs;
use super::one::One;
use crate::api_client::{Api, HubArgs, segment};
use crate::config::Wrong;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  tillstream keys create --name operator --scope instance
  tillstream companies list --key tsk_…
  tillstream companies save acme --name \"Acme Stores\" --timezone Europe/Vienna
  tillstream companies suspend acme
  tillstream companies delete acme                       asks first, and shows how far it is

All but list and show need an operator's key, one with the scope `instance`.";

/// Members of a company that are shown and not written.
pub const READ_ONLY: [&str; 4] = ["id", "status", "usage", "deletion"];

/// Which hub, and what to do.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// All companies that the key reaches
    List {
        /// Most rows
        #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        hub: HubArgs,
    },
    /// Everything about one company
    Show {
        #[command(flatten)]
        one: One,
    },
    /// Make a company, or change what is given of it
    Save(Save),
    /// Have a company send and receive nothing; everything is kept
    Suspend {
        #[command(flatten)]
        one: One,
    },
    /// Let a suspended company go on
    Resume {
        #[command(flatten)]
        one: One,
    },
    /// Delete a company with everything it has, for good
    Delete {
        #[command(flatten)]
        sure: Sure,
    },
}

/// What to delete, and whether that is meant.
#[derive(clap::Args, Debug)]
struct Sure {
    #[command(flatten)]
    one: One,
    /// Do not ask; the company's id once more, to confirm
    #[arg(long, value_name = "ID")]
    yes: Option<String>,
    /// Do not wait until everything is removed
    #[arg(long)]
    no_wait: bool,
}

/// What to save; what is left out stays as it is.
#[derive(clap::Args, Debug)]
struct Save {
    #[command(flatten)]
    one: One,
    /// What people call it [default for a new one: its id]
    #[arg(long)]
    name: Option<String>,
    /// How long events are kept that are accepted from now on: 7, 30, 90 or 400
    #[arg(long, value_name = "DAYS")]
    retention_days: Option<i64>,
    /// The IANA time zone of its days, such as Europe/Vienna
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Most integrations it may have
    #[arg(long, value_name = "N")]
    max_integrations: Option<u32>,
}

/// Does it.
///
/// # Errors
/// When the hub does not answer or refuses.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.verb {
        Verb::List { limit, json, hub } => list(&hub.api()?, limit, json).await,
        Verb::Show { one } => show(&one).await,
        Verb::Save(save) => save.run().await,
        Verb::Suspend { one } => switch(&one, "suspend").await,
        Verb::Resume { one } => switch(&one, "resume").await,
        Verb::Delete { sure } => sure.run().await,
    }
}

async fn list(api: &Api, limit: u32, json: bool) -> anyhow::Result<()> {
    let items = api.list("/companies", limit as usize).await?;
    if json {
        return output::json(&items);
    }
    let row = |c: &Value| ["id", "name", "status", "retention_days", "timezone"].map(|member| plain(&c[member]));
    let rows: Vec<[String; 5]> = items.iter().map(row).collect();
    output::line(output::table(["ID", "NAME", "STATUS", "DAYS", "TIME ZONE"], &rows))
}

async fn show(one: &One) -> anyhow::Result<()> {
    let company = one.hub.api()?.get(&path(&one.id)).await?;
    if one.json {
        return output::json(&company);
    }
    let mut rows = Vec::new();
    flatten("", &company, &mut rows);
    output::line(output::table(["SETTING", "VALUE"], &rows))
}

async fn switch(one: &One, verb: &str) -> anyhow::Result<()> {
    let company = one.hub.api()?.post(&format!("{}/{verb}", path(&one.id)), None).await?;
    if one.json {
        return output::json(&company);
    }
    output::line(format!("{} is {}", one.id, plain(&company["status"])))
}

impl Sure {
    async fn run(&self) -> anyhow::Result<()> {
        let id = &self.one.id;
        if !self.is_meant()? {
            return output::line(format!("{id} is left as it is"));
        }
        let api = self.one.hub.api()?;
        let job = api.delete(&format!("{}?confirm={}", path(id), segment(id))).await?;
        let job = if self.no_wait { job } else { jobs::wait(&api, job).await? };
        jobs::show(&job, self.one.json)
    }

    /// Asks, where somebody can be asked: only the id itself is a yes.
    fn is_meant(&self) -> anyhow::Result<bool> {
        let id = &self.one.id;
        match &self.yes {
            Some(confirmed) if confirmed == id => return Ok(true),
            Some(confirmed) => {
                return Err(Wrong::new(format!("--yes says {confirmed}, and the company is {id}")).into());
            }
            None => {}
        }
        let (input, mut error) = (std::io::stdin(), std::io::stderr());
        if self.one.json || !input.is_terminal() || !error.is_terminal() {
            return Err(Wrong::new(format!("nobody can be asked here: to confirm, give --yes {id}")).into());
        }
        writeln!(
            error,
            "{id} goes with all its events, integrations, keys and people. Nothing of it can be brought back."
        )?;
        write!(error, "To delete it, type its id: ")?;
        error.flush()?;
        let mut answer = String::new();
        input.lock().read_line(&mut answer)?;
        Ok(answer.trim() == id)
    }
}

impl Save {
    async fn run(&self) -> anyhow::Result<()> {
        let api = self.one.hub.api()?;
        let known = api.find(&path(&self.one.id)).await?;
        let body = self.body(known.as_ref().map(|k| &k.value));
        let saved = api.change(Method::PUT, &path(&self.one.id), Some(&body), None).await?;
        if self.one.json {
            return output::json(&saved);
        }
        output::line(format!("{} is {}", self.one.id, if known.is_some() { "saved" } else { "made" }))
    }

    /// The whole company as it shall be: a save replaces everything.
    fn body(&self, known: Option<&Value>) -> Value {
        let mut body = writable(known.unwrap_or(&Value::Null));
        let name = self.name.clone().or_else(|| known.is_none().then(|| self.one.id.clone()));
        for (member, value) in [
            ("name", name.map(Value::from)),
            ("retention_days", self.retention_days.map(Value::from)),
            ("timezone", self.timezone.clone().map(Value::from)),
        ] {
            body.extend(value.map(|value| (member.to_owned(), value)));
        }
        if let Some(most) = self.max_integrations {
            let limits = body.entry("limits").or_insert_with(|| json!({}));
            limits["integrations"] = most.into();
        }
        Value::Object(body)
    }
}

/// A company as it was read, as it can be written.
pub fn writable(company: &Value) -> Map<String, Value> {
    let mut members = company.as_object().cloned().unwrap_or_default();
    members.retain(|name, _| !READ_ONLY.contains(&name.as_str()));
    members
}

/// Where a company is.
pub fn path(id: &str) -> String {
    format!("/companies/{}", segment(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        save: Save,
    }

    fn save(arguments: &[&str]) -> Save {
        Line::try_parse_from([&["x", "acme", "--key", "tsk_x"], arguments].concat()).map(|l| l.save).unwrap()
    }

    #[test]
    fn what_is_not_given_stays_as_it_is_and_a_new_company_is_called_by_its_id() {
        assert_eq!(save(&["--timezone", "UTC"]).body(None), json!({"name": "acme", "timezone": "UTC"}));
        let known = json!({"id": "acme", "name": "Acme", "status": "active", "retention_days": 90,
            "limits": {"integrations": 5, "events_per_second": 7}, "ingest_drop": ["a"]});
        let body = save(&["--max-integrations", "6"]).body(Some(&known));
        let limits = json!({"integrations": 6, "events_per_second": 7});
        assert_eq!(body, json!({"name": "Acme", "retention_days": 90, "limits": limits, "ingest_drop": ["a"]}));
    }
}
