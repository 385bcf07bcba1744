//! What companies used, answers that are given again, and events that are held.

use std::time::Duration;

use tillstream_model::{CompanyNo, Content, Time};

use super::{Engine, START, assert_same, content, full_content, reopen};
use crate::answers::{ANSWER_BUSY, ANSWER_KEPT, Begin, Begun};
use crate::held::{HeldLimits, HoldError, Holding};
use crate::usage::{Counts, USAGE_DAYS, Used};
use crate::{ReadLimit, Retention, State};

const A: CompanyNo = CompanyNo(1);
const B: CompanyNo = CompanyNo(2);
const MANY: HeldLimits = HeldLimits { events: 100, bytes: 1 << 30, sites: 10 };

fn used(company: CompanyNo, day: i64, retention: Option<Retention>, n: u64) -> Used {
    let counts =
        Counts { events: n, bytes: 10 * n, delivered: 2 * n, rejected: 3 * n, expired: 4 * n, attempts: 5 * n };
    Used { company, day, retention, counts }
}

pub(super) async fn what_was_used_is_added_up_by_day_and_class(engine: &impl Engine) {
    let stores = engine.open().await;
    let (state, day) = (&*stores.state, START.day());
    let (month, week) = (Some(Retention::Month), Some(Retention::Week));
    let add = async |rows: Vec<Used>| state.add_usage(rows).await.expect("add");
    add(vec![used(A, day, month, 1), used(A, day, None, 2), used(B, day, month, 9)]).await;
    tokio::join!(add(vec![used(A, day, month, 3), used(A, day + 1, week, 1)]), add(vec![used(A, day, month, 5)]));
    add(vec![]).await;
    let stores = reopen(engine, stores).await;
    let state = &*stores.state;
    let all = [used(A, day, None, 2), used(A, day, month, 9), used(A, day + 1, week, 1)];
    assert_eq!(state.usage(A, day, day + 1).await.expect("usage"), all);
    assert_eq!(state.usage(A, day + 1, day + 9).await.expect("usage"), all[2..]);
    assert!(state.usage(CompanyNo(3), day, day + 1).await.expect("usage").is_empty());
    assert_eq!((all[0].stored_bytes(day), all[1].stored_bytes(day + 30), all[1].stored_bytes(day + 31)), (0, 90, 0));
    let later = |days: i64| Time::from_millis(START.millis() + days * tillstream_model::time::DAY_MS);
    state.sweep(later(USAGE_DAYS - 1)).await.expect("sweep");
    assert_eq!(state.usage(A, day, day + 1).await.expect("usage").len(), 3);
    state.sweep(later(USAGE_DAYS)).await.expect("sweep");
    assert_eq!(state.usage(A, day, day + 1).await.expect("usage"), all[2..]);
}

fn begin(of: Option<CompanyNo>, id: &str, print: u8, now: Time) -> Begin {
    Begin { of, id: id.into(), fingerprint: [print; 16], now, most: 3 }
}

pub(super) async fn an_answer_is_given_again_to_the_same_request_and_sealed(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    let ask = async |state: &dyn State, asked: Begin| state.begin_answer(asked).await.expect("begin");
    let one = |now| begin(Some(A), "one", 1, now);
    let (first, second) = tokio::join!(ask(state, one(START)), ask(state, one(START)));
    assert!(
        [&first, &second].contains(&&Begun::New) && [&first, &second].contains(&&Begun::Busy),
        "{first:?} {second:?}"
    );
    state.keep_answer(Some(A), "one", "a s3cret answer").await.expect("keep");
    state.forget_answer(Some(A), "one").await.expect("an answer is not forgotten");
    let stores = reopen(engine, stores).await;
    let state = &*stores.state;
    assert_eq!(ask(state, one(START)).await, Begun::Answered("a s3cret answer".into()));
    assert_eq!(ask(state, begin(Some(A), "one", 2, START)).await, Begun::Other);
    assert_eq!(ask(state, begin(None, "one", 1, START)).await, Begun::New, "the instance's own");
    assert_eq!(ask(state, begin(Some(B), "one", 1, START)).await, Begun::New, "another company");
    let stored = engine.at_rest().await;
    assert!(!stored.windows(7).any(|w| w == b"s3cret "), "an answer is stored open");
    let end = START + ANSWER_KEPT;
    assert_eq!(ask(state, one(Time::from_millis(end.millis() - 1))).await, Begun::Answered("a s3cret answer".into()));
    assert_eq!(ask(state, one(end)).await, Begun::New, "its time has passed");
}

pub(super) async fn a_request_that_nobody_answers_may_be_tried_again(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    let ask = async |id: &str, now| state.begin_answer(begin(Some(A), id, 1, now)).await.expect("begin");
    assert_eq!(ask("one", START).await, Begun::New);
    state.forget_answer(Some(A), "one").await.expect("forget");
    assert_eq!(ask("one", START).await, Begun::New);
    assert_eq!(ask("one", START + (ANSWER_BUSY - Duration::from_millis(1))).await, Begun::Busy);
    assert_eq!(ask("one", START + ANSWER_BUSY).await, Begun::New, "whoever began it is gone");
    assert_eq!((ask("two", START).await, ask("three", START).await), (Begun::New, Begun::New));
    assert_eq!(ask("four", START).await, Begun::Full);
    assert_eq!(ask("two", START).await, Begun::Busy, "one that is known needs no room");
    state.sweep(START + ANSWER_KEPT + ANSWER_BUSY).await.expect("sweep");
    assert_eq!(ask("four", START).await, Begun::New, "old ones make room");
}

fn at(site: &str, name: &str) -> Content {
    Content { site: Some(site.into()), ..content(name, name) }
}

fn most(events: usize) -> ReadLimit {
    ReadLimit { events, bytes: usize::MAX }
}

async fn names(state: &dyn State, company: CompanyNo, site: &str) -> Vec<String> {
    let held = state.held(company, site, 0, most(100)).await.expect("held");
    held.into_iter().map(|h| h.content.name.into()).collect()
}

pub(super) async fn held_events_read_back_in_order_and_go_one_by_one(engine: &impl Engine) {
    let stores = engine.open().await;
    for id in ["a", "b"] {
        stores.state.create_company(id, id, Retention::Week, vec![]).await.expect("create");
    }
    let full = full_content("c-1");
    let site = full.site.clone().expect("a site");
    let state = &*stores.state;
    let events = vec![at("x", "a.b"), full.clone(), at("x", "c.d")];
    assert_eq!(state.hold(A, events, START, MANY).await.expect("hold"), [Holding::New; 3]);
    let later = START + Duration::from_secs(5);
    state.hold(A, vec![at("x", "e.f")], later, MANY).await.expect("hold");
    state.hold(B, vec![at("x", "g.h")], START, MANY).await.expect("hold");
    let other = Content { name: "other.name".into(), ..full.clone() };
    let repeats = state.hold(A, vec![full.clone(), other], later, MANY).await.expect("hold");
    assert_eq!(repeats, [Holding::Duplicate, Holding::Conflict]);
    let stores = reopen(engine, stores).await;
    let state = &*stores.state;
    let sites = state.held_sites(A, "", 10).await.expect("sites");
    assert_eq!(sites.iter().map(|s| (s.site.as_str(), s.events)).collect::<Vec<_>>(), [(&*site, 1), ("x", 3)]);
    assert_eq!((sites[1].first_at, sites[1].last_at), (START, later));
    assert_eq!(sites[0].bytes, full.size() as u64);
    assert_eq!(state.held_sites(A, &site, 10).await.expect("sites").len(), 1);
    assert_eq!(names(state, A, "x").await, ["a.b", "c.d", "e.f"]);
    let back = state.held(A, &site, 0, most(9)).await.expect("held").remove(0);
    let event = |content| tillstream_model::Event {
        company: A,
        seq: 0,
        id: tillstream_model::EventId::new(back.at, [0; 10]),
        accepted_at: back.at,
        content,
    };
    assert_same(&event(back.content.clone()), &event(full));
    let ids: Vec<u64> = state.held(A, "x", 0, most(2)).await.expect("held").iter().map(|h| h.id).collect();
    assert_eq!(state.held(A, "x", ids[1], most(9)).await.expect("held").len(), 1);
    let little = ReadLimit { events: 9, bytes: 1 };
    assert_eq!(state.held(A, "x", 0, little).await.expect("held").len(), 1, "at least one");
    state.unhold(B, "x", ids.clone()).await.expect("another company's ids are none");
    state.unhold(A, "x", [ids.clone(), ids].concat()).await.expect("unhold");
    assert_eq!((names(state, A, "x").await, names(state, B, "x").await), (vec!["e.f".into()], vec!["g.h".into()]));
    assert_eq!(state.held_site(A, "x").await.expect("site").map(|s| s.events), Some(1));
    let last = state.held(A, "x", 0, most(9)).await.expect("held").remove(0).id;
    state.unhold(A, "x", vec![last]).await.expect("unhold");
    assert_eq!(state.held_site(A, "x").await.expect("site"), None);
}

pub(super) async fn no_more_is_held_than_may_be(engine: &impl Engine) {
    let stores = engine.open().await;
    stores.state.create_company("a", "a", Retention::Week, vec![]).await.expect("create");
    let size = at("x", "a.b").size() as u64;
    let state = &*stores.state;
    let hold =
        async |sites: &[&str], limits| state.hold(A, sites.iter().map(|s| at(s, "a.b")).collect(), START, limits).await;
    for limits in
        [HeldLimits { events: 2, ..MANY }, HeldLimits { bytes: 2 * size, ..MANY }, HeldLimits { sites: 2, ..MANY }]
    {
        assert!(hold(&["x", "y"], limits).await.is_ok(), "up to the limit: {limits:?}");
        assert!(matches!(hold(&["z"], limits).await, Err(HoldError::Full)), "one more: {limits:?}");
        assert_eq!(state.held_sites(A, "", 9).await.expect("sites").len(), 2, "nothing of it is held");
        for site in ["x", "y"] {
            let ids = state.held(A, site, 0, most(9)).await.expect("held").iter().map(|h| h.id).collect();
            state.unhold(A, site, ids).await.expect("unhold");
        }
    }
    assert!(matches!(hold(&["x", "y", "z"], HeldLimits { events: 2, ..MANY }).await, Err(HoldError::Full)));
    assert!(names(state, A, "x").await.is_empty(), "all of a request or none");
}
