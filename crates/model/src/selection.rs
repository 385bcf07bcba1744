//! Whether an integration wants an event, and which rule says no.

use crate::catalogue::is_operational;
use crate::condition;
use crate::event::{Event, entity_of};
use crate::integration::Settings;

/// The entity of events about integrations.
const INTEGRATION: &str = "integration";

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
    if !selects(settings, &content.name, content.entity()) || is_about(settings, event) {
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

/// An integration never gets events about itself: each delivery that fails would make another one to deliver.
fn is_about(settings: &Settings, event: &Event) -> bool {
    let content = &event.content;
    content.entity() == INTEGRATION && content.entity_id.as_deref() == Some(&settings.id)
}

fn selects(settings: &Settings, name: &str, entity: &str) -> bool {
    let events = &settings.events;
    if events.entities.is_empty() && events.names.is_empty() {
        return !is_operational(name);
    }
    is_named(settings, name, entity)
}

/// Whether the settings select an event by its name or entity, and not only because they select everything.
pub fn names(settings: &Settings, name: &str) -> bool {
    is_named(settings, name, entity_of(name))
}

fn is_named(settings: &Settings, name: &str, entity: &str) -> bool {
    let events = &settings.events;
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
            assert_eq!(names(&settings(chosen.clone()), name), expected.is_ok(), "{name}");
        }
        assert!(!names(&settings(json!({})), "order.saved"), "everything is no name");
    }

    #[test]
    fn an_integration_never_gets_events_about_itself() {
        let chosen = settings(json!({"events":{"entities":["integration","order"]}}));
        let about = |name: &str, id: &str| {
            let mut event = event(name, "{}");
            event.content.entity_id = Some(id.into());
            wants(&chosen, &event)
        };
        assert_eq!(about("integration.failing", "x"), Err(Unwanted::Events));
        assert_eq!(about("integration.failing", "y"), Ok(()));
        assert_eq!(about("order.saved", "x"), Ok(()), "an order may be called as the integration is");
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
