//! A lane against a made-up receiver, with crashes: order, nothing lost, nothing sent twice but what was uncommitted.

mod held;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::schedule::{Custom, Retry};

pub(super) fn rules(schedule: Vec<u32>) -> Delivery {
    Delivery {
        ordering: Ordering::Entity,
        max_in_flight: 8,
        rate_per_second: None,
        timeout_seconds: 15,
        retry: Retry::Custom(Custom { schedule_seconds: schedule }),
        max_age_seconds: None,
        on_exhausted: OnExhausted::Reject,
        on_reject: OnReject::Continue,
        verdicts: BTreeMap::new(),
    }
}

pub(super) fn at(ms: i64) -> Time {
    Time::from_millis(ms)
}

pub(super) fn retry() -> Verdict {
    Verdict::Retry { slow_down: false, pause: None, no_connection: false }
}

pub(super) fn ended(verdict: Verdict) -> Ended {
    let status = match verdict {
        Verdict::Delivered => Some(200),
        Verdict::Reject => Some(400),
        Verdict::Gone => Some(410),
        Verdict::Stop => Some(402),
        Verdict::Retry { .. } => Some(500),
    };
    Ended { verdict, status, detail: "as the test says".into(), switch_off: false, unsent: false }
}

/// A lane with everything around it: a log of (key) by position, and what was committed.
struct World {
    lane: Lane<Seq>,
    rules: Delivery,
    keys: Vec<Option<EntityKey>>,
    offered: Seq,
    saved: Saved,
    now: Time,
    /// Sent and not answered.
    out: BTreeMap<Seq, u32>,
    /// What the receiver took, in order.
    received: Vec<Seq>,
}

#[derive(Default)]
struct Saved {
    cursor: Seq,
    settled: Ranges,
    parked: BTreeMap<Seq, Waiting>,
    delivered: u64,
    given_up: BTreeMap<Seq, Reason>,
    stop: Option<String>,
    notices: Vec<Notice>,
}

impl World {
    fn new(rules: Delivery, keys: Vec<Option<i64>>) -> Self {
        let keys = keys.into_iter().map(|k| k.map(EntityKey)).collect();
        let lane = Lane::new(rules.clone(), 0, Ranges::default(), vec![], at(0));
        Self {
            lane,
            rules,
            keys,
            offered: 0,
            saved: Saved::default(),
            now: at(0),
            out: BTreeMap::new(),
            received: vec![],
        }
    }

    fn offer_all(&mut self) {
        self.offer(usize::MAX);
    }

    fn offer(&mut self, most: usize) {
        for _ in 0..most {
            if self.lane.room(self.now) == 0 || (self.offered as usize) == self.keys.len() {
                return;
            }
            self.offered += 1;
            self.lane.offer(self.offered, self.keys[self.offered as usize - 1], self.now, self.offered);
        }
    }

    fn send_all(&mut self) -> usize {
        let mut count = 0;
        while let Some(sending) = self.lane.next(self.now) {
            let key = self.keys[sending.seq as usize - 1];
            let same = |s: &Seq| key.is_some() && self.keys[*s as usize - 1] == key;
            assert!(!self.out.keys().any(same), "two of one entity are under way");
            self.out.insert(sending.seq, sending.attempt);
            count += 1;
        }
        count
    }

    fn answer(&mut self, seq: Seq, verdict: Verdict) {
        self.out.remove(&seq).unwrap();
        if verdict == Verdict::Delivered {
            self.received.push(seq);
        }
        self.lane.answered(seq, seq, ended(verdict), self.now, 0.5);
    }

    fn answer_all(&mut self, verdict: Verdict) {
        for seq in self.out.keys().copied().collect::<Vec<_>>() {
            self.answer(seq, verdict);
        }
    }

    fn commit(&mut self) {
        if self.lane.has_outcomes() {
            let mut outcomes = self.lane.take_outcomes(self.now);
            let released = outcomes.take_released();
            self.save(outcomes);
            self.lane.committed(released);
        }
    }

    fn save(&mut self, o: Outcomes<Seq>) {
        assert!(o.cursor >= self.saved.cursor, "the cursor went back");
        self.saved.cursor = o.cursor;
        self.saved.settled = o.settled;
        self.saved.delivered += o.delivered;
        self.saved.parked.extend(o.park.into_iter().map(|w| (w.seq, w)));
        for seq in o.unpark {
            self.saved.parked.remove(&seq);
        }
        for g in o.given_up {
            assert_eq!(self.saved.given_up.insert(g.seq, g.reason), None, "given up twice");
        }
        self.saved.notices.extend(o.notices);
        self.saved.stop = o.stop.or(self.saved.stop.take());
    }

    fn crash(&mut self) {
        self.out.clear();
        let parked = self.saved.parked.values().cloned().collect();
        self.lane = Lane::new(self.rules.clone(), self.saved.cursor, self.saved.settled.clone(), parked, self.now);
        self.offered = self.saved.cursor;
    }

    fn turn(&mut self, verdict: Verdict) {
        self.offer_all();
        self.send_all();
        self.answer_all(verdict);
        self.commit();
    }

    fn advance(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    fn drain(&mut self) {
        for _ in 0..2_000 {
            self.turn(Verdict::Delivered);
            self.advance(1);
        }
        assert_eq!(self.saved.cursor, self.keys.len() as Seq, "not everything is settled");
        assert!(self.saved.parked.is_empty());
    }
}

#[test]
fn a_failing_event_delays_only_its_own_entity() {
    let mut w = World::new(rules(vec![0, 60, 60, 60]), vec![Some(1), Some(2), Some(1), Some(3), None]);
    w.offer_all();
    w.lane.window.set_max(8);
    for _ in 0..6 {
        w.send_all();
        for seq in w.out.keys().copied().collect::<Vec<_>>() {
            w.answer(seq, if seq == 1 { retry() } else { Verdict::Delivered });
        }
        w.commit();
    }
    assert_eq!(w.received, [2, 4, 5]);
    assert_eq!(w.saved.parked.keys().copied().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(w.saved.cursor, 5);
    w.advance(70);
    w.drain();
    assert_eq!(w.received, [2, 4, 5, 1, 3]);
}

#[test]
fn the_next_of_an_entity_waits_until_its_predecessors_outcome_is_committed() {
    let mut w = World::new(rules(vec![0]), vec![Some(1), Some(1)]);
    w.offer_all();
    assert_eq!(w.send_all(), 1);
    w.answer(1, Verdict::Delivered);
    assert_eq!(w.send_all(), 0);
    assert!(w.lane.waits_for_commit());
    w.commit();
    assert_eq!(w.send_all(), 1);
}

#[test]
fn without_ordering_an_entity_may_have_several_under_way() {
    let mut own = rules(vec![0]);
    own.ordering = Ordering::None;
    let mut lane = Lane::new(own, 0, Ranges::default(), vec![], at(0));
    for seq in 1..=2 {
        lane.offer(seq, Some(EntityKey(1)), at(0), seq);
    }
    assert!(lane.next(at(0)).is_some() && lane.next(at(0)).is_some());
}

#[test]
fn after_its_last_attempt_an_event_is_given_up_and_the_next_goes_on() {
    let mut w = World::new(rules(vec![0, 1]), vec![Some(1), Some(1)]);
    w.turn(retry());
    assert_eq!(w.saved.parked[&1].attempts, 1);
    w.advance(2);
    w.turn(retry());
    assert_eq!(w.saved.given_up, BTreeMap::from([(1, Reason::AttemptsExhausted)]));
    w.turn(Verdict::Delivered);
    assert_eq!(w.received, [2]);
}

#[test]
fn with_on_exhausted_stop_the_event_stays_and_the_lane_stops() {
    let mut own = rules(vec![0]);
    own.on_exhausted = OnExhausted::Stop;
    let mut w = World::new(own, vec![Some(1), Some(2)]);
    w.turn(retry());
    assert!(w.saved.stop.as_ref().unwrap().contains("as the test says"));
    assert!(w.saved.given_up.is_empty());
    assert_eq!(w.send_all(), 0);
    w.crash();
    w.drain();
    assert_eq!(w.received.iter().collect::<BTreeSet<_>>().len(), 2);
}

#[test]
fn an_outage_burns_no_attempts() {
    let mut w = World::new(rules(vec![0, 1, 1]), (0..40).map(Some).collect());
    let refused = Verdict::Retry { slow_down: false, pause: None, no_connection: true };
    for _ in 0..600 {
        w.turn(refused);
        w.advance(1);
    }
    assert!(matches!(w.lane.mode(), Mode::Probing { cause: Cause::Circuit, .. }));
    assert!(w.saved.given_up.is_empty());
    assert!(w.saved.parked.values().all(|p| p.attempts <= 1), "{:?}", w.saved.parked);
    w.advance(60);
    w.drain();
    assert_eq!(w.received.len(), 40);
    assert!(w.saved.notices.contains(&Notice::CircuitClosed));
}

#[test]
fn an_outage_with_answers_parks_few_before_the_circuit_opens() {
    let mut w = World::new(rules(vec![0, 3_600, 3_600]), (0..2_000).map(Some).collect());
    for _ in 0..1_000 {
        w.turn(retry());
        w.now = w.now + Duration::from_millis(10);
    }
    assert!(matches!(w.lane.mode(), Mode::Probing { .. }));
    assert!(w.saved.given_up.is_empty());
    let burnt = w.saved.parked.len();
    w.advance(100);
    w.drain_except_parked();
    assert!(burnt <= 1_200, "{burnt}");
}

impl World {
    fn drain_except_parked(&mut self) {
        for _ in 0..600 {
            self.turn(Verdict::Delivered);
            self.advance(1);
        }
        assert_eq!(self.saved.cursor, self.keys.len() as Seq);
    }
}

#[test]
fn a_receiver_that_refuses_everything_costs_twenty_events_and_what_was_under_way() {
    let mut w = World::new(rules(vec![0]), (0..500).map(Some).collect());
    for _ in 0..300 {
        w.turn(Verdict::Reject);
        w.advance(1);
    }
    let given_up = w.saved.given_up.len();
    assert!((20..=20 + 8).contains(&given_up), "{given_up}");
    w.advance(60);
    w.drain();
    assert_eq!(w.received.len() + given_up, 500);
}

#[test]
fn a_released_brake_rejects_on() {
    let mut w = World::new(rules(vec![0]), (0..60).map(Some).collect());
    (0..20).for_each(|_| w.turn(Verdict::Reject));
    let before = w.saved.given_up.len();
    w.lane.release_brake(w.now);
    (0..4).for_each(|_| w.turn(Verdict::Reject));
    assert!(w.saved.given_up.len() > before);
    assert!(w.saved.notices.contains(&Notice::BrakeReleased));
}

#[test]
fn an_outage_is_noticed_by_time_when_every_event_waits_for_a_late_retry() {
    let mut w = World::new(rules(vec![0, 3_600]), (0..12).map(Some).collect());
    (0..6).for_each(|_| w.turn(retry()));
    assert_eq!(w.lane.mode(), Mode::Flowing);
    let due = w.lane.wake_at(w.now);
    assert_eq!(due, Some(at(5_000)));
    w.advance(5);
    w.lane.look(w.now);
    assert!(matches!(w.lane.mode(), Mode::Probing { cause: Cause::Circuit, .. }));
    w.commit();
    assert!(w.saved.notices.iter().any(|n| matches!(n, Notice::CircuitOpened(_))));
}

#[test]
fn a_receiver_that_switches_itself_off_stops_the_integration_and_keeps_what_it_took() {
    let mut w = World::new(rules(vec![0]), vec![Some(1), Some(2)]);
    w.offer_all();
    w.send_all();
    w.out.remove(&1);
    w.received.push(1);
    w.lane.answered(1, 1, Ended { switch_off: true, ..ended(Verdict::Delivered) }, w.now, 0.5);
    w.commit();
    assert!(w.saved.stop.as_ref().is_some_and(|s| s.contains("disable")));
    assert_eq!((w.saved.delivered, w.send_all()), (1, 0));
}

#[test]
fn gone_is_asked_once_more_after_ten_seconds_and_then_stops() {
    let mut w = World::new(rules(vec![0, 1, 1]), vec![Some(1), Some(2)]);
    w.offer_all();
    assert!(w.lane.next(w.now).map(|s| w.out.insert(s.seq, 1)).is_some());
    w.answer(1, Verdict::Gone);
    w.commit();
    assert_eq!((w.saved.stop.clone(), w.saved.parked[&1].next_at), (None, at(10_000)));
    w.advance(10);
    w.send_all();
    w.answer(1, Verdict::Gone);
    w.commit();
    assert!(w.saved.stop.is_some());
}

#[test]
fn retry_after_pauses_the_whole_lane() {
    let mut w = World::new(rules(vec![0, 1]), vec![Some(1), Some(2), Some(3)]);
    w.offer_all();
    w.send_all();
    let pause = Some(Duration::from_secs(30));
    w.answer(1, Verdict::Retry { slow_down: true, pause, no_connection: false });
    w.answer(2, Verdict::Delivered);
    w.commit();
    assert_eq!(w.send_all(), 0);
    assert_eq!(w.lane.wake_at(w.now), Some(at(30_000)));
    w.advance(30);
    assert!(w.send_all() > 0);
}

#[test]
fn an_event_older_than_the_limit_expires_unsent() {
    let mut own = rules(vec![0, 5]);
    own.max_age_seconds = Some(60);
    let mut w = World::new(own, vec![Some(1), Some(2)]);
    w.offer_all();
    w.advance(60);
    assert_eq!(w.send_all(), 2, "at the limit it is sent");
    w.answer(1, retry());
    w.answer(2, Verdict::Delivered);
    w.commit();
    w.advance(10);
    w.turn(Verdict::Delivered);
    assert_eq!(w.saved.given_up, BTreeMap::from([(1, Reason::Expired)]));
}

#[test]
fn reading_stops_at_the_most_parked_and_at_the_read_ahead() {
    let parked = (1..=MAX_PARKED as Seq).map(|seq| Waiting {
        seq,
        key: None,
        accepted_at: at(0),
        attempts: 1,
        next_at: at(9_999_999),
        status: None,
        detail: None,
        held: false,
    });
    let lane: Lane<()> = Lane::new(rules(vec![0]), MAX_PARKED as Seq, Ranges::default(), parked.collect(), at(0));
    assert_eq!((lane.room(at(0)), lane.parked()), (0, MAX_PARKED));
    let mut w = World::new(rules(vec![0]), vec![Some(1); READ_AHEAD + 10]);
    w.offer_all();
    assert_eq!(w.offered as usize, READ_AHEAD);
}

#[test]
fn a_rejected_event_that_is_tried_again_waits_for_its_entity() {
    let mut w = World::new(rules(vec![0]), vec![Some(1), Some(1)]);
    w.lane.skip(1);
    w.offered = 1;
    w.offer_all();
    assert_eq!(w.send_all(), 1);
    let again = Waiting {
        seq: 1,
        key: Some(EntityKey(1)),
        accepted_at: at(0),
        attempts: 0,
        next_at: at(0),
        status: None,
        detail: None,
        held: false,
    };
    w.lane.add_parked(again);
    assert_eq!(w.send_all(), 0, "its entity has one under way");
    w.answer(2, Verdict::Delivered);
    w.commit();
    assert_eq!(w.send_all(), 1);
}

#[test]
fn a_rejected_event_that_is_tried_again_lets_no_later_one_overtake() {
    let mut w = World::new(rules(vec![0]), vec![Some(1); 4]);
    w.lane.skip(1);
    w.offered = 1;
    w.offer(2);
    assert_eq!(w.send_all(), 1);
    let key = Some(EntityKey(1));
    w.lane.add_parked(Waiting {
        seq: 1,
        key,
        accepted_at: at(0),
        attempts: 0,
        next_at: at(0),
        status: None,
        detail: None,
        held: false,
    });
    w.offer(1);
    w.answer_all(Verdict::Delivered);
    w.commit();
    w.drain();
    assert_eq!(w.received, [2, 1, 3, 4]);
}

#[test]
fn no_more_is_taken_than_keeps_the_window_full() {
    let mut w = World::new(rules(vec![0]), (0..100).map(Some).collect());
    w.offer_all();
    assert_eq!(w.offered as usize, READY_AHEAD);
}

#[test]
fn what_the_log_drops_is_listed_as_expired_first() {
    let mut w = World::new(rules(vec![0, 60]), vec![Some(1), Some(1), Some(2), Some(3), Some(3)]);
    w.offer_all();
    w.send_all();
    w.answer(1, retry());
    w.commit();
    w.lane.expire_through(4);
    w.answer_all(Verdict::Delivered);
    w.commit();
    w.drain();
    let expired: Vec<Seq> = w.saved.given_up.keys().copied().collect();
    assert_eq!((expired, w.received), (vec![1, 2, 4], vec![3, 5]));
}

#[derive(Clone, Debug)]
enum Step {
    /// Events come one by one, so that one may come between a failure and its commit.
    Offer(u8),
    Send,
    Answer(u8, u8),
    Commit,
    /// The commit reaches the disk, the process dies before it hears so.
    CommitThenCrash,
    Crash,
    Wait(u16),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u8..5).prop_map(Step::Offer),
        6 => Just(Step::Send),
        12 => (any::<u8>(), any::<u8>()).prop_map(|(which, how)| Step::Answer(which, how)),
        4 => Just(Step::Commit),
        1 => Just(Step::CommitThenCrash),
        1 => Just(Step::Crash),
        2 => (0u16..20).prop_map(Step::Wait),
    ]
}

fn apply(w: &mut World, step: &Step) {
    match step {
        Step::Offer(most) => w.offer((*most).into()),
        Step::Send => {
            w.send_all();
        }
        Step::Answer(which, how) if !w.out.is_empty() => {
            let seq = *w.out.keys().nth(usize::from(*which) % w.out.len()).unwrap();
            let verdict = match how % 8 {
                0 => retry(),
                1 => Verdict::Retry { slow_down: true, pause: None, no_connection: false },
                2 => Verdict::Retry { slow_down: false, pause: None, no_connection: true },
                3 => Verdict::Reject,
                _ => Verdict::Delivered,
            };
            w.answer(seq, verdict);
        }
        Step::Answer(..) => {}
        Step::Commit => w.commit(),
        Step::CommitThenCrash => {
            if w.lane.has_outcomes() {
                let outcomes = w.lane.take_outcomes(w.now);
                w.save(outcomes);
            }
            w.crash();
        }
        Step::Crash => w.crash(),
        Step::Wait(s) => w.advance((*s).into()),
    }
}

fn assert_order(received: &[Seq], keys: &[Option<EntityKey>]) {
    let mut newest: BTreeMap<i64, Seq> = BTreeMap::new();
    for &seq in received {
        if let Some(key) = keys[seq as usize - 1] {
            let last = newest.entry(key.0).or_insert(seq);
            assert!(seq >= *last, "{seq} of {key:?} came after {last}");
            *last = seq;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_nothing_is_lost_and_no_entity_goes_backwards(
        keys in prop::collection::vec(prop::option::weighted(0.9, 0i64..6), 1..60),
        steps in prop::collection::vec(any_step(), 0..300),
    ) {
        let mut w = World::new(rules(vec![0, 1, 2, 4, 8, 8, 8, 8, 8, 8, 8, 8]), keys);
        for step in &steps {
            apply(&mut w, step);
        }
        w.answer_all(Verdict::Delivered);
        w.commit();
        w.drain();
        assert_order(&w.received, &w.keys);
        let received: BTreeSet<Seq> = w.received.iter().copied().collect();
        for seq in 1..=w.keys.len() as Seq {
            prop_assert!(received.contains(&seq) || w.saved.given_up.contains_key(&seq), "{} is gone", seq);
        }
        prop_assert!(w.lane.is_idle());
        prop_assert!(w.lane.queues.is_empty() && !w.lane.queues.has_blocked());
    }
}

#[test]
fn the_oldest_event_is_the_first_that_was_not_tried_and_parked_ones_do_not_count() {
    let mut lane: Lane<Seq> = Lane::new(rules(vec![60]), 0, Ranges::default(), Vec::new(), at(0));
    assert_eq!(lane.oldest(), None);
    for seq in 1..=2 {
        lane.offer(seq, Some(EntityKey(seq as i64)), at(5 * seq as i64), seq);
    }
    assert_eq!(lane.oldest(), Some(at(5)));
    assert_eq!(lane.next(at(20)).map(|s| s.seq), Some(1));
    assert_eq!(lane.oldest(), Some(at(5)), "it is under way");
    lane.answered(1, 1, ended(retry()), at(20), 0.5);
    assert_eq!(lane.oldest(), Some(at(10)), "the first one is parked");
    assert_eq!(lane.next(at(20)).map(|s| s.seq), Some(2));
    lane.answered(2, 2, ended(Verdict::Delivered), at(20), 0.5);
    assert_eq!(lane.oldest(), None);
}
