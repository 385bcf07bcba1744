//! What every row works with: hubs, sinks, loads and the measurements that several rows share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::api::{Api, Integration, MAX_IN_FLIGHT};
use crate::child::{self, Listening, Measured};
use crate::event::DEFAULT_NAME;
use crate::fixture::{Store, external_id};
use crate::hub::Hub;
use crate::load::{Closed, Load};
use crate::options::Options;
use crate::sink::Stats;
use crate::sink::control::Control;

/// Entities of a load: enough that order by entity leaves the window full.
pub const ENTITIES: u64 = 10_000;
/// Events in a request that fills.
pub const FILL_BATCH: usize = 100;
/// Connections that fill.
pub const FILL_CONNECTIONS: usize = 8;
/// The longest that filling may take.
pub const FILL_LIMIT: Duration = Duration::from_secs(3_600);
/// The longest wait for the first delivery of lanes that were started.
pub const FIRST_DELIVERY_LIMIT: Duration = Duration::from_secs(90);

/// What the kernel calls a file system in memory (`statfs(2)`).
const TMPFS_MAGIC: i64 = 0x0102_1994;
const FIRST_DELIVERY_POLL: Duration = Duration::from_millis(10);

/// One run of the bench.
pub struct Bench {
    /// What was asked for.
    pub options: Options,
    program: PathBuf,
    generation: AtomicU64,
}

/// A hub on a folder that goes with it.
pub struct FreshHub {
    /// The hub. Declared before its folder, so that it ends first.
    pub hub: Hub,
    _folder: TempDir,
}

/// A sink in a process of its own.
pub struct SinkProcess {
    /// Steers it.
    pub control: Control,
    listening: Listening,
}

impl SinkProcess {
    /// The URL of a path, such as `ok/lane-1`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.listening.addr)
    }

    /// An integration that delivers to a path of this sink, with events of `name` or all.
    pub fn integration(&self, id: &str, path: &str, name: Option<&str>) -> Integration {
        Integration { id: id.to_owned(), url: self.url(path), name: name.map(str::to_owned) }
    }

    /// Where it listens, as an argument for a part of the bench.
    pub fn addr(&self) -> String {
        self.listening.addr.to_string()
    }
}

impl Bench {
    /// Checks the options and finds the hub.
    pub fn new(options: Options) -> Result<Self> {
        options.check()?;
        let program = options.hub_program()?;
        std::fs::create_dir_all(&options.work)?;
        on_a_disk(&options.work)?;
        Ok(Self { options, program, generation: AtomicU64::new(0) })
    }

    /// A hub on an empty folder.
    pub async fn hub(&self) -> Result<FreshHub> {
        let folder = self.folder()?;
        let hub = self.hub_on(&folder.path().join("data")).await?;
        Ok(FreshHub { hub, _folder: folder })
    }

    /// A hub on an empty folder with so many companies, see [`Hub::companies`].
    pub async fn hub_of_companies(&self, count: usize) -> Result<FreshHub> {
        let folder = self.folder()?;
        let data = folder.path().join("data");
        let store = Store::open(&data)?;
        for index in 0..count as u64 {
            store.company(&external_id(index)).await?;
        }
        drop(store);
        Ok(FreshHub { hub: self.hub_on(&data).await?, _folder: folder })
    }

    /// Hubs that share an empty database.
    pub async fn hubs_on_database(&self, count: usize) -> Result<Vec<FreshHub>> {
        let server = self.options.postgres.as_deref();
        let server =
            server.context("this row needs a PostgreSQL server: run `make bench`, or name one with --postgres")?;
        let url = crate::database::make(server).await?;
        let mut hubs = Vec::new();
        for _ in 0..count {
            let folder = self.folder()?;
            let hub = Hub::start(&self.program, &folder.path().join("data"), Some(&url)).await?;
            hubs.push(FreshHub { hub, _folder: folder });
        }
        Ok(hubs)
    }

    /// A hub on a folder that stays.
    pub async fn hub_on(&self, data: &Path) -> Result<Hub> {
        Hub::start(&self.program, data, None).await
    }

    /// A hub on a kept log, without the integrations that a broken run may have left.
    pub async fn hub_on_log(&self, data: &Path) -> Result<Hub> {
        let hub = self.hub_on(data).await?;
        hub.api.delete_all().await?;
        Ok(hub)
    }

    /// A hub on a folder that stays, started but not waited for.
    pub fn spawn_hub_on(&self, data: &Path) -> Result<Hub> {
        Hub::spawn(&self.program, data, None)
    }

    /// A folder on the disk under test, removed when dropped.
    pub fn folder(&self) -> Result<TempDir> {
        Ok(tempfile::Builder::new().prefix("run-").tempdir_in(&self.options.work)?)
    }

    /// A sink that has seen nothing.
    pub async fn sink(&self) -> Result<SinkProcess> {
        let listening = child::listen("sink").await?;
        Ok(SinkProcess { control: Control::new(listening.addr), listening })
    }

    /// A load on a hub's first company, with entities of its own.
    pub fn load(&self, hub: &Hub, connections: usize, batch: usize) -> Load {
        self.load_of(&hub.api, connections, batch)
    }

    /// A load on the company of an application key, with entities of its own.
    pub fn load_of(&self, company: &Api, connections: usize, batch: usize) -> Load {
        Load {
            addr: company.addr,
            token: company.token.clone(),
            names: vec![DEFAULT_NAME.to_owned()],
            connections,
            batch,
            entities: ENTITIES,
            generation: self.generation.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// A closed loop of the usual time.
    pub fn usual(&self) -> Closed {
        Closed { requests: None, warm_up: self.options.warm_up(), measure: self.options.measure() }
    }

    /// Puts at least `events` into the log, up to the next full request.
    pub async fn fill(&self, hub: &Hub, events: u64) -> Result<u64> {
        let requests = events.div_ceil(FILL_BATCH as u64);
        let stop = Closed { requests: Some(requests), warm_up: Duration::ZERO, measure: FILL_LIMIT };
        let outcome = self.load(hub, FILL_CONNECTIONS, FILL_BATCH).closed(stop).await?;
        let wanted = requests * FILL_BATCH as u64;
        ensure!(
            outcome.accepted == wanted,
            "{} of {wanted} events were accepted: {:?}",
            outcome.accepted,
            outcome.statuses
        );
        Ok(wanted)
    }

    /// What the sink receives in the usual time, while something else loads the hub.
    pub async fn window(&self, sink: &SinkProcess) -> Result<Stats> {
        sleep(self.options.warm_up()).await;
        sink.control.reset().await?;
        sleep(self.options.measure()).await;
        sink.control.stats().await
    }

    /// Creates lanes for all events that deliver to the sink, each stopped where the log ends now.
    pub async fn stopped_lanes(
        &self,
        hub: &Hub,
        sink: &SinkProcess,
        prefix: &str,
        count: usize,
    ) -> Result<Vec<String>> {
        let lanes: Vec<String> = (0..count).map(|index| format!("{prefix}-{index:04}")).collect();
        for lane in &lanes {
            hub.api.create(&sink.integration(lane, &format!("ok/{lane}"), None)).await?;
            hub.api.stop(lane).await?;
        }
        Ok(lanes)
    }

    /// Deletes lanes.
    pub async fn delete(&self, hub: &Hub, lanes: &[String]) -> Result<()> {
        try_join_all(lanes.iter().map(|lane| hub.api.delete(lane))).await.map(drop)
    }

    /// Starts stopped lanes and measures how fast they deliver what waits for them: until `expected`
    /// deliveries or for the usual time. The lanes are stopped again. Errors when order was broken.
    pub async fn drain(&self, hub: &Hub, sink: &SinkProcess, lanes: &[String], expected: u64) -> Result<Stats> {
        sink.control.reset().await?;
        try_join_all(lanes.iter().map(|lane| hub.api.start(lane))).await?;
        self.first_delivery(sink).await?;
        let stats = sink.control.wait_for(expected, self.options.measure()).await?;
        try_join_all(lanes.iter().map(|lane| hub.api.stop(lane))).await?;
        in_order(&stats)?;
        Ok(stats)
    }

    /// Waits until the sink has received something since its reset.
    pub async fn first_delivery(&self, sink: &SinkProcess) -> Result<Stats> {
        let until = crate::clock::now() + FIRST_DELIVERY_LIMIT;
        loop {
            let stats = sink.control.stats().await?;
            if stats.received > 0 {
                return Ok(stats);
            }
            ensure!(crate::clock::now() < until, "nothing was delivered within {FIRST_DELIVERY_LIMIT:?}");
            sleep(FIRST_DELIVERY_POLL).await;
        }
    }

    /// The bare client's rate against `sink`, at an integration's concurrency.
    pub async fn bare_client(&self, sink: &SinkProcess) -> Result<f64> {
        let time = self.options.measure();
        let args = [
            "bare-client",
            "--sink",
            &sink.addr(),
            "--concurrency",
            &MAX_IN_FLIGHT.to_string(),
            "--time-ms",
            &time.as_millis().to_string(),
        ];
        let measured: Measured = child::measure(&args.map(str::to_owned), time).await?;
        measured.rate()
    }

    /// The rate of SQLite alone, on a new file on the disk under test.
    pub async fn sqlite(&self, rows_per_commit: u64) -> Result<f64> {
        let folder = self.folder()?;
        let time = self.options.measure();
        let args = [
            "sqlite-insert",
            "--folder",
            folder.path().to_str().context("a folder whose name is no text")?,
            "--rows-per-commit",
            &rows_per_commit.to_string(),
            "--time-ms",
            &time.as_millis().to_string(),
        ];
        child::measure(&args.map(str::to_owned), time).await?.rate()
    }

    /// Tells a person what goes on.
    pub fn say(&self, what: &str) {
        eprintln!("bench: {what}");
    }
}

/// Errors when `folder` lies in memory: a sync costs nothing there, and no figure would mean anything.
fn on_a_disk(folder: &Path) -> Result<()> {
    let kind = rustix::fs::statfs(folder)?.f_type;
    ensure!(kind != TMPFS_MAGIC, "{} lies in memory; give --work a folder on a real disk", folder.display());
    Ok(())
}

/// Errors when the sink saw an entity go backwards: a fast hub that breaks its promise is not fast.
pub fn in_order(stats: &Stats) -> Result<()> {
    ensure!(stats.backwards == 0, "{} deliveries took their entity backwards", stats.backwards);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_memory_is_refused() {
        assert!(on_a_disk(Path::new("/dev/shm")).is_err());
        assert!(on_a_disk(Path::new("/")).is_ok());
    }
}
