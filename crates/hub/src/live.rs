//! Who follows a company's log as it grows, and waking them. Costs next to nothing while nobody does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tillstream_model::CompanyNo;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Most streams of one company at once, on one node.
pub const MAX_STREAMS_PER_COMPANY: usize = 100;
/// Most streams at once, on one node.
pub const MAX_STREAMS: usize = 1_000;

/// Wakes who follows a log. Cheap to clone.
#[derive(Clone, Default)]
pub struct Live(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// How many follow any log; looked at first, so that a log that nobody follows grows without a lock.
    followers: AtomicUsize,
    companies: Mutex<HashMap<CompanyNo, Company>>,
    ending: CancellationToken,
}

struct Company {
    /// Whether the company is gone.
    grown: watch::Sender<bool>,
    followers: usize,
}

/// Why nobody may follow now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// [`MAX_STREAMS_PER_COMPANY`] follow this log.
    Company,
    /// [`MAX_STREAMS`] follow some log.
    Process,
}

impl Live {
    /// Follows a company's log until it is dropped.
    pub fn follow(&self, company: CompanyNo) -> Result<Follower, Full> {
        let mut companies = self.lock();
        let theirs = companies.get(&company).map_or(0, |c| c.followers);
        if theirs >= MAX_STREAMS_PER_COMPANY {
            return Err(Full::Company);
        }
        if self.followers() >= MAX_STREAMS {
            return Err(Full::Process);
        }
        self.0.followers.fetch_add(1, Ordering::AcqRel);
        let followed =
            companies.entry(company).or_insert_with(|| Company { grown: watch::Sender::new(false), followers: 0 });
        followed.followers += 1;
        Ok(Follower { grown: followed.grown.subscribe(), live: self.clone(), company })
    }

    /// How many follow any log.
    pub fn followers(&self) -> usize {
        self.0.followers.load(Ordering::Acquire)
    }

    /// A company's log has grown, on whatever node.
    pub fn grown(&self, company: CompanyNo) {
        if self.followers() == 0 {
            return;
        }
        if let Some(followed) = self.lock().get(&company) {
            followed.grown.send_modify(|_| ());
        }
    }

    /// A company is gone: whoever follows its log is told that this is the end.
    pub fn end_of(&self, company: CompanyNo) {
        if let Some(followed) = self.lock().get(&company) {
            followed.grown.send_replace(true);
        }
    }

    /// Has every stream end; for a hub that ends.
    pub fn end(&self) {
        self.0.ending.cancel();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CompanyNo, Company>> {
        self.0.companies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who follows a log.
pub struct Follower {
    live: Live,
    company: CompanyNo,
    grown: watch::Receiver<bool>,
}

impl Follower {
    /// What happens from now on wakes [`Follower::woken`]; to be called before the log is read.
    pub fn look(&mut self) {
        self.grown.borrow_and_update();
    }

    /// Waits until the log has grown since [`Follower::look`], or the hub ends.
    pub async fn woken(&mut self) {
        tokio::select! {
            () = self.live.0.ending.cancelled() => {}
            // The other end stays as long as somebody follows.
            _ = self.grown.changed() => {}
        }
    }

    /// Whether the hub ends, or the company is gone.
    pub fn is_ended(&self) -> bool {
        self.live.0.ending.is_cancelled() || *self.grown.borrow()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut companies = self.live.lock();
        if let Some(followed) = companies.get_mut(&self.company) {
            followed.followers -= 1;
            if followed.followers == 0 {
                companies.remove(&self.company);
            }
        }
        self.live.0.followers.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: CompanyNo = CompanyNo(1);

    #[test]
    fn a_company_has_so_many_streams_and_one_that_ends_makes_room() {
        let live = Live::default();
        let mut all: Vec<Follower> = (0..MAX_STREAMS_PER_COMPANY).map(|_| live.follow(ACME).ok().unwrap()).collect();
        assert_eq!(live.follow(ACME).err(), Some(Full::Company));
        assert!(live.follow(CompanyNo(2)).is_ok());
        all.pop();
        assert!(live.follow(ACME).is_ok());
    }

    #[test]
    fn a_process_has_so_many_streams_and_forgets_companies_that_nobody_follows() {
        let live = Live::default();
        let company = |n: usize| CompanyNo(n as u32);
        let all: Vec<Follower> = (0..MAX_STREAMS).map(|n| live.follow(company(n)).ok().unwrap()).collect();
        assert_eq!(live.follow(company(MAX_STREAMS)).err(), Some(Full::Process));
        drop(all);
        assert!(live.lock().is_empty() && live.followers() == 0);
        assert!(live.follow(ACME).is_ok());
    }

    #[tokio::test]
    async fn only_who_follows_the_log_that_grew_is_woken_and_nothing_is_lost_before_the_wait() {
        let live = Live::default();
        let (mut one, mut other) = (live.follow(ACME).ok().unwrap(), live.follow(CompanyNo(2)).ok().unwrap());
        one.look();
        other.look();
        live.grown(ACME);
        one.woken().await;
        let quiet = tokio::time::timeout(std::time::Duration::from_millis(20), other.woken()).await;
        assert!(quiet.is_err());
    }

    #[tokio::test]
    async fn only_the_streams_of_a_company_that_is_gone_end() {
        let live = Live::default();
        let (mut one, other) = (live.follow(ACME).ok().unwrap(), live.follow(CompanyNo(2)).ok().unwrap());
        one.look();
        live.grown(ACME);
        one.woken().await;
        assert!(!one.is_ended());
        live.end_of(ACME);
        one.woken().await;
        assert!(one.is_ended() && !other.is_ended());
    }

    #[tokio::test]
    async fn every_stream_is_told_that_the_hub_ends() {
        let live = Live::default();
        let mut follower = live.follow(ACME).ok().unwrap();
        assert!(!follower.is_ended());
        live.end();
        follower.woken().await;
        assert!(follower.is_ended());
    }
}
