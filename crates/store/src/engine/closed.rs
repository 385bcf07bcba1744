//! Companies whose log is closed for good. Asked for each append and each read, so it costs nothing while there are
//! none.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use tillstream_model::CompanyNo;

/// Companies whose log is closed, as far as this process knows.
#[derive(Default)]
pub(crate) struct Closed {
    any: AtomicBool,
    companies: RwLock<BTreeSet<CompanyNo>>,
}

impl Closed {
    /// Closes a company's log.
    pub(crate) fn add(&self, company: CompanyNo) {
        self.companies.write().unwrap_or_else(PoisonError::into_inner).insert(company);
        self.any.store(true, Ordering::Release);
    }

    /// Whether a company's log is closed.
    pub(crate) fn has(&self, company: CompanyNo) -> bool {
        self.any.load(Ordering::Acquire)
            && self.companies.read().unwrap_or_else(PoisonError::into_inner).contains(&company)
    }
}
