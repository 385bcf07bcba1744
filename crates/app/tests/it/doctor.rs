//! A look at everything a hub needs.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::cli::run_alone;
use crate::support::hub::tillstream;
use crate::support::{Output, Stage, command, database, run};

fn findings(output: &Output) -> Vec<Value> {
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

/// How a check ended and what was found, worst first.
#[track_caller]
fn of<'a>(findings: &'a [Value], check: &str) -> (&'a str, &'a str) {
    let of: Vec<&Value> = findings.iter().filter(|f| f["check"] == check).collect();
    let worst = of.iter().find(|f| f["status"] == "fail").or_else(|| of.iter().find(|f| f["status"] == "warn"));
    let finding = worst.or(of.first()).unwrap_or_else(|| panic!("nothing of {check}: {findings:?}"));
    (finding["status"].as_str().expect("a status"), finding["found"].as_str().expect("a text"))
}

fn doctor(stage: &Stage, more: &[&str]) -> Output {
    let address = stage.hub.url.trim_start_matches("http://").to_owned();
    let arguments = [&["doctor", "--json", "--data", "data", "--listen", &address], more].concat();
    run(command(&stage.hub, &arguments), "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_healthy_hub_nothing_fails() {
    let stage = Stage::new().await;
    stage.integration("erp", json!({})).await;
    let url = stage.receiver.url("/probe");
    let (checked, output) = tokio::task::spawn_blocking(move || {
        let output = doctor(&stage, &["--allow-networks", "127.0.0.0/8", "--check-url", &url]);
        (findings(&output), output)
    })
    .await
    .expect("it ends");
    assert_eq!(output.code, 0, "{output:?}");
    for check in ["configuration", "clock", "port", "master key", "key files", "outgoing", "integrations"] {
        assert_eq!(of(&checked, check).0, "ok", "{check}: {checked:?}");
    }
    assert!(of(&checked, "port").1.contains("a hub answers"));
    let place = if database::is_used() { ["database", "database clock"] } else { ["disk space", "disk"] };
    for check in place {
        assert_ne!(of(&checked, check).0, "fail", "{check}: {checked:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_found_with_what_to_do() {
    let stage = Stage::new().await;
    stage.integration("erp", json!({})).await;
    let key_file = stage.hub.folder().join("data.admin-key");
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o644)).expect("its mode");
    let taken = stage.receiver.url("");
    let output = tokio::task::spawn_blocking(move || {
        let address = taken.trim_start_matches("http://").to_owned();
        let arguments =
            ["doctor", "--json", "--data", "data", "--listen", &address, "--check-url", "http://127.0.0.1:1/"];
        let mut wrong = command(&stage.hub, &arguments);
        wrong.env("TILLSTREAM_MASTER_KEY", "ab".repeat(32));
        let with_another_key = run(wrong, "");
        (with_another_key, run(command(&stage.hub, &arguments), ""))
    });
    let (with_another_key, output) = output.await.expect("it ends");
    assert_eq!((with_another_key.code, output.code), (1, 1));
    assert_eq!(of(&findings(&with_another_key), "master key").0, "fail");
    let found = findings(&output);
    for check in ["port", "key files", "outgoing"] {
        assert_eq!(of(&found, check).0, "fail", "{check}: {found:?}");
    }
    // Without the network that the hub was given, the guard refuses the integration's host too.
    assert_eq!(of(&found, "integrations").0, "warn", "{found:?}");
    assert!(found.iter().all(|f| f["status"] == "ok" || f["advice"].is_string()), "{found:?}");
}

#[test]
fn a_folder_without_anything_is_fine_and_stays_that_way() {
    let folder = tempdir().unwrap();
    let mut embedded = tillstream(folder.path());
    embedded.env_remove("TILLSTREAM_DATABASE").args(["doctor", "--data", "data", "--listen", "127.0.0.1:0"]);
    let output = run(embedded, "");
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output.stdout.contains("has nothing in it yet") && output.stdout.starts_with("ok    configuration"),
        "{}",
        output.stdout
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it changes nothing");
    let wrong = run_alone(folder.path(), &["doctor", "--json"], &[("TILLSTREAM_LISTN", "x")]);
    assert_eq!(wrong.code, 1);
    assert!(of(&findings(&wrong), "configuration").1.contains("did you mean \"listen\""));
}
