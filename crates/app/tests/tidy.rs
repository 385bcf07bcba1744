//! House rules as an ordinary test: where things may stand, and how long they may get.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file; longer ones are listed in [`LONG_FILES`] with a reason.
const MAX_FILE_LINES: usize = 400;
/// Longest function, braces included.
const MAX_FUNCTION_LINES: usize = 70;

/// Files that may be longer, each with its reason.
const LONG_FILES: [(&str, &str); 3] = [
    ("crates/model/src/lane/mod.rs", "one state machine; its parts are in files of their own already"),
    ("crates/model/src/lane/tests.rs", "the situations of one state machine, with the world around it"),
    ("crates/hub/src/deliver/runner.rs", "one task's loop"),
];

/// Tests that look at the database server itself, behind the hub's back.
const ASKS_THE_SERVER: [&str; 3] = [
    "crates/app/tests/cluster/postgres.rs",
    "crates/app/tests/cluster/rows.rs",
    "crates/app/tests/it/support/values.rs",
];

/// What each crate of ours may depend on among ours.
const EDGES: [(&str, &[&str]); 6] = [
    ("crates/model", &[]),
    ("crates/store", &["tillstream-model"]),
    ("crates/outbound", &[]),
    ("crates/hub", &["tillstream-model", "tillstream-store", "tillstream-outbound"]),
    ("crates/app", &["tillstream-model", "tillstream-store", "tillstream-outbound", "tillstream-hub"]),
    ("bench", &["tillstream-model", "tillstream-store"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file below our folders with this ending, with its path from the root and its text.
fn files(ending: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in ["crates", "bench", "docs", "tests", ".ci", "fuzz"] {
        walk(&root().join(folder), ending, &mut found);
    }
    for entry in fs::read_dir(root()).unwrap() {
        add(&entry.unwrap().path(), ending, &mut found);
    }
    found
}

fn walk(folder: &Path, ending: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["target", "node_modules", ".venv", "corpus", "artifacts"].contains(&name.as_str()) {
            walk(&path, ending, found);
        } else {
            add(&path, ending, found);
        }
    }
}

fn add(path: &Path, ending: &str, found: &mut BTreeMap<String, String>) {
    if path.is_file()
        && path.to_string_lossy().ends_with(ending)
        && let Ok(text) = fs::read_to_string(path)
    {
        found.insert(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned(), text);
    }
}

/// The text without its test modules, which come last in our files.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

fn assert_none(found: Vec<String>, rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn crates_depend_one_way() {
    for (folder, allowed) in EDGES {
        let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&text).unwrap();
        let ours: BTreeSet<&str> = ["dependencies", "dev-dependencies", "build-dependencies"]
            .iter()
            .filter_map(|section| manifest.get(*section)?.as_table())
            .flat_map(|deps| deps.keys())
            .map(String::as_str)
            .filter(|name| name.starts_with("tillstream"))
            .collect();
        for dependency in ours {
            assert!(allowed.contains(&dependency), "{folder} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_model_does_no_io() {
    let text = fs::read_to_string(root().join("crates/model/Cargo.toml")).unwrap();
    for forbidden in ["tokio", "hyper", "rusqlite", "sqlx", "rand", "axum"] {
        assert!(!text.lines().any(|l| l.starts_with(forbidden)), "model depends on {forbidden}");
    }
    let used = files(".rs").into_iter().filter(|(path, _)| path.starts_with("crates/model/src"));
    let found =
        used.filter(|(_, text)| ["std::net", "std::fs", "SystemTime", "Instant::now"].iter().any(|w| text.contains(w)));
    assert_none(found.map(|(path, _)| path).collect(), "no I/O and no clock in model");
}

#[test]
fn sql_stands_only_in_store() {
    let words = ["SELECT ", "INSERT INTO", "DELETE FROM", "CREATE TABLE"];
    let found = files(".rs").into_iter().filter(|(path, text)| {
        let elsewhere = !path.starts_with("crates/store/")
            && !path.starts_with("bench/src/baseline/")
            && !ASKS_THE_SERVER.contains(&path.as_str())
            && !path.ends_with("tidy.rs");
        elsewhere && words.iter().any(|w| text.contains(w))
    });
    assert_none(found.map(|(path, _)| path).collect(), "SQL outside of store");
}

#[test]
fn only_ingest_appends_and_deliver_never_calls_the_api() {
    let mut found = Vec::new();
    for (path, text) in files(".rs") {
        let code = without_tests(&text);
        if path.starts_with("crates/hub/src/") && path != "crates/hub/src/ingest.rs" && code.contains(".append(Append")
        {
            found.push(format!("{path} appends to the log"));
        }
        if path.starts_with("crates/hub/src/deliver/") && code.contains("crate::api") {
            found.push(format!("{path} calls the API"));
        }
        if path.starts_with("crates/hub/src/") && (code.contains("sqlite") || code.contains("postgres")) {
            found.push(format!("{path} names an engine"));
        }
    }
    assert_none(found, "edges inside the hub");
}

#[test]
fn only_wire_picks_an_engine() {
    let found = files(".rs").into_iter().filter(|(path, text)| {
        path.starts_with("crates/app/src/")
            && !["crates/app/src/wire.rs", "crates/app/src/faults.rs"].contains(&path.as_str())
            && (text.contains("sqlite::") || text.contains("store::postgres") || text.contains(" postgres::"))
    });
    assert_none(found.map(|(path, _)| path).collect(), "an engine named outside of wire.rs");
}

#[test]
fn files_stay_short() {
    let long = files(".rs").into_iter().filter(|(path, text)| {
        let lines = without_tests(text).lines().count();
        lines > MAX_FILE_LINES && !LONG_FILES.iter().any(|(listed, _)| listed == path)
    });
    assert_none(long.map(|(path, t)| format!("{path}: {} lines", t.lines().count())).collect(), "too long");
}

#[test]
fn functions_stay_short() {
    let mut long = Vec::new();
    for (path, text) in files(".rs").iter().filter(|(path, _)| path.contains("/src/")) {
        let mut open: Option<(usize, String, usize)> = None;
        for (number, line) in without_tests(text).lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let starts = line.trim_start().split("fn ").nth(1).is_some() && line.trim_end().ends_with('{');
            match &open {
                None if starts => open = Some((indent, line.trim().to_owned(), number)),
                Some((at, name, from)) if indent == *at && line.trim() == "}" => {
                    if number - from > MAX_FUNCTION_LINES {
                        long.push(format!("{path}:{}: {name}", from + 1));
                    }
                    open = None;
                }
                _ => {}
            }
        }
    }
    assert_none(long, "functions over 70 lines");
}

#[test]
fn nothing_is_left_unfinished_or_switched_off() {
    let words = [
        ["to", "do!("].concat(),
        ["unimple", "mented!("].concat(),
        ["#[ig", "nore"].concat(),
        ["allow(dead", "_code)"].concat(),
    ];
    let found = files(".rs").into_iter().filter(|(_, text)| words.iter().any(|w| text.contains(w.as_str())));
    assert_none(found.map(|(path, _)| path).collect(), "unfinished or switched-off code");
}

#[test]
fn every_decision_is_in_the_list_and_every_link_leads_somewhere() {
    let pages = files(".md");
    let list = &pages["docs/decisions/README.md"];
    let mut missing = Vec::new();
    for path in pages.keys().filter_map(|p| p.strip_prefix("docs/decisions/")) {
        if path != "README.md" && !list.contains(path) {
            missing.push(format!("docs/decisions/README.md does not list {path}"));
        }
    }
    for (path, text) in &pages {
        for target in text.split("](").skip(1).filter_map(|t| t.split([')', '#']).next()) {
            let local = !target.is_empty() && !target.contains("://");
            if local && !root().join(path).parent().unwrap().join(target).exists() {
                missing.push(format!("{path} links to {target}"));
            }
        }
    }
    assert_none(missing, "pages");
}
