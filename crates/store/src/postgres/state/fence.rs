//! Outcomes of a lane that another node runs by now are not written.

use std::collections::{BTreeSet, HashMap};

use tokio_postgres::types::Type;

use super::outcome::Outcome;
use crate::engine::Cause;
use crate::postgres::session::Session;

/// The epochs of some buckets, which stay as they are until the transaction ends.
pub(super) struct Fence(HashMap<i32, i64>);

impl Fence {
    /// Shares the outcomes' buckets. The lock keeps others from taking a bucket, and its holder not from renewing it.
    pub(super) async fn share(session: &Session, outcomes: &[Outcome]) -> Result<Self, Cause> {
        let buckets: Vec<i32> = outcomes.iter().map(|o| o.bucket).collect::<BTreeSet<_>>().into_iter().collect();
        let sql = "SELECT bucket, epoch FROM buckets WHERE bucket = ANY($1) ORDER BY bucket FOR KEY SHARE";
        let found = session.rows(sql, &[(&buckets, Type::INT4_ARRAY)]).await?;
        Ok(Self(found.iter().map(|r| (r.get(0), r.get(1))).collect()))
    }

    /// Whether an outcome comes from under the newest lease; if not, why nothing of it is written.
    pub(super) fn check(&self, outcome: &Outcome) -> Result<(), String> {
        match self.0.get(&outcome.bucket) {
            Some(epoch) if *epoch == outcome.epoch => Ok(()),
            Some(epoch) => Err(format!(
                "the lane is another node's by now: bucket {} is in epoch {epoch}, not in {}",
                outcome.bucket, outcome.epoch
            )),
            None => Err(format!("there is no bucket {}", outcome.bucket)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::bucket_of;
    use tillstream_model::IntegrationNo;

    #[test]
    fn only_the_newest_epoch_of_the_lanes_own_bucket_writes() {
        let (a, b, elsewhere) = (IntegrationNo(1), IntegrationNo(2), IntegrationNo(3));
        let fence = Fence(HashMap::from([(i32::from(bucket_of(a)), 2), (i32::from(bucket_of(b)), 0)]));
        let check = |no, epoch| fence.check(&Outcome::moved(no, epoch, 1)).is_ok();
        assert!(check(a, 2) && check(b, 0));
        assert!(!check(a, 1) && !check(a, 3) && !check(b, 2) && !check(elsewhere, 0));
    }
}
