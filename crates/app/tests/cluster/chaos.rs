//! Everything that may fail, fails, under load: nothing accepted may be missing and no entity may go backwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::check::Promised;
use crate::network::Network;
use crate::nodes::Nodes;
use crate::postgres::Pair;
use crate::producer::{ENTITIES, Producer, Told};
use crate::receivers::Receivers;
use crate::wait::eventually;

/// Rounds when nobody asks for another number.
const DEFAULT_ROUNDS: u32 = 5;
/// Hubs that share the database.
const NODES: usize = 3;
/// Producers that post at once, spread over the hubs.
const PRODUCERS: usize = 6;
/// Load before and after each trouble.
const CALM: Duration = Duration::from_millis(1_500);
/// How long a network stays cut: longer than a lease.
const CUT: Duration = Duration::from_secs(10);
/// How long everything takes each way in a slow network, and for how long it is slow.
const SLOW: (Duration, Duration) = (Duration::from_millis(150), Duration::from_secs(4));
/// Deliveries go on within this after a hub's death.
const RESUMED: Duration = Duration::from_secs(15);
/// The receivers are moody; the last one also refuses some events for good.
const INTEGRATIONS: [&str; 6] = ["one", "two", "three", "four", "five", "picky"];
const PICKY: &str = "picky";

/// What happens in a round.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// A hub is killed and comes back when others have taken its lanes over.
    HubDies,
    /// The primary is lost; the standby takes over.
    FailOver,
    /// Both servers end at once and come back.
    DatabaseRestarts,
    /// A hub does not reach the database for longer than its leases last, but its receivers.
    NetworkCut,
    /// The way of a hub to the database is slow.
    NetworkSlow,
}

const TROUBLES: [Trouble; 5] =
    [Trouble::HubDies, Trouble::FailOver, Trouble::NetworkCut, Trouble::DatabaseRestarts, Trouble::NetworkSlow];

struct Campaign {
    dice: StdRng,
    pair: Pair,
    networks: Vec<Network>,
    nodes: Nodes,
    addresses: Vec<watch::Sender<Api>>,
    receivers: Receivers,
    told: Arc<Told>,
    producers: JoinSet<()>,
    stop: CancellationToken,
    troubles: u32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_whatever_fails() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let rounds = number("TILLSTREAM_CHAOS_ROUNDS").map_or(DEFAULT_ROUNDS, |n| n.div_ceil(2) as u32);
    let seed = number("TILLSTREAM_CHAOS_SEED").unwrap_or_else(rand::random);
    eprintln!("TILLSTREAM_CHAOS_SEED={seed}");
    let mut campaign = Campaign::start(seed).await;
    for round in 0..rounds as usize {
        campaign.round(TROUBLES[round % TROUBLES.len()]).await;
    }
    campaign.reckon().await;
}

impl Campaign {
    async fn start(seed: u64) -> Self {
        let pair = Pair::start().await;
        let mut networks = Vec::new();
        for _ in 0..NODES {
            networks.push(Network::to(pair.ports).await);
        }
        let urls = networks.iter().map(|n| pair.url(n.ports)).collect();
        let nodes = Nodes::on(urls).await;
        let receivers = Receivers::new(nodes.receiver.clone(), &INTEGRATIONS, PICKY, seed);
        receivers.integrate(&nodes.apis[0]).await;
        let (told, stop, mut producers) = (Arc::new(Told::default()), CancellationToken::new(), JoinSet::new());
        let addresses: Vec<_> = nodes.apis.iter().map(|api| watch::channel(api.clone()).0).collect();
        for number in 0..PRODUCERS {
            let view = addresses[number % NODES].subscribe();
            producers.spawn(Producer::new(number, seed, view, told.clone()).run(stop.clone()));
        }
        let dice = StdRng::seed_from_u64(seed);
        Self { dice, pair, networks, nodes, addresses, receivers, told, producers, stop, troubles: 0 }
    }

    async fn round(&mut self, trouble: Trouble) {
        let started = Instant::now();
        tokio::time::sleep(CALM).await;
        let node = self.dice.random_range(0..NODES);
        self.troubles += 1;
        match trouble {
            Trouble::HubDies => self.lose(node).await,
            Trouble::FailOver => self.pair.fail_over().await,
            Trouble::DatabaseRestarts => self.pair.restart().await,
            Trouble::NetworkCut => {
                self.networks[node].cut();
                tokio::time::sleep(CUT).await;
                self.networks[node].mend();
            }
            Trouble::NetworkSlow => {
                self.networks[node].delay(SLOW.0);
                tokio::time::sleep(SLOW.1).await;
                self.assert_flows().await;
                self.networks[node].delay(Duration::ZERO);
            }
        }
        self.assert_flows().await;
        eprintln!("{trouble:?} of node {node}: {:?}", started.elapsed());
    }

    /// A hub dies; before it comes back the others deliver everything.
    async fn lose(&mut self, node: usize) {
        self.nodes.hubs[node].kill();
        self.assert_flows().await;
        self.nodes.restart(node).await;
        self.addresses[node].send_replace(self.nodes.apis[node].clone());
    }

    /// New events reach every receiver.
    async fn assert_flows(&self) {
        let counts = || self.receivers.sinks.iter().map(|(_, sink)| sink.accepted().len());
        let before: Vec<usize> = counts().collect();
        eventually("deliveries go on everywhere", RESUMED, async || {
            counts().zip(&before).all(|(now, before)| now > before + 2).then_some(())
        })
        .await;
    }

    async fn reckon(mut self) {
        self.stop.cancel();
        while let Some(joined) = self.producers.join_next().await {
            joined.expect("a producer saw something wrong");
        }
        let promised: Promised = self.told.accepted.lock().expect("no panic").clone();
        let api = &self.nodes.apis[0];
        self.receivers.settle(api, &promised).await;
        // An entity has at most one event that was sent and whose outcome is not committed, in each lane that moves.
        let most = self.troubles * u32::try_from(NODES * PRODUCERS * ENTITIES).expect("few");
        self.receivers.reckon(api, &promised, most).await;
    }
}
