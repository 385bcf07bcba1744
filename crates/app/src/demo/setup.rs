//! Puts the demo together: folder, hub, receivers, integrations, stores.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::Args;
use super::feed::Feed;
use super::figures::Collector;
use super::receivers::{Receiver, Receivers};
use super::simulate::{Simulation, Site};
use super::temper::{FLAKY_TIMEOUT_SECONDS, Temper};
use crate::api_client::{Api, Refused};
use crate::commands::integrations::signing_secret;
use crate::config::{self, Config, DEFAULT_LISTEN, Written};
use crate::process::Process;
use crate::server;
use crate::signature::SigningKey;

/// When the stores' time starts if a seed is given: a Saturday, an hour before lunch in New York.
const SEEDED_START: &str = "2026-03-14T15:00:00Z";
/// Marks integrations that are the demo's own, so that it never takes over another.
const OURS: &str = "made by `tillstream demo`";
/// Waits before the attempts to the flaky receiver, in seconds: short, so that retries are seen.
const FLAKY_SCHEDULE: [u32; 12] = [0, 1, 2, 4, 8, 15, 30, 30, 60, 60, 120, 300];

/// Where the demo keeps its data.
pub struct Place {
    data: PathBuf,
    temporary: Option<TempDir>,
}

impl Place {
    /// The folder given, or a temporary one that is gone afterwards.
    ///
    /// # Errors
    /// When no temporary folder can be made.
    pub fn new(data: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(data) = data {
            return Ok(Self { data, temporary: None });
        }
        let folder =
            tempfile::Builder::new().prefix("tillstream-demo-").tempdir().context("make a temporary folder")?;
        Ok(Self { data: folder.path().join("data"), temporary: Some(folder) })
    }

    /// Where log lines go while the view owns the terminal.
    ///
    /// # Errors
    /// When the data folder has no name of its own.
    pub fn log_file(&self) -> anyhow::Result<PathBuf> {
        Ok(config::beside(&self.data, "log")?)
    }

    fn config(&self, listen: SocketAddr) -> anyhow::Result<Config> {
        let written = Written {
            data: Some(self.data.clone()),
            listen: Some(listen.to_string()),
            allow_networks: Some(vec!["127.0.0.0/8".to_owned()]),
            ..Written::default()
        };
        Ok(Config::check(written, &[])?)
    }
}

/// Everything that runs.
pub struct Demo {
    process: Process,
    receivers: Receivers,
    feed: Feed,
    api: Api,
    key: String,
    sites: Vec<Site>,
    title: String,
    note: Option<String>,
}

impl Demo {
    /// Starts the hub and the receivers, makes the integrations and lets the stores send.
    ///
    /// # Errors
    /// When the address is taken, or the data folder cannot be used.
    pub async fn start(args: &Args, place: &Place) -> anyhow::Result<Self> {
        let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u16>()));
        let (listener, note) = bind(args.listen).await?;
        let config = place.config(listener.local_addr()?)?;
        let process = Process::start(&config, listener).await?;
        let key = key(&process, &config.data)?;
        let api = Api::new(&process.url(), &key)?;
        let receivers = Receivers::start(seed).await?;
        for receiver in &receivers.all {
            let secret =
                integration(&api, receiver).await.with_context(|| format!("the integration {}", receiver.name()))?;
            receiver.check_with(SigningKey::parse(&secret)?);
        }
        let simulation = simulation(args, place, seed)?;
        let sites = simulation.sites().to_vec();
        let title = title(args, seed, &sites);
        let feed = Feed::start(api.clone(), simulation, args.pace);
        Ok(Self { process, receivers, feed, api, key, sites, title, note })
    }

    /// What there is to look at.
    pub fn links(&self) -> Vec<String> {
        let url = self.process.url();
        let receivers = self.receivers.all.iter().map(|r| format!("{} {}", r.name(), r.url()));
        let mut lines = vec![
            self.title.clone(),
            format!("  API     {url}/docs"),
            format!("  try     curl -H 'Authorization: Bearer {}' {url}/v1/integrations", self.key),
            format!("  sent to {}", receivers.collect::<Vec<_>>().join("  ")),
        ];
        lines.extend(self.note.clone());
        lines
    }

    /// Collects the figures of this demo.
    pub fn collector(&self) -> Collector {
        Collector::new(self.api.clone(), self.feed.sent(), self.receivers.all.clone(), self.sites.clone())
    }

    /// The stores send no more.
    pub async fn stop_feed(&mut self) {
        self.feed.stop().await;
    }

    /// Ends everything else in good order.
    pub async fn stop(self) {
        self.process.stop().await;
        self.receivers.stop().await;
    }
}

/// The address asked for, or the usual one, or when that is taken a free port and a word about it.
async fn bind(listen: Option<SocketAddr>) -> anyhow::Result<(TcpListener, Option<String>)> {
    if let Some(address) = listen {
        let listener = server::bind(address).await;
        return Ok((
            listener.with_context(|| format!("cannot listen on {address}; choose another with --listen"))?,
            None,
        ));
    }
    let usual: SocketAddr = DEFAULT_LISTEN.parse()?;
    match server::bind(usual).await {
        Ok(listener) => Ok((listener, None)),
        Err(_) => {
            let listener = server::bind(SocketAddr::new(usual.ip(), 0)).await.context("no port is free")?;
            let note = format!("  ({usual} is taken; the hub is on port {})", listener.local_addr()?.port());
            Ok((listener, Some(note)))
        }
    }
}

fn key(process: &Process, data: &Path) -> anyhow::Result<String> {
    if let Some(first) = &process.first_key {
        return Ok(first.key.clone());
    }
    let file = config::admin_key_file(data)?;
    let key = std::fs::read_to_string(&file).with_context(|| {
        format!("{} has keys, but {} is gone: name another folder with --data", data.display(), file.display())
    })?;
    Ok(key.trim().to_owned())
}

/// Without a seed the stores live now. Events of an earlier run in the same folder must not count as these.
fn simulation(args: &Args, place: &Place, seed: u64) -> anyhow::Result<Simulation> {
    let now = Timestamp::now();
    let start = if args.seed.is_some() { SEEDED_START.parse()? } else { now };
    let simulation = Simulation::new(seed, args.stores, start).with_intensity(args.intensity);
    let fresh = place.temporary.is_some();
    Ok(if fresh { simulation } else { simulation.with_run_label(&now.as_millisecond().to_string()) })
}

fn title(args: &Args, seed: u64, sites: &[Site]) -> String {
    let zones: std::collections::BTreeSet<&str> = sites.iter().map(|s| s.timezone).collect();
    let terminals: usize = sites.iter().map(|s| s.terminals.len()).sum();
    format!(
        "Tillstream demo: {} stores with {terminals} terminals in {} time zones, {}x as fast as life, seed {seed}",
        sites.len(),
        zones.len(),
        args.pace,
    )
}

/// Makes the receiver's integration, or takes over the one of an earlier demo; gives its signing secret.
async fn integration(api: &Api, receiver: &Receiver) -> anyhow::Result<String> {
    let answer = match api.post("/integrations", Some(&settings(receiver))).await {
        Err(error) if is_taken(&error) => take_over(api, receiver).await?,
        made => made?,
    };
    signing_secret(&answer).map(str::to_owned).ok_or_else(|| anyhow!("the hub's answer has no signing secret"))
}

fn is_taken(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == StatusCode::CONFLICT)
}

async fn take_over(api: &Api, receiver: &Receiver) -> anyhow::Result<Value> {
    let path = format!("/integrations/{}", receiver.name());
    if api.get(&path).await?["description"] != OURS {
        bail!("there is one with this id that is not the demo's: name another folder with --data");
    }
    let settings = settings(receiver);
    api.patch(&path, &json!({"target": settings["target"], "delivery": settings["delivery"]})).await?;
    api.post(&format!("{path}/start"), None).await?;
    api.post(&format!("{path}/signing/rotate"), Some(&json!({}))).await
}

fn settings(receiver: &Receiver) -> Value {
    let delivery = match receiver.temper() {
        Temper::Healthy | Temper::Slow => json!({}),
        Temper::Flaky => {
            json!({"timeout_seconds": FLAKY_TIMEOUT_SECONDS, "retry": {"schedule_seconds": FLAKY_SCHEDULE}})
        }
    };
    json!({
        "id": receiver.name(),
        "name": format!("The {} receiver", receiver.name()),
        "description": OURS,
        "target": {"kind": "http", "url": receiver.url()},
        "delivery": delivery,
    })
}
