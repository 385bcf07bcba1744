//! The hub: events in, durable, and out to integrations.
//!
//! [`ingest`] is the only door to the log, [`deliver`] moves cursors over it, [`api`] is what people and programs talk
//! to. Nothing here names an engine: it is handed [`Stores`].

pub mod access;
pub mod api;
pub mod deliver;
pub mod documents;
pub mod ingest;
pub mod notify;
pub mod observe;
pub mod problem;
pub mod sites;
mod upkeep;
mod usage;

use std::sync::Arc;

use tillstream_model::Time;
use tillstream_store::{Clock, Log, State, Stores};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use access::Access;
use deliver::Deliver;
use ingest::Ingest;
use notify::Notify;
use observe::Metrics;
use sites::Sites;

/// The epoch of a log that was never restored: the first part of positions that are handed out.
pub const FIRST_EPOCH: u32 = 1;

/// The hub's configuration as used.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Whether `/metrics` answers others than loopback.
    pub metrics_public: bool,
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
    access: Access,
    ingest: Ingest,
    sites: Arc<Sites>,
    deliver: Deliver,
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
        let deliver = Deliver::start(&stores, &outbound, &clock, metrics.meters.clone(), config.budgets).await?;
        let sites = Arc::new(Sites::new(stores.state.clone()));
        let hub = Hub(Arc::new(Inner {
            access: Access::new(stores.state.clone()),
            ingest: Ingest::new(stores.log.clone(), sites.clone(), clock.clone(), metrics.meters.clone()),
            sites,
            deliver,
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

    /// The door to the log.
    pub fn ingest(&self) -> &Ingest {
        &self.0.ingest
    }

    /// What is known of sites.
    pub fn sites(&self) -> &Sites {
        &self.0.sites
    }

    /// The lanes.
    pub fn deliver(&self) -> &Deliver {
        &self.0.deliver
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
        self.0.tasks.wait().await;
    }
}
