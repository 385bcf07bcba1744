//! The API's document is a committed file, so that a change of the API shows in a review. `UPDATE=1` writes it anew.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::support::App;

#[test]
fn the_committed_document_is_the_one_the_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let made = tillstream_hub::api::document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "openapi.json is not what the code makes; look at the change and run this test with UPDATE=1"
    );
}

/// The document as JSON.
pub fn document() -> Value {
    serde_json::to_value(tillstream_hub::api::document()).unwrap()
}

/// Every call: method, path and description.
pub fn operations(document: &Value) -> Vec<(&'static str, &str, &Value)> {
    let methods = ["get", "put", "post", "patch", "delete"];
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| methods.into_iter().filter_map(move |m| Some((m, path.as_str(), item.get(m)?))))
        .collect()
}

#[test]
fn every_call_says_what_it_does_and_what_it_answers() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let operations = operations(&document);
    assert!(operations.len() > 25, "{}", operations.len());
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations {
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
        assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{method} {path}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{method} {path}");
        if path.starts_with("/v1/") {
            assert!(answers.contains_key("401") && answers.contains_key("403"), "{method} {path}");
        }
    }
}

#[test]
fn what_calls_are_about_is_described_once_and_in_an_order_that_is_chosen() {
    let document = document();
    let tags: Vec<&str> = document["tags"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
    assert_eq!((tags.first(), tags.last()), (Some(&"events"), Some(&"operation")));
    let used: BTreeSet<&str> =
        operations(&document).iter().map(|(_, _, operation)| operation["tags"][0].as_str().unwrap()).collect();
    assert_eq!(used, tags.iter().copied().collect(), "every tag is listed, and none for nothing");
    assert_eq!(used.len(), tags.len());
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
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

#[tokio::test]
async fn the_document_and_the_page_around_it_are_served_without_a_key() {
    let app = App::start().await;
    let request = |path: &str| http::Request::get(path).body(axum::body::Body::empty()).unwrap();
    let served = app.send(request("/v1/openapi.json")).await;
    assert_eq!((served.status.as_u16(), &served.body), (200, &document()));
    assert_eq!(app.send(request("/docs/")).await.status, 200);
}
