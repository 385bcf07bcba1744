//! What is known of event names: which are the hub's own, and where an entity keeps its identity.
//!
//! Kept as data; the rules that use it are in [`crate::event`] and [`crate::selection`].

pub mod types;

/// Longest event name, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// Entities whose events only the hub makes; ingest refuses them (`contracts/hub-api.md`, "Events in").
const HUB_MADE: [&str; 6] = ["site_eod", "terminal_eod", "site", "gateway", "integration", "audit"];

/// Entities that say how the hub itself is doing; an integration gets them only when it names them
/// (`contracts/event-stream.md`, "Integration").
const OPERATIONAL: [&str; 4] = ["audit", "integration", "storage", "gateway"];

/// Where entities keep their identity inside `data`, most specific first. Others use [`DEFAULT_IDENTITY`].
const IDENTITY: [(&str, &[&str]); 2] = [("punch", &["model.shift_id"]), ("drawer", &["_id"])];

/// Where an entity keeps its identity when nothing else is known of it.
const DEFAULT_IDENTITY: [&str; 2] = ["_id", "id"];

/// Whether the name has the form `<entity>.<fact>`: lower-case letters, digits and `_`, each part starting with a letter.
pub fn is_name(name: &str) -> bool {
    let part = |p: &str| {
        p.starts_with(|c: char| c.is_ascii_lowercase())
            && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    name.len() <= MAX_NAME_BYTES && name.split_once('.').is_some_and(|(entity, fact)| part(entity) && part(fact))
}

/// Whether only the hub may make events of this entity.
pub fn is_hub_made(entity: &str) -> bool {
    HUB_MADE.contains(&entity)
}

/// Whether events of this name are about the hub itself.
pub fn is_operational(name: &str) -> bool {
    OPERATIONAL.contains(&crate::event::entity_of(name)) || name == "site.silent"
}

/// The paths inside `data` that may hold the entity's identity, in the order they are tried.
pub fn identity_paths(entity: &str) -> &'static [&'static str] {
    IDENTITY.iter().find(|(e, _)| *e == entity).map_or(&DEFAULT_IDENTITY[..], |(_, paths)| paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_an_entity_and_a_fact() {
        for right in ["order.completed", "a.b", "x_1.y_2"] {
            assert!(is_name(right), "{right}");
        }
        for wrong in ["order", "order.", ".saved", "Order.saved", "order.sav.ed", "1o.x", "order.1", "o r.x", "é.x", ""]
        {
            assert!(!is_name(wrong), "{wrong}");
        }
        let longest = format!("a.{}", "b".repeat(MAX_NAME_BYTES - 2));
        assert!(is_name(&longest) && !is_name(&format!("{longest}b")));
    }

    #[test]
    fn operational_events_are_those_about_the_hub() {
        assert!(is_operational("integration.stopped") && is_operational("site.silent"));
        assert!(!is_operational("site.day_closed") && !is_operational("order.saved"));
    }
}
