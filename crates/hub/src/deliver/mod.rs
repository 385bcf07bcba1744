//! Delivery: one lane per running integration, each a cursor over its company's log.
//!
//! One router shows new events to the lanes and wakes only those that could want one. A lane that is awake is a task
//! ([`runner`]); asleep it is a few numbers in [`routes`].

mod budget;
mod commit;
mod context;
mod exchange;
mod feed;
mod flight;
mod handle;
mod http;
mod inbox;
mod message;
mod nodes;
mod render;
mod replay;
mod routes;
mod runner;
pub(crate) mod signing;
mod standing;
mod takeover;
mod target;
mod trial;

use std::sync::{Arc, Mutex};

use tillstream_model::integration::Status;
use tillstream_model::{CompanyNo, IntegrationNo, Seq, Time};
use tillstream_outbound::Client;
use tillstream_store::{Bell, Clock, StoreError, Stores};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use budget::Budgets;
pub use feed::{HANDED_BYTES, Handed};
pub use handle::{Health, LaneStatus};
pub use render::{RenderedRequest, render};
pub use replay::{Chunk, Plan, read_chunk};
pub use standing::Standing;
pub use trial::{Check, Tried, Untold};

use crate::access::Access;
use crate::live::Live;
use crate::observe::Meters;
use crate::usage::Usage;
use budget::Budget;
use context::Context;
use handle::Command;
use http::token::TokenCache;
use nodes::Question;
use routes::Routes;

/// The lanes. Cheap to clone.
#[derive(Clone)]
pub struct Deliver(Arc<Context>);

/// Where lanes count what they do.
pub struct Counting {
    /// For the operator of the hub.
    pub meters: Meters,
    /// For each company.
    pub usage: Arc<Usage>,
}

/// Who is told when a company changes, on every node.
pub struct Told {
    /// Who follows its log.
    pub live: Live,
    /// Who looked it up.
    pub access: Arc<Access>,
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
        counting: Counting,
        budgets: Budgets,
        told: Told,
    ) -> anyhow::Result<Self> {
        let names = stores.state.companies().await?.into_iter().map(|c| (c.no, c.external_id.into())).collect();
        let deliver = Deliver(Arc::new(Context {
            stores: stores.clone(),
            outbound: outbound.clone(),
            clock: clock.clone(),
            meters: counting.meters,
            usage: counting.usage,
            live: told.live,
            access: told.access,
            budget: Budget::new(budgets),
            routes: Routes::default(),
            names: Mutex::new(names),
            tokens: TokenCache::default(),
            feeding: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            tasks: TaskTracker::new(),
            ending: CancellationToken::new(),
            changing: tokio::sync::Mutex::default(),
            suspended: Mutex::default(),
            leases: Mutex::default(),
            grown: Arc::default(),
            held_for_others: Mutex::default(),
        }));
        let context = deliver.0.clone();
        deliver.0.tasks.spawn(async move { context.route().await });
        deliver.join().await?;
        Ok(deliver)
    }

    /// Something about an integration was saved: created, edited, started, stopped, deleted, or a rejected event is to
    /// be tried again. Its lane reads the state and does what is due. Returns when it has taken the change up: then a
    /// deleted lane has nothing under way, a stopped one starts nothing.
    pub async fn changed(&self, company: CompanyNo, no: IntegrationNo, id: &str) -> Result<(), StoreError> {
        if self.0.lease(no).is_none() {
            return self.tell_holder(no, &Question::Changed { company, no, id: id.to_owned() }).await;
        }
        self.take_up(company, no, id).await
    }

    async fn take_up(&self, company: CompanyNo, no: IntegrationNo, id: &str) -> Result<(), StoreError> {
        let _one_at_a_time = self.0.changing.lock().await;
        let saved = self.0.stores.state.integration(company, id).await?.filter(|i| i.no == no);
        match saved {
            Some(integration) if integration.status == Status::Running && self.works(company).await? => {
                self.0.take_up(integration).await?;
            }
            Some(_) => self.0.end(company, no, false).await,
            None => self.0.end(company, no, true).await,
        }
        Ok(())
    }

    /// Keeps a lane from taking events while its settings are saved.
    pub async fn hold(&self, company: CompanyNo, no: IntegrationNo) -> Result<Hold, StoreError> {
        if self.0.lease(no).is_none()
            && let Some(at) = self.ask_holder(no, &Question::Hold { company, no }).await?
        {
            return Ok(Hold { at, _until: None });
        }
        self.hold_here(company, no).await
    }

    async fn hold_here(&self, company: CompanyNo, no: IntegrationNo) -> Result<Hold, StoreError> {
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
    pub async fn release_brake(&self, company: CompanyNo, no: IntegrationNo) -> Result<bool, StoreError> {
        if self.0.lease(no).is_none() {
            return Ok(self.ask_holder(no, &Question::ReleaseBrake { company, no }).await?.unwrap_or(false));
        }
        Ok(self.release_brake_here(company, no).await)
    }

    async fn release_brake_here(&self, company: CompanyNo, no: IntegrationNo) -> bool {
        self.0.tell(&self.0.routes.company(company), company, no, Command::ReleaseBrake).await
    }

    /// What a lane is doing now; None when its integration does not run.
    pub async fn lane(&self, company: CompanyNo, no: IntegrationNo) -> Result<Option<LaneStatus>, StoreError> {
        if self.0.lease(no).is_none() {
            return Ok(self.ask_holder(no, &Question::Look { company, no }).await?.flatten());
        }
        Ok(self.lane_here(company, no))
    }

    fn lane_here(&self, company: CompanyNo, no: IntegrationNo) -> Option<LaneStatus> {
        let routes = self.0.routes.company(company);
        let passed = routes.passed(no);
        Some(match routes.look(no)? {
            Ok(handle) => handle.status().at_head(passed),
            Err(read_to) => LaneStatus::resting(read_to),
        })
    }

    /// Rings for each company whose log has grown, after its lanes were shown that.
    pub fn grown(&self) -> Arc<Bell> {
        self.0.grown.clone()
    }

    /// Sets the gauges that are sums over lanes.
    pub fn gauge(&self) {
        let (mut awake, mut in_flight, mut parked, mut open, mut oldest) = (0, 0, 0, 0, None::<Time>);
        for (_, routes) in self.0.routes.all() {
            for status in routes.handles().iter().map(|h| h.status()) {
                awake += 1;
                in_flight += status.in_flight;
                parked += status.parked;
                open += usize::from(status.health != Health::Flowing);
                oldest = status.oldest.into_iter().chain(oldest).min();
            }
        }
        let meters = &self.0.meters;
        for (gauge, count) in [
            (&meters.lanes_awake, awake),
            (&meters.buckets_held, self.buckets_held()),
            (&meters.in_flight, in_flight),
            (&meters.parked, parked),
            (&meters.circuits_open, open),
        ] {
            gauge.set(count as f64);
        }
        meters.lag_seconds.set(oldest.map_or(0.0, |t| (self.0.clock)().since(t).as_secs_f64()));
    }

    /// Saves the cursors of sleeping lanes, which move over unwanted events without a commit of their own.
    pub async fn save_sleeping_cursors(&self) {
        for (_, routes) in self.0.routes.all() {
            for (no, cursor) in routes.unsaved_sleepers() {
                let Some(lease) = self.0.lease(no) else { continue };
                if let Err(e) = self.0.stores.state.advance(no, lease.epoch(), cursor).await {
                    tracing::warn!(integration = no.0, error = %e, "a cursor could not be saved; it is read over again after a restart");
                }
            }
        }
    }

    /// Has every running lane of the companies list what it has not settled up to a position as expired. False: some
    /// lanes could not be reached.
    pub async fn expire(&self, companies: &[(CompanyNo, Seq)]) -> Result<bool, StoreError> {
        let others = self.expire_elsewhere(companies).await?;
        self.expire_here(companies).await?;
        Ok(others)
    }

    async fn expire_here(&self, companies: &[(CompanyNo, Seq)]) -> Result<(), StoreError> {
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
        self.expire_feeds(companies).await
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
        self.leave().await;
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}
