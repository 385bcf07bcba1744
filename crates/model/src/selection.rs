//! Whether an integration wants an event, and which rule says no.

use crate::catalogue::is_operational;
use crate::condition;
use crate::event::Event;
use crate::integration::Settings;

/// The rule that kept an event back, in the order they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// Neither its entity nor its name is selected.
    Events,
    /// `availability` is off for its site.
    Availability,
    /// Its payload was deleted, so nothing is left to be sent.
    Deleted,
    /// The `where` clause of this index doesn't hold.
    Where(usize),
}

impl Unwanted {
    /// The rule's place in the settings.
    pub fn place(&self) -> String {
        match self {
            Unwanted::Events => "events".into(),
            Unwanted::Availability => "availability".into(),
            Unwanted::Deleted => "deleted".into(),
            Unwanted::Where(i) => format!("events.where[{i}]"),
        }
    }
}

/// Whether the settings want the event; the first rule that says no when not.
pub fn wants(settings: &Settings, event: &Event) -> Result<(), Unwanted> {
    let content = &event.content;
    if !selects(settings, &content.name, content.entity()) {
        return Err(Unwanted::Events);
    }
    if !settings.availability.of(content.site.as_deref()) {
        return Err(Unwanted::Availability);
    }
    if content.is_erased() {
        return Err(Unwanted::Deleted);
    }
    match condition::first_failing(&settings.events.r#where, event) {
        Some(i) => Err(Unwanted::Where(i)),
        None => Ok(()),
    }
}

fn selects(settings: &Settings, name: &str, entity: &str) -> bool {
    let events = &settings.events;
    if events.entities.is_empty() && events.names.is_empty() {
        return !is_operational(name);
    }
    events.entities.iter().any(|e| e == entity) || events.names.iter().any(|n| n == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::event;
    use crate::integration::Written;
    use serde_json::{Value, json};

    fn settings(more: Value) -> Settings {
        let mut doc = json!({"id":"x","target":{"kind":"http","url":"https://x.example"}});
        doc.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Written::from_json(doc).unwrap().complete().unwrap()
    }

    fn asked(more: Value, name: &str) -> Result<(), Unwanted> {
        wants(&settings(more), &event(name, r#"{"n":1}"#))
    }

    #[test]
    fn entities_and_names_are_a_union_and_none_means_all_but_operational() {
        assert_eq!(asked(json!({}), "order.saved"), Ok(()));
        assert_eq!(asked(json!({}), "integration.stopped"), Err(Unwanted::Events));
        let chosen = json!({"events":{"entities":["order"],"names":["punch.saved","integration.stopped"]}});
        for (name, expected) in [
            ("order.new_fact", Ok(())),
            ("punch.saved", Ok(())),
            ("integration.stopped", Ok(())),
            ("punch.other", Err(Unwanted::Events)),
        ] {
            assert_eq!(asked(chosen.clone(), name), expected, "{name}");
        }
    }

    #[test]
    fn a_deleted_event_is_wanted_by_nobody_who_would_have_had_it() {
        let mut gone = event("order.saved", r#"{"n":1}"#);
        gone.content.erase();
        let n = json!({"events":{"where":[{"path":"data.n","op":"eq","value":2}]}});
        assert_eq!(wants(&settings(n), &gone), Err(Unwanted::Deleted));
        assert_eq!(wants(&settings(json!({"events":{"entities":["punch"]}})), &gone), Err(Unwanted::Events));
    }

    #[test]
    fn availability_is_asked_by_site_and_then_where() {
        assert_eq!(
            asked(json!({"availability":{"default":true,"sites":{"175":false}}}), "order.saved"),
            Err(Unwanted::Availability)
        );
        let wheres =
            json!({"events":{"where":[{"path":"data.n","op":"eq","value":1},{"path":"data.n","op":"eq","value":2}]}});
        assert_eq!(asked(wheres, "order.saved"), Err(Unwanted::Where(1)));
    }
}
