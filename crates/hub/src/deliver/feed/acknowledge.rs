//! Noting what a consumer has.

use std::sync::Arc;

use tillstream_model::integration::{Status, Target};
use tillstream_model::selection::wants;
use tillstream_model::{CompanyNo, Event, IntegrationNo, Seq, Time};
use tillstream_store::nodes::bucket_of;
use tillstream_store::state::{Attempt, Integration, LaneCommit, LogEntry, Totals, name_hash};
use tillstream_store::{ReadLimit, StoreError};

use crate::deliver::Deliver;
use crate::deliver::commit::log_entry;
use crate::deliver::nodes::Question;

/// What is settled with one commit.
const AT_ONCE: ReadLimit = ReadLimit { events: 512, bytes: 4 << 20 };

impl Deliver {
    /// Settles everything up to a position of a feed as delivered; what is settled already stays so. False: nobody
    /// could note it, ask again.
    pub async fn acknowledge(
        &self,
        company: CompanyNo,
        no: IntegrationNo,
        id: &str,
        to: Seq,
    ) -> Result<bool, StoreError> {
        if self.0.lease(no).is_none() {
            let question = Question::Acknowledge { company, no, id: id.to_owned(), to };
            return Ok(self.ask_holder(no, &question).await?.unwrap_or(false));
        }
        self.acknowledge_here(company, no, id, to).await
    }

    pub(in crate::deliver) async fn acknowledge_here(
        &self,
        company: CompanyNo,
        no: IntegrationNo,
        id: &str,
        to: Seq,
    ) -> Result<bool, StoreError> {
        // Of two consumers each event is counted once.
        let _one_at_a_time = self.0.feeding[usize::from(bucket_of(no))].lock().await;
        let saved = self.0.stores.state.integration(company, id).await?;
        let Some(integration) = saved.filter(|i| i.no == no && is_running_feed(i)) else { return Ok(false) };
        let mut cursor = self.0.stores.state.lane_figures(no).await?.cursor;
        let mut log = self.gap(&integration, cursor, to).await?;
        while cursor < to {
            let Some(lease) = self.0.lease(no) else { return Ok(false) };
            let (last, events) = self.wanted_between(&integration, cursor, to).await?;
            let now = (self.0.clock)();
            let commit = LaneCommit {
                epoch: lease.epoch(),
                cursor: last,
                add: Totals { delivered: events.len() as u64, ..Totals::default() },
                attempts: events.iter().map(|event| handed_out(event, now)).collect(),
                log: std::mem::take(&mut log),
                ..LaneCommit::default()
            };
            self.0.meters.delivered.increment(commit.add.delivered);
            self.0.stores.state.commit(no, commit).await?;
            cursor = last;
        }
        Ok(true)
    }

    /// What the log dropped while the feed was stopped is said.
    async fn gap(&self, integration: &Integration, cursor: Seq, to: Seq) -> Result<Vec<LogEntry>, StoreError> {
        let floor = self.0.stores.log.floor(integration.company).await?.min(to);
        if cursor >= floor {
            return Ok(Vec::new());
        }
        let reason = format!("{} events after position {cursor} had passed their retention", floor - cursor);
        Ok(vec![log_entry("gap_skipped", reason, (self.0.clock)())])
    }

    /// What an integration wants of the next stretch up to a position, and where that stretch ends.
    pub(super) async fn wanted_between(
        &self,
        integration: &Integration,
        after: Seq,
        to: Seq,
    ) -> Result<(Seq, Vec<Arc<Event>>), StoreError> {
        let mut events = self.0.stores.log.read(integration.company, after, AT_ONCE).await?;
        events.retain(|e| e.seq <= to);
        let last = events.last().map_or(to, |e| e.seq);
        events.retain(|e| wants(&integration.settings, e).is_ok());
        Ok((last, events))
    }
}

pub(super) fn is_running_feed(integration: &Integration) -> bool {
    integration.settings.target == Target::Feed && integration.status == Status::Running
}

/// The row by which lists and explanations know that the consumer has an event.
fn handed_out(event: &Event, at: Time) -> Attempt {
    Attempt {
        seq: event.seq,
        at,
        number: 1,
        elapsed_ms: 0,
        status: None,
        remaining: 0,
        domain_key: event.content.domain_key(),
        name_hash: name_hash(&event.content.name),
        failure: None,
    }
}
