//! `tillstream demo`: simulated stores, a hub and three receivers in one process, to be watched.
//!
//! The demo uses the hub as a person would: integrations are made and events sent over its HTTP API.

mod feed;
mod figures;
mod order;
mod plain;
mod receivers;
mod record;
mod setup;
pub mod simulate;
mod temper;
mod view;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::shutdown::Asked;
use crate::{logging, output};
use figures::{Collector, Figures};
use setup::Demo;

const EXAMPLES: &str = "\
Examples:
  tillstream demo                                      data in a temporary folder, gone afterwards
  tillstream demo --stores 40 --pace 600               a busy company, ten minutes a second
  tillstream demo --seed 7 --for 30 --plain            the same events each time, for scripts

Ends with 1 when an entity's events arrived out of order or a signature was wrong.";

/// How long the receivers may catch up after the last event.
const SETTLE: Duration = Duration::from_secs(3);
/// Least severe log lines: the view, not the log, tells what happens.
const LOG_LEVEL: &str = "warn";

/// What to show.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Keep the data in this folder [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Simulated stores
    #[arg(long, value_name = "N", default_value_t = simulate::DEFAULT_STORES, value_parser = clap::value_parser!(u16).range(1..=i64::from(simulate::MAX_STORES)))]
    stores: u16,
    /// Simulated seconds in a real one
    #[arg(long, value_name = "X", default_value_t = 60.0)]
    pace: f64,
    /// How busy the stores are, in percent of usual
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    intensity: u32,
    /// What the stores do; the same seed gives the same events [default: random, and from now on]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Address and port of the hub [default: 127.0.0.1:8080, or a free port when that is taken]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// End after so many seconds
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Print a line every few seconds instead of the live view
    #[arg(long)]
    plain: bool,
}

/// Runs the demo until it is asked to end; the exit code is 1 when a promise was broken.
///
/// # Errors
/// When the address is taken or the data folder cannot be used.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut asked = Asked::listen()?;
    let live = !args.plain && std::io::stdout().is_terminal();
    let place = setup::Place::new(args.data.clone())?;
    if live {
        logging::to_file(&place.log_file()?, LOG_LEVEL)?;
    } else {
        logging::to_stderr(Default::default(), LOG_LEVEL)?;
    }
    let mut demo = Demo::start(&args, &place).await?;
    output::line(demo.links().join("\n"))?;
    let mut collector = demo.collector();
    let end = End { started: Instant::now(), after: args.seconds.map(Duration::from_secs) };
    if live {
        view::run(&mut collector, &demo.links(), &end, &mut asked).await?;
    } else {
        plain::run(&mut collector, &end, &mut asked).await?;
    }
    demo.stop_feed().await;
    let figures = settled(&mut collector).await;
    tokio::select! {
        () = demo.stop() => {}
        () = asked.wait() => {}
    }
    output::line(plain::summary(&figures))?;
    Ok(if figures.kept_every_promise() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// When the demo ends by itself.
pub struct End {
    started: Instant,
    after: Option<Duration>,
}

impl End {
    /// How long the demo has run.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until it is over; for ever when nobody said how long.
    pub async fn wait(&self) {
        match self.after {
            Some(after) => tokio::time::sleep(after.saturating_sub(self.elapsed())).await,
            None => std::future::pending().await,
        }
    }
}

/// The last figures: what is under way to the healthy receiver gets a moment to arrive.
async fn settled(collector: &mut Collector) -> Figures {
    let started = Instant::now();
    loop {
        let figures = collector.collect().await;
        if figures.healthy_has_all() || started.elapsed() >= SETTLE {
            return figures;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
