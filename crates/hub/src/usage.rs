//! How much companies use: counted in memory, added to what is saved every few seconds.
//!
//! A process that ends in good order loses nothing; one that is killed loses what it counted since the last time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tillstream_model::{CompanyNo, Time};
use tillstream_store::usage::{Counts, USAGE_DAYS, Used};
use tillstream_store::{Retention, State, StoreError};

/// How long the saved figure of what a company has in the log counts before it is looked at again.
const FRESH: Duration = Duration::from_secs(5);

/// A company's day, and the class of what was counted.
type Place = (CompanyNo, i64, Option<Retention>);

/// Counts for all companies.
pub struct Usage {
    state: Arc<dyn State>,
    counted: Mutex<BTreeMap<Place, Counts>>,
    saved: Mutex<HashMap<CompanyNo, Saved>>,
}

/// What was saved of a company's bytes.
#[derive(Clone, Copy)]
struct Saved {
    bytes: u64,
    at: Time,
}

impl Usage {
    /// Added to this state.
    pub fn new(state: Arc<dyn State>) -> Self {
        Self { state, counted: Mutex::default(), saved: Mutex::default() }
    }

    /// Counts what a company used.
    pub fn add(&self, company: CompanyNo, retention: Option<Retention>, counts: &Counts, now: Time) {
        if *counts != Counts::default() {
            lock(&self.counted).entry((company, now.day(), retention)).or_default().add(counts);
        }
    }

    /// Adds what was counted to what is saved. What could not be added is added the next time.
    pub async fn flush(&self) {
        let counted = lock(&self.counted).clone();
        if counted.is_empty() {
            return;
        }
        if let Err(e) = self.state.add_usage(rows(&counted).collect()).await {
            tracing::warn!(error = %e, "what was used could not be noted; trying again in the next round");
            return;
        }
        let mut now = lock(&self.counted);
        let mut saved = lock(&self.saved);
        for (place, added) in counted {
            saved.remove(&place.0);
            let left = now.get(&place).map(|counts| without(counts, &added)).filter(|left| *left != Counts::default());
            match left {
                Some(left) => now.insert(place, left),
                None => now.remove(&place),
            };
        }
    }

    /// What a company used from a day to another, both included: what is saved, and what was counted here since.
    pub async fn of(&self, company: CompanyNo, from: i64, to: i64) -> Result<Vec<Used>, StoreError> {
        let mut used = self.state.usage(company, from, to).await?;
        used.extend(rows(&lock(&self.counted)).filter(|u| u.company == company && (from..=to).contains(&u.day)));
        Ok(used)
    }

    /// Bytes of a company's events in the log.
    pub async fn stored_bytes(&self, company: CompanyNo, now: Time) -> Result<u64, StoreError> {
        let today = now.day();
        let known = lock(&self.saved).get(&company).copied().filter(|s| s.at <= now && now < s.at + FRESH);
        let saved = match known {
            Some(saved) => saved.bytes,
            None => {
                let used = self.state.usage(company, today - USAGE_DAYS, today).await?;
                let bytes = used.iter().map(|u| u.stored_bytes(today)).sum();
                lock(&self.saved).insert(company, Saved { bytes, at: now });
                bytes
            }
        };
        let counted = lock(&self.counted);
        let here: u64 = rows(&counted).filter(|u| u.company == company).map(|u| u.stored_bytes(today)).sum();
        Ok(saved + here)
    }
}

fn rows(counted: &BTreeMap<Place, Counts>) -> impl Iterator<Item = Used> {
    counted.iter().map(|((company, day, retention), counts)| Used {
        company: *company,
        day: *day,
        retention: *retention,
        counts: *counts,
    })
}

fn without(counts: &Counts, taken: &Counts) -> Counts {
    Counts {
        events: counts.events - taken.events,
        bytes: counts.bytes - taken.bytes,
        delivered: counts.delivered - taken.delivered,
        rejected: counts.rejected - taken.rejected,
        expired: counts.expired - taken.expired,
        attempts: counts.attempts - taken.attempts,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
