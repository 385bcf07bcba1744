//! `tillstream integrations create`.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::api_client::HubArgs;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  tillstream integrations create https://erp.example/hook
  tillstream integrations create https://erp.example/hook --id erp --entities order,punch
  tillstream integrations create --file erp.json       every setting there is: see /docs of the hub";

/// What to make.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Create {
    /// Where deliveries go
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    target: Option<String>,
    /// Read all settings as JSON from this file, or from standard input with `-`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["id", "name", "format", "entities", "names", "authorization"])]
    file: Option<PathBuf>,
    /// Its id: 1 to 50 of a-z, 0-9 and - [default: made of the name or the target's host]
    #[arg(long)]
    id: Option<String>,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// How events are written: tillstream, event_stream, cloudevents
    #[arg(long)]
    format: Option<String>,
    /// Only events of these entities, such as order,punch
    #[arg(long, value_delimiter = ',', value_name = "ENTITY,…")]
    entities: Vec<String>,
    /// Only events of these names, such as order.completed
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    names: Vec<String>,
    /// Value of the Authorization header that deliveries carry
    #[arg(long, value_name = "VALUE", env = "TILLSTREAM_TARGET_AUTHORIZATION", hide_env_values = true)]
    authorization: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubArgs,
}

impl Create {
    /// Makes it.
    ///
    /// # Errors
    /// When the settings cannot be read, or the hub refuses them.
    pub async fn run(&self) -> anyhow::Result<()> {
        let settings = match &self.file {
            Some(file) => read(file)?,
            None => self.settings()?,
        };
        let made = self.hub.api()?.post("/integrations", Some(&settings)).await?;
        if self.json {
            return output::json(&made);
        }
        output::line(format!("{} is made and running", made["id"].as_str().unwrap_or("it")))?;
        match signing_secret(&made) {
            Some(secret) => output::line(format!("signing secret, shown this once: {secret}")),
            None => Ok(()),
        }
    }

    fn settings(&self) -> anyhow::Result<Value> {
        let Some(url) = &self.target else { bail!("give the URL that deliveries go to") };
        let mut settings =
            json!({"target": {"kind": "http", "url": url}, "events": {"entities": self.entities, "names": self.names}});
        let name = self.name.clone().or_else(|| self.id.is_none().then(|| host_of(url)));
        for (key, value) in [("id", &self.id), ("name", &name), ("format", &self.format)] {
            if let Some(value) = value {
                settings[key] = value.as_str().into();
            }
        }
        if let Some(value) = &self.authorization {
            settings["target"]["authorization"] = value.as_str().into();
        }
        Ok(settings)
    }
}

/// The newest signing secret in the answer to a creation or a rotation, the only ones that show it in full.
pub fn signing_secret(answer: &Value) -> Option<&str> {
    let places = [&answer["secret"], &answer["signing"]["secrets"][0]["secret"]];
    places.into_iter().filter_map(Value::as_str).find(|s| s.starts_with("whsec_"))
}

/// A name when nobody gives one; a wrong URL is left for the hub to refuse.
fn host_of(url: &str) -> String {
    let host = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    host.unwrap_or_else(|| "integration".to_owned())
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).context("read standard input")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    }
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_found_where_a_creation_and_a_rotation_show_it_and_a_masked_one_is_none() {
        let (full, masked) = ("whsec_AAAA", "…1234");
        let listed = |secret: &str| json!({"signing":{"secrets":[{"secret":secret}]}});
        assert_eq!(signing_secret(&listed(full)), Some(full));
        assert_eq!(signing_secret(&json!({"secret":full,"signing":listed(masked)["signing"]})), Some(full));
        assert_eq!(signing_secret(&listed(masked)), None);
    }
}
