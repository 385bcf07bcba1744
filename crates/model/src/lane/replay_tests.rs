//! A replay and the live flow of one lane: who goes first, and what they share.

use super::tests::{at, ended, retry, rules};
use super::*;

/// A lane of the positions 1 to 100, all of them done, of entity `seq % 10`.
fn lane(schedule: Vec<u32>) -> Lane<Seq> {
    Lane::new(rules(schedule), 100, Ranges::default(), vec![], at(0))
}

fn key(seq: Seq) -> Option<EntityKey> {
    Some(EntityKey((seq % 10) as i64))
}

fn replay(lane: &mut Lane<Seq>, seqs: impl IntoIterator<Item = Seq>) {
    assert!(lane.start_replay(0, Ranges::default()));
    let replay = lane.replay().unwrap();
    seqs.into_iter().for_each(|seq| replay.offer(seq, key(seq), seq));
    replay.skip_to(100);
    replay.finish_reading();
}

fn live(lane: &mut Lane<Seq>, seq: Seq) {
    lane.offer(seq, key(seq), at(0), seq);
}

/// What is sent at once: (position, whether it is replayed).
fn sent(lane: &mut Lane<Seq>, now: i64) -> Vec<(Seq, bool)> {
    std::iter::from_fn(|| lane.next(at(now))).map(|s| (s.seq, s.replay)).collect()
}

fn land(lane: &mut Lane<Seq>, seq: Seq, verdict: Verdict, now: i64) {
    lane.answered_replay(seq, seq, ended(verdict), at(now), 0.0);
}

fn open_window(lane: &mut Lane<Seq>) {
    for seq in 101..140 {
        live(lane, seq);
        while let Some(s) = lane.next(at(0)) {
            lane.answered(s.seq, s.seq, ended(Verdict::Delivered), at(0), 0.0);
            let released = lane.take_outcomes(at(0)).take_released();
            lane.committed(released);
        }
    }
}

#[test]
fn the_live_flow_goes_first_and_leaves_a_replay_little_while_it_is_busy() {
    let mut lane = lane(vec![0]);
    open_window(&mut lane);
    replay(&mut lane, 1..=50);
    live(&mut lane, 141);
    // Position 1 is of the same entity as 141.
    assert_eq!(sent(&mut lane, 10), [(141, false), (2, true), (3, true)]);
    assert_eq!(lane.wake_at(at(10)), Some(at(1_010)));
    assert_eq!(sent(&mut lane, 1_010).len(), 2, "half of the window when nothing was live for a second");
}

#[test]
fn an_entity_has_one_request_under_way_whoever_sends_it() {
    let mut lane = lane(vec![0]);
    replay(&mut lane, [7]);
    assert_eq!(sent(&mut lane, 0), [(7, true)]);
    live(&mut lane, 107);
    assert_eq!(sent(&mut lane, 1), []);
    land(&mut lane, 7, Verdict::Delivered, 2);
    assert_eq!(sent(&mut lane, 3), [(107, false)]);
}

#[test]
fn a_live_event_that_failed_and_a_replay_of_its_entity_wait_for_each_other() {
    let mut lane = lane(vec![0, 1]);
    live(&mut lane, 107);
    assert_eq!(sent(&mut lane, 0), [(107, false)]);
    lane.answered(107, 107, ended(retry()), at(0), 0.0);
    let released = lane.take_outcomes(at(0)).take_released();
    lane.committed(released);
    replay(&mut lane, [7]);
    assert_eq!(sent(&mut lane, 500), [(7, true)], "the entity is free until the retry is due");
    assert_eq!(sent(&mut lane, 1_500), [], "the retry waits for the replayed one");
    land(&mut lane, 7, Verdict::Delivered, 1_600);
    assert_eq!(sent(&mut lane, 1_600), [(107, false)]);
}

#[test]
fn what_is_refused_is_given_up_and_what_fails_is_tried_again_by_the_schedule() {
    let mut lane = lane(vec![0, 1]);
    replay(&mut lane, [1, 2]);
    assert_eq!(sent(&mut lane, 0), [(1, true), (2, true)]);
    land(&mut lane, 1, Verdict::Reject, 0);
    land(&mut lane, 2, retry(), 0);
    assert_eq!(sent(&mut lane, 999), []);
    assert_eq!(lane.wake_at(at(0)), Some(at(1_000)));
    let again = lane.next(at(1_000)).unwrap();
    assert_eq!((again.seq, again.attempt, again.replay), (2, 2, true));
    land(&mut lane, 2, retry(), 1_000);
    let outcomes = lane.take_outcomes(at(1_000));
    let replay = outcomes.replay.unwrap();
    let reasons: Vec<_> = replay.given_up.iter().map(|g| (g.seq, g.reason)).collect();
    assert_eq!(reasons, [(1, Reason::Rejected), (2, Reason::AttemptsExhausted)]);
    assert!(replay.done && replay.cursor == 100);
    assert_eq!((outcomes.delivered, outcomes.cursor), (0, 100), "the live flow's figures stay");
}

#[test]
fn an_outage_is_probed_with_replayed_events_when_there_is_nothing_else() {
    let mut lane = lane(vec![0, 5]);
    replay(&mut lane, [1, 2, 3]);
    let refused = Verdict::Retry { slow_down: false, pause: None, no_connection: true };
    for (seq, _) in sent(&mut lane, 0) {
        land(&mut lane, seq, refused, 0);
    }
    assert!(matches!(lane.mode(), Mode::Probing { .. }));
    let wake = lane.wake_at(at(0)).unwrap();
    let probe = lane.next(wake).unwrap();
    assert!(probe.probe && probe.replay);
    lane.answered_replay(probe.seq, probe.seq, ended(Verdict::Delivered), wake, 0.0);
    assert_eq!(lane.mode(), Mode::Flowing);
}

#[test]
fn what_a_replay_that_was_ended_has_under_way_is_not_counted_and_its_entity_is_free_again() {
    let mut lane = lane(vec![0]);
    replay(&mut lane, [7, 17]);
    assert_eq!(sent(&mut lane, 0), [(7, true)]);
    lane.end_replay();
    assert!(!lane.start_replay(0, Ranges::default()), "not before that has landed");
    live(&mut lane, 107);
    assert_eq!(sent(&mut lane, 0), []);
    land(&mut lane, 7, Verdict::Delivered, 1);
    assert_eq!(sent(&mut lane, 1), [(107, false)]);
    assert!(lane.take_outcomes(at(1)).replay.is_none());
}

#[test]
fn a_lane_with_a_replay_is_not_idle() {
    let mut lane = lane(vec![0]);
    assert!(lane.is_idle());
    replay(&mut lane, [1]);
    assert!(!lane.is_idle());
    lane.end_replay();
    assert!(lane.is_idle());
}
