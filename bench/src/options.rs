//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};

/// The most repetitions of a measurement.
pub const MAX_RUNS: usize = 100;
/// The most stored events that a row may be asked to run on.
pub const MAX_ROWS: u64 = 1_000_000_000;

const ROWS: u64 = 10_000_000;
const QUICK_ROWS: u64 = 100_000;
const PENDING: u64 = 1_000_000;
const QUICK_PENDING: u64 = 50_000;

/// Measures a hub against its baselines on this machine and prints the ratios.
#[derive(Debug, Parser)]
#[command(name = "tillstream-bench", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// A part of the bench that runs alone.
    #[command(subcommand)]
    pub part: Option<Part>,
    /// What to measure and how.
    #[command(flatten)]
    pub options: Options,
}

/// What to measure and how.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Rows to run; all without any
    #[arg(value_name = "ROW")]
    pub names: Vec<String>,
    /// Print the rows and what each measures, and end
    #[arg(long)]
    pub list: bool,
    /// The hub's program [default: `tillstream` beside this one]
    #[arg(long, value_name = "PATH")]
    pub hub: Option<PathBuf>,
    /// The bench of another build, with its hub beside it: both builds are measured in turn, and the other one's
    /// figures are the baseline
    #[arg(long, value_name = "PATH", conflicts_with = "hub")]
    pub against: Option<PathBuf>,
    /// Folder for data and kept fixtures; has to lie on a real disk. Fixtures are made when they are missing
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub work: PathBuf,
    /// Stored events in the large fixtures [default: 10,000,000; 100,000 with --quick]
    #[arg(long, value_name = "N")]
    pub rows: Option<u64>,
    /// Pending events in the rows that catch up [default: 1,000,000; 50,000 with --quick]
    #[arg(long, value_name = "N")]
    pub pending: Option<u64>,
    /// A PostgreSQL server to make databases on, for the rows that need one; `make bench` brings it
    #[arg(long, value_name = "URL", env = "TILLSTREAM_TEST_POSTGRES", hide_env_values = true)]
    pub postgres: Option<String>,
    /// Measurements of each thing
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub runs: usize,
    /// Short measurements, for a look
    #[arg(long)]
    pub quick: bool,
    /// Also write every sample to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Parts that run as processes of their own.
#[derive(Debug, Subcommand)]
pub enum Part {
    /// A receiver that counts, checks order and measures; the path says how it answers (/ok, /hang, /status/N, /delay/MS)
    Sink(Listen),
    /// Baseline: the hub's HTTP stack with an empty handler
    EmptyHandler(Listen),
    /// Baseline: SQLite inserting the same rows without HTTP
    SqliteInsert {
        /// An empty folder on the disk that the hub uses
        #[arg(long)]
        folder: PathBuf,
        /// Rows in each commit
        #[arg(long)]
        rows_per_commit: u64,
        /// How long, in milliseconds
        #[arg(long)]
        time_ms: u64,
    },
    /// Baseline: a bare HTTP client posting to a sink
    BareClient {
        /// Where the sink listens
        #[arg(long)]
        sink: SocketAddr,
        /// Requests in flight
        #[arg(long)]
        concurrency: usize,
        /// How long, in milliseconds
        #[arg(long)]
        time_ms: u64,
    },
}

/// Where a part listens.
#[derive(Debug, Args)]
pub struct Listen {
    /// Loopback address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// End when standard input closes
    #[arg(long, hide = true)]
    pub until_stdin_closes: bool,
}

impl Options {
    /// Refuses what is out of bounds.
    pub fn check(&self) -> Result<()> {
        ensure!((1..=MAX_RUNS).contains(&self.runs), "--runs takes 1 to {MAX_RUNS}");
        ensure!((1..=MAX_ROWS).contains(&self.rows()), "--rows takes 1 to {MAX_ROWS}");
        ensure!((1..=MAX_ROWS).contains(&self.pending()), "--pending takes 1 to {MAX_ROWS}");
        Ok(())
    }

    /// The hub's program. Errors when it is not there.
    pub fn hub_program(&self) -> Result<PathBuf> {
        let beside = || anyhow::Ok(std::env::current_exe()?.with_file_name("tillstream"));
        let program = self.hub.clone().map_or_else(beside, Ok)?;
        program.canonicalize().with_context(|| format!("the hub's program {}; give --hub PATH", program.display()))
    }

    /// Stored events in the large fixtures.
    pub fn rows(&self) -> u64 {
        self.rows.unwrap_or(if self.quick { QUICK_ROWS } else { ROWS })
    }

    /// Pending events in the rows that catch up.
    pub fn pending(&self) -> u64 {
        self.pending.unwrap_or(if self.quick { QUICK_PENDING } else { PENDING })
    }

    /// Time that one measurement counts.
    pub fn measure(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 3 })
    }

    /// Time before it that does not count.
    pub fn warm_up(&self) -> Duration {
        Duration::from_millis(if self.quick { 200 } else { 500 })
    }
}

impl Listen {
    /// The address. Errors when it is not a loopback one: nothing of this is meant for a network.
    pub fn loopback(&self) -> Result<SocketAddr> {
        ensure!(self.listen.ip().is_loopback(), "{} is not a loopback address", self.listen);
        Ok(self.listen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        Cli::parse_from(format!("tillstream-bench {line}").split_whitespace()).options
    }

    #[test]
    fn rows_and_flags_are_read() {
        let options = options("ingest latency --rows 5000 --runs 7 --quick");
        assert_eq!(options.names, ["ingest", "latency"]);
        assert_eq!((options.rows(), options.runs, options.pending()), (5_000, 7, QUICK_PENDING));
    }

    #[test]
    fn counts_out_of_bounds_are_refused() {
        assert!(options("--runs 100").check().is_ok());
        assert!(options("--runs 101").check().is_err());
        assert!(options("--runs 0").check().is_err());
        assert!(options("--rows 0").check().is_err());
    }

    #[test]
    fn parts_listen_on_loopback_only() {
        let listen = |addr: &str| Listen { listen: addr.parse().expect("an address"), until_stdin_closes: false };
        assert!(listen("127.0.0.1:0").loopback().is_ok());
        assert!(listen("0.0.0.0:0").loopback().is_err());
    }
}
