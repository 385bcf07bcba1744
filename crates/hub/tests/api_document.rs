//! The API's document is a committed file, so that a change of the API shows in a review. `UPDATE=1` writes it anew.

use std::path::Path;

use serde_json::Value;

#[test]
fn the_committed_document_is_the_one_the_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let made = tillstream_hub::api::document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "openapi.json is not what the code makes; look at the change and run the test with UPDATE=1");
}

fn document() -> Value {
    serde_json::to_value(tillstream_hub::api::document()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = ["get", "put", "post", "patch", "delete"];
            methods.into_iter().filter_map(move |m| Some((format!("{m} {path}"), item.get(m)?)))
        })
        .collect()
}

#[test]
fn every_call_says_what_it_does_and_what_it_answers() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let operations = operations(&document);
    assert!(operations.len() > 25, "{}", operations.len());
    let mut ids = std::collections::BTreeSet::new();
    for (name, operation) in operations {
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}");
        assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{name}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{name}");
        if name.contains("/v1/") {
            assert!(answers.contains_key("401") && answers.contains_key("403"), "{name}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            into.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|v| collect(v, into));
        }
        Value::Array(items) => items.iter().for_each(|v| collect(v, into)),
        _ => {}
    }
}
