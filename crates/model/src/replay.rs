//! What a replay sends again (`contracts/event-stream.md`, "Replay").

use serde::{Deserialize, Serialize};

use crate::Event;

/// Which of an integration's past events. All that is given has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Only of these names; of any when empty.
    pub names: Vec<String>,
    /// Only about this one.
    pub entity_id: Option<String>,
    /// Only of this site.
    pub site: Option<String>,
    /// Only of this trading day, `YYYY-MM-DD`.
    pub business_date: Option<String>,
    /// Only those of which this is known.
    pub only: Only,
}

/// What is known of an event at the integration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Only {
    /// Whatever became of it.
    #[default]
    All,
    /// No attempt of the last 30 days delivered it, and it does not wait for one.
    Undelivered,
    /// It is listed as rejected.
    Rejected,
}

impl Filter {
    /// Whether an event is one of them, as far as the event itself tells.
    pub fn matches(&self, event: &Event) -> bool {
        let content = &event.content;
        let is = |wanted: &Option<String>, value: Option<&str>| wanted.is_none() || wanted.as_deref() == value;
        (self.names.is_empty() || self.names.iter().any(|name| **name == *content.name))
            && is(&self.entity_id, content.entity_id.as_deref())
            && is(&self.site, content.site.as_deref())
            && is(&self.business_date, content.business_date.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::event;

    #[test]
    fn all_that_is_given_has_to_hold() {
        let event = event("order.saved", "{}");
        let text = |s: &str| Some(s.to_owned());
        let matching = Filter { names: vec!["order.saved".into()], site: text("175"), ..Filter::default() };
        assert!(matching.matches(&event) && Filter::default().matches(&event));
        for other in [
            Filter { names: vec!["order.opened".into()], ..matching.clone() },
            Filter { site: text("176"), ..matching.clone() },
            Filter { entity_id: text("e2"), ..matching.clone() },
            Filter { business_date: text("2026-11-21"), ..matching.clone() },
        ] {
            assert!(!other.matches(&event), "{other:?}");
        }
    }
}
