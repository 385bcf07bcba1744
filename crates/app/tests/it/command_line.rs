//! The commands that people and scripts use.

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::cli::run_alone;
use crate::support::{SOON, Stage, command, database, order, run};

#[test]
fn wrong_use_ends_with_2_and_says_what_is_wrong() {
    let folder = tempdir().unwrap();
    let exit = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = run_alone(folder.path(), arguments, environment);
        assert!(!output.stderr.is_empty(), "{arguments:?} says nothing");
        output.code
    };
    assert_eq!(exit(&["no-such-command"], &[]), 2);
    assert_eq!(exit(&["serve", "--no-such-option"], &[]), 2);
    assert_eq!(exit(&["emit"], &[]), 2);
    assert_eq!(exit(&["config"], &[("TILLSTREAM_LISTN", "127.0.0.1:1")]), 2);
    assert_eq!(exit(&["serve", "--data", "data", "--listen", "0.0.0.0:0"], &[]), 2);
    assert_eq!(exit(&["serve", "--data", "data", "--allow-networks", "10.0.0.0/99"], &[]), 2);
    assert_eq!(exit(&["keys", "create", "--data", "data", "--name", "x", "--scope", "no:such"], &[]), 2);
}

#[test]
fn what_cannot_be_done_ends_with_1_and_one_line() {
    let folder = tempdir().unwrap();
    for arguments in [
        &["integrations", "list", "--url", "http://127.0.0.1:9", "--key", "tsk_x"][..],
        &["emit", "no-such-file.json", "--key", "tsk_x"],
        &["emit", "no-such-file.json"],
        &["keys", "delete", "key_0000000000000000", "--data", "data"],
    ] {
        let output = run_alone(folder.path(), arguments, &[]);
        assert_eq!(output.code, 1, "{arguments:?}: {}", output.stderr);
        assert_eq!(output.stderr.trim_end().lines().count(), 1, "{arguments:?}: {}", output.stderr);
    }
}

#[test]
fn help_and_completions_end_with_0() {
    let folder = tempdir().unwrap();
    let script = run_alone(folder.path(), &["completions", "bash"], &[]);
    assert_eq!(script.code, 0);
    assert!(script.stdout.contains("complete") && script.stdout.contains("tillstream"), "{}", script.stdout);
    for verb in [
        "serve",
        "keys",
        "integrations",
        "emit",
        "listen",
        "backup",
        "restore",
        "doctor",
        "master-key",
        "config",
        "completions",
    ] {
        let help = run_alone(folder.path(), &[verb, "--help"], &[]);
        assert_eq!(help.code, 0, "{verb}");
        assert!(help.stdout.contains("Usage: tillstream"), "{verb}: {}", help.stdout);
    }
}

#[test]
fn the_effective_configuration_is_printed_with_its_sources_and_without_secrets() {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("tillstream.toml"), "listen = \"127.0.0.1:1111\"\nlog_level = \"warn\"\n")
        .unwrap();
    let environment = [("TILLSTREAM_LISTEN", "127.0.0.1:2222")];
    let output = run_alone(folder.path(), &["config", "--json", "--data", "elsewhere"], &environment);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let config: Value = serde_json::from_str(&output.stdout).unwrap();
    let pair = |key: &str| (config[key]["value"].clone(), config[key]["source"].clone());
    assert_eq!(pair("listen"), (json!("127.0.0.1:2222"), json!("TILLSTREAM_LISTEN")));
    assert_eq!(pair("log_level"), (json!("warn"), json!("tillstream.toml")));
    assert_eq!(pair("data"), (json!("elsewhere"), json!("command line")));
    assert!(!output.stdout.contains(crate::support::hub::MASTER_KEY), "{}", output.stdout);
}

#[test]
fn a_misspelt_setting_is_refused_with_a_suggestion() {
    let folder = tempdir().unwrap();
    let output = run_alone(folder.path(), &["config"], &[("TILLSTREAM_ALLOW_NETWORK", "lan")]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("did you mean \"allow_networks\""), "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_made_listed_and_deleted_while_the_hub_runs() {
    let stage = Stage::new().await;
    let made = run(command(&stage.hub, &["keys", "create", "--data", "data", "--name", "t", "--scope", "all"]), "");
    assert_eq!(made.code, 0, "{}", made.stderr);
    let client = stage.api.with_key(made.stdout.trim());
    client.get("/v1/integrations").await.expect(200);
    let listed = run(command(&stage.hub, &["keys", "list", "--data", "data", "--json"]), "");
    let keys: Value = serde_json::from_str(&listed.stdout).unwrap();
    let key = keys.as_array().unwrap().iter().find(|k| k["name"] == "t").expect("listed");
    assert!(!listed.stdout.contains(made.stdout.trim()));
    let id = key["id"].as_str().unwrap();
    assert_eq!(run(command(&stage.hub, &["keys", "delete", id, "--data", "data"]), "").code, 0);
    let gone = async || (client.get("/v1/integrations").await.status == 401).then_some(());
    crate::support::eventually("the key stops working", SOON, gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn integrations_are_looked_at_and_switched() {
    let stage = Stage::new().await;
    let of = |arguments: &[&str]| run(command(&stage.hub, arguments), "");
    let url = stage.receiver.url("/cli");
    let made = of(&["integrations", "create", &url, "--id", "cli", "--entities", "order", "--json"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.stdout.contains("whsec_"), "{}", made.stdout);
    let listed: Value = serde_json::from_str(&of(&["integrations", "list", "--json"]).stdout).unwrap();
    assert_eq!((&listed[0]["id"], &listed[0]["status"]), (&json!("cli"), &json!("running")));
    assert_eq!(of(&["integrations", "stop", "cli"]).code, 0);
    assert_eq!(stage.shown("cli").await["status"], "stopped");
    assert_eq!(of(&["integrations", "start", "cli"]).code, 0);
    let shown: Value = serde_json::from_str(&of(&["integrations", "show", "cli", "--json"]).stdout).unwrap();
    assert_eq!(shown["status"], "running");
    stage.emit(order("o", 1)).await;
    stage.wait_for_attempts("cli", 1).await;
    let attempts: Value = serde_json::from_str(&of(&["integrations", "attempts", "cli", "--json"]).stdout).unwrap();
    assert_eq!(attempts[0]["status"], "success");
    let logs = of(&["integrations", "logs", "cli"]);
    assert!(["created", "stopped", "started"].iter().all(|action| logs.stdout.contains(action)), "{}", logs.stdout);
    assert_eq!(of(&["integrations", "rejected", "cli", "--json"]).stdout.trim(), "[]");
    assert_eq!(of(&["integrations", "show", "nobody"]).code, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_sent_from_standard_input() {
    let stage = Stage::new().await;
    let lines: String = (1..=250).map(|n| format!("{}\n", order("o", n))).collect();
    let sent = run(command(&stage.hub, &["emit", "-", "--json"]), &lines);
    assert_eq!(sent.code, 0, "{}", sent.stderr);
    let totals: Value = serde_json::from_str(&sent.stdout).unwrap();
    assert_eq!((&totals["accepted"], &totals["refused"]), (&json!(250), &json!(0)));
    assert_eq!(stage.api.all("/v1/events").await.len(), 250);
    let mixed = format!("[{}, {{\"name\": \"wrong\", \"data\": {{}}}}]", order("p", 1));
    let sent = run(command(&stage.hub, &["emit", "-", "--json"]), &mixed);
    assert_eq!(sent.code, 1, "an event was refused");
    let broken = run(command(&stage.hub, &["emit", "-"]), "{\"name\": ");
    assert_eq!(broken.code, 1);
    assert!(broken.stderr.contains("line 1"), "{}", broken.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_generated() {
    let stage = Stage::new().await;
    let sent =
        run(command(&stage.hub, &["emit", "--generate", "300", "--seed", "7", "--connections", "2", "--json"]), "");
    assert_eq!(sent.code, 0, "{} {}", sent.stdout, sent.stderr);
    let totals: Value = serde_json::from_str(&sent.stdout).unwrap();
    assert_eq!((&totals["accepted"], &totals["refused"]), (&json!(300), &json!(0)));
    let stored = stage.api.all("/v1/events").await;
    assert_eq!(stored.len(), 300);
    assert!(stored.iter().any(|e| e["entity"] == "order"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_serves_one_hub_only() {
    if database::is_used() {
        // Any number of hubs share a database: tests/cluster.
        return;
    }
    let stage = Stage::new().await;
    let second = run(command(&stage.hub, &["serve", "--data", "data", "--listen", "127.0.0.1:0"]), "");
    assert_eq!(second.code, 1, "{}", second.stderr);
    stage.emit(order("o", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_master_key_than_the_folders_is_refused() {
    let mut stage = Stage::new().await;
    stage.integration("it", json!({})).await;
    stage.hub.stop();
    let mut wrong = command(&stage.hub, &["serve", "--data", "data", "--listen", "127.0.0.1:0"]);
    wrong.env("TILLSTREAM_MASTER_KEY", "ab".repeat(32));
    let output = run(wrong, "");
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.to_lowercase().contains("master key"), "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_told_to_end_ends_with_0() {
    let mut stage = Stage::new().await;
    stage.emit(order("o", 1)).await;
    assert_eq!(stage.hub.stop(), Some(0));
}
