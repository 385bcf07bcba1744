//! One hub and one data folder through many ends.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::check::Promised;
use crate::hub::{Hub, Setup};
use crate::producer::{ENTITIES, Producer, Told};
use crate::receiver::Receiver;
use crate::receivers::Receivers;
use crate::wait::{SOON, eventually};

/// Producers that post at once.
const PRODUCERS: usize = 4;
/// A round lasts between these.
const ROUND: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(1_500));
/// How much more the largest file may grow before writing fails.
const ROOM_BYTES: u64 = 512 * 1024;
/// Starts in a row that troubles may keep from succeeding.
const MOST_STARTS: u32 = 20;
/// What the hub's log says when a lane's outcomes could not be saved.
const RESTARTED: &str = "a lane starts again from what is saved";
/// The receiver of the first is moody, that of the second also refuses some events for good.
const INTEGRATIONS: [&str; 2] = ["moody", "picky"];

/// What troubles the hub, and how rounds end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The process is killed.
    Killed,
    /// Files cannot grow any more: the process must end itself rather than promise what it cannot keep.
    WritingFails,
    /// Syncs fail now and then, before and after a commit: as above.
    SyncsFail,
    /// The disk is full now and then, which is survived; the process is killed.
    DiskFull,
}

impl End {
    fn ends_itself(self) -> bool {
        matches!(self, End::WritingFails | End::SyncsFail)
    }

    fn faults(self) -> Option<&'static str> {
        match self {
            End::Killed | End::WritingFails => None,
            End::SyncsFail => Some("log_commit=io:0.01,log_committed=io:0.01,state_commit=io:0.005"),
            End::DiskFull => Some("log_commit=full:0.3,state_commit=full:0.1"),
        }
    }
}

/// A hub under load, and all that is known about it.
pub struct Campaign {
    dice: StdRng,
    hub: Hub,
    address: watch::Sender<Api>,
    receivers: Receivers,
    told: Arc<Told>,
    producers: JoinSet<()>,
    stop: CancellationToken,
    ended_by_itself: u32,
}

impl Campaign {
    /// Starts everything; the seed is told, so that a run can be repeated.
    pub async fn start(seed: u64) -> Self {
        eprintln!("TILLSTREAM_CHAOS_SEED={seed}");
        let hub = Hub::start(Setup::default()).await;
        let api = Api::new(&hub.url, Some(&hub.key()));
        let receiver = Arc::new(Receiver::start().await);
        let receivers = Receivers::new(receiver, &INTEGRATIONS, INTEGRATIONS[1], seed);
        receivers.integrate(&api).await;
        let (address, view) = watch::channel(api);
        let told = Arc::new(Told::default());
        let stop = CancellationToken::new();
        let mut producers = JoinSet::new();
        for number in 0..PRODUCERS {
            producers.spawn(Producer::new(number, seed, view.clone(), told.clone()).run(stop.clone()));
        }
        Self { dice: StdRng::seed_from_u64(seed), hub, address, receivers, told, producers, stop, ended_by_itself: 0 }
    }

    /// Ends the hub so many times, lets everything drain and reckons.
    pub async fn run(mut self, rounds: u32, end: End) {
        let started = Instant::now();
        for round in 1..=rounds {
            self.load_until_the_end(end).await;
            // The first life and the one that drains are untroubled.
            self.start_again((round < rounds).then_some(end)).await;
        }
        self.stop.cancel();
        while let Some(joined) = self.producers.join_next().await {
            joined.expect("a producer saw something wrong");
        }
        self.reckon(rounds).await;
        self.assert_troubled(end);
        assert_eq!(self.hub.stop(), Some(0));
        eprintln!("{rounds} rounds in {:?}", started.elapsed());
    }

    /// Load for a while, then the end.
    async fn load_until_the_end(&mut self, end: End) {
        let length = self.dice.random_range(ROUND.0..ROUND.1);
        let over = Instant::now() + length;
        eventually("the round is over", SOON, async || {
            (Instant::now() >= over || self.hub.ended().is_some()).then_some(())
        })
        .await;
        match self.hub.ended() {
            None => {}
            Some(status) if end.ends_itself() && status.code() == Some(1) => self.ended_by_itself += 1,
            Some(status) => panic!("the hub ended by itself: {status}"),
        }
        self.hub.kill();
    }

    /// Troubles that keep it from starting are tried again: each start has other luck.
    async fn start_again(&mut self, trouble: Option<End>) {
        let room = || largest_file(&self.hub.folder().join("data")) + ROOM_BYTES;
        self.hub.setup.largest_file_bytes = (trouble == Some(End::WritingFails)).then(room);
        self.hub.setup.faults = trouble.and_then(End::faults);
        for _ in 0..MOST_STARTS {
            if self.hub.restart().await {
                self.address.send_replace(Api::new(&self.hub.url, Some(&self.hub.key())));
                return;
            }
            assert!(trouble.is_some_and(End::ends_itself), "the hub ended while it started");
            self.ended_by_itself += 1;
        }
        panic!("the hub did not start {MOST_STARTS} times in a row");
    }

    /// A test of trouble that never came would prove nothing.
    fn assert_troubled(&self, end: End) {
        let later = self.told.later.load(Ordering::Relaxed);
        eprintln!("{} lives ended by themselves, {later} answers said \"later\"", self.ended_by_itself);
        assert!(!end.ends_itself() || self.ended_by_itself > 0, "nothing failed in any round");
        assert!(end != End::DiskFull || later > 0, "the disk was never full");
    }

    /// How often the lane began again that did so most often while the hub went on.
    fn most_restarts(&self) -> u32 {
        let log = std::fs::read_to_string(self.hub.folder().join("hub.log")).expect("the hub's log");
        let of = |id: &str| log.lines().filter(|line| line.contains(RESTARTED) && line.contains(id)).count();
        let most = self.receivers.sinks.iter().map(|(id, _)| of(id)).max().unwrap_or_default();
        eprintln!("a lane began again {most} times because its outcomes could not be saved");
        u32::try_from(most).expect("few")
    }

    async fn reckon(&self, ends: u32) {
        let promised: Promised = self.told.accepted.lock().expect("no panic").clone();
        let api = self.address.borrow().clone();
        self.receivers.settle(&api, &promised).await;
        // In each life of a lane an entity has at most one event that was sent and whose outcome is not committed.
        let lives = ends + self.most_restarts();
        let most = lives * u32::try_from(PRODUCERS * ENTITIES).expect("few");
        self.receivers.reckon(&api, &promised, most).await;
    }
}

/// Size of the largest file in a folder and below, in bytes.
fn largest_file(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => largest_file(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(size).max().unwrap_or_default()
}
