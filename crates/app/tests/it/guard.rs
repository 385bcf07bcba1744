//! Deliveries go to public addresses only, unless the operator opened more.

use serde_json::{Value, json};

use crate::support::{Answer, SOON, Setup, Stage, eventually, order};

/// The setting that opens a network.
const SETTING: &str = "TILLSTREAM_ALLOW_NETWORKS";

/// A hub that may deliver to public addresses only.
async fn closed() -> Stage {
    Stage::with(Setup { allow_networks: None, ..Setup::default() }).await
}

async fn create(stage: &Stage, id: &str, url: &str) -> Answer {
    let settings =
        json!({"target": {"url": url}, "delivery": {"retry": {"schedule_seconds": [0, 0]}, "timeout_seconds": 2}});
    stage.try_integration(id, settings).await
}

/// An address written as a number is known when it is saved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_are_not_public_are_refused_when_they_are_saved() {
    let stage = closed().await;
    for host in [
        "127.0.0.1",
        "127.8.7.6",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
    ] {
        let answer = create(&stage, "it", &format!("http://{host}:8080/hook")).await;
        assert_eq!(answer.status, 422, "{host}: {}", answer.text());
        assert!(answer.text().contains("target.url") && answer.text().contains(SETTING), "{host}: {}", answer.text());
    }
    assert_eq!(stage.api.all("/v1/integrations").await, [Value::Null; 0]);
}

/// Some spell an address so that only the system's resolver knows what it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_odd_spellings_of_this_machine_are_never_reached() {
    let stage = closed().await;
    let port = stage.receiver.url("").rsplit(':').next().unwrap().to_owned();
    for (n, host) in ["localhost", "LOCALHOST.", "0x7f000001", "2130706433", "127.1", "0177.0.0.1"].iter().enumerate() {
        let id = format!("it-{n}");
        let answer = create(&stage, &id, &format!("http://{host}:{port}/hook")).await;
        if answer.status == 422 {
            assert!(answer.text().contains("target.url"), "{host}: {}", answer.text());
            continue;
        }
        answer.expect(201);
        stage.emit(order(&id, 1)).await;
        let what = format!("an attempt at {host}");
        let failed = eventually(&what, SOON, async || stage.attempts(&id).await.pop()).await;
        let failure = &failed["failure"];
        assert!(failure["cause"] == "blocked" || failure["cause"] == "dns", "{host}: {failed}");
        if failure["cause"] == "blocked" {
            assert!(failure["detail"].as_str().unwrap().contains(SETTING), "{host}: {failed}");
        }
    }
    assert!(stage.receiver.deliveries("/hook").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_leads_to_this_machine_is_blocked_with_the_setting_that_opens_it() {
    let stage = closed().await;
    let port = stage.receiver.url("").rsplit(':').next().unwrap().to_owned();
    create(&stage, "it", &format!("http://localhost:{port}/hook")).await.expect(201);
    stage.emit(order("o", 1)).await;
    let failed = eventually("an attempt", SOON, async || stage.attempts("it").await.pop()).await;
    assert_eq!(failed["failure"]["cause"], "blocked", "{failed}");
    assert!(failed["failure"]["detail"].as_str().unwrap().contains(SETTING), "{failed}");
    assert!(stage.receiver.deliveries("/hook").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_cannot_lead_a_lane_inside() {
    let stage = closed().await;
    create(&stage, "it", "http://hooks.example.invalid/hook").await.expect(201);
    let answer = stage.api.patch("/v1/integrations/it", &json!({"target": {"url": stage.receiver.url("/hook")}})).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains(SETTING), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_saved_while_it_was_open_is_blocked_once_it_is_closed() {
    let mut stage = Stage::new().await;
    stage.integration("it", json!({"delivery": {"retry": {"schedule_seconds": [0, 0]}}})).await;
    stage.hub.stop();
    stage.hub.setup.allow_networks = None;
    stage.restart().await;
    stage.emit(order("o", 1)).await;
    let failed = eventually("an attempt", SOON, async || stage.attempts("it").await.pop()).await;
    assert_eq!(failed["failure"]["cause"], "blocked", "{failed}");
    assert!(stage.receiver.deliveries("/it").is_empty());
}
