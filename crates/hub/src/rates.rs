//! How many events a key and a company may send in a second: a bucket for each (GCRA), in this process.
//!
//! Each of several nodes allows its share: the limit divided by the nodes that are alive. A bucket holds at least
//! [`LEAST_BURST`] events, so that a whole request always fits; a larger request is taken when the bucket is full.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tillstream_model::CompanyNo;
use tokio::time::Instant;

/// Events that a full bucket holds at least: as many as an array may have.
pub const LEAST_BURST: u32 = 1_000;
/// Most events a second that a limit may allow.
pub const MAX_RATE: u32 = 1_000_000;
/// Most buckets that are kept; when there are more, all start full again.
pub const MAX_BUCKETS: usize = 10_000;

type Limiter = RateLimiter<NotKeyed, InMemoryState, Ticks, StateInformationMiddleware>;

/// Time that never goes back, and stands still in tests that want it to.
#[derive(Clone)]
struct Ticks(Instant);

impl Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

/// Whose bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// A key's, by its id.
    Key(String),
    /// A company's.
    Company(CompanyNo),
}

/// How a bucket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Events a second that are allowed here.
    pub rate: u32,
    /// Events that may come at once now.
    pub remaining: u32,
    /// Seconds until the bucket is full.
    pub full_in: u32,
}

/// There are too many events in too short a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at most {} events a second", .standing.rate)]
pub struct Exceeded {
    /// Whose limit it is.
    pub whose: Whose,
    /// How its bucket stands.
    pub standing: Standing,
    /// Seconds until the same request may be taken.
    pub retry_after: u32,
}

/// The buckets of this process.
pub struct Rates {
    ticks: Ticks,
    nodes: AtomicU32,
    buckets: Mutex<HashMap<Whose, Bucket>>,
}

#[derive(Clone)]
struct Bucket {
    rate: NonZeroU32,
    burst: NonZeroU32,
    limiter: Arc<Limiter>,
}

impl Default for Rates {
    fn default() -> Self {
        Self { ticks: Ticks(Instant::now()), nodes: AtomicU32::new(1), buckets: Mutex::default() }
    }
}

impl Rates {
    /// Says over how many nodes limits are spread.
    pub fn spread_over(&self, nodes: usize) {
        self.nodes.store(u32::try_from(nodes).unwrap_or(u32::MAX).max(1), Ordering::Relaxed);
    }

    /// Takes so many events out of the buckets that have a limit, one after the other; how the emptiest one stands then.
    pub fn take(&self, limits: &[(Whose, Option<u32>)], events: usize) -> Result<Option<Standing>, Exceeded> {
        let mut tightest: Option<Standing> = None;
        for (whose, limit) in limits {
            let Some(limit) = *limit else { continue };
            let standing = self.bucket(whose, limit).take(whose, events, &self.ticks)?;
            if tightest.is_none_or(|t| standing.remaining < t.remaining) {
                tightest = Some(standing);
            }
        }
        Ok(tightest)
    }

    fn bucket(&self, whose: &Whose, limit: u32) -> Bucket {
        let rate = NonZeroU32::new(limit.div_ceil(self.nodes.load(Ordering::Relaxed))).unwrap_or(NonZeroU32::MIN);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(whose).filter(|b| b.rate == rate) {
            return bucket.clone();
        }
        if buckets.len() >= MAX_BUCKETS {
            buckets.clear();
        }
        let burst = NonZeroU32::new(LEAST_BURST).map_or(rate, |least| rate.max(least));
        let quota = Quota::per_second(rate).allow_burst(burst);
        let limiter = RateLimiter::direct_with_clock(quota, self.ticks.clone()).with_middleware();
        let bucket = Bucket { rate, burst, limiter: Arc::new(limiter) };
        buckets.insert(whose.clone(), bucket.clone());
        bucket
    }
}

impl Bucket {
    fn take(&self, whose: &Whose, events: usize, ticks: &Ticks) -> Result<Standing, Exceeded> {
        let wanted = u32::try_from(events).unwrap_or(u32::MAX).min(self.burst.get());
        let Some(wanted) = NonZeroU32::new(wanted) else { return Ok(self.standing(self.burst.get())) };
        match self.limiter.check_n(wanted) {
            Ok(Ok(left)) => Ok(self.standing(left.remaining_burst_capacity())),
            Ok(Err(until)) => {
                let wait = until.wait_time_from(ticks.now());
                let retry_after = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
                Err(Exceeded { whose: whose.clone(), standing: self.standing(0), retry_after })
            }
            // No request asks for more than the bucket holds.
            Err(_) => Ok(self.standing(0)),
        }
    }

    fn standing(&self, remaining: u32) -> Standing {
        let missing = self.burst.get().saturating_sub(remaining);
        Standing { rate: self.rate.get(), remaining, full_in: missing.div_ceil(self.rate.get()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const COMPANY: Whose = Whose::Company(CompanyNo(1));

    fn key(id: &str, limit: u32) -> (Whose, Option<u32>) {
        (Whose::Key(id.into()), Some(limit))
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_bucket_takes_its_burst_and_fills_at_its_rate() {
        let rates = Rates::default();
        let take = |n| rates.take(&[(COMPANY, Some(100))], n);
        let standing = take(900).unwrap().unwrap();
        assert_eq!(standing, Standing { rate: 100, remaining: 100, full_in: 9 });
        assert_eq!(take(100).unwrap().unwrap().remaining, 0);
        let refused = take(50).unwrap_err();
        assert_eq!((refused.whose, refused.retry_after, refused.standing.remaining), (COMPANY, 1, 0));
        assert_eq!(take(250).unwrap_err().retry_after, 3);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(take(51).is_err() && take(50).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_larger_than_the_bucket_is_taken_when_it_is_full() {
        let rates = Rates::default();
        let take = |n| rates.take(&[(COMPANY, Some(1_500))], n);
        assert_eq!(take(50_000).unwrap().unwrap().remaining, 0);
        assert_eq!(take(50_000).unwrap_err().retry_after, 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(take(50_000).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn keys_and_companies_have_buckets_of_their_own_and_without_a_limit_none() {
        let rates = Rates::default();
        assert_eq!(rates.take(&[(COMPANY, None)], 1_000_000).unwrap(), None);
        assert!(rates.take(&[key("a", 1), (COMPANY, Some(2_000))], 1_000).is_ok());
        let refused = rates.take(&[key("a", 1), (COMPANY, Some(2_000))], 1).unwrap_err();
        assert_eq!(refused.whose, Whose::Key("a".into()));
        let standing = rates.take(&[key("b", 1), (COMPANY, Some(2_000))], 1_000).unwrap().unwrap();
        assert_eq!((standing.rate, standing.remaining), (1, 0), "the emptier one is told");
        let refused = rates.take(&[key("c", 1), (COMPANY, Some(2_000))], 1).unwrap_err();
        assert_eq!(refused.whose, COMPANY);
    }

    #[tokio::test(start_paused = true)]
    async fn each_of_several_nodes_allows_its_share() {
        let rates = Rates::default();
        rates.spread_over(3);
        assert_eq!(rates.take(&[key("a", 10_000)], 1).unwrap().unwrap().rate, 3_334);
        rates.spread_over(0);
        assert_eq!(rates.take(&[key("a", 10_000)], 1).unwrap().unwrap().rate, 10_000);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_buckets_are_kept_than_may_be() {
        let rates = Rates::default();
        for n in 0..=MAX_BUCKETS {
            rates.take(&[key(&n.to_string(), 1)], 1).unwrap();
        }
        assert!(rates.buckets.lock().unwrap().len() <= MAX_BUCKETS);
    }
}
