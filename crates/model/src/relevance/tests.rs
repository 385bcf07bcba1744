//! A memory in the world: one record, a receiver, a disk, and everything that goes wrong between them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::Seq;

fn mark(version: u32, seq: Seq, data: &str) -> Mark {
    let data = format!(r#"{{"_id":"o1","v":{version},"data":"{data}"}}"#);
    Key::parse("_id,v").unwrap().read(&data).unwrap().at(seq)
}

fn is_sent(decision: &Decision) -> bool {
    matches!(decision, Decision::Send { .. })
}

fn suppressed(why: Why, winner: &Mark) -> Decision {
    Decision::Suppressed { why, winner: winner.clone() }
}

#[test]
fn an_event_is_sent_unless_something_newer_or_the_same_was_accepted() {
    let mut memory = Memory::default();
    let first = mark(5, 10, "a");
    assert_eq!(memory.offer(first.clone()), Decision::Send { overtakes: false });
    assert_eq!(memory.offer(mark(4, 11, "a")), suppressed(Why::Older, &first));
    assert_eq!(memory.offer(mark(5, 12, "a")), suppressed(Why::Duplicate, &first));
    assert_eq!(memory.offer(first), Decision::Send { overtakes: false }, "no duplicate of itself");
    assert_eq!(memory.offer(mark(5, 13, "b")), Decision::Send { overtakes: true }, "equal, with other data");
    assert_eq!(memory.accepted(), Some(&mark(5, 13, "b")));
    assert!(!is_sent(&memory.offer(mark(5, 10, "a"))), "a retry does not overtake what corrected it");
}

#[test]
fn what_arrived_needs_no_commit_before_the_next() {
    let mut memory = Memory::default();
    memory.offer(mark(1, 1, "a"));
    memory.arrived(mark(1, 1, "a"));
    assert_eq!(memory.offer(mark(2, 2, "a")), Decision::Send { overtakes: false });
    assert_eq!(memory.offer(mark(3, 3, "a")), Decision::Send { overtakes: true });
    assert_eq!(memory.delivered(), Some(&mark(1, 1, "a")));
}

#[test]
fn when_the_winner_is_rejected_the_newest_that_it_suppressed_is_next() {
    let mut memory = Memory::default();
    memory.offer(mark(1, 1, "a"));
    memory.arrived(mark(1, 1, "a"));
    for event in [mark(9, 2, "a"), mark(1, 3, "b"), mark(5, 4, "a"), mark(3, 5, "a"), mark(0, 6, "a")] {
        memory.offer(event);
    }
    assert_eq!(memory.rejected(2), Next::Send(mark(5, 4, "a")));
    assert_eq!(memory.rejected(2), Next::Nothing, "it is rejected once");
    assert_eq!(memory.rejected(4), Next::Send(mark(3, 5, "a")));
    assert_eq!(memory.rejected(5), Next::Send(mark(1, 3, "b")));
    assert_eq!(memory.rejected(3), Next::Nothing);
    assert_eq!(memory.accepted(), Some(&mark(1, 1, "a")), "back to what arrived");
}

#[test]
fn what_the_receiver_has_already_is_not_offered_again() {
    let mut memory = Memory::default();
    memory.offer(mark(1, 1, "a"));
    memory.arrived(mark(1, 1, "a"));
    memory.offer(mark(9, 2, "a"));
    memory.offer(mark(1, 3, "a"));
    assert_eq!(memory.rejected(2), Next::Nothing);
    assert!(!is_sent(&memory.decide(&mark(1, 2, "b"))), "it said the same again later");
}

#[test]
fn what_repeats_the_last_arrival_is_sent_when_something_in_between_may_have_arrived_unanswered() {
    let mut memory = Memory::default();
    memory.offer(mark(5, 1, "a"));
    memory.arrived(mark(5, 1, "a"));
    for event in [mark(5, 2, "b"), mark(5, 3, "a"), mark(5, 4, "a"), mark(5, 2, "b")] {
        memory.offer(event);
    }
    assert_eq!(memory.rejected(3), Next::Send(mark(5, 4, "a")));
}

#[test]
fn a_version_that_waits_is_older_from_the_moment_a_newer_one_is_accepted() {
    let mut memory = Memory::default();
    memory.offer(mark(1, 1, "a"));
    memory.offer(mark(2, 2, "a"));
    assert_eq!(memory.offer(mark(1, 1, "a")), suppressed(Why::Older, &mark(2, 2, "a")));
    assert_eq!(memory.rejected(2), Next::Send(mark(1, 1, "a")));
    assert_eq!(memory.offer(mark(1, 1, "a")), Decision::Send { overtakes: false });
}

#[test]
fn what_is_kept_to_fall_back_on_is_bounded_and_says_when_there_was_more() {
    let reject_all = |suppressed: Seq| {
        let mut memory = Memory::default();
        memory.offer(mark(1_000, 1, "a"));
        for n in 0..suppressed {
            memory.offer(mark(n as u32, n + 2, "a"));
        }
        let mut last = memory.rejected(1);
        for n in (0..suppressed).rev().take(MAX_BEHIND) {
            assert_eq!(last, Next::Send(mark(n as u32, n + 2, "a")));
            last = memory.rejected(n + 2);
        }
        last
    };
    assert_eq!(reject_all(MAX_BEHIND as Seq), Next::Nothing);
    assert_eq!(reject_all(MAX_BEHIND as Seq + 1), Next::LookUp);
}

#[test]
fn a_memory_is_a_short_text() {
    let mut memory = Memory::default();
    assert_eq!(serde_json::to_string(&memory).unwrap(), "{}");
    memory.offer(mark(7, 10, "a"));
    memory.arrived(mark(7, 10, "a"));
    insta::assert_snapshot!(serde_json::to_string(&memory).unwrap(), @r#"{"d":{"v":"7","s":10,"h":"u2dMglTQXaT5KrSAjyrwzw"}}"#);
    for n in 0..20 {
        memory.offer(mark(100 - n, 11 + Seq::from(n), "a"));
    }
    let text = serde_json::to_string(&memory).unwrap();
    assert!(text.len() < 600, "{text}");
    assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
    assert_eq!(memory.last_seq(), Some(19));
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It did not arrive.
    Lost,
    /// It arrived and nobody knows.
    Unanswered,
    Delivered,
    /// Refused; only what never arrived can be.
    Rejected,
}

#[derive(Clone, Debug)]
enum Step {
    Take,
    Attempt(usize, Fate),
    Commit,
    Crash,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Delivered,
    Rejected,
    Suppressed,
}

/// What a process knows; the disk holds the same as it was at the last commit.
#[derive(Clone, Default)]
struct Known {
    memory: Memory,
    taken: usize,
    waiting: BTreeSet<Seq>,
    outcomes: BTreeMap<Seq, Outcome>,
    /// An outcome of the record is not committed.
    open: bool,
}

#[derive(Default)]
struct World {
    log: Vec<(u32, u8)>,
    ram: Known,
    disk: Known,
    arrived: Vec<(u32, u8)>,
    reached: BTreeSet<Seq>,
}

impl World {
    fn mark(&self, seq: Seq) -> Mark {
        let (version, data) = self.log[seq as usize - 1];
        mark(version, seq, &data.to_string())
    }

    fn commit(&mut self) {
        self.ram.open = false;
        self.disk = self.ram.clone();
        let stored = serde_json::to_string(&self.ram.memory).unwrap();
        self.disk.memory = serde_json::from_str(&stored).unwrap();
    }

    /// Offers an event as when it is taken.
    fn offer(&mut self, seq: Seq) {
        match self.ram.memory.offer(self.mark(seq)) {
            Decision::Send { overtakes } => {
                self.ram.outcomes.remove(&seq);
                self.ram.waiting.insert(seq);
                if overtakes {
                    self.commit();
                }
            }
            Decision::Suppressed { .. } => self.settle(seq, Outcome::Suppressed),
        }
    }

    fn settle(&mut self, seq: Seq, outcome: Outcome) {
        self.ram.waiting.remove(&seq);
        self.ram.outcomes.insert(seq, outcome);
    }

    fn attempt(&mut self, nth: usize, fate: Fate) {
        if self.ram.open {
            self.commit();
        }
        let Some(&seq) = self.ram.waiting.iter().nth(nth % self.ram.waiting.len().max(1)) else { return };
        self.offer(seq);
        if !self.ram.waiting.contains(&seq) {
            return;
        }
        match fate {
            Fate::Lost => {}
            Fate::Rejected if !self.reached.contains(&seq) => self.reject(seq),
            Fate::Unanswered => self.reach(seq),
            Fate::Delivered | Fate::Rejected => {
                self.reach(seq);
                self.ram.memory.arrived(self.mark(seq));
                self.settle(seq, Outcome::Delivered);
            }
        }
        self.ram.open = true;
    }

    fn reach(&mut self, seq: Seq) {
        self.reached.insert(seq);
        self.arrived.push(self.log[seq as usize - 1]);
    }

    fn reject(&mut self, seq: Seq) {
        let next = self.ram.memory.rejected(seq);
        self.settle(seq, Outcome::Rejected);
        match next {
            Next::Nothing => {}
            Next::Send(mark) => {
                self.ram.outcomes.remove(&mark.seq);
                self.ram.waiting.insert(mark.seq);
            }
            Next::LookUp => self.look_up(),
        }
    }

    /// Offers what the ledger lists as suppressed, the newest first.
    fn look_up(&mut self) {
        let listed = self.ram.outcomes.iter().filter(|(_, o)| **o == Outcome::Suppressed);
        let mut listed: Vec<(u32, Seq)> = listed.map(|(&seq, _)| (self.log[seq as usize - 1].0, seq)).collect();
        listed.sort_unstable();
        for (_, seq) in listed.into_iter().rev().take(MAX_BEHIND + 2) {
            self.offer(seq);
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Take if self.ram.taken < self.log.len() => {
                self.ram.taken += 1;
                self.offer(self.ram.taken as Seq);
            }
            Step::Take => {}
            Step::Attempt(nth, fate) => self.attempt(nth, fate),
            Step::Commit => self.commit(),
            Step::Crash => self.ram = self.disk.clone(),
        }
    }

    /// Everything is taken and everything that waits arrives, in any order.
    fn finish(&mut self) {
        while self.ram.taken < self.log.len() {
            self.step(&Step::Take);
        }
        while !self.ram.waiting.is_empty() {
            self.attempt(self.arrived.len() * 7, Fate::Delivered);
        }
    }

    /// What the receiver should have in the end: of what it did not reject, the highest version that came last.
    fn expected(&self) -> Option<(u32, u8)> {
        let mut best: Option<(u32, u8)> = None;
        for (i, event) in self.log.iter().enumerate() {
            let rejected = self.ram.outcomes.get(&(i as Seq + 1)) == Some(&Outcome::Rejected);
            if !rejected && best.is_none_or(|b| event.0 >= b.0) {
                best = Some(*event);
            }
        }
        best
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        2 => Just(Fate::Lost),
        1 => Just(Fate::Unanswered),
        2 => Just(Fate::Delivered),
        3 => Just(Fate::Rejected),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Take),
        6 => (any::<usize>(), fate()).prop_map(|(nth, fate)| Step::Attempt(nth, fate)),
        1 => Just(Step::Commit),
        1 => Just(Step::Crash),
    ]
}

#[test]
fn what_is_not_kept_any_more_is_found_in_the_ledger() {
    let older = (1..=3 * MAX_BEHIND as u32).map(|version| (version, 0));
    let mut world = World { log: std::iter::once((1_000, 0)).chain(older).collect(), ..World::default() };
    world.log.iter().map(|_| Step::Take).collect::<Vec<_>>().iter().for_each(|take| world.step(take));
    for _ in 0..3 * MAX_BEHIND {
        world.attempt(0, Fate::Rejected);
    }
    world.finish();
    assert_eq!(world.arrived, [(1, 0)], "all but the oldest were rejected, one after the other");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn the_receiver_ends_with_the_newest_it_did_not_reject_and_never_goes_back(
        log in (1..9u32).prop_flat_map(|versions| prop::collection::vec((0..versions, 0..3u8), 1..32)),
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut world = World { log, ..World::default() };
        steps.iter().for_each(|step| world.step(step));
        world.finish();
        prop_assert!(world.arrived.windows(2).all(|two| two[0].0 <= two[1].0), "{:?}", world.arrived);
        prop_assert_eq!(world.arrived.last().copied(), world.expected());
        prop_assert_eq!(world.ram.outcomes.len(), world.log.len());
    }
}
