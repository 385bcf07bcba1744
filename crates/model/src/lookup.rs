//! What events are looked for by, as keys of an index.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::event::{Content, EntityKey};
use crate::json::{Json, unquote};
use crate::path::{members, scalar_text};

/// A hash of a value and of what kind it is. Two values may fall on the same one: what is found is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LookupKey(pub i64);

/// What events may be looked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By<'a> {
    /// The event's name.
    Name(&'a str),
    /// Its site.
    Site(&'a str),
    /// Its terminal.
    Terminal(&'a str),
    /// The id of its entity, of whatever type.
    EntityId(&'a str),
    /// A related id with its name.
    Correlation(&'a str, &'a str),
    /// Its trading day.
    BusinessDate(&'a str),
}

impl By<'_> {
    /// The key of this value.
    pub fn key(self) -> LookupKey {
        let hash = match self {
            By::Name(value) => EntityKey::of("\u{1}", value),
            By::Site(value) => EntityKey::of("\u{2}", value),
            By::Terminal(value) => EntityKey::of("\u{3}", value),
            By::EntityId(value) => EntityKey::of("\u{4}", value),
            By::Correlation(name, value) => EntityKey::of(&format!("\u{5}{name}"), value),
            By::BusinessDate(value) => EntityKey::of("\u{6}", value),
        };
        LookupKey(hash.0)
    }
}

/// Everything that an event may be looked for by.
pub fn keys(content: &Content) -> BTreeSet<LookupKey> {
    let optional = [
        content.site.as_deref().map(By::Site),
        content.terminal.as_deref().map(By::Terminal),
        content.entity_id.as_deref().map(By::EntityId),
        content.business_date.as_deref().map(By::BusinessDate),
    ];
    let mut keys: BTreeSet<LookupKey> = optional.into_iter().flatten().map(By::key).collect();
    keys.insert(By::Name(&content.name).key());
    for (quoted, raw) in content.correlation.as_ref().map(Json::get).into_iter().flat_map(members) {
        if let (Some(name), Some(id)) = (unquote(quoted), scalar_text(raw)) {
            keys.insert(By::Correlation(&name, &id).key());
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::event;

    #[test]
    fn an_event_is_found_by_all_that_it_has_and_by_nothing_else() {
        let mut content = event("order.saved", "{}").content;
        content.terminal = Some("t".into());
        content.business_date = Some("2026-11-21".into());
        content.correlation = Some(Json::trusted(r#"{"order_id":7,"customer\u005fid":"c\"1","empty":"","list":[1]}"#));
        let keys = keys(&content);
        let expected = [
            By::Name("order.saved"),
            By::Site("175"),
            By::Terminal("t"),
            By::EntityId("e1"),
            By::BusinessDate("2026-11-21"),
            By::Correlation("order_id", "7"),
            By::Correlation("customer_id", "c\"1"),
        ];
        assert_eq!(keys, expected.map(By::key).into_iter().collect());
        let all = [By::Site("x"), By::Terminal("x"), By::EntityId("x"), By::Name("x"), By::Correlation("x", "x")];
        assert_eq!(all.map(By::key).into_iter().collect::<BTreeSet<_>>().len(), all.len(), "kinds are told apart");
    }
}
