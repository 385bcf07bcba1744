//! What all lanes share: the router that wakes them, and how their tasks start, fail and end.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tillstream_model::integration::Status;
use tillstream_model::{CompanyNo, IntegrationNo, Time};
use tillstream_outbound::{Client, Pool, PoolKey};
use tillstream_store::nodes::{BUCKETS, Lease, bucket_of};
use tillstream_store::state::{Integration, LaneHead};
use tillstream_store::{Bell, Clock, ReadLimit, StoreError, Stores};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::budget::Budget;
use super::handle::{Command, Handle};
use super::http::token::TokenCache;
use super::routes::{Company, Routes, Waking};
use super::runner::Runner;
use super::target::{Target, has_lane};
use crate::access::Access;
use crate::live::Live;
use crate::observe::Meters;
use crate::usage::Usage;

/// What the router reads at once.
const ROUTE: ReadLimit = ReadLimit { events: 1_000, bytes: 4 << 20 };
/// Pause before a lane that ended or fell asleep is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// Pause before a failed lane starts again from what is saved.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// What all lanes share.
pub(super) struct Context {
    pub(super) stores: Stores,
    pub(super) outbound: Client,
    pub(super) clock: Clock,
    pub(super) meters: Meters,
    pub(super) usage: Arc<Usage>,
    pub(super) live: Live,
    pub(super) access: Arc<Access>,
    pub(super) budget: Arc<Budget>,
    pub(super) routes: Routes,
    pub(super) names: Mutex<HashMap<CompanyNo, Arc<str>>>,
    pub(super) tokens: TokenCache,
    /// What consumers of feeds have is noted one after the other, by bucket.
    pub(super) feeding: [tokio::sync::Mutex<()>; BUCKETS as usize],
    pub(super) tasks: TaskTracker,
    pub(super) ending: CancellationToken,
    /// Rings for companies whose log has grown, for others than lanes.
    pub(super) grown: Arc<Bell>,
    /// Changes of one integration are taken up one after the other.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// The companies whose lanes do not run, and when that was looked up.
    pub(super) suspended: Mutex<Option<(Time, BTreeSet<CompanyNo>)>>,
    /// What this node holds, by bucket.
    pub(super) leases: Mutex<HashMap<u16, Lease>>,
    /// Lanes that another node keeps from taking events while it saves settings.
    pub(super) held_for_others: Mutex<HashMap<IntegrationNo, super::Hold>>,
}

/// Why a lane's task ended.
pub(super) enum Exit {
    /// Nothing to do; it is woken by an event.
    Asleep,
    /// It stopped its integration itself.
    Stopped,
    /// It was told to, or another node runs it from now on.
    Ended,
    /// The lease it ran under is over.
    Lost,
    /// It could not go on and starts again from what is saved.
    Failed(String),
}

impl Context {
    /// The lease under which this node runs a lane; None when it must not.
    pub(super) fn lease(&self, no: IntegrationNo) -> Option<Lease> {
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.get(&bucket_of(no)).filter(|lease| lease.holds()).cloned()
    }

    pub(super) async fn add(self: &Arc<Self>, head: LaneHead) -> Result<(), StoreError> {
        let integration = head.integration;
        if !has_lane(&integration.settings) {
            return Ok(());
        }
        let routes = self.routes.company(integration.company);
        let last = self.stores.log.head(integration.company).await?;
        let (no, settings) = (integration.no, integration.settings.clone());
        if let Some(waking) = routes.add(no, settings, head.cursor, head.unfinished, last) {
            self.spawn(routes, integration.company, waking);
        }
        Ok(())
    }

    /// Shows new events to the lanes whenever the bell rings.
    pub(super) async fn route(self: Arc<Self>) {
        let bell = self.stores.log.bell();
        loop {
            let rung = tokio::select! {
                () = self.ending.cancelled() => return,
                rung = bell.wait() => rung,
            };
            rung.iter().for_each(|company| self.live.grown(*company));
            for company in rung {
                self.route_company(company).await;
                self.grown.ring(company);
            }
        }
    }

    pub(super) async fn route_company(self: &Arc<Self>, company: CompanyNo) {
        let routes = self.routes.company(company);
        loop {
            match self.stores.log.read(company, routes.routed(), ROUTE).await {
                Ok(events) if events.is_empty() => return,
                Ok(events) => {
                    for waking in routes.route(&events) {
                        self.spawn(routes.clone(), company, waking);
                    }
                }
                Err(e) => {
                    tracing::warn!(company = company.0, error = %e, "new events could not be read; trying again");
                    tokio::time::sleep(RESTART_AFTER).await;
                    self.stores.log.bell().ring(company);
                    return;
                }
            }
        }
    }

    pub(super) async fn take_up(self: &Arc<Self>, integration: Integration) -> Result<(), StoreError> {
        let (company, no) = (integration.company, integration.no);
        if !has_lane(&integration.settings) {
            return Ok(());
        }
        let routes = self.routes.company(company);
        if !routes.update(no, integration.settings.clone()) {
            let head = self.stores.log.head(company).await?;
            let waking = routes.add_reading(no, integration.settings.clone(), head);
            self.spawn(routes, company, waking);
            return Ok(());
        }
        self.tell(&routes, company, no, Command::Reload).await;
        Ok(())
    }

    /// Has a lane do something and waits until it did. One that slept starts with what is saved, which will do. False:
    /// it does not run.
    pub(super) async fn tell(
        self: &Arc<Self>,
        routes: &Arc<Company>,
        company: CompanyNo,
        no: IntegrationNo,
        command: impl Fn(oneshot::Sender<()>) -> Command,
    ) -> bool {
        while !self.ending.is_cancelled() {
            match routes.awake(no) {
                None => return false,
                Some(Err(waking)) => {
                    self.spawn(routes.clone(), company, waking);
                    return true;
                }
                Some(Ok(handle)) => {
                    let (done, ack) = oneshot::channel();
                    if handle.tell(command(done)).await && ack.await.is_ok() {
                        return true;
                    }
                }
            }
            // It ended or fell asleep meanwhile; ask again for where it stands now.
            tokio::time::sleep(ASK_AGAIN).await;
        }
        false
    }

    pub(super) async fn end(&self, company: CompanyNo, no: IntegrationNo, at_once: bool) {
        self.tokens.forget(no);
        if let Some(handle) = self.routes.company(company).remove(no) {
            let (done, ended) = oneshot::channel();
            if handle.tell(Command::End { at_once, done }).await {
                let _ = ended.await;
            }
        }
    }

    /// Runs a lane until it sleeps or ends; one that fails starts again from what is saved.
    pub(super) fn spawn(self: &Arc<Self>, routes: Arc<Company>, company: CompanyNo, waking: Waking) {
        let context = self.clone();
        self.tasks.spawn(context.run_lane(routes, company, waking));
    }

    pub(super) async fn run_lane(self: Arc<Self>, routes: Arc<Company>, company: CompanyNo, first: Waking) {
        let mut waking = Some(first);
        while let Some(lane) = waking.take() {
            let (no, id, handle) = (lane.no, lane.settings.id.clone(), lane.handle.clone());
            match self.clone().run_once(&routes, company, &id, lane).await {
                Ok(Exit::Asleep | Exit::Ended) => return,
                Ok(Exit::Lost | Exit::Stopped) => return routes.remove_if(no, &handle),
                Ok(Exit::Failed(e)) => {
                    tracing::error!(integration = id, error = e, "a lane starts again from what is saved")
                }
                Err(e) => tracing::error!(integration = id, error = %e, "a lane could not start; trying again"),
            }
            waking = self.restart(&routes, company, no, &id, &handle).await;
        }
    }

    /// Waits until a failed lane may start again; None when it is not to.
    pub(super) async fn restart(
        &self,
        routes: &Arc<Company>,
        company: CompanyNo,
        no: IntegrationNo,
        id: &str,
        handle: &Arc<Handle>,
    ) -> Option<Waking> {
        loop {
            tokio::select! {
                () = self.ending.cancelled() => return None,
                () = tokio::time::sleep(RESTART_AFTER) => {}
            }
            match self.stores.state.integration(company, id).await {
                Ok(Some(i)) if i.no == no && i.status == Status::Running => {
                    return routes.add_again(no, i.settings.clone(), handle);
                }
                Ok(_) => {
                    routes.remove_if(no, handle);
                    return None;
                }
                Err(e) => tracing::error!(integration = id, error = %e, "a lane can't start again yet"),
            }
        }
    }

    pub(super) async fn run_once(
        self: Arc<Self>,
        routes: &Arc<Company>,
        company: CompanyNo,
        id: &str,
        waking: Waking,
    ) -> Result<Exit, StoreError> {
        let Some(inbox) = waking.handle.inbox() else { return Ok(Exit::Ended) };
        let Some(lease) = self.lease(waking.no) else {
            routes.remove_if(waking.no, &waking.handle);
            return Ok(Exit::Ended);
        };
        let saved = self.stores.state.integration(company, id).await?;
        match saved.filter(|i| i.no == waking.no && i.status == Status::Running) {
            Some(integration) => {
                let runner = Runner::load(self.clone(), routes.clone(), integration, lease, waking, inbox).await?;
                Ok(runner.run().await)
            }
            None => Ok(Exit::Stopped),
        }
    }

    pub(super) fn pool(&self, company: CompanyNo) -> Pool {
        self.outbound.pool(PoolKey { company: company.0, identity: 0 })
    }

    pub(super) async fn target(&self, integration: &Integration) -> Result<Arc<Target>, StoreError> {
        let (company, settings) = (self.name(integration.company).await?, integration.settings.clone());
        let tokens = self.tokens.of(integration.no, integration.version, &settings);
        let epoch = self.stores.epochs.current();
        let target = Target::new(settings, &company, epoch, self.pool(integration.company), tokens);
        target.map(Arc::new).map_err(|e| {
            StoreError::new(format!("prepare requests of integration {}", integration.settings.id), e.to_string())
        })
    }

    /// The company's external id.
    pub(super) async fn name(&self, company: CompanyNo) -> Result<Arc<str>, StoreError> {
        if let Some(name) = self.names().get(&company) {
            return Ok(name.clone());
        }
        let fresh = self.stores.state.companies().await?.into_iter().map(|c| (c.no, c.external_id.into()));
        let mut names = self.names();
        names.extend(fresh);
        names
            .get(&company)
            .cloned()
            .ok_or_else(|| StoreError::new(format!("find company {}", company.0), "there is no such company"))
    }

    pub(super) fn names(&self) -> std::sync::MutexGuard<'_, HashMap<CompanyNo, Arc<str>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
