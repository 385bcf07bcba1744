//! The hub: events in, durable, and out to integrations.
//!
//! [`ingest`] is the only door to the log, [`deliver`] moves cursors over it, [`api`] is what people and programs talk
//! to. Nothing here names an engine: it is handed [`Stores`].

pub mod access;
pub mod api;
pub mod deliver;
pub mod documents;
pub mod held;
pub mod index;
pub mod ingest;
pub mod jobs;
pub mod live;
mod machine;
pub mod notify;
pub mod observe;
pub mod people;
pub mod problem;
pub mod rates;
pub mod sites;
pub mod statistics;
pub mod terminals;
pub mod trace;
mod upkeep;
pub mod usage;

use std::sync::Arc;
use std::time::Duration;

use tillstream_model::{Event, Time};
use tillstream_store::{Clock, Log, State, Stores};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use access::Access;
use deliver::Deliver;
use ingest::Ingest;
use live::Live;
use notify::Notify;
use observe::Metrics;
use people::People;
use sites::Sites;
use terminals::Terminals;
use usage::Usage;

/// When what is kept of a deleted event is looked at again: longer than any attempt and than nodes take to hear of it.
const ERASE_AGAIN: Duration = Duration::from_secs(75);

/// The hub's configuration as used.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Whether `/metrics` answers others than loopback.
    pub metrics_public: bool,
    /// Whether the hub itself does TLS.
    pub tls: bool,
    /// Whether a proxy in front says who asks and how (`X-Forwarded-…`).
    pub behind_proxy: bool,
    /// How much may be under way at once.
    pub budgets: deliver::Budgets,
    /// What others are told, and how.
    pub notify: notify::Settings,
}

/// The running hub, shared by everything that serves it. Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    stores: Stores,
    outbound: tillstream_outbound::Client,
    clock: Clock,
    config: Config,
    metrics: Metrics,
    access: Arc<Access>,
    people: People,
    ingest: Ingest,
    sites: Arc<Sites>,
    terminals: Arc<Terminals>,
    usage: Arc<Usage>,
    deliver: Deliver,
    jobs: jobs::Runner,
    live: Live,
    notify: Notify,
    tasks: TaskTracker,
    ending: CancellationToken,
}

impl Hub {
    /// Starts the lanes of every running integration and the hub's upkeep.
    pub async fn start(
        stores: Stores,
        outbound: tillstream_outbound::Client,
        config: Config,
        clock: Clock,
    ) -> anyhow::Result<Hub> {
        let metrics = Metrics::new();
        let usage = Arc::new(Usage::new(stores.state.clone()));
        let counts = deliver::Counting { meters: metrics.meters.clone(), usage: usage.clone() };
        let live = Live::default();
        let access = Arc::new(Access::new(stores.state.clone()));
        let told = deliver::Told { live: live.clone(), access: access.clone() };
        let deliver = Deliver::start(&stores, &outbound, &clock, counts, config.budgets, told).await?;
        let sites = Arc::new(Sites::new(stores.state.clone()));
        let terminals = Arc::new(Terminals::new(stores.state.clone()));
        let hub = Hub(Arc::new(Inner {
            access,
            ingest: Ingest::new(
                &stores,
                sites.clone(),
                terminals.clone(),
                usage.clone(),
                clock.clone(),
                metrics.meters.clone(),
            ),
            people: People::default(),
            sites,
            terminals,
            usage,
            deliver,
            jobs: jobs::Runner::default(),
            live,
            notify: Notify::default(),
            stores,
            outbound,
            clock,
            config,
            metrics,
            tasks: TaskTracker::new(),
            ending: CancellationToken::new(),
        }));
        hub.0.tasks.spawn(upkeep::run(hub.clone(), hub.0.ending.clone()));
        hub.0.tasks.spawn(jobs::run(hub.clone(), hub.0.ending.clone()));
        hub.0.tasks.spawn(index::run(hub.clone(), hub.0.deliver.grown(), hub.0.ending.clone()));
        hub.0.tasks.spawn(notify::run(hub.clone(), hub.0.ending.clone()));
        hub.0.tasks.spawn(notify::send(hub.clone(), hub.0.ending.clone()));
        Ok(hub)
    }

    /// Log and state.
    pub fn stores(&self) -> &Stores {
        &self.0.stores
    }

    /// The events.
    pub fn log(&self) -> &dyn Log {
        &*self.0.stores.log
    }

    /// Everything else that is durable.
    pub fn state(&self) -> &dyn State {
        &*self.0.stores.state
    }

    /// The time.
    pub fn now(&self) -> Time {
        (self.0.clock)()
    }

    /// The one way out.
    pub fn outbound(&self) -> &tillstream_outbound::Client {
        &self.0.outbound
    }

    /// As configured.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Who may do what.
    pub fn access(&self) -> &Access {
        &self.0.access
    }

    /// What is kept in memory about people.
    pub fn people(&self) -> &People {
        &self.0.people
    }

    /// The door to the log.
    pub fn ingest(&self) -> &Ingest {
        &self.0.ingest
    }

    /// What is known of sites.
    pub fn sites(&self) -> &Sites {
        &self.0.sites
    }

    /// What is known of terminals.
    pub fn terminals(&self) -> &Terminals {
        &self.0.terminals
    }

    /// What companies use.
    pub fn usage(&self) -> &Usage {
        &self.0.usage
    }

    /// The lanes.
    pub fn deliver(&self) -> &Deliver {
        &self.0.deliver
    }

    /// Long work that was asked for.
    pub(crate) fn jobs(&self) -> &jobs::Runner {
        &self.0.jobs
    }

    /// Runs something that the hub waits for when it ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(task);
    }

    /// Erases once more what attempts that were under way when an event was deleted may have written since; nodes learn
    /// of it within seconds.
    fn erase_again(&self, event: &Event) {
        let (hub, company, seq, id) = (self.clone(), event.company, event.seq, event.id);
        self.0.tasks.spawn(async move {
            tokio::select! {
                () = hub.0.ending.cancelled() => {}
                () = tokio::time::sleep(ERASE_AGAIN) => {}
            }
            if let Err(e) = hub.state().erase(company, seq, id).await {
                tracing::warn!(event = %id, error = %e, "a deleted event may be left among the rejected ones");
            }
        });
    }

    /// Who follows logs as they grow.
    pub fn live(&self) -> &Live {
        &self.0.live
    }

    /// What is kept of telling others.
    pub(crate) fn notify(&self) -> &Notify {
        &self.0.notify
    }

    /// The HTTP API.
    pub fn router(&self) -> axum::Router {
        api::router(self.clone())
    }

    /// One round of what the hub does by the clock: saves cursors, removes what is old, drops segments whose retention
    /// has passed. It runs by itself every half minute.
    pub async fn upkeep(&self) {
        upkeep::round(self).await;
    }

    /// Ends upkeep and lanes: what is in flight is finished within a lane's patience and committed.
    pub async fn shutdown(&self) {
        self.0.ending.cancel();
        self.0.tasks.close();
        self.0.deliver.shutdown().await;
        self.0.metrics.meters.statistics.flush(self.state()).await;
        self.0.tasks.wait().await;
        self.0.usage.flush().await;
    }
}
