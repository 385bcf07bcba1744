//! Operational events: what the hub tells of itself, as events like any other (`contracts/hub-api.md`, "The rest").

use serde_json::json;

use crate::incoming::is_id;
use crate::json::Json;
use crate::{Content, Time};

/// An integration was stopped, by a person or by itself.
pub const STOPPED: &str = "integration.stopped";
/// An integration's receiver fails: only probes go out.
pub const FAILING: &str = "integration.failing";
/// An integration is well again, or has caught up.
pub const RECOVERED: &str = "integration.recovered";
/// An integration's oldest event has waited too long.
pub const LAGGING: &str = "integration.lagging";
/// An integration's receiver refuses nearly everything.
pub const BRAKED: &str = "integration.braked";
/// A site was not heard from for longer than it says.
pub const SILENT: &str = "site.silent";
/// The disk has little room. Told to the instance's contacts only: it is no company's business.
pub const STORAGE_LOW: &str = "storage.low";
/// Somebody changed something.
pub const AUDITED: &str = "audit.recorded";

/// Every name.
pub const NAMES: [&str; 8] = [STOPPED, FAILING, RECOVERED, LAGGING, BRAKED, SILENT, STORAGE_LOW, AUDITED];
/// What contacts are told of when they do not say: everything that somebody may have to look after.
pub const PROBLEMS: [&str; 7] = [STOPPED, FAILING, RECOVERED, LAGGING, BRAKED, SILENT, STORAGE_LOW];

/// What idempotency ids of the hub's own start with. Callers cannot have such a one: theirs have no `/`.
pub(crate) const OWN: &str = "hub/";

/// The event that tells of an entry of an integration's log, if one does.
pub fn of_action(action: &str) -> Option<&'static str> {
    Some(match action {
        "stopped" => STOPPED,
        "circuit_opened" => FAILING,
        "circuit_closed" => RECOVERED,
        "braked" => BRAKED,
        _ => return None,
    })
}

/// What happened to an integration.
#[derive(Clone, Copy, Debug)]
pub struct AboutIntegration<'a> {
    /// One of [`NAMES`].
    pub event: &'static str,
    /// The integration's id.
    pub id: &'a str,
    /// What people call it.
    pub name: &'a str,
    /// Why, in words.
    pub reason: &'a str,
    /// Who or what did it.
    pub by: &'a str,
    /// Since when.
    pub since: Time,
}

impl AboutIntegration<'_> {
    /// The event. `key` names what happened, so that it is told once.
    pub fn content(self, key: &str) -> Content {
        let Self { event, id, name, reason, by, since } = self;
        let data = json!({"integration": id, "name": name, "reason": reason, "by": by, "since": since});
        content(event, Some(id), since, key, data)
    }
}

/// A site is silent since it was heard from last.
pub fn silent(site: &str, name: Option<&str>, last: Time, after_minutes: u32) -> Content {
    let data = json!({"site": site, "name": name, "since": last, "silent_after_minutes": after_minutes});
    let content = content(SILENT, Some(site), last, &format!("silent/{}", last.millis()), data);
    Content { site: Some(site.into()), ..content }
}

/// Somebody did something. What was there before and after is not told.
pub fn audited(action: &str, actor: &str, object: &str, at: Time, key: &str) -> Content {
    let data = json!({"action": action, "actor": actor, "object": object, "at": at});
    content(AUDITED, Some(object), at, key, data)
}

fn content(name: &str, entity_id: Option<&str>, at: Time, key: &str, data: serde_json::Value) -> Content {
    Content {
        name: name.into(),
        site: None,
        terminal: None,
        entity_id: entity_id.filter(|id| is_id(id)).map(Into::into),
        occurred_at: Some(at),
        business_date: None,
        correlation: None,
        caller_id: Some(format!("{OWN}{key}").into()),
        trace: None,
        data: Json::trusted(data.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{is_name, is_operational};

    #[test]
    fn every_name_is_an_operational_one_and_every_problem_a_name() {
        for name in NAMES {
            assert!(is_name(name) && is_operational(name), "{name}");
        }
        assert!(PROBLEMS.iter().all(|p| NAMES.contains(p)));
    }

    #[test]
    fn an_event_says_who_it_is_about_and_has_an_id_that_no_caller_can_have() {
        let at = Time::from_millis(1_795_255_200_000);
        let about = AboutIntegration { event: FAILING, id: "erp", name: "ERP", reason: "503", by: "system", since: at };
        let content = about.content("entry/7");
        assert_eq!((content.entity(), content.entity_id.as_deref()), ("integration", Some("erp")));
        assert_eq!(content.caller_id.as_deref(), Some("hub/entry/7"));
        let said =
            r#"{"by":"system","integration":"erp","name":"ERP","reason":"503","since":"2026-11-21T10:00:00.000Z"}"#;
        assert_eq!(content.data.get(), said);
        assert_eq!(silent("175", None, at, 60).site.as_deref(), Some("175"));
        assert_eq!(audited("site.saved", "key k", &"x".repeat(999), at, "audit/1").entity_id, None);
    }
}
