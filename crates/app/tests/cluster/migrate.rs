//! A hub that outgrew its machine moves into a database and goes on as if nothing had happened.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::Api;
use crate::database;
use crate::hub::{Hub, Setup, tillstream};
use crate::receiver::{Receiver, Reply};
use crate::wait::SOON;

const EVENTS: u64 = 30;

fn order(n: u64) -> Value {
    json!({"id": format!("o-{n}"), "name": "order.saved", "site": "175", "data": {"_id": "e", "version": n}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_moved_delivers_what_waited_and_nothing_twice() {
    let receiver = Receiver::start().await;
    receiver.behave("/down", |_| Reply::Status(503));
    let mut hub = Hub::start(Setup::default()).await;
    let key = hub.key();
    let api = Api::new(&hub.url, Some(&key));
    for id in ["well", "down"] {
        let target = json!({"kind": "http", "url": receiver.url(&format!("/{id}"))});
        api.post("/v1/integrations", &json!({"id": id, "name": id, "target": target})).await.expect(201);
    }
    let orders: Vec<Value> = (1..=EVENTS).map(order).collect();
    let before = api.post("/v1/events", &json!(orders)).await.expect(202);
    receiver.wait_for("/well", EVENTS as usize, SOON).await;
    assert_eq!(hub.stop(), Some(0));
    let refused = receiver.deliveries("/down").len();

    let url = database::make_named(&format!("moved_{:016x}", rand::random::<u64>())).await;
    let migrate = || tillstream(hub.folder()).args(["migrate", "--data", "data", "--json", "--to", &url]).output();
    let output = migrate().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let moved: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&moved["companies"], &moved["integrations"], &moved["events"]), (&json!(1), &json!(2), &json!(EVENTS)));
    assert!(moved["attempts"].as_u64().expect("a count") >= EVENTS + refused as u64, "{moved}");
    assert_eq!(migrate().expect("it runs").status.code(), Some(1), "the database is in use now");
    let stale = tillstream(hub.folder()).args(["serve", "--data", "data", "--listen", "127.0.0.1:0"]).output();
    let said = String::from_utf8(stale.expect("it runs").stderr).expect("text");
    assert!(said.contains("was moved to a database") && said.lines().count() == 1, "{said}");

    receiver.behave("/down", |_| Reply::Status(200));
    let keys = ["keys", "create", "--name", "op", "--scope", "instance", "--database", &url];
    let operator = tillstream(hub.folder()).args(keys).output().expect("it runs");
    let operator = String::from_utf8(operator.stdout).expect("text");
    hub.setup.shared = Some((url, "node-1".to_owned()));
    assert!(hub.restart().await, "it ended while it started");
    let audit = Api::new(&hub.url, Some(operator.trim())).get("/v1/audit").await.expect(200);
    let actions: Vec<&str> =
        audit["items"].as_array().expect("rows").iter().filter_map(|e| e["action"].as_str()).collect();
    assert_eq!(actions, ["key.created", "hub.moved"], "{audit}");
    assert!(audit["items"][1]["actor"].as_str().expect("somebody").starts_with("cli "), "{audit}");
    let api = Api::new(&hub.url, Some(&key));
    let delivered = receiver.wait_for("/down", refused + EVENTS as usize, SOON).await;
    let versions: Vec<u64> = delivered[refused..].iter().map(|d| d.version().1).collect();
    assert_eq!(versions, (1..=EVENTS).collect::<Vec<_>>());
    let again = api.post("/v1/events", &json!(orders)).await.expect(202);
    let ids = |answer: &Value| -> Vec<Value> {
        answer["accepted"].as_array().expect("a list").iter().map(|row| row["id"].clone()).collect()
    };
    assert_eq!(ids(&again), ids(&before), "ids are remembered");
    api.post("/v1/events", &order(EVENTS + 1)).await.expect(202);
    receiver.wait_for("/well", EVENTS as usize + 1, SOON).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(receiver.deliveries("/well").len(), EVENTS as usize + 1, "nothing goes out twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_says_what_it_needs() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| {
        let output = tillstream(folder.path()).arg("migrate").args(args).output().expect("it runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (code, said) = run(&[]);
    assert!(code == Some(2) && said.contains("--to postgres://"), "{said}");
    let (code, said) = run(&["--to", "mysql://x/y"]);
    assert!(code == Some(2) && said.contains("postgres://user:password@host"), "{said}");
    let (code, said) = run(&["--to", "postgres://127.0.0.1:1/x"]);
    assert!(code == Some(1) && said.contains("there is no hub's data in it"), "{said}");
}
