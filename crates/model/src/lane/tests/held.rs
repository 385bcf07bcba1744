//! `on_reject: hold_entity`: what stands behind a rejected event waits for it.

use super::*;

fn holding() -> Delivery {
    Delivery { on_reject: OnReject::HoldEntity, ..rules(vec![0, 1]) }
}

/// Entity 1 has the events 1 and 3, entity 2 the event 2; event 1 was rejected and everything that could go went.
fn rejected_first() -> World {
    let mut w = World::new(holding(), vec![Some(1), Some(2), Some(1)]);
    for _ in 0..4 {
        w.offer_all();
        w.send_all();
        for seq in w.out.keys().copied().collect::<Vec<_>>() {
            w.answer(seq, if seq == 1 { Verdict::Reject } else { Verdict::Delivered });
        }
        w.commit();
    }
    w
}

fn waiting(w: &World) -> Vec<(Seq, bool)> {
    w.saved.parked.values().map(|p| (p.seq, p.held)).collect()
}

/// As the state does it: the row has its turn now and is held no more.
fn retry_rejected(w: &mut World) {
    let row = w.saved.parked.get_mut(&1).unwrap();
    (row.held, row.attempts, row.next_at) = (false, 0, w.now);
    w.saved.given_up.remove(&1);
    w.lane.take_up_parked(w.saved.parked.values().cloned().collect());
}

#[test]
fn the_later_events_of_a_rejected_ones_entity_wait_and_the_others_go_on() {
    let w = rejected_first();
    assert_eq!(w.saved.given_up, BTreeMap::from([(1, Reason::Rejected)]));
    assert_eq!((w.received.as_slice(), w.saved.cursor), (&[2][..], 3));
    assert_eq!(waiting(&w), [(1, true), (3, false)]);
}

#[test]
fn a_rejected_event_that_is_tried_again_goes_first_and_lets_the_others_follow() {
    for crash in [false, true] {
        let mut w = rejected_first();
        if crash {
            w.crash();
            w.turn(Verdict::Delivered);
            assert_eq!(w.received, [2], "what was held before a crash is held after it");
        }
        retry_rejected(&mut w);
        w.drain();
        assert_eq!(w.received, [2, 1, 3]);
    }
}

#[test]
fn one_that_is_rejected_again_is_held_again() {
    let mut w = rejected_first();
    retry_rejected(&mut w);
    w.turn(Verdict::Reject);
    w.turn(Verdict::Delivered);
    assert_eq!((w.received.as_slice(), waiting(&w)), (&[2][..], vec![(1, true), (3, false)]));
}

#[test]
fn one_whose_attempts_are_used_up_is_held_too() {
    let mut w = World::new(holding(), vec![Some(1), Some(1)]);
    w.turn(retry());
    w.advance(5);
    w.turn(retry());
    w.advance(5);
    w.turn(Verdict::Delivered);
    assert_eq!(w.saved.given_up, BTreeMap::from([(1, Reason::AttemptsExhausted)]));
    assert_eq!((w.received.len(), waiting(&w)), (0, vec![(1, true), (2, false)]));
}

#[test]
fn a_rejected_event_that_is_deleted_lets_its_entity_go() {
    let mut w = rejected_first();
    w.saved.parked.remove(&1);
    w.lane.take_up_parked(w.saved.parked.values().cloned().collect());
    w.drain();
    assert_eq!(w.received, [2, 3]);
}

#[test]
fn what_is_not_saved_yet_is_not_taken_for_deleted() {
    let mut w = World::new(holding(), vec![Some(1), Some(1)]);
    w.offer_all();
    w.send_all();
    w.answer(1, Verdict::Reject);
    w.lane.take_up_parked(vec![]);
    w.commit();
    w.turn(Verdict::Delivered);
    assert_eq!((w.received.len(), waiting(&w)), (0, vec![(1, true), (2, false)]));
}

#[test]
fn settings_that_no_longer_hold_let_everything_go() {
    for crash in [false, true] {
        let mut w = rejected_first();
        w.rules.on_reject = OnReject::Continue;
        if crash {
            w.crash()
        } else {
            w.lane.set_rules(w.rules.clone(), w.now)
        }
        w.drain();
        assert_eq!(w.received, [2, 3]);
    }
}

#[test]
fn nobody_is_held_longer_than_the_rejected_event_is_listed() {
    let mut w = rejected_first();
    let end = w.now + HELD_FOR;
    assert_eq!(w.lane.wake_at(w.now), Some(end));
    w.now = at(end.millis() - 1);
    w.lane.look(w.now);
    w.turn(Verdict::Delivered);
    assert_eq!(w.received, [2]);
    w.now = end;
    w.lane.look(w.now);
    w.drain();
    assert_eq!(w.received, [2, 3]);
}

#[test]
fn an_event_without_an_entity_holds_nobody() {
    let mut w = World::new(holding(), vec![None, None]);
    w.turn(Verdict::Reject);
    assert!(w.saved.parked.is_empty() && w.saved.given_up.len() == 2);
}

#[test]
fn what_is_held_is_no_probe_and_keeps_nobody_awake_while_the_circuit_is_open() {
    let mut w = rejected_first();
    for seq in [101, 102] {
        w.lane.health.failed(seq, true, w.now);
    }
    assert!(matches!(w.lane.mode(), Mode::Probing { .. }));
    w.advance(60);
    assert_eq!((w.send_all(), w.lane.wake_at(w.now)), (0, None));
}

#[test]
fn what_the_log_drops_expires_behind_a_rejected_event_that_stays() {
    let mut w = rejected_first();
    w.lane.expire_through(3);
    w.commit();
    assert_eq!(w.saved.given_up, BTreeMap::from([(1, Reason::Rejected), (3, Reason::Expired)]));
    assert_eq!(waiting(&w), [(1, true)]);
}

#[test]
fn a_receiver_that_is_said_to_stop_it_leaves_the_event_pending() {
    let mut w = World::new(rules(vec![0]), vec![Some(1)]);
    w.turn(Verdict::Stop);
    assert!(w.saved.stop.is_some() && w.lane.is_stopped() && w.saved.given_up.is_empty());
    w.crash();
    w.drain();
    assert_eq!(w.received, [1]);
}

#[test]
fn what_could_not_be_sent_at_all_burns_no_attempt_and_opens_the_circuit() {
    let mut w = World::new(rules(vec![0]), vec![Some(1)]);
    w.offer_all();
    for _ in 0..2 {
        assert_eq!(w.send_all(), 1);
        w.out.clear();
        let verdict = Verdict::Retry { slow_down: false, pause: None, no_connection: true };
        w.lane.answered(1, 1, Ended { unsent: true, ..ended(verdict) }, w.now, 0.5);
        w.commit();
    }
    assert!(matches!(w.lane.mode(), Mode::Probing { .. }) && w.saved.given_up.is_empty());
    w.advance(2);
    w.drain();
    assert_eq!(w.received, [1]);
}
