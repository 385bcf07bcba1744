//! How much may be under way at once: globally, per company and per lane, with half of it kept for lanes whose receiver
//! answers (`design.md`, "Isolation").

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tillstream_model::CompanyNo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Body bytes are counted in blocks of this many, a whole body at once.
const BLOCK_BYTES: usize = 1_024;

/// How much may be under way at once, over all lanes and per company. A lane's own limit is its `max_in_flight`.
#[derive(Clone, Copy, Debug)]
pub struct Budgets {
    /// Attempts over all companies.
    pub attempts: usize,
    /// Attempts per company.
    pub attempts_per_company: usize,
    /// Bytes of request bodies over all companies.
    pub body_bytes: usize,
    /// Bytes of request bodies per company.
    pub body_bytes_per_company: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { attempts: 4_096, attempts_per_company: 2_048, body_bytes: 64 << 20, body_bytes_per_company: 32 << 20 }
    }
}

/// Something countable, half of it open to everybody and half kept for lanes that were answered lately.
struct Halves {
    open: Arc<Semaphore>,
    kept: Arc<Semaphore>,
    half: u32,
}

impl Halves {
    fn new(count: usize) -> Self {
        let half = (count / 2).max(1);
        Self { open: Arc::new(Semaphore::new(half)), kept: Arc::new(Semaphore::new(half)), half: half as u32 }
    }

    fn try_take(&self, count: u32, answered: bool) -> Option<OwnedSemaphorePermit> {
        let count = count.min(self.half);
        let open = || self.open.clone().try_acquire_many_owned(count).ok();
        if answered { self.kept.clone().try_acquire_many_owned(count).ok().or_else(open) } else { open() }
    }

    async fn take(&self, count: u32, answered: bool) -> Option<OwnedSemaphorePermit> {
        let count = count.min(self.half);
        if !answered {
            return self.open.clone().acquire_many_owned(count).await.ok();
        }
        tokio::select! {
            permit = self.kept.clone().acquire_many_owned(count) => permit.ok(),
            permit = self.open.clone().acquire_many_owned(count) => permit.ok(),
        }
    }
}

struct Level {
    attempts: Halves,
    bytes: Halves,
}

/// The budgets of the whole hub.
pub(super) struct Budget {
    sizes: Budgets,
    global: Level,
    companies: Mutex<HashMap<CompanyNo, Arc<Level>>>,
}

/// One lane's access to the budgets.
#[derive(Clone)]
pub(super) struct Share {
    hub: Arc<Budget>,
    company: Arc<Level>,
}

/// The right to have one attempt under way; ends when dropped.
pub(super) struct Slot {
    _company: OwnedSemaphorePermit,
    _global: OwnedSemaphorePermit,
}

impl Budget {
    pub(super) fn new(sizes: Budgets) -> Arc<Self> {
        let global =
            Level { attempts: Halves::new(sizes.attempts), bytes: Halves::new(sizes.body_bytes / BLOCK_BYTES) };
        Arc::new(Self { sizes, global, companies: Mutex::default() })
    }

    pub(super) fn share(self: &Arc<Self>, company: CompanyNo) -> Share {
        let mut companies = self.companies.lock().unwrap_or_else(PoisonError::into_inner);
        let level = companies.entry(company).or_insert_with(|| {
            Arc::new(Level {
                attempts: Halves::new(self.sizes.attempts_per_company),
                bytes: Halves::new(self.sizes.body_bytes_per_company / BLOCK_BYTES),
            })
        });
        Share { hub: self.clone(), company: level.clone() }
    }
}

impl Share {
    /// A slot now, or none. `answered`: the lane's receiver answered lately.
    pub(super) fn try_slot(&self, answered: bool) -> Option<Slot> {
        let company = self.company.attempts.try_take(1, answered)?;
        let global = self.hub.global.attempts.try_take(1, answered)?;
        Some(Slot { _company: company, _global: global })
    }

    /// A slot, when one is free; in the order of asking.
    pub(super) async fn slot(&self, answered: bool) -> Option<Slot> {
        let company = self.company.attempts.take(1, answered).await?;
        let global = self.hub.global.attempts.take(1, answered).await?;
        Some(Slot { _company: company, _global: global })
    }

    /// Room for a body of this size.
    pub(super) async fn body(&self, bytes: usize, answered: bool) -> Option<[OwnedSemaphorePermit; 2]> {
        let blocks = bytes.div_ceil(BLOCK_BYTES) as u32;
        let company = self.company.bytes.take(blocks, answered).await?;
        let global = self.hub.global.bytes.take(blocks, answered).await?;
        Some([company, global])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(attempts: usize) -> Share {
        let sizes = Budgets { attempts, attempts_per_company: attempts, ..Budgets::default() };
        Budget::new(sizes).share(CompanyNo(1))
    }

    #[tokio::test]
    async fn lanes_without_answers_get_at_most_half() {
        let share = budget(8);
        let silent: Vec<Slot> = std::iter::from_fn(|| share.try_slot(false)).collect();
        assert_eq!(silent.len(), 4);
        let answered: Vec<Slot> = std::iter::from_fn(|| share.try_slot(true)).collect();
        assert_eq!(answered.len(), 4);
        drop(silent);
        assert!(share.try_slot(true).is_some());
    }

    #[tokio::test]
    async fn a_body_larger_than_the_budget_gets_all_of_it_instead_of_waiting_for_ever() {
        let sizes =
            Budgets { body_bytes: 4 * BLOCK_BYTES, body_bytes_per_company: 4 * BLOCK_BYTES, ..Budgets::default() };
        let share = Budget::new(sizes).share(CompanyNo(1));
        assert!(share.body(100 * BLOCK_BYTES, false).await.is_some());
    }
}
