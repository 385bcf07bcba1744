//! Statistics: counted here in memory, and added to what is durable every few seconds. Nodes add up. A process that is
//! killed loses what it counted since; nothing is counted twice, but when the engine was lost in the middle of an
//! addition and did it nevertheless.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tillstream_model::{CompanyNo, Time};
use tillstream_store::State;
use tillstream_store::state::{Bucket, Counts, Resolution, Totals};

/// Buckets that are added at once: an engine's writer is not held up for long.
const ADD_AT_ONCE: usize = 200;
/// Most buckets that are kept while the engine can't be reached; then the counts of more companies and minutes are
/// dropped.
pub const MAX_WAITING: usize = 50_000;

/// What was counted since it was last written down. Cheap to clone.
#[derive(Clone, Default)]
pub struct Statistics(Arc<Mutex<HashMap<(CompanyNo, Time), Counts>>>);

impl Statistics {
    /// Events of a request were accepted.
    pub fn accepted(&self, company: CompanyNo, events: u64, now: Time) {
        self.count(company, now, Counts { accepted: events, ..Counts::default() });
    }

    /// Outcomes of a lane were committed.
    pub fn outcomes(&self, company: CompanyNo, add: &Totals, now: Time) {
        let Totals { delivered, rejected, expired, failures } = *add;
        self.count(company, now, Counts { accepted: 0, delivered, rejected, expired, failures });
    }

    /// Once for each request and each commit of a lane, whatever the number of events.
    fn count(&self, company: CompanyNo, at: Time, counts: Counts) {
        if counts != Counts::default() {
            add(&mut self.lock(), (company, Resolution::Minute.start(at)), counts);
        }
    }

    /// Writes down what was counted. What could not be written is written the next time.
    pub async fn flush(&self, state: &dyn State) {
        let mut left: Vec<_> = std::mem::take(&mut *self.lock()).into_iter().collect();
        while !left.is_empty() {
            let some = left.split_off(left.len().saturating_sub(ADD_AT_ONCE));
            if let Err(e) = state.add_statistics(buckets(&some)).await {
                tracing::warn!(error = %e, "statistics could not be written down; trying again in the next round");
                left.extend(some);
                let mut counted = self.lock();
                left.into_iter().for_each(|(key, counts)| add(&mut counted, key, counts));
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(CompanyNo, Time), Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(counted: &mut HashMap<(CompanyNo, Time), Counts>, key: (CompanyNo, Time), counts: Counts) {
    if counted.len() < MAX_WAITING || counted.contains_key(&key) {
        *counted.entry(key).or_default() += counts;
    }
}

/// The minutes themselves, and the hours they fall into, each once.
fn buckets(minutes: &[((CompanyNo, Time), Counts)]) -> Vec<Bucket> {
    let mut all: HashMap<(CompanyNo, Resolution, Time), Counts> = HashMap::new();
    for ((company, at), counts) in minutes {
        for resolution in Resolution::ALL {
            *all.entry((*company, resolution, resolution.start(*at))).or_default() += *counts;
        }
    }
    let bucket = |((company, resolution, at), counts)| Bucket { company, resolution, at, counts };
    all.into_iter().map(bucket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tillstream_store::{MasterKey, sqlite};

    const ACME: CompanyNo = CompanyNo(1);

    fn at(text: &str) -> Time {
        text.parse().unwrap()
    }

    #[test]
    fn minutes_are_added_to_their_hours_and_each_bucket_comes_once() {
        let statistics = Statistics::default();
        statistics.accepted(ACME, 2, at("2026-11-21T10:58:59Z"));
        statistics.accepted(ACME, 3, at("2026-11-21T10:59:01Z"));
        statistics.accepted(ACME, 4, at("2026-11-21T11:00:00Z"));
        statistics.accepted(ACME, 0, at("2026-11-21T12:00:00Z"));
        let totals = Totals { delivered: 1, rejected: 2, expired: 3, failures: 4 };
        statistics.outcomes(ACME, &totals, at("2026-11-21T10:59:59Z"));
        let minutes: Vec<_> = statistics.lock().clone().into_iter().collect();
        let mut all = buckets(&minutes);
        all.sort_by_key(|b| (b.resolution, b.at));
        let told: Vec<_> = all.iter().map(|b| (b.resolution, b.at.to_string(), b.counts.accepted)).collect();
        let minute = |text: &str, n| (Resolution::Minute, format!("2026-11-21T{text}:00.000Z"), n);
        let hour = |text: &str, n| (Resolution::Hour, format!("2026-11-21T{text}:00.000Z"), n);
        assert_eq!(
            told,
            [minute("10:58", 2), minute("10:59", 3), minute("11:00", 4), hour("10:00", 5), hour("11:00", 4)]
        );
        let outcomes = Counts { accepted: 3, delivered: 1, rejected: 2, expired: 3, failures: 4 };
        assert_eq!(all[1].counts, outcomes);
    }

    #[tokio::test]
    async fn everything_that_was_counted_is_written_once_however_much_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let now = at("2026-11-21T10:58:59Z");
        let options = sqlite::Options::new(Arc::new(move || now), MasterKey::new([7; 32]));
        let state = sqlite::open(folder.path(), options).unwrap().state;
        let statistics = Statistics::default();
        let companies = (1..=2 * ADD_AT_ONCE as u32 + 1).map(CompanyNo);
        for round in 1..=2 {
            companies.clone().for_each(|company| statistics.accepted(company, u64::from(company.0), now));
            statistics.flush(&*state).await;
            statistics.flush(&*state).await;
            assert!(statistics.lock().is_empty());
            for company in companies.clone() {
                let hour = Resolution::Hour;
                let found = state.statistics(company, hour, hour.start(now), now).await.unwrap();
                let accepted = round * u64::from(company.0);
                assert_eq!(found, [(hour.start(now), Counts { accepted, ..Counts::default() })]);
            }
        }
    }

    #[test]
    fn what_waits_to_be_written_has_a_limit() {
        let statistics = Statistics::default();
        for n in 0..=MAX_WAITING as u32 {
            statistics.accepted(CompanyNo(n), 1, Time::default());
        }
        statistics.accepted(CompanyNo(0), 1, Time::default());
        let counted = statistics.lock();
        assert_eq!((counted.len(), counted[&(CompanyNo(0), Time::default())].accepted), (MAX_WAITING, 2));
    }
}
