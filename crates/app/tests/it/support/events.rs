//! Events to send, and problems to read.

use serde_json::{Value, json};

/// An event about one entity, whose id its document has; `version` tells its events apart.
pub fn event(name: &str, entity_id: &str, version: u64) -> Value {
    json!({"name": name, "site": "175", "data": {"_id": entity_id, "version": version}})
}

/// An order was saved.
pub fn order(entity_id: &str, version: u64) -> Value {
    event("order.saved", entity_id, version)
}

/// What kind of problem this is, without what all kinds start with; fails when it is none.
#[track_caller]
pub fn slug(problem: &Value) -> &str {
    let kind = problem["type"].as_str().or_else(|| problem.as_str()).unwrap_or_else(|| panic!("no problem: {problem}"));
    kind.strip_prefix("urn:tillstream:problem:").unwrap_or_else(|| panic!("another kind of problem: {kind}"))
}
