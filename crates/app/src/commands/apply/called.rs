//! What the hub gives an id and a file calls by its name: contacts and keys.

use http::{HeaderValue, Method};
use serde_json::{Map, Value, json};

use super::difference::{How, all, differences};
use super::noun::{check, lay_over, without};
use super::plan::{Action, Call, Step};
use super::spelled;
use crate::api_client::{Tagged, segment};
use crate::config::Wrong;

/// Members of contacts that are shown and not written.
pub const OF_CONTACTS: [&str; 6] = ["id", "waiting", "last_error", "next_try_at", "created_at", "updated_at"];
/// Members of keys that are shown and not written.
pub const OF_KEYS: [&str; 3] = ["id", "created_at", "last_used_at"];

/// A kind of such things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// Somebody who is told what happens.
    Contact,
    /// A key of the API.
    Key,
}

impl Called {
    /// Where all of them are.
    pub fn list(self) -> &'static str {
        match self {
            Called::Contact => "/notifications",
            Called::Key => "/keys",
        }
    }

    /// Where one is.
    pub fn path(self, listed: &Value) -> String {
        format!("{}/{}", self.list(), segment(listed["id"].as_str().unwrap_or_default()))
    }

    /// Which of those that are there a file means: the one with that id, or else the one with that name.
    ///
    /// # Errors
    /// When several are called so, or there is none with that id.
    pub fn find(self, called: &str, there: &[Value]) -> Result<Option<usize>, Wrong> {
        if let Some(found) = there.iter().position(|thing| thing["id"] == called) {
            return Ok(Some(found));
        }
        let mut named = there.iter().enumerate().filter(|(_, thing)| thing["name"] == called).map(|(n, _)| n);
        let (first, object) = (named.next(), self.object(called));
        if named.next().is_some() {
            return Err(Wrong::new(format!("{object}: several are called so; write the id of the one that is meant")));
        }
        if first.is_none() && called.starts_with(self.id_prefix()) {
            return Err(Wrong::new(format!("{object}: there is none; a new one is called by its name")));
        }
        Ok(first)
    }

    /// What is to be done so that it is as wanted; None when it is.
    ///
    /// # Errors
    /// When the file wants what can't be.
    pub fn step(
        self,
        called: &str,
        wanted: &Map<String, Value>,
        known: Option<Tagged>,
        how: How,
    ) -> Result<Option<Step>, Wrong> {
        let object = self.object(called);
        check(&object, called, wanted, known.is_none())?;
        match (self, known) {
            (_, None) => Ok(Some(self.creation(called, wanted))),
            (Called::Contact, Some(known)) => Ok(contact(object, wanted, known, how)),
            (Called::Key, Some(known)) => key(&object, wanted, &known.value).map(|()| None),
        }
    }

    /// Takes it away.
    pub fn deletion(self, listed: &Value, tag: Option<HeaderValue>) -> Step {
        let object = self.object(listed["name"].as_str().unwrap_or_default());
        Step::new(Action::Delete, object, Vec::new(), vec![Call::new(Method::DELETE, self.path(listed), None, tag)])
    }

    fn creation(self, called: &str, wanted: &Map<String, Value>) -> Step {
        let wanted = without(wanted, &self.read_only());
        let mut body = json!({"name": called});
        lay_over(&mut body, &wanted);
        let call = Call::new(Method::POST, self.list().to_owned(), Some(body), None);
        let step = Step::new(Action::Create, self.object(called), all(&wanted), vec![call]);
        match self {
            Called::Contact => with_new_secret(step, &wanted),
            Called::Key => step.with_secret_at("/key"),
        }
    }

    fn object(self, called: &str) -> String {
        match self {
            Called::Contact => format!("contact {called}"),
            Called::Key => format!("key {called}"),
        }
    }

    fn id_prefix(self) -> &'static str {
        match self {
            Called::Contact => "con_",
            Called::Key => "key_",
        }
    }

    fn read_only(self) -> Vec<&'static str> {
        match self {
            Called::Contact => OF_CONTACTS.to_vec(),
            Called::Key => OF_KEYS.to_vec(),
        }
    }
}

/// A contact is saved whole.
fn contact(object: String, wanted: &Map<String, Value>, known: Tagged, how: How) -> Option<Step> {
    let wanted = without(wanted, &OF_CONTACTS);
    let differences = differences(&known.value, &wanted, how);
    if differences.is_empty() {
        return None;
    }
    let path = Called::Contact.path(&known.value);
    let mut body = Value::Object(without(known.value.as_object()?, &OF_CONTACTS));
    // What one kind of channel has, another does not know.
    if differences.iter().any(|d| d.path == "channel.kind") {
        body["channel"] = Value::Null;
    }
    lay_over(&mut body, &wanted);
    let call = Call::new(Method::PUT, path, Some(body), known.tag);
    Some(with_new_secret(Step::new(Action::Change, object, differences, vec![call]), &wanted))
}

/// A secret that the file gives is known already.
fn with_new_secret(step: Step, wanted: &Map<String, Value>) -> Step {
    let is_given = wanted.get("channel").is_some_and(|channel| channel["secret"].is_string());
    if is_given { step } else { step.with_secret_at("/channel/secret") }
}

/// The API changes no key, and one that took another's place would cut off whoever has it.
fn key(object: &str, wanted: &Map<String, Value>, known: &Value) -> Result<(), Wrong> {
    let (before, wanted) = (sorted(known.clone()), sorted(without(wanted, &OF_KEYS).into()));
    let found = differences(&before, wanted.as_object().unwrap_or(&Map::new()), How::default());
    let Some(first) = found.first() else { return Ok(()) };
    let (path, before, after) = (&first.path, spelled(&first.before), spelled(&first.after));
    Err(Wrong::new(format!(
        "{object}: {path} is {before} at the hub and {after} in the file, and a key cannot be changed; call the one \
         that is wanted by another name"
    )))
}

/// Scopes and bounds mean the same in any order.
fn sorted(mut key: Value) -> Value {
    for list in key.as_object_mut().into_iter().flat_map(Map::values_mut).filter_map(Value::as_array_mut) {
        list.sort_by_key(Value::to_string);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(called: Called, name: &str, wanted: Value, known: Option<Value>) -> Result<Option<Step>, String> {
        let known = known.map(|value| Tagged { value, tag: Some(HeaderValue::from_static("\"3\"")) });
        called.step(name, wanted.as_object().unwrap(), known, How::default()).map_err(|e| e.to_string())
    }

    fn webhook() -> Value {
        json!({"id": "con_1", "name": "Ops", "channel": {"kind": "webhook", "url": "https://a", "secret": "…abcd"},
            "on": [], "enabled": true, "waiting": 3, "last_error": "503", "next_try_at": null})
    }

    #[test]
    fn it_is_found_by_its_id_or_by_a_name_that_only_one_has() {
        let there = [("con_1", "A"), ("con_2", "B"), ("con_3", "B")].map(|(id, name)| json!({"id": id, "name": name}));
        let find = |called: &str| Called::Contact.find(called, &there).map_err(|e| e.to_string());
        assert_eq!((find("A"), find("con_2"), find("C")), (Ok(Some(0)), Ok(Some(1)), Ok(None)));
        assert!(find("B").unwrap_err().contains("several"));
        assert!(find("con_9").unwrap_err().contains("by its name"));
    }

    #[test]
    fn a_contact_is_saved_whole_and_keeps_its_secret() {
        let same = step(Called::Contact, "Ops", json!({"channel": {"url": "https://a"}}), Some(webhook()));
        assert!(same.unwrap().is_none());
        let other = json!({"channel": {"url": "https://b"}, "waiting": 0});
        let changed = step(Called::Contact, "Ops", other, Some(webhook())).unwrap().unwrap();
        let call = &changed.calls[0];
        let channel = json!({"kind": "webhook", "url": "https://b", "secret": "…abcd"});
        let body = json!({"name": "Ops", "channel": channel, "on": [], "enabled": true});
        assert_eq!(
            (call.body.as_ref(), call.tag.is_some(), call.path.as_str()),
            (Some(&body), true, "/notifications/con_1")
        );
    }

    #[test]
    fn a_contact_of_another_kind_keeps_nothing_of_the_first() {
        let email = json!({"channel": {"kind": "email", "to": ["a@example.com"]}});
        let changed = step(Called::Contact, "Ops", email.clone(), Some(webhook())).unwrap().unwrap();
        assert_eq!(changed.calls[0].body.as_ref().unwrap()["channel"], email["channel"]);
    }

    #[test]
    fn only_a_secret_that_the_hub_made_is_shown() {
        let made = |secret: Value| {
            let wanted = json!({"channel": {"kind": "webhook", "url": "https://a", "secret": secret}});
            step(Called::Contact, "Ops", wanted, None).unwrap().unwrap()
        };
        assert_eq!(made(Value::Null).secret_at, Some("/channel/secret"));
        let given = made(json!("whsec_abcdefghijklmnop"));
        assert_eq!(given.secret_at, None);
        assert!(given.differences.iter().all(|d| !d.after.to_string().contains("abcdef")), "{given:?}");
        let key = step(Called::Key, "till", json!({"scopes": ["events:write"]}), None).unwrap().unwrap();
        assert_eq!((key.secret_at, key.calls[0].path.as_str()), (Some("/key"), "/keys"));
    }

    #[test]
    fn a_key_stays_as_it_is() {
        let there =
            || Some(json!({"id": "key_1", "name": "till", "scopes": ["a", "b"], "sites": [], "last_used_at": "x"}));
        let same = json!({"scopes": ["b", "a"], "sites": [], "last_used_at": null});
        assert!(step(Called::Key, "till", same, there()).unwrap().is_none());
        let refused = step(Called::Key, "till", json!({"scopes": ["a"]}), there()).unwrap_err();
        assert!(refused.contains("key till: scopes") && refused.contains("cannot be changed"), "{refused}");
    }
}
