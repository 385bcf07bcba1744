//! Delivery: one lane per running integration, each a cursor over its company's log.
//!
//! One router shows new events to the lanes and wakes only those that could want one. A lane that is awake is a task
//! ([`runner`]); asleep it is a few numbers in [`routes`].

mod budget;
mod commit;
mod flight;
mod handle;
mod http;
mod render;
mod routes;
mod runner;
mod signing;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tillstream_model::integration::Status;
use tillstream_model::{CompanyNo, IntegrationNo, Seq};
use tillstream_outbound::{Client, Pool, PoolKey};
use tillstream_store::state::{Integration, LaneHead};
use tillstream_store::{Clock, ReadLimit, StoreError, Stores};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use budget::Budgets;
pub use handle::{Health, LaneStatus};
pub use render::{RenderedRequest, render};

use crate::observe::Meters;
use budget::Budget;
use handle::{Command, Handle};
use http::request::Template;
use routes::{Company, Routes, Waking};
use runner::Runner;

/// What the router reads at once.
const ROUTE: ReadLimit = ReadLimit { events: 1_000, bytes: 4 << 20 };
/// Pause before a lane that ended or fell asleep is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// Pause before a failed lane starts again from what is saved.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// The lanes. Cheap to clone.
#[derive(Clone)]
pub struct Deliver(Arc<Context>);

/// What all lanes share.
struct Context {
    stores: Stores,
    outbound: Client,
    clock: Clock,
    meters: Meters,
    budget: Arc<Budget>,
    routes: Routes,
    names: Mutex<HashMap<CompanyNo, Arc<str>>>,
    tasks: TaskTracker,
    ending: CancellationToken,
    /// Changes of one integration are taken up one after the other.
    changing: tokio::sync::Mutex<()>,
}

/// Why a lane's task ended.
enum Exit {
    /// Nothing to do; it is woken by an event.
    Asleep,
    /// It stopped its integration itself.
    Stopped,
    /// It was told to.
    Ended,
    /// It could not go on and starts again from what is saved.
    Failed(String),
}

/// Keeps a lane from taking events until it is dropped, so that a change takes effect at a definite position.
pub struct Hold {
    /// Everything up to here is taken with the settings of before.
    pub at: Seq,
    _until: Option<oneshot::Sender<()>>,
}

impl Deliver {
    /// Starts the router and the lanes that have something to do; the others sleep.
    pub async fn start(
        stores: &Stores,
        outbound: &Client,
        clock: &Clock,
        meters: Meters,
        budgets: Budgets,
    ) -> anyhow::Result<Self> {
        let names = stores.state.companies().await?.into_iter().map(|c| (c.no, c.external_id.into())).collect();
        let deliver = Deliver(Arc::new(Context {
            stores: stores.clone(),
            outbound: outbound.clone(),
            clock: clock.clone(),
            meters,
            budget: Budget::new(budgets),
            routes: Routes::default(),
            names: Mutex::new(names),
            tasks: TaskTracker::new(),
            ending: CancellationToken::new(),
            changing: tokio::sync::Mutex::default(),
        }));
        for head in stores.state.lane_heads().await? {
            deliver.0.add(head).await?;
        }
        let context = deliver.0.clone();
        deliver.0.tasks.spawn(async move { context.route().await });
        Ok(deliver)
    }

    /// Something about an integration was saved: created, edited, started, stopped, deleted, or a rejected event is to
    /// be tried again. Its lane reads the state and does what is due. Returns when it has taken the change up: then a
    /// deleted lane has nothing under way, a stopped one starts nothing.
    pub async fn changed(&self, company: CompanyNo, no: IntegrationNo, id: &str) -> Result<(), StoreError> {
        let _one_at_a_time = self.0.changing.lock().await;
        let saved = self.0.stores.state.integration(company, id).await?.filter(|i| i.no == no);
        match saved {
            Some(integration) if integration.status == Status::Running => self.0.take_up(integration).await?,
            Some(_) => self.0.end(company, no, false).await,
            None => self.0.end(company, no, true).await,
        }
        Ok(())
    }

    /// Keeps a lane from taking events while its settings are saved.
    pub async fn hold(&self, company: CompanyNo, no: IntegrationNo) -> Result<Hold, StoreError> {
        let routes = self.0.routes.company(company);
        // The first round may only wake a sleeper, the second talks to it.
        while self.0.tell(&routes, company, no, Command::Reload).await {
            let Some(Ok(handle)) = routes.awake(no) else { continue };
            let (taken, at) = oneshot::channel();
            let (until, dropped) = oneshot::channel();
            if handle.tell(Command::Hold(taken, dropped)).await
                && let Ok(at) = at.await
            {
                return Ok(Hold { at, _until: Some(until) });
            }
        }
        Ok(Hold { at: self.0.stores.state.lane_figures(no).await?.cursor, _until: None })
    }

    /// Lets a lane's reject brake go: what is refused is rejected from now on. False: the lane does not run.
    pub async fn release_brake(&self, company: CompanyNo, no: IntegrationNo) -> bool {
        self.0.tell(&self.0.routes.company(company), company, no, Command::ReleaseBrake).await
    }

    /// What a lane is doing now; None when its integration does not run.
    pub fn lane(&self, company: CompanyNo, no: IntegrationNo) -> Option<LaneStatus> {
        Some(match self.0.routes.company(company).look(no)? {
            Ok(handle) => handle.status(),
            Err(read_to) => LaneStatus::resting(read_to),
        })
    }

    /// Sets the gauges that are sums over lanes.
    pub fn gauge(&self) {
        let (mut awake, mut in_flight, mut parked, mut open) = (0, 0, 0, 0);
        for (_, routes) in self.0.routes.all() {
            for status in routes.handles().iter().map(|h| h.status()) {
                awake += 1;
                in_flight += status.in_flight;
                parked += status.parked;
                open += usize::from(status.health != Health::Flowing);
            }
        }
        let meters = &self.0.meters;
        for (gauge, count) in [
            (&meters.lanes_awake, awake),
            (&meters.in_flight, in_flight),
            (&meters.parked, parked),
            (&meters.circuits_open, open),
        ] {
            gauge.set(count as f64);
        }
    }

    /// Saves the cursors of sleeping lanes, which move over unwanted events without a commit of their own.
    pub async fn save_sleeping_cursors(&self) {
        for (_, routes) in self.0.routes.all() {
            for (no, cursor) in routes.unsaved_sleepers() {
                if let Err(e) = self.0.stores.state.advance(no, cursor).await {
                    tracing::warn!(integration = no.0, error = %e, "a cursor could not be saved; it is read over again after a restart");
                }
            }
        }
    }

    /// Has every running lane of the companies list what it has not settled up to a position as expired.
    pub async fn expire(&self, companies: &[(CompanyNo, Seq)]) {
        self.save_sleeping_cursors().await;
        for (company, to) in companies {
            for handle in self.0.routes.company(*company).handles() {
                let (done, ack) = oneshot::channel();
                if handle.tell(Command::Expire(*to, done)).await {
                    // A lane that ends meanwhile starts again from what is saved and is asked in the next round.
                    let _ = ack.await;
                }
            }
        }
    }

    /// Ends all lanes: what is under way gets a few seconds, everything known is committed.
    pub async fn shutdown(&self) {
        self.0.ending.cancel();
        self.save_sleeping_cursors().await;
        let mut endings = Vec::new();
        for (_, routes) in self.0.routes.all() {
            for handle in routes.handles() {
                let (done, ended) = oneshot::channel();
                if handle.tell(Command::End { at_once: false, done }).await {
                    endings.push(ended);
                }
            }
        }
        for ended in endings {
            let _ = ended.await;
        }
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl Context {
    async fn add(self: &Arc<Self>, head: LaneHead) -> Result<(), StoreError> {
        let integration = head.integration;
        let routes = self.routes.company(integration.company);
        let last = self.stores.log.head(integration.company).await?;
        routes.start_at(last);
        if head.cursor >= last && !head.unfinished {
            routes.add_asleep(integration.no, integration.settings.clone(), head.cursor);
        } else {
            let waking = routes.add_reading(integration.no, integration.settings.clone());
            self.spawn(routes, integration.company, waking);
        }
        Ok(())
    }

    /// Shows new events to the lanes whenever the bell rings.
    async fn route(self: Arc<Self>) {
        let bell = self.stores.log.bell();
        loop {
            let rung = tokio::select! {
                () = self.ending.cancelled() => return,
                rung = bell.wait() => rung,
            };
            for company in rung {
                self.route_company(company).await;
            }
        }
    }

    async fn route_company(self: &Arc<Self>, company: CompanyNo) {
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

    async fn take_up(self: &Arc<Self>, integration: Integration) -> Result<(), StoreError> {
        let (company, no) = (integration.company, integration.no);
        let routes = self.routes.company(company);
        if !routes.update(no, integration.settings.clone()) {
            if routes.routed() == 0 {
                routes.start_at(self.stores.log.head(company).await?);
            }
            let waking = routes.add_reading(no, integration.settings.clone());
            self.spawn(routes, company, waking);
            return Ok(());
        }
        self.tell(&routes, company, no, Command::Reload).await;
        Ok(())
    }

    /// Has a lane do something and waits until it did. One that slept starts with what is saved, which will do. False:
    /// it does not run.
    async fn tell(
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

    async fn end(&self, company: CompanyNo, no: IntegrationNo, at_once: bool) {
        if let Some(handle) = self.routes.company(company).remove(no) {
            let (done, ended) = oneshot::channel();
            if handle.tell(Command::End { at_once, done }).await {
                let _ = ended.await;
            }
        }
    }

    /// Runs a lane until it sleeps or ends; one that fails starts again from what is saved.
    fn spawn(self: &Arc<Self>, routes: Arc<Company>, company: CompanyNo, waking: Waking) {
        let context = self.clone();
        self.tasks.spawn(context.run_lane(routes, company, waking));
    }

    async fn run_lane(self: Arc<Self>, routes: Arc<Company>, company: CompanyNo, first: Waking) {
        let mut waking = Some(first);
        while let Some(lane) = waking.take() {
            let (no, id, handle) = (lane.no, lane.settings.id.clone(), lane.handle.clone());
            match self.clone().run_once(&routes, company, &id, lane).await {
                Ok(Exit::Asleep | Exit::Ended) => return,
                Ok(Exit::Stopped) => return routes.remove_if(no, &handle),
                Ok(Exit::Failed(e)) => {
                    tracing::error!(integration = id, error = e, "a lane starts again from what is saved")
                }
                Err(e) => tracing::error!(integration = id, error = %e, "a lane could not start; trying again"),
            }
            waking = self.restart(&routes, company, no, &id, &handle).await;
        }
    }

    /// Waits until a failed lane may start again; None when it is not to.
    async fn restart(
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
                    return Some(routes.add_reading(no, i.settings.clone()));
                }
                Ok(_) => {
                    routes.remove_if(no, handle);
                    return None;
                }
                Err(e) => tracing::error!(integration = id, error = %e, "a lane can't start again yet"),
            }
        }
    }

    async fn run_once(
        self: Arc<Self>,
        routes: &Arc<Company>,
        company: CompanyNo,
        id: &str,
        waking: Waking,
    ) -> Result<Exit, StoreError> {
        let Some(inbox) = waking.handle.inbox() else { return Ok(Exit::Ended) };
        let saved = self.stores.state.integration(company, id).await?;
        match saved.filter(|i| i.no == waking.no && i.status == Status::Running) {
            Some(integration) => {
                let runner = Runner::load(self.clone(), routes.clone(), integration, waking, inbox).await?;
                Ok(runner.run().await)
            }
            None => Ok(Exit::Stopped),
        }
    }

    fn pool(&self, company: CompanyNo) -> Pool {
        self.outbound.pool(PoolKey { company: company.0, identity: 0 })
    }

    async fn template(&self, integration: &Integration) -> Result<Arc<Template>, StoreError> {
        let company = self.name(integration.company).await?;
        Template::new(integration.settings.clone(), &company).map(Arc::new).map_err(|e| StoreError {
            tried: format!("prepare requests of integration {}", integration.settings.id),
            cause: e.to_string(),
        })
    }

    /// The company's external id.
    async fn name(&self, company: CompanyNo) -> Result<Arc<str>, StoreError> {
        if let Some(name) = self.names().get(&company) {
            return Ok(name.clone());
        }
        let fresh = self.stores.state.companies().await?.into_iter().map(|c| (c.no, c.external_id.into()));
        let mut names = self.names();
        names.extend(fresh);
        names.get(&company).cloned().ok_or_else(|| StoreError {
            tried: format!("find company {}", company.0),
            cause: "there is no such company".into(),
        })
    }

    fn names(&self) -> std::sync::MutexGuard<'_, HashMap<CompanyNo, Arc<str>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
