//! `tillstream apply`: makes a hub what a file says, over its API. And `tillstream export`, the other way.

mod called;
mod difference;
pub mod export;
mod file;
mod noun;
mod plan;

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Value, json};

use self::difference::{Difference, How, MASK};
use self::plan::{Action, Options, Plan, Step};
use super::integrations::plain;
use crate::api_client::HubArgs;
use crate::config::{self, Wrong};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  tillstream apply -f hub.yaml --dry-run     what would be done
  tillstream apply -f hub.yaml               the same, then asks
  ERP_TOKEN=… tillstream apply -f hub.yaml --yes

A file (YAML, JSON or TOML) has any of these sections:
  company: {id: acme, retention_days: 30}     settings need an operator's key
  sites:
    \"175\": {name: Main Street, store_number: \"0175\"}
  integrations:
    erp-orders:
      name: ERP
      target: {kind: http, url: https://erp.example/hook, authorization: \"Bearer ${ERP_TOKEN}\"}
      events: {entities: [order]}
      status: running
  contacts:
    On call: {channel: {kind: webhook, url: https://ops.example/hook}}
  keys:
    till-7: {scopes: [\"events:write\"], sites: [\"175\"]}

What the file leaves out stays as it is; null takes a setting away. ${NAME} stands for a
variable of the environment, $${ for a plain ${. The hub shows only the end of a secret, so
a secret counts as the same while its end is. Contacts and keys are called by their names. A
key that is made is printed once; one that is there is not changed, and with --prune the key
in use is kept.";

/// What to apply, and how.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Say what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do it without asking
    #[arg(long, short, conflicts_with = "dry_run")]
    yes: bool,
    /// Delete what a section of the file does not name
    #[arg(long)]
    prune: bool,
    /// Write every secret again, also those whose end is the same
    #[arg(long)]
    secrets: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Makes the hub what the file says.
///
/// # Errors
/// When the file is wrong, the hub does not answer or refuses, or nobody may be asked.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let environment: BTreeMap<String, String> = config::environment().into_iter().collect();
    let wanted = file::read(&args.file, &environment)?;
    let options = Options { prune: args.prune, how: How { secrets_differ: args.secrets } };
    let plan = Plan::make(&args.hub.api()?, &wanted, options).await?;
    if !args.json {
        show(&plan.steps)?;
    }
    if plan.steps.is_empty() || args.dry_run {
        return told(&args, &plan, false, &BTreeMap::new());
    }
    if !args.yes && !agreed(&args, plan.steps.len())? {
        return output::line("nothing is changed");
    }
    let secrets = carry_out(&plan).await?;
    told(&args, &plan, true, &secrets)
}

/// Does all steps; the secrets that the hub made and shows only now, by what they are of.
async fn carry_out(plan: &Plan) -> anyhow::Result<BTreeMap<String, String>> {
    let mut secrets = BTreeMap::new();
    for (done, step) in plan.steps.iter().enumerate() {
        let answer = plan.run(step).await;
        let all = plan.steps.len();
        let answer = answer.with_context(|| {
            format!("{} ({done} of {all} changes are made; apply again once it is put right)", step.object)
        });
        let answer = match answer {
            Ok(answer) => answer,
            Err(e) => {
                tell_secrets(&secrets)?;
                return Err(e);
            }
        };
        secrets.extend(new_secret(step, &answer).map(|secret| (step.object.clone(), secret.to_owned())));
    }
    Ok(secrets)
}

fn new_secret<'a>(step: &Step, answer: &'a Value) -> Option<&'a str> {
    let secret = answer.pointer(step.secret_at?)?.as_str()?;
    (!secret.starts_with(MASK)).then_some(secret)
}

fn told(args: &Args, plan: &Plan, applied: bool, secrets: &BTreeMap<String, String>) -> anyhow::Result<()> {
    if args.json {
        return output::json(&json!({"changes": plan.steps, "applied": applied, "secrets": secrets}));
    }
    if plan.steps.is_empty() {
        return output::line("nothing to do");
    }
    if applied {
        tell_secrets(secrets)?;
        output::line(format!("{} applied", counted(plan.steps.len())))?;
    }
    Ok(())
}

fn tell_secrets(secrets: &BTreeMap<String, String>) -> anyhow::Result<()> {
    secrets
        .iter()
        .try_for_each(|(object, secret)| output::line(format!("secret of {object}, shown this once: {secret}")))
}

/// Asks, where somebody can be asked.
fn agreed(args: &Args, steps: usize) -> anyhow::Result<bool> {
    let (input, mut error) = (std::io::stdin(), std::io::stderr());
    if args.json || args.file.as_os_str() == "-" || !input.is_terminal() || !error.is_terminal() {
        return Err(Wrong::new("nobody can be asked here: give --yes to do it, or --dry-run to look only").into());
    }
    write!(error, "Apply {}? [y/N] ", counted(steps))?;
    error.flush()?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

/// Anything else, an empty line included, is a no.
fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

fn counted(steps: usize) -> String {
    if steps == 1 { "1 change".to_owned() } else { format!("{steps} changes") }
}

fn show(steps: &[Step]) -> anyhow::Result<()> {
    steps.iter().try_for_each(|step| {
        let sign = match step.action {
            Action::Create => '+',
            Action::Change => '~',
            Action::Delete => '-',
        };
        output::line(output::one_line(&format!("{sign} {}", step.object)))?;
        step.differences
            .iter()
            .try_for_each(|d| output::line(format!("    {}", output::one_line(&line(step.action, d)))))
    })
}

fn line(action: Action, difference: &Difference) -> String {
    let Difference { path, before, after } = difference;
    match action {
        Action::Create => format!("{path}: {}", plain(after)),
        _ => format!("{path}: {} -> {}", spelled(before), spelled(after)),
    }
}

fn spelled(value: &Value) -> String {
    if value.is_null() { "nothing".to_owned() } else { plain(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_one() {
        assert!(["y\n", "Yes", " YES \r\n"].into_iter().all(is_yes));
        assert!(!["", "\n", "n", "no", "yep", "y y"].into_iter().any(is_yes));
    }

    #[test]
    fn a_step_is_told_with_what_is_there_and_what_is_wanted() {
        let difference = |before: Value| Difference { path: "name".into(), before, after: json!("New") };
        assert_eq!(line(Action::Create, &difference(Value::Null)), "name: New");
        assert_eq!(line(Action::Change, &difference(json!("Old"))), "name: Old -> New");
        assert_eq!(line(Action::Change, &difference(Value::Null)), "name: nothing -> New");
    }
}
