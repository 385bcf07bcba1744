//! Contacts of companies that several nodes serve: one node tells, and another goes on when it dies.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::nodes::Nodes;
use crate::receiver::{Delivery, Receiver, Reply};
use crate::wait::{SOON, eventually};

/// Until another node has the leases of one that died, and tries again what that one could not send.
const TAKEN_OVER: Duration = Duration::from_secs(60);

/// A contact's webhook that can be shut, and what it took.
#[derive(Clone, Default)]
struct Contact {
    is_shut: Arc<AtomicBool>,
    taken: Arc<Mutex<Vec<Delivery>>>,
}

impl Contact {
    async fn of(nodes: &Nodes) -> Self {
        let contact = Contact::default();
        contact.clone().listens(&nodes.receiver);
        let channel = json!({"kind": "webhook", "url": nodes.receiver.url("/ops")});
        let doc = json!({"name": "Ops", "channel": channel, "on": ["integration.stopped"]});
        nodes.apis[0].post("/v1/notifications", &doc).await.expect(201);
        contact
    }

    fn listens(self, receiver: &Receiver) {
        receiver.behave("/ops", move |delivery| {
            if self.is_shut.load(Ordering::SeqCst) {
                return Reply::Status(503);
            }
            self.taken.lock().expect("no panic").push(delivery.clone());
            Reply::Status(200)
        });
    }

    fn shut(&self, is_shut: bool) {
        self.is_shut.store(is_shut, Ordering::SeqCst);
    }

    /// What it was told about, as often as it was, in the order of the names.
    fn told(&self) -> Vec<String> {
        let taken = self.taken.lock().expect("no panic");
        let mut told: Vec<String> = taken.iter().flat_map(|d| subjects(&d.json())).collect();
        told.sort();
        told
    }

    async fn is_told_of(&self, subject: &str, deadline: Duration) {
        let what = format!("the contact is told of {subject}");
        eventually(&what, deadline, async || self.told().iter().any(|told| told == subject).then_some(())).await;
    }

    /// Messages are told apart by their ids, so that a receiver can drop one that comes twice.
    fn messages(&self) -> (usize, BTreeSet<String>) {
        let taken = self.taken.lock().expect("no panic");
        (taken.len(), taken.iter().map(|d| d.id().to_owned()).collect())
    }
}

/// The subjects of a message, each as often as it is said to have happened.
fn subjects(message: &Value) -> Vec<String> {
    let notices = message["notices"].as_array().expect("notices");
    let times = |notice: &Value| usize::try_from(notice["count"].as_u64().expect("a count")).expect("few");
    notices.iter().flat_map(|n| vec![n["subject"].as_str().expect("a subject").to_owned(); times(n)]).collect()
}

/// Makes an integration through one node and stops it through another.
async fn stopped(nodes: &Nodes, id: &str, node: usize) {
    nodes.integration(node, id).await;
    let other = &nodes.apis[(node + 1) % nodes.apis.len()];
    other.post(&format!("/v1/integrations/{id}/stop"), &Value::Null).await.expect(200);
}

/// Nothing is still to be told: what was told is noted, so nobody tells it again.
async fn nothing_waits(nodes: &Nodes, node: usize) {
    eventually("nothing waits", SOON, async || {
        nodes.apis[node].all("/v1/notifications").await.iter().all(|c| c["waiting"] == 0).then_some(())
    })
    .await;
}

/// The node that could not send.
async fn teller(nodes: &Nodes) -> usize {
    eventually("a node tries to tell", SOON, async || {
        for node in 0..nodes.hubs.len() {
            if nodes.figure(node, "tillstream_notifications_total{result=\"failed\"}").await > 0.0 {
                return Some(node);
            }
        }
        None
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_is_told_once_and_not_once_by_each_node() {
    let nodes = Nodes::start(3).await;
    let contact = Contact::of(&nodes).await;
    let ids: Vec<String> = (0..6).map(|n| format!("it-{n}")).collect();
    for (n, id) in ids.iter().enumerate() {
        stopped(&nodes, id, n % 3).await;
        contact.is_told_of(id, SOON).await;
    }
    nothing_waits(&nodes, 0).await;
    // By now every node has had its rounds since the others were told of.
    stopped(&nodes, "last", 0).await;
    contact.is_told_of("last", SOON).await;
    assert_eq!(contact.told(), [&ids[..], &["last".to_owned()]].concat());
    let mut senders = 0;
    for node in 0..3 {
        senders += usize::from(nodes.figure(node, "tillstream_notifications_total{result=\"sent\"}").await > 0.0);
    }
    assert_eq!(senders, 1, "one node tells");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_node_that_tells_dies_another_tells_what_is_left_and_nothing_twice() {
    let mut nodes = Nodes::start(2).await;
    let contact = Contact::of(&nodes).await;
    stopped(&nodes, "before", 0).await;
    contact.is_told_of("before", SOON).await;
    nothing_waits(&nodes, 0).await;
    contact.shut(true);
    stopped(&nodes, "tried", 1).await;
    let died = teller(&nodes).await;
    let survivor = 1 - died;
    nodes.hubs[died].kill();
    contact.shut(false);
    nodes.integration(survivor, "untold").await;
    let stop = async || nodes.apis[survivor].post("/v1/integrations/untold/stop", &Value::Null).await.status == 200;
    eventually("it is stopped, by whoever runs it then", TAKEN_OVER, async || stop().await.then_some(())).await;
    for subject in ["tried", "untold"] {
        contact.is_told_of(subject, TAKEN_OVER).await;
    }
    nothing_waits(&nodes, survivor).await;
    nodes.restart(died).await;
    stopped(&nodes, "after", died).await;
    contact.is_told_of("after", SOON).await;
    assert_eq!(contact.told(), ["after", "before", "tried", "untold"]);
    let (messages, ids) = contact.messages();
    assert_eq!(messages, ids.len());
}
