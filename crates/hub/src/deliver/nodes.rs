//! Sharing lanes with other nodes: taking them up, giving them away, and asking who runs one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::anyhow;
use futures_util::future::join_all;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tillstream_model::{CompanyNo, IntegrationNo, Seq};
use tillstream_store::StoreError;
use tillstream_store::nodes::{Lease, NodeEvent, Whom, bucket_of};
use tillstream_store::state::CompanyStatus;
use tokio::sync::{mpsc, oneshot};

use super::{Deliver, LaneStatus};
use crate::access::is_fresh;

/// How long a lane is kept from taking events for another node that does not say that it is done.
const HELD_FOR: Duration = Duration::from_secs(10);
/// Pause before what is held is looked up again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What nodes ask each other. Nodes of neighbouring versions run side by side while they are upgraded, so shapes are
/// only added to; what is not understood is not answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Question {
    /// See [`Deliver::changed`]; answered with nothing.
    Changed { company: CompanyNo, no: IntegrationNo, id: String },
    /// See [`Deliver::hold`]; answered with the position. Holds until `Changed` comes.
    Hold { company: CompanyNo, no: IntegrationNo },
    /// See [`Deliver::release_brake`]; answered with whether the lane runs.
    ReleaseBrake { company: CompanyNo, no: IntegrationNo },
    /// See [`Deliver::lane`]; answered with the lane's status.
    Look { company: CompanyNo, no: IntegrationNo },
    /// See [`Deliver::lanes`]; answered with the lanes that run there.
    Lanes { company: CompanyNo },
    /// See [`Deliver::company_changed`]; answered with nothing.
    CompanyChanged { company: CompanyNo },
    /// See [`Deliver::acknowledge`]; answered with whether it is noted.
    Acknowledge { company: CompanyNo, no: IntegrationNo, id: String, to: Seq },
    /// See [`Deliver::expire`]; answered with nothing, when it is done.
    Expire { companies: Vec<(CompanyNo, Seq)> },
}

impl Deliver {
    /// Takes part with what this node gains at once, and goes on in the background.
    pub(super) async fn join(&self) -> anyhow::Result<()> {
        let events = self.0.stores.nodes.events().await;
        let mut events = events.ok_or_else(|| anyhow!("another hub runs on this engine in this process"))?;
        let first = events.recv().await.ok_or_else(|| anyhow!("the engine has ended"))?;
        self.told(first).await?;
        let deliver = self.clone();
        self.0.tasks.spawn(async move { deliver.take_part(events).await });
        Ok(())
    }

    async fn take_part(self, mut events: mpsc::Receiver<NodeEvent>) {
        loop {
            let event = tokio::select! {
                () = self.0.ending.cancelled() => return,
                event = events.recv() => event,
            };
            let Some(event) = event else { return };
            if let Err(e) = self.told(event).await {
                tracing::error!(error = %e, "lanes could not be taken up");
            }
        }
    }

    async fn told(&self, event: NodeEvent) -> Result<(), StoreError> {
        match event {
            NodeEvent::Gained(leases) => self.gained(leases).await,
            NodeEvent::Lost(leases) => {
                self.forget(&leases);
                self.drop_lanes(&leases);
                Ok(())
            }
            NodeEvent::GiveUp(leases) => {
                let deliver = self.clone();
                self.0.tasks.spawn(async move { deliver.give_up(leases).await });
                Ok(())
            }
            NodeEvent::Asked { question, answer } => {
                let deliver = self.clone();
                self.0.tasks.spawn(async move { deliver.answer(&question, answer).await });
                Ok(())
            }
        }
    }

    /// Starts the lanes of these buckets. Repeated until it works: nobody else runs them.
    async fn gained(&self, leases: Vec<Lease>) -> Result<(), StoreError> {
        let buckets: BTreeSet<u16> = leases.iter().map(Lease::bucket).collect();
        if buckets.is_empty() {
            return Ok(());
        }
        self.leases().extend(leases.into_iter().map(|lease| (lease.bucket(), lease)));
        loop {
            match self.start_lanes(&buckets).await {
                Err(e) if !self.0.ending.is_cancelled() => {
                    tracing::warn!(error = %e, "lanes can't start yet");
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                done => return done,
            }
        }
    }

    async fn start_lanes(&self, buckets: &BTreeSet<u16>) -> Result<(), StoreError> {
        let _one_at_a_time = self.0.changing.lock().await;
        let asleep = self.suspended().await?;
        for head in self.0.stores.state.lane_heads().await? {
            let (company, no) = (head.integration.company, head.integration.no);
            let known = self.0.routes.company(company).look(no).is_some();
            if buckets.contains(&bucket_of(no)) && !known && !asleep.contains(&company) {
                self.0.add(head).await?;
            }
        }
        Ok(())
    }

    /// A company was suspended, resumed or hidden to be deleted: its lanes end, or start, on all nodes, and what was looked
    /// up of it is looked up anew. Returns when they have.
    pub async fn company_changed(&self, company: CompanyNo) -> Result<(), StoreError> {
        self.company_changed_here(company).await?;
        self.0.stores.nodes.ask(Whom::Others, written(&Question::CompanyChanged { company })?).await?;
        Ok(())
    }

    async fn company_changed_here(&self, company: CompanyNo) -> Result<(), StoreError> {
        self.0.access.company_changed();
        let asleep = self.suspended().await?;
        let gone = self.0.stores.state.leaving().await?.iter().any(|l| l.company.no == company);
        if gone {
            self.0.live.end_of(company);
        }
        if !asleep.contains(&company) {
            let held = self.leases().keys().copied().collect();
            return self.start_lanes(&held).await;
        }
        let _one_at_a_time = self.0.changing.lock().await;
        let lanes = self.0.routes.company(company).lanes();
        join_all(lanes.into_iter().map(|no| self.0.end(company, no, gone))).await;
        Ok(())
    }

    /// What all lanes of a company are doing now, on whatever node; those of a node that does not answer are left out.
    pub async fn lanes(&self, company: CompanyNo) -> Result<BTreeMap<IntegrationNo, LaneStatus>, StoreError> {
        let mut lanes: BTreeMap<_, _> = self.lanes_here(company).into_iter().collect();
        let answers = self.0.stores.nodes.ask(Whom::Others, written(&Question::Lanes { company })?).await?;
        for answer in answers.into_iter().flatten() {
            let theirs: Vec<(IntegrationNo, LaneStatus)> = serde_json::from_slice(&answer).unwrap_or_default();
            lanes.extend(theirs);
        }
        Ok(lanes)
    }

    fn lanes_here(&self, company: CompanyNo) -> Vec<(IntegrationNo, LaneStatus)> {
        let routes = self.0.routes.company(company);
        routes.lanes().into_iter().filter_map(|no| Some((no, self.lane_here(company, no)?))).collect()
    }

    /// Companies whose lanes do not run, as they are now.
    async fn suspended(&self) -> Result<BTreeSet<CompanyNo>, StoreError> {
        let at = (self.0.clock)();
        let all = self.0.stores.state.companies().await?;
        let leaving = self.0.stores.state.leaving().await?.into_iter().map(|l| l.company);
        let asleep = all.into_iter().chain(leaving).filter(|c| c.rules.status != CompanyStatus::Active);
        let found: BTreeSet<CompanyNo> = asleep.map(|c| c.no).collect();
        *self.0.suspended.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, found.clone()));
        Ok(found)
    }

    /// Whether a company's lanes run, as that was a few seconds ago at most: whoever changes it says so.
    pub(super) async fn works(&self, company: CompanyNo) -> Result<bool, StoreError> {
        let now = (self.0.clock)();
        let known = {
            let suspended = self.0.suspended.lock().unwrap_or_else(PoisonError::into_inner);
            suspended.as_ref().filter(|(at, _)| is_fresh(*at, now)).map(|(_, found)| found.contains(&company))
        };
        match known {
            Some(suspended) => Ok(!suspended),
            None => Ok(!self.suspended().await?.contains(&company)),
        }
    }

    /// Makes the lanes of this node's buckets what is saved: what another node changed and could not tell is taken up.
    pub async fn reconcile(&self) -> Result<(), StoreError> {
        let held: BTreeSet<u16> = self.leases().values().filter(|l| l.ends() && l.holds()).map(Lease::bucket).collect();
        if held.is_empty() {
            // Nobody else changes anything.
            return Ok(());
        }
        let _one_at_a_time = self.0.changing.lock().await;
        let (asleep, mut running) = (self.suspended().await?, BTreeSet::new());
        for head in self.0.stores.state.lane_heads().await? {
            let (company, no) = (head.integration.company, head.integration.no);
            if !held.contains(&bucket_of(no)) || asleep.contains(&company) {
                continue;
            }
            running.insert(no);
            match self.0.routes.company(company).settings(no) {
                None => self.0.add(head).await?,
                Some(known) if *known != *head.integration.settings => self.0.take_up(head.integration).await?,
                Some(_) => {}
            }
        }
        let over = self.lanes_of(&held).into_iter().filter(|(_, no)| !running.contains(no));
        join_all(over.map(|(company, no)| self.0.end(company, no, false))).await;
        Ok(())
    }

    /// Ends the lanes of these buckets in good order, then lets others have them.
    async fn give_up(self, leases: Vec<Lease>) {
        self.save_sleeping_cursors().await;
        self.forget(&leases);
        let buckets: BTreeSet<u16> = leases.iter().map(Lease::bucket).collect();
        let lanes = self.lanes_of(&buckets);
        join_all(lanes.into_iter().map(|(company, no)| self.0.end(company, no, false))).await;
        if let Err(e) = self.0.stores.nodes.give_back(&leases).await {
            tracing::warn!(error = %e, "buckets could not be given back; others take them when the leases end");
        }
    }

    /// How many buckets this node runs.
    pub(super) fn buckets_held(&self) -> usize {
        self.leases().values().filter(|lease| lease.holds()).count()
    }

    /// Gives everything back.
    pub(super) async fn leave(&self) {
        let leases: Vec<Lease> = self.leases().drain().map(|(_, lease)| lease).collect();
        if let Err(e) = self.0.stores.nodes.leave(&leases).await {
            tracing::warn!(error = %e, "buckets could not be given back; others take them when the leases end");
        }
    }

    fn forget(&self, leases: &[Lease]) {
        let mut held = self.leases();
        for lease in leases {
            if held.get(&lease.bucket()).is_some_and(|known| known.epoch() == lease.epoch()) {
                held.remove(&lease.bucket());
            }
        }
    }

    /// Lanes that run end by themselves with their lease.
    fn drop_lanes(&self, leases: &[Lease]) {
        let buckets: BTreeSet<u16> = leases.iter().map(Lease::bucket).collect();
        for (company, no) in self.lanes_of(&buckets) {
            self.0.routes.company(company).remove(no);
        }
    }

    fn lanes_of(&self, buckets: &BTreeSet<u16>) -> Vec<(CompanyNo, IntegrationNo)> {
        let all = self.0.routes.all();
        let lanes = all.iter().flat_map(|(company, routes)| routes.lanes().into_iter().map(|no| (*company, no)));
        lanes.filter(|(_, no)| buckets.contains(&bucket_of(*no))).collect()
    }

    fn leases(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<u16, Lease>> {
        self.0.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_for_others(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<IntegrationNo, super::Hold>> {
        self.0.held_for_others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the node that runs a lane; None when nobody does, or it does not answer.
    pub(super) async fn ask_holder<T: DeserializeOwned>(
        &self,
        no: IntegrationNo,
        question: &Question,
    ) -> Result<Option<T>, StoreError> {
        let answers = self.0.stores.nodes.ask(Whom::Holder(bucket_of(no)), written(question)?).await?;
        let answer = answers.into_iter().flatten().next();
        Ok(answer.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Tells the node that runs a lane. Should it not listen, it takes the change up when it next reads what is saved.
    pub(super) async fn tell_holder(&self, no: IntegrationNo, question: &Question) -> Result<(), StoreError> {
        let _: Option<()> = self.ask_holder(no, question).await?;
        Ok(())
    }

    /// Has other nodes expire; whether all lanes there are were reached.
    pub(super) async fn expire_elsewhere(&self, companies: &[(CompanyNo, Seq)]) -> Result<bool, StoreError> {
        let question = written(&Question::Expire { companies: companies.to_vec() })?;
        let answers = self.0.stores.nodes.ask(Whom::Others, question).await?;
        Ok(answers.iter().all(Option::is_some) && self.0.stores.nodes.complete().await?)
    }

    async fn answer(self, question: &[u8], answer: oneshot::Sender<Vec<u8>>) {
        let Ok(question) = serde_json::from_slice(question) else { return };
        let said = match question {
            Question::Changed { company, no, id } => {
                self.held_for_others().remove(&no);
                self.take_up_if_held(company, no, &id).await.map(|()| serde_json::to_vec(&()))
            }
            Question::Hold { company, no } => self.hold_for_other(company, no).await.map(|at| serde_json::to_vec(&at)),
            Question::ReleaseBrake { company, no } => {
                Ok(serde_json::to_vec(&self.release_brake_here(company, no).await))
            }
            Question::Look { company, no } => Ok(serde_json::to_vec(&self.lane_here(company, no))),
            Question::Lanes { company } => Ok(serde_json::to_vec(&self.lanes_here(company))),
            Question::CompanyChanged { company } => {
                self.company_changed_here(company).await.map(|()| serde_json::to_vec(&()))
            }
            Question::Acknowledge { company, no, id, to } => {
                let noted = match self.0.lease(no) {
                    Some(_) => self.acknowledge_here(company, no, &id, to).await,
                    None => Ok(false),
                };
                noted.map(|noted| serde_json::to_vec(&noted))
            }
            Question::Expire { companies } => self.expire_here(&companies).await.map(|()| serde_json::to_vec(&())),
        };
        match said {
            Ok(Ok(said)) => drop(answer.send(said)),
            Ok(Err(e)) => tracing::error!(error = %e, "an answer to another node could not be written"),
            Err(e) => tracing::warn!(error = %e, "another node gets no answer"),
        }
    }

    async fn take_up_if_held(&self, company: CompanyNo, no: IntegrationNo, id: &str) -> Result<(), StoreError> {
        match self.0.lease(no) {
            Some(_) => self.take_up(company, no, id).await,
            None => Ok(()),
        }
    }

    /// Holds a lane until the other node says that it has saved, but not for long.
    async fn hold_for_other(&self, company: CompanyNo, no: IntegrationNo) -> Result<Seq, StoreError> {
        let hold = self.hold_here(company, no).await?;
        let at = hold.at;
        self.held_for_others().insert(no, hold);
        let deliver = self.clone();
        self.0.tasks.spawn(async move {
            tokio::select! {
                () = deliver.0.ending.cancelled() => {}
                () = tokio::time::sleep(HELD_FOR) => {}
            }
            deliver.held_for_others().remove(&no);
        });
        Ok(at)
    }
}

fn written(question: &Question) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(question).map_err(|e| StoreError::new("ask other nodes", e.to_string()))
}
