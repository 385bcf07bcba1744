//! Situations made on purpose, each with its verdict and the one thing to do.

use std::time::Duration;

use super::*;
use crate::Time;

const NOW: Time = Time::from_millis(1_795_255_200_000);

fn ago(minutes: i64) -> Time {
    Time::from_millis(NOW.millis() - minutes * 60_000)
}

fn change(by: &str, reason: &str) -> Change {
    Change { by: by.into(), at: ago(600), reason: Some(reason.into()) }
}

/// Nothing came, from this site.
fn from_site(known: bool, last_heard: Option<Time>, silent_after: Option<Duration>) -> Facts {
    let site = Site { id: "175".into(), known, last_heard, silent_after };
    Facts { now: NOW, site: Some(site), ..Facts::default() }
}

/// Two events came.
fn came() -> Facts {
    Facts { now: NOW, received: Received { count: 2, last_at: Some(ago(1)) }, ..Facts::default() }
}

fn at(counts: Counts) -> Facts {
    Facts { lane: Some(Lane { id: "erp".into(), counts, ..Lane::default() }), ..came() }
}

fn stopped(by: &str, counts: Counts) -> Facts {
    let mut facts = at(counts);
    facts.lane.as_mut().unwrap().stopped = Some(change(by, "because"));
    facts
}

fn held(held_up: HeldUp, counts: Counts) -> Facts {
    let mut facts = at(counts);
    facts.lane.as_mut().unwrap().held_up = Some(held_up);
    facts
}

fn queued() -> Counts {
    Counts { queued: 2, ..Counts::default() }
}

fn retrying(status: Option<u16>) -> Counts {
    let (next_try, last_error) = (Some(ago(-5)), Some("answered".to_owned()));
    Counts { retrying: 1, next_try, last_status: status, last_error, ..Counts::default() }
}

fn rejections(reason: &str, status: Option<u16>) -> Counts {
    Counts { delivered: 1, rejected: vec![GivenUp { reason: reason.into(), status, count: 1 }], ..Counts::default() }
}

fn no(rules: &[(&str, u64)]) -> Counts {
    let set = Some(change("key key_1", ""));
    let unwanted = rules.iter().map(|(rule, count)| No { rule: (*rule).into(), count: *count, set: set.clone() });
    Counts { unwanted: unwanted.collect(), ..Counts::default() }
}

#[test]
fn what_came_and_was_not_sent() {
    let hour = Duration::from_secs(3_600);
    check(&[
        ("a suspended company", Facts { suspended: true, ..came() }, Verdict::CompanySuspended, Advice::ResumeCompany),
        ("an unknown site", from_site(false, None, None), Verdict::SiteNeverHeard, Advice::CheckSiteId),
        ("a site that was only set up", from_site(true, None, None), Verdict::SiteNeverHeard, Advice::CheckSite),
        ("a silent site", from_site(true, Some(ago(61)), None), Verdict::SiteSilent, Advice::CheckSite),
        (
            "silent by its own measure",
            from_site(true, Some(ago(9)), Some(hour / 10)),
            Verdict::SiteSilent,
            Advice::CheckSite,
        ),
        (
            "a site that sends other things",
            from_site(true, Some(ago(59)), None),
            Verdict::NotReceived,
            Advice::CheckSource,
        ),
        ("nothing, of no site", Facts::default(), Verdict::NotReceived, Advice::CheckSource),
        (
            "no integration",
            Facts { no_integrations: true, ..came() },
            Verdict::NoIntegration,
            Advice::CreateIntegration,
        ),
        ("no integration named", came(), Verdict::Received, Advice::Nothing),
        ("not selected", at(no(&[("events", 2)])), Verdict::NotSelected, Advice::SelectEvents),
        ("the site is off", at(no(&[("availability", 2)])), Verdict::SiteOff, Advice::SwitchSiteOn),
        ("a condition", at(no(&[("events.where[1]", 2)])), Verdict::ConditionFails, Advice::ChangeCondition),
        ("off, among others", at(no(&[("events", 9), ("availability", 1)])), Verdict::SiteOff, Advice::SwitchSiteOn),
        (
            "before it began",
            at(Counts { before_start: 2, ..Counts::default() }),
            Verdict::BeforeStart,
            Advice::StartEarlier,
        ),
        ("deleted", at(Counts { deleted: 1, ..Counts::default() }), Verdict::Deleted, Advice::SendAgainFromSource),
        ("long ago", at(Counts { settled: 2, ..Counts::default() }), Verdict::Settled, Advice::Nothing),
        ("delivered", at(Counts { delivered: 2, ..Counts::default() }), Verdict::Delivered, Advice::LookAtReceiver),
        ("late", at(Counts { delivered: 2, late: 1, ..Counts::default() }), Verdict::DeliveredLate, Advice::Nothing),
    ]);
}

#[test]
fn what_waits_and_what_was_given_up() {
    let circuit = HeldUp::Circuit { since: ago(9), next_probe: ago(-1) };
    let full = HeldUp::Full { parked: 10_000 };
    check(&[
        ("stopped by somebody", stopped("key k", queued()), Verdict::Stopped, Advice::StartIntegration),
        ("stopped by itself", stopped("system", queued()), Verdict::Stopped, Advice::FixAndStart),
        (
            "stopped, nothing waits",
            stopped("key k", Counts { delivered: 2, ..Counts::default() }),
            Verdict::Delivered,
            Advice::LookAtReceiver,
        ),
        ("the circuit", held(circuit.clone(), queued()), Verdict::CircuitOpen, Advice::FixReceiver),
        (
            "the circuit, by a wrong token",
            held(circuit.clone(), retrying(Some(401))),
            Verdict::CircuitOpen,
            Advice::FixCredentials,
        ),
        (
            "the circuit of others' events",
            held(circuit, Counts { delivered: 2, ..Counts::default() }),
            Verdict::Delivered,
            Advice::LookAtReceiver,
        ),
        ("the brake", held(HeldUp::Brake { since: ago(9) }, queued()), Verdict::Braked, Advice::FixOrReleaseBrake),
        ("too many parked", held(full, queued()), Verdict::LaneFull, Advice::FixReceiver),
        ("left alone", held(HeldUp::Paused { until: ago(-9) }, queued()), Verdict::Paused, Advice::Wait),
        ("a retry", at(retrying(Some(500))), Verdict::WaitsForRetry, Advice::FixReceiver),
        ("a retry without an answer", at(retrying(None)), Verdict::WaitsForRetry, Advice::FixReceiver),
        ("a wrong token", at(retrying(Some(403))), Verdict::WaitsForRetry, Advice::FixCredentials),
        ("behind another", at(Counts { behind: 1, ..Counts::default() }), Verdict::WaitsBehindAnother, Advice::Wait),
        ("its turn", at(queued()), Verdict::Queued, Advice::Wait),
        ("refused", at(rejections("rejected", Some(400))), Verdict::Rejected, Advice::FixAndRetry),
        (
            "refused, and more waits",
            at(Counts { queued: 1, ..rejections("rejected", Some(400)) }),
            Verdict::Queued,
            Advice::Wait,
        ),
        (
            "exhausted",
            at(rejections("attempts_exhausted", Some(500))),
            Verdict::AttemptsExhausted,
            Advice::RetryRejected,
        ),
        ("expired", at(rejections("expired", None)), Verdict::Expired, Advice::RaiseMaxAge),
        (
            "no request made of it",
            at(rejections("transform_failed", None)),
            Verdict::TransformFailed,
            Advice::FixSettings,
        ),
    ]);
}

fn check(situations: &[(&str, Facts, Verdict, Advice)]) {
    for (what, facts, verdict, advice) in situations {
        let answer = decide(facts);
        assert_eq!((answer.verdict, answer.advice), (*verdict, *advice), "{what}: {}", answer.summary);
        assert!(answer.summary.ends_with('.') && answer.todo.ends_with('.'), "{what}: {answer:?}");
    }
}

#[test]
fn the_answer_says_who_when_and_what_next() {
    let summary = decide(&stopped("key key_1", queued())).summary;
    assert!(summary.contains("key key_1") && summary.contains(&ago(600).to_string()) && summary.contains("(because)"));
    let summary = decide(&at(no(&[("availability", 2)]))).summary;
    assert!(summary.contains("by key key_1") && summary.contains("2 events"), "{summary}");
    let summary = decide(&at(retrying(Some(500)))).summary;
    assert!(summary.contains(&ago(-5).to_string()) && summary.contains("answered"), "{summary}");
}
