//! Parts of the bench that run as processes of their own, so that a baseline has the same isolation as the
//! hub. A part that listens ends when its standard input closes: it cannot outlive the bench, however that ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a part may take to start listening.
pub const START_LIMIT: Duration = Duration::from_secs(10);
/// How long a part that measures may run over its time.
pub const OVERRUN: Duration = Duration::from_secs(60);

/// What a measuring part prints as its only line of output.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Units of work done.
    pub done: u64,
    /// In how many seconds.
    pub seconds: f64,
}

impl Measured {
    /// Work per second.
    pub fn rate(&self) -> Result<f64> {
        ensure!(self.done > 0 && self.seconds > 0.0, "nothing was done");
        Ok(self.done as f64 / self.seconds)
    }

    /// Prints it for the parent.
    pub fn print(&self) -> Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}

/// A part that listens; killed when dropped.
pub struct Listening {
    /// Where it listens.
    pub addr: SocketAddr,
    _child: Child,
}

/// Starts a part of this program that prints its address and serves.
pub async fn listen(part: &str) -> Result<Listening> {
    let args = [part, "--listen", "127.0.0.1:0", "--until-stdin-closes"].map(str::to_owned);
    let mut child = command(&args)?.spawn().with_context(|| format!("starting {part}"))?;
    let output = child.stdout.take().context("no output to read")?;
    let mut line = String::new();
    let mut lines = BufReader::new(output);
    timeout(START_LIMIT, lines.read_line(&mut line)).await.with_context(|| format!("{part} does not start"))??;
    let addr = line.trim().parse().with_context(|| format!("{part} printed {line:?} for its address"))?;
    Ok(Listening { addr, _child: child })
}

/// Runs a part of this program that measures for `time` and prints a [`Measured`].
pub async fn measure(args: &[String], time: Duration) -> Result<Measured> {
    let child = command(args)?.spawn().with_context(|| format!("starting {}", args[0]))?;
    let output = timeout(time + OVERRUN, child.wait_with_output()).await;
    let output = output.with_context(|| format!("{} does not end", args[0]))??;
    ensure!(output.status.success(), "{} ended with {}", args[0], output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("reading what {} printed", args[0]))
}

/// In a part that listens: tells the parent where.
pub fn announce(addr: SocketAddr) {
    println!("{addr}");
}

/// In a part that listens: returns when the parent is gone, never if `watch` is off.
pub async fn parent_gone(watch: bool) {
    if !watch {
        std::future::pending::<()>().await;
    }
    let mut nowhere = [0; 64];
    while matches!(tokio::io::stdin().read(&mut nowhere).await, Ok(1..)) {}
}

fn command(args: &[String]) -> Result<Command> {
    let program: PathBuf = std::env::current_exe().context("where this program lies")?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}
