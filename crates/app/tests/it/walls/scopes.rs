//! Which scopes a call needs, found out by trying, and kept as a snapshot so that a change shows in a review.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tillstream_hub::access::Scope;

use super::document::Operation;
use super::walk::{Asked, Faults, World};
use crate::support::Api;

/// The operator's.
pub const INSTANCE: &str = "instance";
/// Calls that any key of the company may make, each with its reason.
const FOR_ANY_KEY: &[(&str, &str)] = &[
    ("GET /v1/companies", "a key sees what its company is called"),
    ("GET /v1/companies/{id}", "a key sees what its company is called"),
    ("GET /v1/companies/{id}/usage", "a key sees what its company uses"),
    ("GET /v1/session", "a key sees what it may do"),
    ("GET /v1/event-types", "the catalogue is the same for all"),
];
/// Calls that no key may make, only somebody who signed in.
pub const FOR_PEOPLE: &[&str] = &["DELETE /v1/session", "PUT /v1/session/password"];
/// Calls that change nothing although their method could.
const ONLY_LOOK: &[&str] = &["POST /v1/integrations/preview", "POST /v1/integrations/validate"];
/// A scope to begin with when one alone is never enough.
const ANY: &str = "audit:read";
/// Most scopes that one call needs at once.
const MOST_AT_ONCE: usize = 4;

/// Every scope of a company.
fn scopes() -> impl Iterator<Item = &'static str> {
    Scope::LIST.into_iter().map(Scope::name).filter(|name| *name != INSTANCE)
}

/// A key of the company inside that is bound to one thing and holds every scope that such a key may hold.
pub async fn bound(world: &World, bound: &str, id: &str) -> Api {
    let make = async |scopes: &[&str]| {
        world.inside.api.post("/v1/keys", &json!({"name": "bound", "scopes": scopes, bound: [id]})).await
    };
    let mut fitting = Vec::new();
    for scope in scopes() {
        if make(&[scope]).await.status == 201 {
            fitting.push(scope);
        }
    }
    assert!(!fitting.is_empty(), "no scope fits a key that is bound to {bound}");
    let made = make(&fitting).await.expect(201);
    world.inside.api.with_key(made["key"].as_str().expect("the key"))
}

/// Keys of the company inside, one for each set of scopes that was asked for.
struct Keys<'a> {
    world: &'a World,
    made: BTreeMap<BTreeSet<&'static str>, Api>,
}

impl<'a> Keys<'a> {
    fn new(world: &'a World) -> Self {
        Self { world, made: BTreeMap::new() }
    }

    async fn with(&mut self, scopes: &BTreeSet<&'static str>) -> Api {
        if let Some(key) = self.made.get(scopes) {
            return key.clone();
        }
        let wish = json!({"name": "scoped", "scopes": scopes});
        let made = self.world.inside.api.post("/v1/keys", &wish).await.expect(201);
        let key = self.world.inside.api.with_key(made["key"].as_str().expect("the key"));
        self.made.insert(scopes.clone(), key.clone());
        key
    }

    /// Asks a call about things that nobody has, so that it changes nothing that is there.
    async fn try_with(&mut self, operation: &Operation, scopes: &BTreeSet<&'static str>) -> Asked {
        let key = self.with(scopes).await;
        let path = self.world.inside.path(&operation.path, "") + &self.world.required_query(operation);
        self.world.ask(&key, operation, &self.world.nobodys(&path)).await
    }

    /// The scopes that a call needs together; more than one set when one of several is enough.
    async fn needed(&mut self, operation: &Operation, faults: &mut Faults) -> Vec<BTreeSet<&'static str>> {
        let mut found = Vec::new();
        for scope in scopes() {
            let scopes = BTreeSet::from([scope]);
            let asked = self.try_with(operation, &scopes).await;
            if asked.answer.status != 403 {
                check_opened(operation, &asked, faults);
                found.push(scopes);
            } else if named(&asked).is_empty() {
                faults.add(&asked, &format!("is refused to a key with {scope} without naming the scope it lacks"));
            }
        }
        if found.is_empty() { self.needed_together(operation, faults).await } else { found }
    }

    /// Adds what each refusal names, until none comes.
    async fn needed_together(&mut self, operation: &Operation, faults: &mut Faults) -> Vec<BTreeSet<&'static str>> {
        let mut scopes = BTreeSet::from([ANY]);
        for _ in 0..=MOST_AT_ONCE {
            let asked = self.try_with(operation, &scopes).await;
            if asked.answer.status != 403 {
                return vec![self.least(operation, scopes).await];
            }
            if named(&asked).contains(INSTANCE) {
                return vec![BTreeSet::from([INSTANCE])];
            }
            scopes.extend(named(&asked));
        }
        let asked = self.try_with(operation, &scopes).await;
        faults.add(&asked, &format!("is refused to a key with all that the refusals named: {scopes:?}"));
        Vec::new()
    }

    /// Without those scopes that it works without.
    async fn least(&mut self, operation: &Operation, mut scopes: BTreeSet<&'static str>) -> BTreeSet<&'static str> {
        for scope in scopes.clone() {
            let mut fewer = scopes.clone();
            fewer.remove(scope);
            if !fewer.is_empty() && self.try_with(operation, &fewer).await.answer.status != 403 {
                scopes = fewer;
            }
        }
        scopes
    }
}

/// The scopes that a refusal names.
fn named(asked: &Asked) -> BTreeSet<&'static str> {
    let detail = asked.detail();
    let words: BTreeSet<&str> = detail.split(|c: char| !c.is_ascii_alphanumeric() && c != ':').collect();
    scopes().chain([INSTANCE]).filter(|s| words.contains(s)).collect()
}

/// A body that is refused before the scope is looked at would make every key seem to be let in.
pub fn check_opened(operation: &Operation, asked: &Asked, faults: &mut Faults) {
    if [400, 413, 415, 422].contains(&asked.answer.status) && operation.places().is_empty() {
        let what = "answers about the body, so its scope may not have been looked at: give the call an example in the \
                    document that is right, or a line in BODIES of walls/document.rs";
        if !operation.is_open() {
            faults.add(asked, what);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_needs_its_scope_and_names_it() {
    let world = World::new().await;
    let mut keys = Keys::new(&world);
    let mut faults = Faults::default();
    let mut table = Vec::new();
    let of_keys = |o: &&Operation| !o.is_open() && !FOR_PEOPLE.contains(&o.name().as_str());
    for operation in world.document.operations().iter().filter(of_keys) {
        let needed = keys.needed(operation, &mut faults).await;
        let words = match needed.len() {
            n if n == scopes().count() => "any".to_owned(),
            _ => needed
                .iter()
                .map(|set| set.iter().copied().collect::<Vec<_>>().join(" and "))
                .collect::<Vec<_>>()
                .join(" or "),
        };
        check_kind(&operation.name(), &words, &mut faults);
        table.push(format!("{} {}: {words}", operation.path, operation.method));
    }
    faults.assert_none();
    table.sort();
    insta::assert_snapshot!("scopes", table.join("\n"));
}

fn check_kind(name: &str, words: &str, faults: &mut Faults) {
    if words == "any" && !FOR_ANY_KEY.iter().any(|(n, _)| *n == name) {
        faults.note(format!("{name} needs no scope: is that right? Then say why in FOR_ANY_KEY of walls/scopes.rs"));
    }
    let changes = !name.starts_with("GET ") && !ONLY_LOOK.contains(&name);
    let by_reading = words.split(" or ").any(|set| set.split(" and ").all(|s| s.ends_with(":read")));
    if changes && by_reading {
        faults.note(format!("{name} can be called with {words}: a change needs more than a scope to read"));
    }
}
