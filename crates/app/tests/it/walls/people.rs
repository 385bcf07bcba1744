//! The walls again, for people who sign in: those of another company, those whom a privilege is missing, and those who
//! have theirs for something else. Which privileges a call needs is found out by trying, and kept as a snapshot.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tillstream_hub::access::Privilege;

use super::company::{Company, MARK};
use super::document::Operation;
use super::scopes::{INSTANCE, check_opened};
use super::walk::{Asked, Faults, World};
use super::{BYSTANDER, ELSEWHERE, OF_THE_COMPANY};
use super::{check_elsewhere, check_outside, check_under_its_name, is_of_oneself, make_elsewhere};
use crate::support::Api;
use crate::support::people::PASSWORD;

/// Calls that anybody who signed in may make, each with its reason.
const FOR_ANYBODY: &[(&str, &str)] = &[
    ("GET /v1/companies", "people see what their company is called"),
    ("GET /v1/companies/{id}", "people see what their company is called"),
    ("GET /v1/companies/{id}/usage", "people see what their company uses"),
    ("GET /v1/session", "people see what they may do"),
];
/// What opens every call of the company.
const ALL: &str = "all";
/// Most privileges that one call needs at once.
const MOST_AT_ONCE: usize = 2;

type Set = BTreeSet<&'static str>;

/// Somebody of a company who signed in.
struct Person {
    id: String,
    api: Api,
}

impl Person {
    async fn of(world: &World, company: &Company, privileges: Value) -> Self {
        let wish = json!({"email": "somebody.else@stores.example", "privileges": privileges});
        let made = company.api.post("/v1/users", &wish).await.expect(201);
        let token = made["link"]["token"].as_str().expect("a token");
        let api = company.api.with_session(&world.stage.follow(token, PASSWORD).await);
        Self { id: made["id"].as_str().expect("an id").to_owned(), api }
    }

    /// From now on they hold these, in the session that they have.
    async fn hold(&self, world: &World, privileges: &Set) {
        let grants: Vec<Value> = privileges.iter().map(|p| json!({"privilege": p})).collect();
        let path = format!("/v1/users/{}", self.id);
        world.inside.api.patch(&path, &json!({"privileges": grants})).await.expect(200);
    }
}

/// Every privilege but the one that is all of them.
fn privileges() -> impl Iterator<Item = &'static str> {
    Privilege::LIST.into_iter().map(Privilege::name).filter(|name| *name != ALL)
}

/// Sets of privileges from small to large, and everything at last.
fn sets() -> Vec<Set> {
    let mut all = BTreeSet::from([Set::new()]);
    for _ in 0..MOST_AT_ONCE {
        let with = |set: &Set, p| set.iter().copied().chain([p]).collect();
        let larger: Vec<Set> = all.iter().flat_map(|set| privileges().map(move |p| with(set, p))).collect();
        all.extend(larger);
    }
    let mut all: Vec<Set> = all.into_iter().collect();
    all.sort_by_key(Set::len);
    all.push(Set::from([ALL]));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_of_another_company_sees_and_changes_nothing() {
    let world = World::new().await;
    let person = Person::of(&world, &world.outside, json!([{"privilege": ALL}])).await;
    let before = world.audit().await;
    let mut faults = Faults::default();
    check_under_its_name(&world, &person.api, &mut faults).await;
    for operation in world.document.operations().iter().filter(|o| !is_of_oneself(o)) {
        for way in world.ways_in(operation) {
            check_outside(&world, &person.api, operation, &way, &mut faults).await;
        }
    }
    person.api.get("/v1/session").await.expect(200);
    if world.audit().await != before {
        faults.note("something was changed from outside".to_owned());
    }
    faults.assert_none();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_needs_its_privilege_and_names_it() {
    let world = World::new().await;
    let person = Person::of(&world, &world.inside, json!([])).await;
    let mut faults = Faults::default();
    let needed = needed(&world, &person, &mut faults).await;
    let table: Vec<String> = needed.iter().map(|(name, sets)| format!("{name}: {}", words(sets))).collect();
    for (name, sets) in &needed {
        let is_for_anybody = FOR_ANYBODY.iter().any(|(n, _)| n == name);
        if is_for_anybody != sets.contains(&Set::new()) {
            faults.note(format!("{name} is open to {}: see FOR_ANYBODY of walls/people.rs", words(sets)));
        }
    }
    check_without(&world, &person, &needed, &mut faults).await;
    faults.assert_none();
    insta::assert_snapshot!("privileges", table.join("\n"));
}

/// The least sets of privileges that open each call, by its name. Asked about things that nobody has, so that nothing
/// is changed that is there.
async fn needed(world: &World, person: &Person, faults: &mut Faults) -> BTreeMap<String, Vec<Set>> {
    let operations = world.document.operations();
    let of_people = || operations.iter().filter(|o| !o.is_open() && !is_of_oneself(o));
    let mut needed: BTreeMap<String, Vec<Set>> = of_people().map(|o| (o.name(), Vec::new())).collect();
    for set in sets() {
        // Two together are looked for where none alone is enough, and everything where two are not.
        let is_smaller = |known: &[Set]| known.iter().any(|k| k.len() < set.len() || set.contains(ALL));
        let open: Vec<&Operation> = of_people().filter(|o| !is_smaller(&needed[&o.name()])).collect();
        person.hold(world, &set).await;
        for operation in open {
            let path = world.nobodys(&(world.inside.path(&operation.path, "") + &world.required_query(operation)));
            let asked = world.ask(&person.api, operation, &path).await;
            if asked.answer.status != 403 {
                check_opened(operation, &asked, faults);
                needed.get_mut(&operation.name()).expect("a call").push(set.clone());
            }
        }
    }
    needed
}

fn words(sets: &[Set]) -> String {
    let of_set = |set: &Set| set.iter().copied().collect::<Vec<_>>().join(" and ");
    match sets {
        [] => INSTANCE.to_owned(),
        [one] if one.is_empty() => "anybody".to_owned(),
        sets => sets.iter().map(of_set).collect::<Vec<_>>().join(" or "),
    }
}

/// Somebody with no privilege, with each alone, and with all but each is refused whatever that does not open, about
/// what is really there.
async fn check_without(world: &World, person: &Person, needed: &BTreeMap<String, Vec<Set>>, faults: &mut Faults) {
    let alone = privileges().map(|p| Set::from([p]));
    let without = privileges().map(|left_out| privileges().filter(|p| *p != left_out).collect());
    for held in [Set::new()].into_iter().chain(alone).chain(without) {
        person.hold(world, &held).await;
        let before = world.audit().await;
        for operation in world.document.operations() {
            let Some(sets) = needed.get(&operation.name()) else { continue };
            if !sets.iter().any(|set| set.is_subset(&held)) {
                check_refused(world, person, &operation, sets, faults).await;
            }
        }
        if world.audit().await != before {
            faults.note(format!("somebody with {held:?} changed what they may not"));
        }
    }
}

async fn check_refused(world: &World, person: &Person, operation: &Operation, sets: &[Set], faults: &mut Faults) {
    for way in world.ways_in(operation) {
        let asked = world.ask(&person.api, operation, &way.path).await;
        if asked.answer.status != 403 {
            faults.add(&asked, "is not refused to somebody without its privilege");
        } else if !names_one_of(&asked, sets) {
            faults.add(&asked, &format!("is refused without naming any of {}", words(sets)));
        }
        world.check_leaks(&asked, &[OF_THE_COMPANY], faults);
    }
}

/// Whether a refusal names a privilege that would help; of the operator's calls, that they are.
fn names_one_of(asked: &Asked, sets: &[Set]) -> bool {
    let detail = asked.detail();
    let mut helpful = sets.iter().flatten().copied().chain(sets.is_empty().then_some(INSTANCE));
    helpful.any(|name| detail.split([' ', ',', '(', ')']).any(|word| word == name))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_with_privileges_for_something_else_sees_and_changes_nothing() {
    let world = World::new().await;
    make_elsewhere(&world).await;
    let of_sites = Privilege::LIST.into_iter().filter(|p| p.scopes_of_sites().list().next().is_some());
    let grants: Vec<Value> = of_sites.map(|p| json!({"privilege": p, "sites": [ELSEWHERE]})).collect();
    assert!(grants.len() > 3, "{grants:?}");
    let person = Person::of(&world, &world.inside, json!(grants)).await;
    person.api.get(&format!("/v1/sites/{ELSEWHERE}")).await.expect(200);
    let page = portal(&world).await;
    page.get(&format!("/v1/integrations/{BYSTANDER}")).await.expect(200);
    let mut faults = Faults::default();
    check_elsewhere(&world, &person.api, "somebody of another site", &mut faults).await;
    check_elsewhere(&world, &page, "a page for another integration", &mut faults).await;
    faults.assert_none();
}

/// A session of the portal inside somebody's page that may do all that there is with another integration.
async fn portal(world: &World) -> Api {
    let of_integrations = Privilege::LIST.into_iter().filter(|p| p.scopes_of_integrations().list().next().is_some());
    let capabilities: Vec<Privilege> = of_integrations.collect();
    let wish = json!({"capabilities": capabilities, "integrations": [BYSTANDER]});
    let path = format!("/v1/companies/{}/portal-sessions", world.inside.id);
    let made = world.inside.api.post(&path, &wish).await.expect(201);
    let token = made["url"].as_str().and_then(|url| url.split_once("#token=")).expect("a token").1;
    let begun = world.stage.api.without_key().post("/v1/sessions/portal", &json!({"token": token})).await.expect(201);
    world.inside.api.with_key(begun["token"].as_str().expect("a token"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_shows_a_payload_to_somebody_who_may_see_those_of_another_site_only() {
    let world = World::new().await;
    make_elsewhere(&world).await;
    let rest = privileges().filter(|p| *p != Privilege::EventsViewPayload.name());
    let mut grants: Vec<Value> = rest.map(|p| json!({"privilege": p})).collect();
    grants.push(json!({"privilege": Privilege::EventsViewPayload, "sites": [ELSEWHERE]}));
    let person = Person::of(&world, &world.inside, json!(grants)).await;
    let payload = format!("{MARK}-event-payload");
    let mut faults = Faults::default();
    let mut found = 0;
    for operation in world.document.operations().iter().filter(|o| !is_of_oneself(o)) {
        for way in world.ways_in(operation).into_iter().filter(|way| way.is_inside) {
            let asked = world.ask(&person.api, operation, &way.path).await;
            if asked.text().contains(&payload) {
                faults.add(&asked, "shows a payload");
            }
            found += usize::from(asked.text().contains(&format!("{MARK}-event-entity-first")));
        }
    }
    assert!(found > 0, "the event itself is shown");
    faults.assert_none();
}
