//! Bells: wake-ups that carry no data.

use std::collections::BTreeSet;
use std::sync::Mutex;

use tillstream_model::CompanyNo;
use tokio::sync::Notify;

/// Says that a company's log has grown. Rings that come before somebody waits are kept, once per company, so none is
/// lost; who wakes up reads the log. One waiter.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<BTreeSet<CompanyNo>>,
    notify: Notify,
}

impl Bell {
    /// Rings for a company. Never waits.
    pub fn ring(&self, company: CompanyNo) {
        let first = {
            let mut rung = self.lock();
            let was_quiet = rung.is_empty();
            rung.insert(company);
            was_quiet
        };
        if first {
            self.notify.notify_one();
        }
    }

    /// Waits until it rang, and gives the companies it rang for since the last call.
    pub async fn wait(&self) -> BTreeSet<CompanyNo> {
        loop {
            let rung = std::mem::take(&mut *self.lock());
            if !rung.is_empty() {
                return rung;
            }
            self.notify.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<CompanyNo>> {
        self.rung.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ring_before_the_wait_is_kept_once_per_company() {
        let bell = Bell::default();
        for no in [3, 1, 3] {
            bell.ring(CompanyNo(no));
        }
        assert_eq!(bell.wait().await, BTreeSet::from([CompanyNo(1), CompanyNo(3)]));
        bell.ring(CompanyNo(2));
        assert_eq!(bell.wait().await, BTreeSet::from([CompanyNo(2)]));
    }
}
