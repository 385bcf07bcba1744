//! The event types that are known at start (`contracts/event-stream.md`, "Event catalogue"). They are data, in
//! `types.json`; nothing is decided by them.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::identity_paths;
use crate::event::entity_of;

/// Who makes events of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Whoever sends events.
    Source,
    /// The hub, from events of sources.
    Hub,
    /// The hub, about how it and what is connected to it is doing; an integration has to name it.
    Operation,
}

/// What is known of the events of a name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventType {
    /// `<entity>.<fact>`.
    pub name: String,
    /// Who makes them.
    pub origin: Origin,
    /// When they come.
    pub description: String,
    /// What makes a good idempotency id.
    pub idempotency: String,
    /// The name to use instead, when this one should not be used any more.
    #[serde(default)]
    pub deprecated: Option<String>,
    /// What `data` may look like.
    pub example: Box<RawValue>,
}

impl EventType {
    /// The part of the name before the dot.
    pub fn entity(&self) -> &str {
        entity_of(&self.name)
    }

    /// The paths inside `data` that may hold the entity's identity, in the order they are tried.
    pub fn identity(&self) -> &'static [&'static str] {
        identity_paths(self.entity())
    }
}

/// All, by name. A test holds that they can be read.
pub static ALL: LazyLock<Vec<EventType>> =
    LazyLock::new(|| serde_json::from_str(include_str!("types.json")).unwrap_or_default());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{is_hub_made, is_name, is_operational};
    use crate::path::Path;

    #[test]
    fn types_stand_once_in_the_order_of_their_names_and_are_named_well() {
        assert!(ALL.windows(2).all(|two| two[0].name < two[1].name));
        assert!(ALL.iter().all(|t| is_name(&t.name) && t.description.ends_with('.') && !t.idempotency.is_empty()));
        assert!(ALL.len() > 50, "they can be read");
        for replaced in ALL.iter().filter_map(|t| t.deprecated.as_ref()) {
            assert!(ALL.iter().any(|t| t.name == *replaced && t.deprecated.is_none()), "{replaced}");
        }
    }

    #[test]
    fn who_makes_a_type_is_what_the_rules_say() {
        for t in ALL.iter() {
            assert_eq!(t.origin == Origin::Operation, is_operational(&t.name), "{}", t.name);
            let by_hub = is_hub_made(t.entity()) || t.entity() == "storage";
            assert_eq!(t.origin != Origin::Source, by_hub, "{}", t.name);
        }
    }

    #[test]
    fn an_example_has_the_identity_where_it_is_looked_for() {
        for t in ALL.iter() {
            let is_there = |path: &&str| Path::parse(path).is_ok_and(|p| p.first(t.example.get()).is_some());
            assert!(t.identity().iter().any(is_there), "{}", t.name);
        }
    }
}
