//! `tillstream jobs`: long work of a running hub, over its API.

use std::time::Duration;

use anyhow::bail;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::one::One;
use crate::api_client::{Api, HubArgs, segment};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  tillstream jobs list
  tillstream jobs wait job_…       shows its progress until it ends
  tillstream jobs cancel job_…     what it did stays done";

/// How often a job is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Most rows of a list: the hub keeps no more.
const ROWS: usize = 500;

/// Which hub, and what to do.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Jobs under way and the last that ended, newest first
    List(All),
    /// Everything about one job
    Show(One),
    /// Wait until a job has ended
    Wait(One),
    /// Cancel a job
    Cancel(One),
}

/// How it is printed, and of which hub.
#[derive(clap::Args, Debug)]
struct All {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Does it.
///
/// # Errors
/// When the hub does not answer or refuses.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match &args.verb {
        Verb::List(all) => list(&all.hub.api()?, all.json).await,
        Verb::Show(one) => output::json(&one.hub.api()?.get(&path(&one.id)).await?),
        Verb::Wait(one) => {
            let api = one.hub.api()?;
            let job = wait(&api, api.get(&path(&one.id)).await?).await?;
            show(&job, one.json)
        }
        Verb::Cancel(one) => {
            let job = one.hub.api()?.post(&format!("{}/cancel", path(&one.id)), None).await?;
            show(&job, one.json)
        }
    }
}

/// Waits until a job has ended, with a progress bar on a terminal.
///
/// # Errors
/// When the hub does not answer, or the job failed.
pub async fn wait(api: &Api, mut job: Value) -> anyhow::Result<Value> {
    let bar = bar();
    while job["status"] == "running" {
        tokio::time::sleep(LOOK_EVERY).await;
        job = api.get(&path(job["id"].as_str().unwrap_or_default())).await?;
        let progress = &job["progress"];
        bar.set_length(progress["of"].as_u64().unwrap_or_default());
        bar.set_position(progress["looked_at"].as_u64().unwrap_or_default());
        bar.set_message(format!("{} done, {} failed", progress["done"], progress["failed"]));
    }
    bar.finish_and_clear();
    if job["status"] == "failed" {
        bail!("the job failed: {}", job["failure"].as_str().unwrap_or("no reason given"));
    }
    Ok(job)
}

/// A job in one line, or as JSON.
///
/// # Errors
/// When standard output cannot be written.
pub fn show(job: &Value, json: bool) -> anyhow::Result<()> {
    if json { output::json(job) } else { output::line(row(job).join("  ")) }
}

async fn list(api: &Api, json: bool) -> anyhow::Result<()> {
    let items = api.list("/jobs", ROWS).await?;
    if json {
        return output::json(&items);
    }
    if items.is_empty() {
        return output::line("no jobs");
    }
    let rows: Vec<[String; 6]> = items.iter().map(row).collect();
    output::line(output::table(["JOB", "KIND", "INTEGRATION", "STATUS", "STARTED", "PROGRESS"], &rows))
}

fn row(job: &Value) -> [String; 6] {
    let text = |key: &str| job[key].as_str().unwrap_or("-").to_owned();
    let progress = &job["progress"];
    let of = progress["of"].as_u64().map_or_else(String::new, |of| format!(" of {of}"));
    let said =
        format!("looked at {}{of}: {} done, {} failed", progress["looked_at"], progress["done"], progress["failed"]);
    [text("id"), text("kind"), text("integration"), text("status"), text("started_at"), said]
}

fn path(id: &str) -> String {
    format!("/jobs/{}", segment(id))
}

fn bar() -> ProgressBar {
    if !output::shows_progress() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    match ProgressStyle::with_template("{bar:30} {pos} of {len}, {eta} left: {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
