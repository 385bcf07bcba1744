//! What is in `deploy/`: its names exist in a running hub, its settings are known, and its packages hold what they should.

#[path = "it/support/api.rs"]
mod api;
#[path = "it/support/database.rs"]
mod database;
#[path = "it/support/hub.rs"]
mod hub;
#[path = "it/support/wait.rs"]
mod wait;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::api::Api;
use crate::hub::{BINARY, Hub, MASTER_KEY, Setup};
use crate::wait::{SOON, eventually};

/// Labels that hubs themselves put on their metrics, with a fixed set of values.
const LABELS: [&str; 2] = ["outcome", "result"];
/// Any time will do for the packages' files, as long as it is always the same.
const PACKAGED_AT: &str = "1700000000";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The words of a text that can be names.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// The names of our metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let is_metric = |word: &&str| {
        word.strip_prefix("tillstream_").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    words(text).filter(is_metric).collect()
}

/// The values that a query asks of a label.
fn label_values<'a>(query: &'a str, label: &str) -> Vec<&'a str> {
    query.split(&format!("{label}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Every query of a dashboard.
fn queries(part: &Value, found: &mut Vec<String>) {
    match part {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|v| queries(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| queries(v, found)),
        _ => {}
    }
}

fn dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/dashboard.json")).expect("a dashboard of JSON");
    let mut found = Vec::new();
    queries(&dashboard, &mut found);
    assert!(found.len() >= 20, "{found:?}");
    found
}

fn alert_rules() -> Vec<String> {
    let text = file("deploy/alerts.yml");
    let rules: Vec<String> = text.lines().filter(|l| l.trim_start().starts_with("expr:")).map(str::to_owned).collect();
    assert_eq!(rules.len(), text.matches("- alert:").count(), "an expression on a line of its own for every alert");
    rules
}

/// The families of a scrape, by their names without `_bucket`, `_sum` and `_count`.
fn families(scrape: &str) -> BTreeSet<&str> {
    scrape.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

fn has_sample(scrape: &str, name: &str) -> bool {
    scrape.lines().any(|l| l.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
}

#[tokio::test]
async fn what_the_dashboard_the_alerts_and_the_notes_name_is_in_a_fresh_hubs_metrics() {
    let mut hub = Hub::start(Setup::default()).await;
    let answer = Api::new(&hub.url, None).get("/metrics").await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let scrape = answer.text();

    let queries = [dashboard(), alert_rules()].concat();
    for query in &queries {
        for name in metrics_in(query) {
            assert!(has_sample(&scrape, name), "{name} is no metric: {query}\n{scrape}");
        }
        for (label, value) in LABELS.iter().flat_map(|l| label_values(query, l).into_iter().map(move |v| (l, v))) {
            assert!(scrape.contains(&format!("{label}=\"{value}\"")), "no {label} is {value}: {query}");
        }
        assert!(query.contains("job=\"tillstream\""), "of which job? {query}");
    }
    let families = families(&scrape);
    for name in metrics_in(&file("docs/operating.md")) {
        assert!(families.contains(name), "docs/operating.md: {name} is no metric");
    }
    let shown = dashboard().join("\n");
    let hidden: Vec<&&str> = families.iter().filter(|f| !shown.contains(**f)).collect();
    assert!(hidden.is_empty(), "the dashboard does not show {hidden:?}");
    assert_eq!(hub.stop(), Some(0));
}

#[test]
fn the_notes_explain_every_alert() {
    let notes = file("docs/operating.md");
    let rules = file("deploy/alerts.yml");
    let alerts: BTreeSet<&str> = rules.lines().filter_map(|l| l.trim().strip_prefix("- alert: ")).collect();
    let explained: BTreeSet<&str> = notes.lines().filter_map(|l| l.strip_prefix("| `Tillstream")).collect();
    let explained = explained.iter().filter_map(|l| l.split('`').next()).map(|name| format!("Tillstream{name}"));
    assert_eq!(alerts.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), explained.collect());
}

#[tokio::test]
async fn the_containers_check_says_what_readyz_says() {
    let ready = |hub: &Hub| {
        let listen = hub.url.trim_start_matches("http://");
        let script = root().join("deploy/container/ready");
        let output = Command::new("bash").arg(script).env("TILLSTREAM_LISTEN", listen).output().expect("bash runs");
        output.status.code()
    };
    let mut hub = Hub::start(Setup::default()).await;
    let api = Api::new(&hub.url, Some(&hub.key()));
    let event = json!({"name": "order.saved", "data": {"_id": "4711"}});
    api.try_post("/v1/events", &event).await.expect("an answer").expect(202);
    assert_eq!(ready(&hub), Some(0));
    hub.kill();
    assert_eq!(ready(&hub), Some(1));

    assert!(hub.restart().await, "the hub ended while it started");
    assert_eq!(ready(&hub), Some(0));
    let api = Api::new(&hub.url, Some(&hub.key()));
    eventually("the event is back", SOON, async || (api.all("/v1/events").await.len() == 1).then_some(())).await;
    assert_eq!(hub.stop(), Some(0), "SIGTERM is how systemd and containers end a hub");
    assert_eq!(ready(&hub), Some(1));
}

#[test]
fn the_container_is_built_with_the_workspaces_rust() {
    let manifest: toml::Table = file("Cargo.toml").parse().expect("a manifest");
    let version = manifest["workspace"]["package"]["rust-version"].as_str().expect("a version");
    let containerfile = file("deploy/container/Containerfile");
    assert!(containerfile.contains(&format!("/rust:{version}-slim-")), "not Rust {version}: {containerfile}");
}

/// Names before the first `=` of a file of settings, with those that are commented out.
fn names_set(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter_map(|l| l.trim_start_matches('#').split_once('='));
    lines.map(|(name, _)| name).filter(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')).collect()
}

#[test]
fn the_example_explains_exactly_what_compose_reads() {
    let compose = file("deploy/compose.yml");
    let read: BTreeSet<&str> = compose.split("${").skip(1).filter_map(|rest| words(rest).next()).collect();
    assert_eq!(names_set(&file("deploy/env.example")), read);
}

#[test]
fn every_setting_in_the_packages_file_is_known() {
    let text = file("deploy/debian/environment");
    let settings: Vec<(&str, &str)> = text.lines().filter_map(|l| l.strip_prefix('#')?.split_once('=')).collect();
    let settings = settings.into_iter().filter(|(name, _)| name.starts_with("TILLSTREAM_"));
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Command::new(BINARY);
    config.arg("config").env_clear().envs(settings).env("TILLSTREAM_MASTER_KEY", MASTER_KEY);
    let text = run(config.current_dir(folder.path()));
    for key in ["listen", "behind_proxy", "allow_networks", "database", "database_ca", "metrics_public", "log_level"] {
        let variable = format!("# TILLSTREAM_{}", key.to_ascii_uppercase());
        assert!(text.lines().any(|l| l.starts_with(key) && l.ends_with(&variable)), "{key} is not set: {text}");
    }
}

/// Runs a command that must succeed; what it says.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Runs `deploy/dist` with the binary under test; quickly rather than small.
fn pack(out: &Path) -> String {
    let mut dist = Command::new(root().join("deploy/dist"));
    dist.env("TILLSTREAM_BINARY", BINARY).env("TILLSTREAM_DIST", out).env("TILLSTREAM_DIST_LEVEL", "0");
    run(dist.env("SOURCE_DATE_EPOCH", PACKAGED_AT));
    fs::read_to_string(out.join("SHA256SUMS")).expect("sums")
}

/// The one file of a folder with this ending.
fn ending(folder: &Path, ending: &str) -> PathBuf {
    let mut all = fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    all.find(|p| p.to_string_lossy().ends_with(ending)).unwrap_or_else(|| panic!("no {ending} in {folder:?}"))
}

#[test]
fn packages_hold_what_they_should_and_come_out_the_same_twice() {
    assert!(
        Command::new("dpkg-deb").arg("--version").output().is_ok_and(|o| o.status.success()),
        "dpkg-deb is missing: packages are made and tested on Debian-like machines (package dpkg)"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let sums = std::thread::scope(|scope| {
        let other = scope.spawn(|| pack(&second));
        let sums = pack(&first);
        assert_eq!(sums, other.join().expect("packages"), "the same binary gives the same bytes");
        sums
    });
    assert_eq!(sums.lines().count(), 2, "{sums}");
    run(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&first));

    let package = ending(&first, ".deb");
    holds(&package);
    runs(&package, &folder.path().join("unpacked"));
    let archive = run(Command::new("tar").arg("tzf").arg(ending(&first, ".tar.gz")));
    for name in ["/tillstream", "/tillstream.service", "/README.md", "/LICENSE"] {
        assert!(archive.lines().any(|l| l.ends_with(name)), "no {name} in {archive}");
    }
}

/// The package has these files, everything is root's, and the settings are nobody else's to read.
fn holds(package: &Path) {
    let contents = run(Command::new("dpkg-deb").arg("--contents").arg(package));
    for (mode, path) in [
        ("-rwxr-xr-x", "usr/bin/tillstream"),
        ("-rw-------", "etc/tillstream/environment"),
        ("-rw-r--r--", "usr/lib/systemd/system/tillstream.service"),
        ("-rw-r--r--", "usr/share/doc/tillstream/copyright"),
        ("-rw-r--r--", "usr/share/doc/tillstream/operating.md"),
        ("-rw-r--r--", "usr/share/bash-completion/completions/tillstream"),
        ("-rw-r--r--", "usr/share/zsh/vendor-completions/_tillstream"),
        ("-rw-r--r--", "usr/share/fish/vendor_completions.d/tillstream.fish"),
    ] {
        let is_there = |l: &str| l.starts_with(mode) && l.ends_with(&format!(" ./{path}"));
        assert!(contents.lines().any(is_there), "no {path} with {mode} in\n{contents}");
    }
    assert!(contents.lines().all(|l| l.contains(" root/root ")), "{contents}");
    let info = run(Command::new("dpkg-deb").arg("--info").arg(package));
    for said in [concat!("Version: ", env!("CARGO_PKG_VERSION")), "Depends: libc6 (>= ", "conffiles", "postinst"] {
        assert!(info.contains(said), "no {said} in\n{info}");
    }
}

/// What is in the package runs, and is what the service starts.
fn runs(package: &Path, unpacked: &Path) {
    run(Command::new("dpkg-deb").arg("--raw-extract").args([package, unpacked]));
    let version = run(Command::new(unpacked.join("usr/bin/tillstream")).arg("--version"));
    assert_eq!(version.trim(), concat!("tillstream ", env!("CARGO_PKG_VERSION")));
    let conffiles = fs::read_to_string(unpacked.join("DEBIAN/conffiles")).expect("conffiles");
    assert_eq!(conffiles, "/etc/tillstream/environment\n");
    run(Command::new("md5sum").args(["--check", "--quiet", "DEBIAN/md5sums"]).current_dir(unpacked));
    for script in ["postinst", "prerm", "postrm"] {
        run(Command::new("sh").arg("-n").arg(unpacked.join("DEBIAN").join(script)));
    }
    let unit = file("deploy/tillstream.service");
    let started = unit.lines().find_map(|l| l.strip_prefix("ExecStart=/")?.split(' ').next()).expect("what it starts");
    assert!(unpacked.join(started).is_file(), "the service starts /{started}");
    assert!(unit.contains("EnvironmentFile=-/etc/tillstream/environment"), "the service reads other settings");
}
