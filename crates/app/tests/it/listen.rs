//! `tillstream listen`: a receiver on this machine.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::support::hub::terminate;
use crate::support::signature::secret_in;
use crate::support::{SOON, Stage, command, eventually, order};

/// A running `tillstream listen --json`.
struct Listener {
    child: Child,
    url: String,
    deliveries: Lines<BufReader<ChildStdout>>,
    _said: BufReader<ChildStderr>,
}

impl Listener {
    fn start(stage: &Stage, arguments: &[&str]) -> Self {
        let mut command = command(&stage.hub, &["listen", "--listen", "127.0.0.1:0", "--json", "--payload"]);
        let child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("it starts");
        let mut said = BufReader::new(child.stderr.take().expect("standard error"));
        let mut first = String::new();
        said.read_line(&mut first).expect("where it listens");
        let url =
            first.split_whitespace().find(|w| w.starts_with("http://")).unwrap_or_else(|| panic!("no URL in {first}"));
        let url = url.trim_end_matches([',', ';', ':']).to_owned();
        let deliveries = BufReader::new(child.stdout.take().expect("standard output")).lines();
        Self { child, url, deliveries, _said: said }
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.deliveries.next().expect("a line").expect("readable")).expect("JSON")
    }

    fn end(&mut self) -> Option<i32> {
        terminate(self.child.id());
        self.child.wait().expect("its end").code()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_makes_an_integration_shows_verified_deliveries_and_cleans_up() {
    let stage = Stage::new().await;
    let mut listener = Listener::start(&stage, &["--create"]);
    let id = stage.emit(order("o", 7)).await.remove(0);
    let shown = listener.next();
    assert_eq!((&shown["id"], &shown["event"]), (&json!(id), &json!("order.saved")));
    assert_eq!((&shown["signature_valid"], &shown["answered"]), (&json!(true), &json!(200)));
    assert_eq!(shown["body"]["data"]["version"], 7);
    assert_eq!(stage.api.all("/v1/integrations").await.len(), 1);
    assert_eq!(listener.end(), Some(0));
    assert_eq!(stage.api.all("/v1/integrations").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_tells_a_wrong_secret_and_answers_as_told() {
    let stage = Stage::new().await;
    let other = secret_in(&stage.integration("other", json!({})).await);
    let mut listener = Listener::start(&stage, &["--secret", &other, "--status", "422"]);
    stage.integration("it", json!({"target": {"url": listener.url}})).await;
    stage.emit(order("o", 1)).await;
    let shown = listener.next();
    assert_eq!((&shown["signature_valid"], &shown["answered"]), (&json!(false), &json!(422)));
    assert_eq!(stage.wait_for_rejected("it", 1).await[0]["last_status"], 422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_deliveries_on_with_their_signature() {
    let stage = Stage::new().await;
    stage.receiver.behave("/behind", |_| crate::support::Reply::Status(418));
    let mut listener = Listener::start(&stage, &["--forward-to", &stage.receiver.url("/behind")]);
    let secret = secret_in(&stage.integration("it", json!({"target": {"url": listener.url}})).await);
    stage.emit(order("o", 1)).await;
    assert_eq!(listener.next()["answered"], 418);
    let behind = stage.receiver.wait_for("/behind", 1, SOON).await.remove(0);
    assert_eq!(crate::support::signature::matching(&behind, &secret), 1);
    let rejected = async || stage.rejected("it").await.pop();
    assert_eq!(eventually("it is rejected", SOON, rejected).await["last_status"], 418);
}
