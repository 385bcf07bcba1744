//! Events that the log drops before their consumer asked for them.

use tillstream_model::lane::Reason;
use tillstream_model::{CompanyNo, Seq};
use tillstream_store::StoreError;
use tillstream_store::nodes::bucket_of;
use tillstream_store::state::{Integration, LaneCommit, Rejected, Totals};

use super::acknowledge::is_running_feed;
use crate::deliver::Deliver;

impl Deliver {
    /// Has every running feed of the companies list what its consumer does not have up to a position as expired.
    pub(in crate::deliver) async fn expire_feeds(&self, companies: &[(CompanyNo, Seq)]) -> Result<(), StoreError> {
        for head in self.0.stores.state.lane_heads().await? {
            let integration = head.integration;
            let to = companies.iter().find(|(company, _)| *company == integration.company).map(|(_, to)| *to);
            if let Some(to) = to.filter(|_| is_running_feed(&integration)) {
                self.expire_feed(&integration, to).await?;
            }
        }
        Ok(())
    }

    async fn expire_feed(&self, integration: &Integration, to: Seq) -> Result<(), StoreError> {
        let no = integration.no;
        let _one_at_a_time = self.0.feeding[usize::from(bucket_of(no))].lock().await;
        let mut cursor = self.0.stores.state.lane_figures(no).await?.cursor;
        while cursor < to {
            let Some(lease) = self.0.lease(no) else { return Ok(()) };
            let (last, events) = self.wanted_between(integration, cursor, to).await?;
            let at = (self.0.clock)();
            let (last_status, detail, attempts) = (None, None, 0);
            let reason = Reason::Expired.as_str();
            let rejected = events.into_iter().map(|event| Rejected {
                event,
                at,
                reason: reason.to_owned(),
                last_status,
                detail: detail.clone(),
                attempts,
            });
            let reject: Vec<Rejected> = rejected.collect();
            let add = Totals { expired: reject.len() as u64, ..Totals::default() };
            self.0.meters.expired.increment(add.expired);
            let commit = LaneCommit { epoch: lease.epoch(), cursor: last, reject, add, ..LaneCommit::default() };
            self.0.stores.state.commit(no, commit).await?;
            cursor = last;
        }
        Ok(())
    }
}
