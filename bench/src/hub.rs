//! The hub under test: started as an operator would, as a child process, killed when dropped.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::api::Api;
use crate::clock;
use crate::fixture::external_id;
use crate::proc::Process;

/// How long the hub may take to be ready.
pub const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long the hub may take to end after a signal.
pub const STOP_LIMIT: Duration = Duration::from_secs(20);

const READY_POLL: Duration = Duration::from_millis(2);
const KEY_LIMIT: Duration = Duration::from_secs(30);
const LOG_TAIL_BYTES: usize = 2_000;
/// The bench's hubs hold no secrets; a key given here keeps them from making a file outside their folder.
pub const MASTER_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A running hub.
pub struct Hub {
    child: Child,
    program: PathBuf,
    data: PathBuf,
    log: PathBuf,
    database: Option<String>,
    /// A caller with every scope of the first company; without a key until [`Hub::ready`].
    pub api: Api,
}

impl Hub {
    /// Starts `program` on the folder `data` and returns at once. With a database, events and state are there.
    pub fn spawn(program: &Path, data: &Path, database: Option<&str>) -> Result<Self> {
        std::fs::create_dir_all(data)?;
        let addr = free_addr()?;
        let log = data.with_extension("log");
        let output = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let listen = addr.to_string();
        let child = command(program, data, database, "serve")
            .args(["--listen", &listen, "--allow-networks", "127.0.0.0/8"])
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let api = Api { addr, token: String::new(), company: None };
        Ok(Self {
            child,
            program: program.to_owned(),
            data: data.to_owned(),
            log,
            database: database.map(str::to_owned),
            api,
        })
    }

    /// Starts it, waits until it is ready and makes a key.
    pub async fn start(program: &Path, data: &Path, database: Option<&str>) -> Result<Self> {
        let mut hub = Self::spawn(program, data, database)?;
        hub.ready().await?;
        hub.api.token = hub.create_key("all").await?;
        Ok(hub)
    }

    /// Waits for `/readyz`. Errors when the process ended or [`READY_LIMIT`] passed, with the end of its log.
    pub async fn ready(&mut self) -> Result<()> {
        let until = clock::now() + READY_LIMIT;
        loop {
            if matches!(self.api.raw("GET", "/readyz", None).await, Ok((200, _))) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the hub ended with {status}:\n{}", self.log_tail());
            }
            ensure!(clock::now() < until, "the hub is not ready after {READY_LIMIT:?}:\n{}", self.log_tail());
            sleep(READY_POLL).await;
        }
    }

    /// Makes a key of `scope` (`all` or `instance`) through the command line.
    pub async fn create_key(&self, scope: &str) -> Result<String> {
        let output = command(&self.program, &self.data, self.database.as_deref(), "keys create")
            .args(["--name", "bench", "--scope", scope])
            .stdin(Stdio::null())
            .output();
        let output = timeout(KEY_LIMIT, output).await.context("keys create does not end")??;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "keys create ended with {}: {complaint}", output.status);
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// An operator's view of the company with this external id, with a key from [`Hub::create_key`].
    pub fn as_company(&self, key: &str, company: &str) -> Api {
        Api { addr: self.api.addr, token: key.to_owned(), company: Some(company.to_owned()) }
    }

    /// Callers with an application key each, for the first `count` companies that are called [`external_id`].
    pub async fn companies(&self, count: usize) -> Result<Vec<Api>> {
        let operator = self.create_key("instance").await?;
        let mut companies = Vec::new();
        for index in 0..count as u64 {
            let company = self.as_company(&operator, &external_id(index));
            let made = company.call("POST", "/v1/keys", Some(&json!({"name": "bench", "scopes": ["all"]}))).await?;
            let token = made["key"].as_str().context("a key without its text")?.to_owned();
            companies.push(Api { addr: self.api.addr, token, company: None });
        }
        Ok(companies)
    }

    /// What the kernel says about it.
    pub fn process(&self) -> Result<Process> {
        Ok(Process(self.child.id().context("the hub has ended")?))
    }

    /// Ends it as an operator would, by SIGTERM; kills it if that takes longer than [`STOP_LIMIT`].
    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id as i32)) {
            kill_process(pid, Signal::TERM)?;
        }
        if timeout(STOP_LIMIT, self.child.wait()).await.is_err() {
            self.child.kill().await?;
            bail!("the hub did not end within {STOP_LIMIT:?} of SIGTERM:\n{}", self.log_tail());
        }
        Ok(())
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned()
    }
}

fn command(program: &Path, data: &Path, database: Option<&str>, subcommand: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args(subcommand.split(' '))
        .arg("--data")
        .arg(data)
        .env("TILLSTREAM_MASTER_KEY", MASTER_KEY)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    // Variables of ours that are about the bench are no settings of the hub.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TILLSTREAM_")) {
        if name != "TILLSTREAM_MASTER_KEY" {
            command.env_remove(name);
        }
    }
    if let Some(url) = database {
        command.args(["--database", url]);
    }
    command
}

fn free_addr() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_ends_at_once_is_reported_with_its_status() {
        let folder = tempfile::tempdir().expect("a folder");
        let started = Hub::start(Path::new("/bin/false"), &folder.path().join("hub"), None).await;
        let error = started.err().expect("no hub").to_string();
        assert!(error.contains("ended with"), "{error}");
    }
}
