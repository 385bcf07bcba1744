//! What a file names by the id that it is to have: the company, its sites and its integrations.

use http::{HeaderValue, Method};
use serde_json::{Map, Value, json};

use super::difference::{Difference, How, all, differences, masked};
use super::plan::{Action, Call, Step};
use crate::api_client::{Tagged, segment};
use crate::commands::companies;
use crate::config::Wrong;

/// Members of sites that are shown and not written.
pub const OF_SITES: [&str; 5] = ["id", "is_new", "last_event_at", "created_at", "updated_at"];
/// Members of integrations that are shown and not written.
pub const OF_INTEGRATIONS: [&str; 6] = ["id", "status_reason", "version", "cursor", "created_at", "updated_at"];

/// A kind of such things.
#[derive(Clone, Copy)]
pub enum Noun {
    /// A store.
    Site,
    /// An integration.
    Integration,
}

impl Noun {
    /// Where all of them are.
    pub fn list(self) -> &'static str {
        match self {
            Noun::Site => "/sites",
            Noun::Integration => "/integrations",
        }
    }

    /// Where one is.
    pub fn path(self, id: &str) -> String {
        format!("{}/{}", self.list(), segment(id))
    }

    fn object(self, id: &str) -> String {
        match self {
            Noun::Site => format!("site {id}"),
            Noun::Integration => format!("integration {id}"),
        }
    }

    /// Takes it away.
    pub fn deletion(self, id: &str, tag: Option<HeaderValue>) -> Step {
        let calls = vec![Call::new(Method::DELETE, self.path(id), None, tag)];
        Step::new(Action::Delete, self.object(id), Vec::new(), calls)
    }

    /// What is to be done so that it is as wanted; None when it is.
    ///
    /// # Errors
    /// When the file wants what can't be.
    pub fn step(
        self,
        id: &str,
        wanted: &Map<String, Value>,
        known: Option<Tagged>,
        how: How,
    ) -> Result<Option<Step>, Wrong> {
        check(&self.object(id), id, wanted, known.is_none())?;
        Ok(match self {
            Noun::Site => of_site(self, id, wanted, known, how),
            Noun::Integration => of_integration(self, id, wanted, known, how),
        })
    }
}

/// Refuses what is called in two ways, and something new whose secret nobody knows.
///
/// # Errors
/// [`Wrong`] says what.
pub fn check(object: &str, id: &str, wanted: &Map<String, Value>, is_new: bool) -> Result<(), Wrong> {
    if wanted.get("id").is_some_and(|written| written != id) {
        return Err(Wrong::new(format!("{object}: its id is written differently inside")));
    }
    match masked(wanted).filter(|_| is_new) {
        Some(path) => Err(Wrong::new(format!("{object} is new, and {path} is masked; write the secret, or ${{NAME}}"))),
        None => Ok(()),
    }
}

/// What is to be done so that the company is as wanted; None when it is.
pub fn of_company(id: &str, wanted: &Map<String, Value>, known: Option<Tagged>, how: How) -> Option<Step> {
    let wanted = without(wanted, &companies::READ_ONLY);
    let put = |body| vec![Call { outside: true, ..Call::new(Method::PUT, companies::path(id), Some(body), None) }];
    let object = format!("company {id}");
    let Some(known) = known else {
        let differences = all(&wanted);
        let mut body = json!({"name": id});
        lay_over(&mut body, &wanted);
        return Some(Step::new(Action::Create, object, differences, put(body)));
    };
    let differences = differences(&known.value, &wanted, how);
    let mut body = Value::Object(companies::writable(&known.value));
    lay_over(&mut body, &wanted);
    (!differences.is_empty()).then(|| Step::new(Action::Change, object, differences, put(body)))
}

/// A site is saved whole.
fn of_site(noun: Noun, id: &str, wanted: &Map<String, Value>, known: Option<Tagged>, how: How) -> Option<Step> {
    let wanted = without(wanted, &OF_SITES);
    let (action, before, tag) = match known {
        None => (Action::Create, json!({}), None),
        Some(known) => (Action::Change, known.value, known.tag),
    };
    let mut differences = differences(&before, &wanted, how);
    if before["is_new"] == true {
        let (before, after) = (json!(true), json!(false));
        differences.push(Difference { path: "is_new".into(), before, after });
    }
    if differences.is_empty() && action == Action::Change {
        return None;
    }
    let mut body = Value::Object(without(before.as_object()?, &OF_SITES));
    lay_over(&mut body, &wanted);
    let calls = vec![Call::new(Method::PUT, noun.path(id), Some(body), tag)];
    Some(Step::new(action, noun.object(id), differences, calls))
}

/// An integration is made whole, and changed by what is different.
fn of_integration(noun: Noun, id: &str, wanted: &Map<String, Value>, known: Option<Tagged>, how: How) -> Option<Step> {
    let status = wanted.get("status").cloned();
    let mut wanted = without(wanted, &OF_INTEGRATIONS);
    wanted.remove("status");
    let switch = |status: &Value| {
        let verb = if status == "stopped" { "stop" } else { "start" };
        Call::new(Method::POST, format!("{}/{verb}", noun.path(id)), None, None)
    };
    let (action, mut differences, mut calls, is_running) = match known {
        None => {
            let mut body = json!({"id": id, "name": id});
            lay_over(&mut body, &wanted);
            let call = Call::new(Method::POST, noun.list().to_owned(), Some(body), None);
            (Action::Create, all(&wanted), vec![call], json!("running"))
        }
        Some(known) => {
            let differences = differences(&known.value, &wanted, how);
            let call = Call::new(Method::PATCH, noun.path(id), Some(Value::Object(wanted)), known.tag);
            let calls = if differences.is_empty() { Vec::new() } else { vec![call] };
            (Action::Change, differences, calls, known.value["status"].clone())
        }
    };
    if let Some(status) = status.filter(|status| *status != is_running) {
        calls.push(switch(&status));
        differences.push(Difference { path: "status".into(), before: is_running, after: status });
    }
    let (is_same, object) = (calls.is_empty(), noun.object(id));
    let step = || Step::new(action, object, differences, calls).with_secret_at("/signing/secrets/0/secret");
    (!is_same).then(step)
}

/// What is left without some members.
pub fn without(members: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let kept = members.iter().filter(|(name, _)| !names.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Puts what is wanted in its place, objects into each other; null takes away (RFC 7396).
pub fn lay_over(base: &mut Value, wanted: &Map<String, Value>) {
    if !base.is_object() {
        *base = json!({});
    }
    let Some(members) = base.as_object_mut() else { return };
    for (name, value) in wanted {
        match value {
            Value::Null => drop(members.remove(name)),
            Value::Object(below) => lay_over(members.entry(name).or_insert(Value::Null), below),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(value: Value) -> Option<Tagged> {
        Some(Tagged { value, tag: Some(HeaderValue::from_static("\"3\"")) })
    }

    fn step(noun: Noun, wanted: Value, known: Option<Tagged>) -> Option<Step> {
        noun.step("erp", wanted.as_object().unwrap(), known, How::default()).unwrap()
    }

    #[test]
    fn a_site_is_saved_whole_with_the_tag_it_was_read_with() {
        let there = json!({"id": "erp", "name": "Old", "aliases": ["a"], "money": {"precision": 2, "rounding": "up"},
            "is_new": false, "last_event_at": null, "created_at": "x", "updated_at": "y"});
        assert!(step(Noun::Site, json!({"name": "Old", "created_at": "z"}), known(there.clone())).is_none());
        let made = step(Noun::Site, json!({"name": "New", "money": {"precision": 3}}), known(there.clone())).unwrap();
        let call = &made.calls[0];
        let body = json!({"name": "New", "aliases": ["a"], "money": {"precision": 3, "rounding": "up"}});
        assert_eq!((call.body.as_ref(), call.tag.is_some(), made.differences.len()), (Some(&body), true, 2));
        let mut new = there;
        new["is_new"] = true.into();
        assert_eq!(step(Noun::Site, json!({}), known(new)).unwrap().differences[0].path, "is_new");
        assert_eq!(step(Noun::Site, json!({}), None).unwrap().action, Action::Create);
    }

    #[test]
    fn an_integration_is_patched_and_switched_only_where_it_differs() {
        let there =
            || known(json!({"id": "erp", "name": "ERP", "status": "running", "delivery": {"max_in_flight": 32}}));
        assert!(step(Noun::Integration, json!({"id": "erp", "status": "running", "version": 9}), there()).is_none());
        let verbs = |step: &Step| step.calls.iter().map(|c| format!("{} {}", c.method, c.path)).collect::<Vec<_>>();
        let stopped = step(Noun::Integration, json!({"status": "stopped"}), there()).unwrap();
        assert_eq!(verbs(&stopped), ["POST /integrations/erp/stop"]);
        let both = step(Noun::Integration, json!({"name": "X", "status": "stopped"}), there()).unwrap();
        assert_eq!(verbs(&both), ["PATCH /integrations/erp", "POST /integrations/erp/stop"]);
        assert_eq!(both.calls[0].body, Some(json!({"name": "X"})));
        let new = step(Noun::Integration, json!({"target": {"url": "u"}, "status": "stopped"}), None).unwrap();
        assert_eq!(verbs(&new), ["POST /integrations", "POST /integrations/erp/stop"]);
        assert_eq!(new.calls[0].body, Some(json!({"id": "erp", "name": "erp", "target": {"url": "u"}})));
    }

    #[test]
    fn what_cannot_be_is_said_before_anything_is_done() {
        let wrong = |wanted: Value, known: Option<Tagged>| {
            Noun::Integration.step("erp", wanted.as_object().unwrap(), known, How::default()).unwrap_err().to_string()
        };
        assert!(wrong(json!({"id": "web"}), None).contains("written differently"));
        assert!(wrong(json!({"target": {"authorization": "…1234"}}), None).contains("target.authorization is masked"));
    }
}
