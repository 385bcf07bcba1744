//! `tillstream emit`: sends events to a hub.

mod batch;
mod send;
mod source;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::api_client::HubArgs;
use crate::output;
use batch::{Batch, MAX_BATCH_EVENTS, Shape};
use source::Source;
use tally::Tally;

const EXAMPLES: &str = "\
Examples:
  tillstream emit events.ndjson                        one event, an array, or one event a line
  tillstream emit - < events.json
  tillstream emit --generate 10000 --connections 8     from simulated stores
  tillstream emit --generate 500 --rate 50 --seed 7

Batches go out in order on one connection; with more, batches may overtake each other.
An event that carries an `id` of its own can be sent twice without harm, so a lost answer
is retried for those only. Ends with 1 when an event was refused.";

/// Batches that are read ahead of the connections, for each of them.
const BATCHES_AHEAD: usize = 2;
/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(100);

/// What to send, and how.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// File with events; `-` reads standard input
    #[arg(required_unless_present = "generate", conflicts_with = "generate")]
    file: Option<PathBuf>,
    /// Generate so many events of simulated stores instead
    #[arg(long, value_name = "N")]
    generate: Option<u64>,
    /// Simulated stores
    #[arg(long, value_name = "N", default_value_t = crate::demo::simulate::DEFAULT_STORES, requires = "generate")]
    stores: u16,
    /// What the simulated stores do; the same seed and start give the same events [default: random]
    #[arg(long, value_name = "N", requires = "generate")]
    seed: Option<u64>,
    /// Most events a second [default: as fast as the hub takes them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Events in one request
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=MAX_BATCH_EVENTS))]
    batch: u16,
    /// Requests under way at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    connections: u16,
    /// Print the totals as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Sends them; the exit code is 1 when some were refused.
///
/// # Errors
/// When events cannot be read or the hub does not answer.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let bar = progress(args.generate);
    let result = flow(&args, &bar).await;
    bar.finish_and_clear();
    let (tally, broken) = result?;
    if tally.total() > 0 || broken.is_none() {
        report(&tally, started.elapsed(), args.json)?;
    }
    match broken {
        Some(error) => Err(error),
        None if tally.refused() == 0 => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::FAILURE),
    }
}

fn report(tally: &Tally, elapsed: Duration, json: bool) -> anyhow::Result<()> {
    if json { output::json(&tally.to_json(elapsed)) } else { output::line(tally.text(elapsed)) }
}

/// Source → batches → connections. What was sent is counted even when something broke.
async fn flow(args: &Args, bar: &ProgressBar) -> anyhow::Result<(Tally, Option<anyhow::Error>)> {
    let api = args.hub.api()?;
    let source = args.source()?;
    let shape = Shape::new(args.batch.into(), args.rate);
    let (batches, queue) = mpsc::channel::<Batch>(BATCHES_AHEAD * usize::from(args.connections));
    let queue = std::sync::Arc::new(tokio::sync::Mutex::new(queue));
    let reader = tokio::task::spawn_blocking(move || batch::feed(source, &shape, &batches));
    let mut senders = JoinSet::new();
    for _ in 0..args.connections {
        senders.spawn(send::connection(api.clone(), queue.clone(), bar.clone()));
    }
    drop(queue);
    let mut total = Tally::default();
    let mut broken = None;
    while let Some(joined) = senders.join_next().await {
        let (tally, result) = joined?;
        total.add(tally);
        broken = broken.or(result.err());
    }
    if broken.is_none() {
        broken = reader.await?.err();
    }
    Ok((total, broken))
}

impl Args {
    fn source(&self) -> anyhow::Result<Source> {
        match (&self.file, self.generate) {
            (_, Some(count)) => Ok(Source::generated(count, self.stores, self.seed.unwrap_or_else(rand::random))),
            (Some(file), _) => Source::open(file),
            (None, None) => Ok(Source::stdin()),
        }
    }
}

fn progress(total: Option<u64>) -> ProgressBar {
    if !output::shows_progress() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => {
            (ProgressBar::new(total), "{bar:30} {human_pos} of {human_len} events, {per_sec}, {eta} left {msg}")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {human_pos} events, {per_sec} {msg}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}
