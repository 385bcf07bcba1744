//! `tillstream doctor`: whether everything a hub needs is as it should be.

mod disk;
mod machine;
mod outgoing;
mod place;

use std::process::ExitCode;

use serde::Serialize;

use crate::config::{self, Config, ConfigFile, Written};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  tillstream doctor                                        with the settings of `tillstream serve` here
  tillstream doctor --data /var/lib/tillstream/data --json
  tillstream doctor --check-url https://erp.example/hook   also call a receiver

It changes nothing and works beside a running hub. Exit codes: 0 nothing failed (there may be
warnings), 1 something did.";

/// What to look at.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    written: Written,
    /// Call this URL as deliveries would: name, address, TLS
    #[arg(long, value_name = "URL")]
    check_url: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    Warn,
    Fail,
}

/// What one look found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    status: Status,
    /// What was found.
    found: String,
    /// What to do about it.
    advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, found: found.into(), advice: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, status: Status::Warn, found: found.into(), advice: Some(advice.into()) }
    }

    fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, status: Status::Fail, found: found.into(), advice: Some(advice.into()) }
    }
}

/// Looks at everything.
///
/// # Errors
/// When standard output cannot be written.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let findings = match config::load(&args.file, args.written) {
        Ok(config) => {
            let mut findings = vec![Finding::ok("configuration", configured(&args.file))];
            findings.extend(look(&config, args.check_url.as_deref()).await);
            findings
        }
        Err(wrong) => vec![Finding::fail(
            "configuration",
            wrong.to_string(),
            "correct it, then run this again; `tillstream config --help` has the keys",
        )],
    };
    if args.json {
        output::json(&findings)?
    } else {
        output::line(table(&findings))?
    }
    let failed = findings.iter().any(|f| f.status == Status::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn look(config: &Config, check_url: Option<&str>) -> Vec<Finding> {
    let mut findings = vec![machine::clock(config)];
    if config.database.is_none() {
        findings.extend(disk::all(&config.data).await);
    }
    findings.push(machine::port(config).await);
    findings.push(machine::mdns());
    findings.extend(place::all(config).await);
    findings.extend(outgoing::all(config, check_url).await);
    findings
}

fn configured(file: &ConfigFile) -> String {
    let path = file.path().map(|path| path.display().to_string());
    path.map_or_else(
        || "no file; variables, options and defaults".to_owned(),
        |path| format!("{path} is readable, no unknown keys"),
    )
}

/// A line for each finding, whole, and below it what to do.
fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|f| f.check.len()).max().unwrap_or_default();
    let lines = findings.iter().flat_map(|finding| {
        let status = match finding.status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        let line = format!("{status:<4}  {:<width$}  {}", finding.check, output::one_line(&finding.found));
        let advice = finding.advice.as_ref().map(|advice| format!("{:<4}  {:<width$}  -> {advice}", "", ""));
        std::iter::once(line).chain(advice)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_stands_below_what_was_found() {
        let findings = [Finding::ok("clock", "right"), Finding::fail("port", "taken\nby another", "choose another")];
        assert_eq!(
            table(&findings),
            "ok    clock  right\nFAIL  port   taken by another\n             -> choose another"
        );
    }
}
