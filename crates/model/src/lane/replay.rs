//! A replay beside a lane: past events that go out once more through the same integration.
//!
//! It has a cursor of its own and yields to the live flow. The two share the receiver's health, the window, the rate
//! and the rule that one request per entity is under way; order holds within each of them and not between them. What
//! fails waits in memory for its schedule: after a restart it goes on from the saved cursor.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use super::GivenUp;
use super::progress::Progress;
use crate::event::EntityKey;
use crate::{Ranges, Seq, Time};

/// Events of a replay that are taken from the log and not done.
pub const REPLAY_AHEAD: usize = 256;
/// Attempts of a replay under way while the live flow had something to send lately.
pub const REPLAY_BESIDE_LIVE: usize = 2;
/// How long the live flow counts as busy after it sent something.
pub const LIVE_LATELY: Duration = Duration::from_secs(1);
/// Positions that a replay passes without sending anything before its place is saved.
const SAVE_AFTER: Seq = 10_000;

/// An event of a replay whose turn it is.
#[derive(Debug)]
pub(super) struct Turn<T> {
    pub(super) seq: Seq,
    pub(super) payload: T,
    pub(super) attempts: u32,
}

struct Item<T> {
    key: Option<EntityKey>,
    payload: T,
    attempts: u32,
    status: Option<u16>,
}

struct Flying {
    key: Option<EntityKey>,
    attempts: u32,
    status: Option<u16>,
}

/// What became of replayed events since the last commit, and how far the replay has come.
#[derive(Debug)]
pub struct ReplayOutcomes<T> {
    /// Everything up to here is done.
    pub cursor: Seq,
    /// What is done ahead of the cursor.
    pub settled: Ranges,
    /// Events that arrived.
    pub delivered: Vec<T>,
    /// Events that were given up.
    pub given_up: Vec<GivenUp<T>>,
    /// Nothing is left.
    pub done: bool,
}

/// The events of a replay that are taken and not done, and how far it has come.
pub struct Replay<T> {
    ordered: bool,
    progress: Progress,
    /// Everything was read.
    read: bool,
    ready: VecDeque<(Seq, Item<T>)>,
    /// Behind an earlier one of the same entity, which is in none of these.
    lines: HashMap<EntityKey, VecDeque<(Seq, Item<T>)>>,
    behind: usize,
    /// Failed, until their next attempt is due.
    waiting: BTreeMap<(Time, Seq), Item<T>>,
    flying: HashMap<Seq, Flying>,
    delivered: Vec<T>,
    given_up: Vec<GivenUp<T>>,
    saved: Seq,
    said_done: bool,
}

impl<T> Replay<T> {
    /// One that goes on after `cursor`; `ordered`: whether entities stand in line.
    pub fn new(ordered: bool, cursor: Seq, settled: Ranges) -> Self {
        Self {
            ordered,
            progress: Progress::new(cursor, settled),
            read: false,
            ready: VecDeque::new(),
            lines: HashMap::new(),
            behind: 0,
            waiting: BTreeMap::new(),
            flying: HashMap::new(),
            delivered: Vec::new(),
            given_up: Vec::new(),
            saved: cursor,
            said_done: false,
        }
    }

    /// How far it has read.
    pub fn read_to(&self) -> Seq {
        self.progress.read_to()
    }

    /// How many more events it takes now.
    pub fn room(&self) -> usize {
        if self.read { 0 } else { REPLAY_AHEAD.saturating_sub(self.open()) }
    }

    /// Events that failed and wait for their next attempt.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// An event to send. Events are offered in order; one that was done before a restart is left out.
    pub fn offer(&mut self, seq: Seq, key: Option<EntityKey>, payload: T) {
        self.progress.skip_to(seq - 1);
        if !self.progress.read(seq) {
            return;
        }
        let key = key.filter(|_| self.ordered);
        let item = Item { key, payload, attempts: 0, status: None };
        match key.map(|key| self.lines.entry(key)) {
            Some(std::collections::hash_map::Entry::Occupied(mut line)) => {
                line.get_mut().push_back((seq, item));
                self.behind += 1;
            }
            Some(std::collections::hash_map::Entry::Vacant(line)) => {
                line.insert(VecDeque::new());
                self.ready.push_back((seq, item));
            }
            None => self.ready.push_back((seq, item)),
        }
    }

    /// Nothing up to `seq` but what was offered is to be sent.
    pub fn skip_to(&mut self, seq: Seq) {
        self.progress.skip_to(seq);
    }

    /// Everything there is was offered.
    pub fn finish_reading(&mut self) {
        self.read = true;
    }

    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        self.read && self.open() == 0
    }

    pub(super) fn in_flight(&self) -> usize {
        self.flying.len()
    }

    /// When something may be sent whose entity is free, if everything else allows it.
    pub(super) fn wake_at(&self, now: Time, is_free: impl Fn(EntityKey) -> bool) -> Option<Time> {
        let free = |item: &Item<T>| item.key.is_none_or(&is_free);
        if self.ready.iter().any(|(_, item)| free(item)) {
            return Some(now);
        }
        self.waiting.iter().find(|(_, item)| free(item)).map(|((at, _), _)| *at)
    }

    /// The next event whose entity is free. `any`: due or not, for a probe.
    pub(super) fn take(
        &mut self,
        now: Time,
        any: bool,
        is_free: impl Fn(EntityKey) -> bool,
    ) -> Option<(Turn<T>, Option<EntityKey>)> {
        let free = |item: &Item<T>| item.key.is_none_or(&is_free);
        let due = self.waiting.iter().find(|((at, _), item)| (any || *at <= now) && free(item)).map(|(at, _)| *at);
        let (seq, item) = match due {
            Some(at) => (at.1, self.waiting.remove(&at)?),
            None => {
                let at = self.ready.iter().position(|(_, item)| free(item))?;
                self.ready.remove(at)?
            }
        };
        let Item { key, payload, attempts, status } = item;
        self.flying.insert(seq, Flying { key, attempts, status });
        Some((Turn { seq, payload, attempts }, key))
    }

    /// Attempts so far and the last status of an event that was sent, and its entity. It is not under way any more.
    pub(super) fn landed(&mut self, seq: Seq) -> Option<(Option<EntityKey>, u32, Option<u16>)> {
        self.flying.remove(&seq).map(|f| (f.key, f.attempts, f.status))
    }

    pub(super) fn arrived(&mut self, seq: Seq, key: Option<EntityKey>, payload: T) {
        self.delivered.push(payload);
        self.settle(seq, key);
    }

    pub(super) fn give_up(&mut self, key: Option<EntityKey>, given_up: GivenUp<T>) {
        let seq = given_up.seq;
        self.given_up.push(given_up);
        self.settle(seq, key);
    }

    /// It goes back to where it was.
    pub(super) fn put_back(
        &mut self,
        seq: Seq,
        key: Option<EntityKey>,
        payload: T,
        attempts: u32,
        status: Option<u16>,
    ) {
        self.ready.push_front((seq, Item { key, payload, attempts, status }));
    }

    /// It is sent again at `at`.
    pub(super) fn wait(
        &mut self,
        at: Time,
        seq: Seq,
        key: Option<EntityKey>,
        payload: T,
        attempts: u32,
        status: Option<u16>,
    ) {
        self.waiting.insert((at, seq), Item { key, payload, attempts, status });
    }

    pub(super) fn has_outcomes(&self) -> bool {
        let passed = self.progress.cursor() - self.saved;
        let ended = self.is_done() && !self.said_done;
        !self.delivered.is_empty() || !self.given_up.is_empty() || passed > SAVE_AFTER || ended
    }

    pub(super) fn outcomes(&self) -> usize {
        self.delivered.len() + self.given_up.len()
    }

    pub(super) fn take_outcomes(&mut self) -> Option<ReplayOutcomes<T>> {
        if !self.has_outcomes() {
            return None;
        }
        self.saved = self.progress.cursor();
        self.said_done = self.is_done();
        Some(ReplayOutcomes {
            cursor: self.saved,
            settled: self.progress.settled().clone(),
            delivered: std::mem::take(&mut self.delivered),
            given_up: std::mem::take(&mut self.given_up),
            done: self.said_done,
        })
    }

    fn open(&self) -> usize {
        self.ready.len() + self.behind + self.waiting.len() + self.flying.len()
    }

    fn settle(&mut self, seq: Seq, key: Option<EntityKey>) {
        self.progress.settle(seq);
        let Some(key) = key else { return };
        let next = self.lines.get_mut(&key).and_then(VecDeque::pop_front);
        match next {
            Some(next) => {
                self.behind -= 1;
                self.ready.push_back(next);
            }
            None => {
                self.lines.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_000);

    fn key(n: i64) -> Option<EntityKey> {
        Some(EntityKey(n))
    }

    fn take(replay: &mut Replay<u64>, busy: &[i64]) -> Option<Seq> {
        replay.take(NOW, false, |k| !busy.contains(&k.0)).map(|(turn, _)| turn.seq)
    }

    fn deliver(replay: &mut Replay<u64>, seq: Seq) {
        let (key, ..) = replay.landed(seq).unwrap();
        replay.arrived(seq, key, seq);
    }

    #[test]
    fn events_of_one_entity_go_one_after_the_other_and_others_pass() {
        let mut r = Replay::new(true, 10, Ranges::default());
        r.offer(11, key(1), 11);
        r.offer(12, key(1), 12);
        r.offer(15, key(2), 15);
        assert_eq!([take(&mut r, &[]), take(&mut r, &[]), take(&mut r, &[])], [Some(11), Some(15), None]);
        deliver(&mut r, 11);
        assert_eq!(take(&mut r, &[]), Some(12));
    }

    #[test]
    fn an_entity_that_the_live_flow_is_sending_is_left_alone() {
        let mut r = Replay::new(true, 0, Ranges::default());
        r.offer(1, key(1), 1);
        r.offer(2, key(2), 2);
        assert_eq!([take(&mut r, &[1]), take(&mut r, &[1])], [Some(2), None]);
        assert_eq!(take(&mut r, &[]), Some(1));
    }

    #[test]
    fn the_cursor_follows_what_is_done_and_the_end_is_said_once() {
        let mut r = Replay::new(true, 10, Ranges::default());
        r.offer(12, key(1), 12);
        r.offer(14, key(2), 14);
        r.skip_to(20);
        r.finish_reading();
        assert_eq!((take(&mut r, &[]), take(&mut r, &[])), (Some(12), Some(14)));
        deliver(&mut r, 14);
        let first = r.take_outcomes().unwrap();
        assert_eq!((first.cursor, first.delivered, first.done), (11, vec![14], false));
        deliver(&mut r, 12);
        let last = r.take_outcomes().unwrap();
        assert_eq!((last.cursor, last.done), (20, true));
        assert!(r.take_outcomes().is_none());
    }

    #[test]
    fn what_was_done_before_a_restart_is_not_sent_again() {
        let mut r = Replay::new(true, 10, Ranges::from(vec![(12, 12)]));
        r.offer(12, key(1), 12);
        r.offer(13, key(1), 13);
        assert_eq!(take(&mut r, &[]), Some(13));
    }

    #[test]
    fn what_failed_waits_for_its_time_and_holds_back_its_entity_only() {
        let mut r = Replay::new(true, 0, Ranges::default());
        r.offer(1, key(1), 1);
        r.offer(2, key(1), 2);
        r.offer(3, key(2), 3);
        assert_eq!(take(&mut r, &[]), Some(1));
        let (key, ..) = r.landed(1).unwrap();
        let later = NOW + Duration::from_secs(5);
        r.wait(later, 1, key, 1, 1, Some(500));
        assert_eq!((take(&mut r, &[]), take(&mut r, &[])), (Some(3), None));
        assert_eq!(r.wake_at(NOW, |_| false), None);
        assert_eq!((r.wake_at(NOW, |_| true), r.waiting()), (Some(later), 1));
        let (turn, _) = r.take(later, false, |_| true).unwrap();
        assert_eq!((turn.seq, turn.attempts), (1, 1));
    }

    #[test]
    fn no_more_is_taken_than_the_limit() {
        let mut r = Replay::new(false, 0, Ranges::default());
        for seq in 1..=REPLAY_AHEAD as Seq {
            r.offer(seq, None, seq);
        }
        assert_eq!(r.room(), 0);
        assert_eq!(take(&mut r, &[]), Some(1));
        deliver(&mut r, 1);
        assert_eq!(r.room(), 1);
    }
}
