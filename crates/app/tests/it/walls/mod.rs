//! Companies, sites and scopes are walls: every call of the API's document is tried from outside. The calls come from
//! the document, so that a new one is tried too; where it needs more than the document says, the failure names the
//! table to add a line to.

pub mod company;
pub mod document;
mod people;
mod scopes;
pub mod walk;

use serde_json::json;

use crate::support::Api;
use document::Operation;
use walk::{Faults, Way, World, nobodys};

/// Calls that need no key. A call that the document opens without a line here fails.
const OPEN: &[&str] = &[
    "GET /healthz",
    "GET /metrics",
    "GET /readyz",
    "POST /v1/sessions",
    "POST /v1/sessions/links",
    "POST /v1/sessions/portal",
];
/// What a key of the company may see that is bound to something else: what its company is called.
const OF_THE_COMPANY: &str = "zq7a-company";
/// A site of the company that has nothing to do with what is marked.
const ELSEWHERE: &str = "elsewhere";
/// An integration of the same kind.
const BYSTANDER: &str = "bystander";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_answers_without_a_key_that_is_known() {
    let world = World::new().await;
    let stranger = world.stage.api.with_key(&format!("tsk_{}", "A".repeat(43)));
    let nobody = world.stage.api.without_key();
    let mut faults = Faults::default();
    for operation in world.document.operations() {
        if operation.is_open() && !OPEN.contains(&operation.name().as_str()) {
            faults.note(format!("{} is open: if it may be, add it to OPEN of walls/mod.rs", operation.name()));
        }
        for api in [&nobody, &stranger, &nobody.in_company(&world.inside.id)] {
            let path = world.inside.path(&operation.path, "") + &world.required_query(&operation);
            let asked = world.ask(api, &operation, &path).await;
            if !operation.is_open() && asked.answer.status != 401 {
                faults.add(&asked, "is not refused");
            }
            world.check_leaks(&asked, &[], &mut faults);
        }
    }
    faults.assert_none();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_another_company_is_as_unknown_as_what_nobody_has() {
    let world = World::new().await;
    let before = world.audit().await;
    let mut faults = Faults::default();
    for operation in world.document.operations() {
        for way in world.ways_in(&operation) {
            check_outside(&world, &world.outside.api, &operation, &way, &mut faults).await;
        }
    }
    if world.audit().await != before {
        faults.note("something was changed from outside".to_owned());
    }
    faults.assert_none();
}

/// Asks as somebody of the other company.
async fn check_outside(world: &World, asker: &Api, operation: &Operation, way: &Way, faults: &mut Faults) {
    let asked = world.ask(asker, operation, &way.path).await;
    // What it made itself under that id before may be named.
    let own = world.inside.known(&operation.path).filter(|_| operation.makes_its_own());
    world.check_leaks(&asked, own.as_slice(), faults);
    if asked.answer.status >= 500 || (way.is_inside && !is_wall(operation, asked.answer.status, &asked.detail())) {
        faults.add(&asked, "is not unknown");
    }
    let nobodys_way = world.nobodys(&way.path);
    if nobodys_way == way.path || operation.makes_its_own() {
        return;
    }
    let of_nobody = world.ask(asker, operation, &nobodys_way).await;
    let ids = || world.inside.ids().flat_map(|id| [id.to_owned(), nobodys(id)]);
    if asked.gist(ids()) != of_nobody.gist(ids()) {
        let what = format!("is told apart from an id of nobody, which is answered {:?}", of_nobody.answer.text());
        faults.add(&asked, &what);
    }
}

/// Whether this answer tells nothing about another company's thing: there is none, or nobody but an operator may ask.
/// A call that makes its own thing under any id makes one.
fn is_wall(operation: &Operation, status: u16, detail: &str) -> bool {
    let of_operators = status == 403 && detail.contains("instance");
    let named = !operation.places().is_empty();
    status == 404 || of_operators || (status < 500 && (!named || operation.makes_its_own()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_of_another_company_opens_nothing() {
    let world = World::new().await;
    let mut faults = Faults::default();
    check_under_its_name(&world, &world.outside.api, &mut faults).await;
    faults.assert_none();
}

/// Asks every call as somebody of the other company who names this one.
async fn check_under_its_name(world: &World, asker: &Api, faults: &mut Faults) {
    let with_header = asker.in_company(&world.inside.id);
    for operation in world.document.operations().iter().filter(|o| !o.is_open()) {
        let path = world.inside.path(&operation.path, "") + &world.required_query(operation);
        let asked = world.ask(&with_header, operation, &path).await;
        if asked.answer.status != 404 {
            faults.add(&asked, "is not unknown under another company's name");
        }
        let seen = world.inside.id.as_str();
        world.check_leaks(&asked, &[seen], faults);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_bound_elsewhere_sees_and_changes_nothing() {
    let world = World::new().await;
    make_elsewhere(&world).await;
    let mut faults = Faults::default();
    for (bound, id) in [("sites", ELSEWHERE), ("integrations", BYSTANDER)] {
        let key = scopes::bound(&world, bound, id).await;
        check_elsewhere(&world, &key, &format!("a key bound to other {bound}"), &mut faults).await;
    }
    faults.assert_none();
}

/// A site and an integration of the same company that have nothing to do with what is marked.
async fn make_elsewhere(world: &World) {
    let bystander = json!({"id": BYSTANDER, "name": BYSTANDER, "events": {"names": ["never.sent"]},
        "target": {"kind": "http", "url": world.stage.receiver.url("/bystander")}});
    world.inside.api.post("/v1/integrations", &bystander).await.expect(201);
    world.inside.api.put(&format!("/v1/sites/{ELSEWHERE}"), &json!({"name": ELSEWHERE})).await.expect(201);
}

/// Asks every call as somebody of this company who is bound to something else.
async fn check_elsewhere(world: &World, asker: &Api, who: &str, faults: &mut Faults) {
    let before = world.audit().await;
    for operation in world.document.operations().iter().filter(|o| !is_of_oneself(o)) {
        for way in world.ways_in(operation) {
            check_bound(world, asker, operation, &way.path, faults).await;
        }
    }
    if world.audit().await != before {
        faults.note(format!("{who} changed something"));
    }
}

/// Whether a call is about nothing but the asker's own session, which it may end.
fn is_of_oneself(operation: &Operation) -> bool {
    scopes::FOR_PEOPLE.contains(&operation.name().as_str())
}

async fn check_bound(world: &World, key: &Api, operation: &Operation, way: &str, faults: &mut Faults) {
    let asked = world.ask(key, operation, way).await;
    world.check_leaks(&asked, &[OF_THE_COMPANY], faults);
    let of_the_company = operation.path.starts_with("/v1/companies/");
    let named = !operation.places().is_empty() && !of_the_company && !operation.is_open();
    if asked.answer.status >= 500 || (named && ![403, 404].contains(&asked.answer.status)) {
        faults.add(&asked, "is neither refused nor unknown to a key that is bound elsewhere");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_into_no_company_without_naming_it() {
    let world = World::new().await;
    let before = world.audit().await;
    let mut faults = Faults::default();
    let unknown = world.operator.in_company("nobody-has-this-name");
    for operation in world.document.operations().iter().filter(|o| !o.is_open()) {
        let path = world.inside.path(&operation.path, "") + &world.required_query(operation);
        let asked = world.ask(&unknown, operation, &path).await;
        if asked.answer.status != 404 {
            faults.add(&asked, "is answered in a company that there is not");
        }
        // What an operator does to a company says in its path which one.
        if operation.path.starts_with("/v1/companies") {
            continue;
        }
        let asked = world.ask(&world.operator, operation, &path).await;
        let named = !operation.places().is_empty();
        if asked.answer.status >= 500 || (named && !(400..500).contains(&asked.answer.status)) {
            faults.add(&asked, "is answered without a company");
        }
        world.check_leaks(&asked, &[], &mut faults);
    }
    if world.audit().await != before {
        faults.note("something was changed in a company that was not named".to_owned());
    }
    faults.assert_none();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_company_itself_finds_every_mark_that_others_must_not_see() {
    let world = World::new().await;
    let mut faults = Faults::default();
    let mut found = String::new();
    for asked in world.read_all(&world.inside.api).await {
        let of_operators = asked.answer.status == 403 && asked.detail().contains("instance");
        if asked.answer.status >= 300 && !of_operators {
            faults.add(&asked, "is not shown to its own company, so the walls around it are not tried");
        }
        found += &asked.text();
    }
    let marks = [
        "company-name",
        "key-name",
        "site-name",
        "site-number",
        "site-alias",
        "lane-name",
        "lane-text",
        "lane-answer",
        "lane-reason",
        "event-terminal",
        "event-entity-first",
        "event-correlation",
        "event-payload",
        "event-id-first",
    ];
    for mark in marks.map(|m| format!("{}-{m}", company::MARK)) {
        if !found.contains(&mark) {
            faults.note(format!("{mark} is nowhere, so it proves nothing that others do not see it"));
        }
    }
    faults.assert_none();
}

#[test]
fn a_mark_that_leaks_is_found() {
    assert_eq!(walk::marks_in(r#"{"id":"zq7a-site","x":"ab"}"#), ["zq7a-site"]);
    assert_eq!(nobodys("evt_0A0"), "evt_0A1");
    assert_eq!(company::filled("/v1/a/{id}/b/{x}", |p| p.len().to_string()), "/v1/a/10/b/16");
}
