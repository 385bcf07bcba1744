//! Everything that may fail, fails, under load: nothing accepted may be missing and no entity may go backwards.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::check::{Outcome, Promised};
use crate::network::Network;
use crate::nodes::Nodes;
use crate::postgres::Pair;
use crate::producer::{ENTITIES, Producer, Told};
use crate::sink::{Sink, is_refused_for_good};
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
/// Deliveries go on within this after a hub's death.
const RESUMED: Duration = Duration::from_secs(15);
/// Everything must be settled within this once the load has ended.
const DRAIN: Duration = Duration::from_secs(90);
/// Attempts that an event has: the most there may be, so that a mood never rejects one.
const ATTEMPTS: usize = 20;
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
}

const TROUBLES: [Trouble; 4] = [Trouble::HubDies, Trouble::FailOver, Trouble::NetworkCut, Trouble::DatabaseRestarts];

struct Campaign {
    dice: StdRng,
    pair: Pair,
    networks: Vec<Network>,
    nodes: Nodes,
    addresses: Vec<watch::Sender<Api>>,
    sinks: Vec<Arc<Sink>>,
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
        let sinks: Vec<_> =
            INTEGRATIONS.iter().enumerate().map(|(n, id)| Arc::new(Sink::new(seed ^ n as u64, *id == PICKY))).collect();
        for (id, sink) in INTEGRATIONS.iter().zip(&sinks) {
            let sink = sink.clone();
            nodes.receiver.behave(&format!("/{id}"), move |delivery| sink.take(delivery));
            integrate(&nodes, id).await;
        }
        let (told, stop, mut producers) = (Arc::new(Told::default()), CancellationToken::new(), JoinSet::new());
        let addresses: Vec<_> = nodes.apis.iter().map(|api| watch::channel(api.clone()).0).collect();
        for number in 0..PRODUCERS {
            let view = addresses[number % NODES].subscribe();
            producers.spawn(Producer::new(number, seed, view, told.clone()).run(stop.clone()));
        }
        let dice = StdRng::seed_from_u64(seed);
        Self { dice, pair, networks, nodes, addresses, sinks, told, producers, stop, troubles: 0 }
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
        let counts = |i: usize| self.sinks[i].accepted().len();
        let before: Vec<usize> = (0..self.sinks.len()).map(counts).collect();
        eventually("deliveries go on everywhere", RESUMED, async || {
            (0..self.sinks.len()).all(|i| counts(i) > before[i] + 2).then_some(())
        })
        .await;
    }

    async fn reckon(mut self) {
        self.stop.cancel();
        while let Some(joined) = self.producers.join_next().await {
            joined.expect("a producer saw something wrong");
        }
        let promised = self.told.accepted.lock().expect("no panic").clone();
        let deadline = Instant::now() + DRAIN;
        while Instant::now() < deadline && !self.all_settled(&promised).await {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let stored = self.nodes.apis[0].all("/v1/events").await.len();
        assert_eq!(stored, promised.len(), "the log has as many events as were promised");
        for outcome in self.outcomes().await {
            let missing = outcome.missing(&promised);
            if let Some(first) = missing.first() {
                let told = self.nodes.apis[0].get(&format!("/v1/events/{first}/explain")).await.text();
                panic!("{}: {} of {stored} are missing, such as {told}", outcome.integration, missing.len());
            }
            outcome.assert_only_promised_and_in_order(&promised);
            assert_rejected_for_good_only(&outcome, &promised);
            let most = self.troubles * u32::try_from(NODES * PRODUCERS * ENTITIES).expect("few");
            let duplicates = outcome.duplicates();
            assert!(duplicates <= most, "{}: {duplicates} duplicates", outcome.integration);
            eprintln!("{}: {stored} events, {duplicates} duplicates", outcome.integration);
        }
    }

    async fn all_settled(&self, promised: &Promised) -> bool {
        self.outcomes().await.iter().all(|o| o.missing(promised).is_empty())
    }

    async fn outcomes(&self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for (integration, sink) in INTEGRATIONS.into_iter().zip(&self.sinks) {
            let rejected = self.nodes.apis[0].all(&format!("/v1/integrations/{integration}/rejected")).await;
            outcomes.push(Outcome {
                integration,
                deliveries: self.nodes.receiver.deliveries(&format!("/{integration}")),
                accepted: sink.accepted(),
                rejected: rejected.iter().map(|r| r["id"].as_str().expect("an id").to_owned()).collect::<HashSet<_>>(),
            });
        }
        outcomes
    }
}

async fn integrate(nodes: &Nodes, id: &str) {
    let delivery = json!({"retry": {"schedule_seconds": vec![0; ATTEMPTS]}, "timeout_seconds": 1});
    let target = json!({"kind": "http", "url": nodes.receiver.url(&format!("/{id}"))});
    let settings: Value = json!({"id": id, "name": id, "target": target, "delivery": delivery});
    nodes.apis[0].post("/v1/integrations", &settings).await.expect(201);
}

fn assert_rejected_for_good_only(outcome: &Outcome, promised: &Promised) {
    for id in &outcome.rejected {
        let (entity, version) = &promised[id];
        let wanted = outcome.integration == PICKY && is_refused_for_good(entity, *version);
        assert!(wanted, "{}: {entity} {version} is rejected, and nobody refused it", outcome.integration);
    }
}
