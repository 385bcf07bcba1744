//! Where the lanes of this node stand, for those who look at all of them.

use std::sync::{Arc, PoisonError};

use tillstream_model::integration::Settings;
use tillstream_model::{CompanyNo, IntegrationNo, Time};

use super::Deliver;
use super::handle::Health;

/// The bucket whose holder does what one node does for all.
const LEADING: u16 = 0;

/// A lane that runs here.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Whose.
    pub company: CompanyNo,
    /// Its integration.
    pub no: IntegrationNo,
    /// What it is known with.
    pub settings: Arc<Settings>,
    /// Whether attempts flow: its receiver neither fails nor refuses everything.
    pub flows: bool,
    /// When its oldest event was accepted; None: it has none, or only such as wait for another attempt.
    pub oldest: Option<Time>,
}

impl Deliver {
    /// Whether this node does what one node does for all. Another one may think so too for a moment, so what is done
    /// must be safe to be done twice.
    pub fn leads(&self) -> bool {
        let leases = self.0.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.get(&LEADING).is_some_and(|lease| lease.holds())
    }

    /// Whether this node is the one that runs a lane, if it runs.
    pub fn runs_here(&self, no: IntegrationNo) -> bool {
        self.0.lease(no).is_some()
    }

    /// All lanes that this node runs, sleeping ones too.
    pub fn standings(&self) -> Vec<Standing> {
        let mut all = Vec::new();
        for (company, routes) in self.0.routes.all() {
            for (no, settings, handle) in routes.entries() {
                let status = handle.map(|h| h.status());
                let flows = status.as_ref().is_none_or(|s| s.health == Health::Flowing);
                all.push(Standing { company, no, settings, flows, oldest: status.and_then(|s| s.oldest) });
            }
        }
        all
    }
}
