//! Nodes: which process runs which lanes, and how processes talk to each other.
//!
//! Lanes fall into [`BUCKETS`] by integration, not by company, so that one big company spreads over nodes. A node runs
//! the lanes of the buckets it holds a [`Lease`] of. Correctness does not rest on a lease: what is committed under one
//! names its epoch, and an engine that is shared refuses what was begun under an older one (`design.md`, "Two engines").

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tillstream_model::IntegrationNo;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Result;

/// How many buckets lanes fall into.
pub const BUCKETS: u16 = 64;
/// How long before a lease ends nothing may be sent under it any more.
pub const MARGIN: Duration = Duration::from_secs(1);
/// What the only node is called.
const ALONE: &str = "alone";
/// A lease that does not end.
const FOR_EVER: u64 = u64::MAX;

/// The bucket of an integration's lane.
pub fn bucket_of(no: IntegrationNo) -> u16 {
    // The golden ratio keeps neighbouring numbers apart, so that those of one company fall to different nodes.
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    const SHIFT: u32 = u64::BITS - BUCKETS.ilog2();
    (no.0.wrapping_mul(GOLDEN) >> SHIFT) as u16
}

/// The right to run the lanes of a bucket. Clones are the same lease.
#[derive(Clone, Debug)]
pub struct Lease(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bucket: u16,
    epoch: u64,
    origin: Instant,
    /// Milliseconds after `origin`.
    end: AtomicU64,
    lost: CancellationToken,
}

impl Lease {
    /// One that ends at `end` unless it is renewed.
    pub fn until(bucket: u16, epoch: u64, end: Instant) -> Self {
        let lease = Self::for_ever(bucket, epoch);
        lease.renew(end);
        lease
    }

    /// One that nobody else can take.
    pub fn for_ever(bucket: u16, epoch: u64) -> Self {
        let (origin, end) = (Instant::now(), AtomicU64::new(FOR_EVER));
        Self(Arc::new(Inner { bucket, epoch, origin, end, lost: CancellationToken::new() }))
    }

    /// Which bucket.
    pub fn bucket(&self) -> u16 {
        self.0.bucket
    }

    /// Counts the takings of the bucket.
    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// It ends later, unless it is over: whoever ran under it has seen that and stopped.
    pub fn renew(&self, end: Instant) {
        if !self.holds() {
            return;
        }
        let end = end.saturating_duration_since(self.0.origin).as_millis();
        self.0.end.store(u64::try_from(end).unwrap_or(FOR_EVER), Ordering::Release);
    }

    /// It is somebody else's now.
    pub fn lose(&self) {
        self.0.lost.cancel();
    }

    /// Whether it ends at all.
    pub fn ends(&self) -> bool {
        self.0.end.load(Ordering::Acquire) != FOR_EVER
    }

    /// Whether something may still be sent under it. Once it may not, it never may again.
    pub fn holds(&self) -> bool {
        if self.last_moment().is_some_and(|t| t <= Instant::now()) {
            self.0.lost.cancel();
        }
        !self.0.lost.is_cancelled()
    }

    /// Waits until nothing may be sent under it any more.
    pub async fn over(&self) {
        while self.holds() {
            match self.last_moment() {
                Some(at) => tokio::select! {
                    () = self.0.lost.cancelled() => return,
                    () = tokio::time::sleep_until(at) => {}
                },
                None => self.0.lost.cancelled().await,
            }
        }
    }

    fn last_moment(&self) -> Option<Instant> {
        let end = self.0.end.load(Ordering::Acquire);
        (end != FOR_EVER).then(|| self.0.origin + Duration::from_millis(end).saturating_sub(MARGIN))
    }
}

/// What a node is told.
#[derive(Debug)]
pub enum NodeEvent {
    /// It runs the lanes of these buckets from now on.
    Gained(Vec<Lease>),
    /// It does not run these any more; somebody else may run them already.
    Lost(Vec<Lease>),
    /// Other nodes should run these: end their lanes in good order, then [`Nodes::give_back`].
    GiveUp(Vec<Lease>),
    /// Another node asks something.
    Asked {
        /// The question.
        question: Vec<u8>,
        /// Where the answer goes.
        answer: oneshot::Sender<Vec<u8>>,
    },
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The node that holds this bucket, if it is another one.
    Holder(u16),
    /// Every other node.
    Others,
}

/// A node, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is called.
    pub name: String,
    /// Whether it said lately that it is there.
    pub is_alive: bool,
    /// How many buckets it holds.
    pub buckets: u16,
    /// Whether it is the one that was asked.
    pub is_this: bool,
}

/// The nodes that share an engine.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// What this node is told from now on; the first is what it gains at once, perhaps nothing. None when it was taken
    /// already.
    async fn events(&self) -> Option<mpsc::Receiver<NodeEvent>>;

    /// Gives buckets back; others may take them at once.
    async fn give_back(&self, leases: &[Lease]) -> Result<()>;

    /// Gives everything back and takes part no more.
    async fn leave(&self, leases: &[Lease]) -> Result<()>;

    /// Asks other nodes. One entry for each; None where no answer came in time.
    async fn ask(&self, whom: Whom, question: Vec<u8>) -> Result<Vec<Option<Vec<u8>>>>;

    /// Whether every bucket is held by a node that is alive.
    async fn complete(&self) -> Result<bool>;

    /// All nodes that were there within a day, by name.
    async fn all(&self) -> Result<Vec<Node>>;
}

/// The only node there is: it holds everything for ever.
pub struct Alone {
    tell: Mutex<Option<mpsc::Sender<NodeEvent>>>,
    events: Mutex<Option<mpsc::Receiver<NodeEvent>>>,
}

impl Default for Alone {
    fn default() -> Self {
        let (tell, events) = mpsc::channel(1);
        let all = (0..BUCKETS).map(|bucket| Lease::for_ever(bucket, 0)).collect();
        // There is room for one.
        let _ = tell.try_send(NodeEvent::Gained(all));
        Self { tell: Mutex::new(Some(tell)), events: Mutex::new(Some(events)) }
    }
}

#[async_trait]
impl Nodes for Alone {
    async fn events(&self) -> Option<mpsc::Receiver<NodeEvent>> {
        self.events.lock().await.take()
    }

    async fn give_back(&self, _: &[Lease]) -> Result<()> {
        // Nobody else could take them.
        Ok(())
    }

    async fn leave(&self, _: &[Lease]) -> Result<()> {
        self.tell.lock().await.take();
        Ok(())
    }

    async fn ask(&self, _: Whom, _: Vec<u8>) -> Result<Vec<Option<Vec<u8>>>> {
        Ok(Vec::new())
    }

    async fn complete(&self) -> Result<bool> {
        Ok(true)
    }

    async fn all(&self) -> Result<Vec<Node>> {
        Ok(vec![Node { name: ALONE.into(), is_alive: true, buckets: BUCKETS, is_this: true }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_lanes_fall_into_buckets_that_are_far_apart() {
        let thirds = (1..=24).map(|no| bucket_of(IntegrationNo(no)) / (BUCKETS / 3 + 1));
        let mut counts = [0; 3];
        thirds.for_each(|third| counts[usize::from(third)] += 1);
        assert!(counts.iter().all(|count| (6..=10).contains(count)), "{counts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_over_a_margin_before_its_end_unless_it_is_renewed() {
        let start = Instant::now();
        let lease = Lease::until(3, 1, start + Duration::from_secs(8));
        let renewing = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            lease.renew(start + Duration::from_secs(10));
        };
        tokio::join!(lease.over(), renewing);
        assert_eq!(start.elapsed().as_secs(), 9);
        assert!(!lease.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_was_over_for_a_moment_is_not_renewed() {
        let start = Instant::now();
        let lease = Lease::until(3, 1, start + Duration::from_secs(8));
        tokio::time::sleep(Duration::from_secs(7)).await;
        lease.renew(start + Duration::from_secs(20));
        assert!(!lease.holds());
        lease.over().await;
        assert_eq!(start.elapsed().as_secs(), 7);
    }

    #[tokio::test]
    async fn a_lost_lease_is_over_at_once_and_one_for_ever_is_not() {
        let (lost, kept) = (Lease::for_ever(0, 1), Lease::for_ever(1, 1));
        lost.lose();
        lost.over().await;
        assert!(kept.holds());
    }

    #[tokio::test]
    async fn the_only_node_gains_everything_at_once() {
        let alone = Alone::default();
        let mut events = alone.events().await.unwrap();
        let Some(NodeEvent::Gained(leases)) = events.recv().await else { panic!("nothing gained") };
        assert_eq!(leases.len(), usize::from(BUCKETS));
        assert!(alone.events().await.is_none() && leases.iter().all(Lease::holds));
        assert!(alone.ask(Whom::Others, vec![]).await.unwrap().is_empty());
    }
}
