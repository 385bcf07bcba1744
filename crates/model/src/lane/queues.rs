//! What waits inside a lane, and whose turn it is.
//!
//! With `ordering: entity` the events of one key stand in line: only the first may be sent, and the next one's turn
//! comes when its predecessor's outcome is durable ([`Queues::release`]).

mod out;
mod replayed;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};

use crate::event::EntityKey;
use crate::{Seq, Time};

/// An event that waits for its next attempt, or behind one of its entity that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its position.
    pub seq: Seq,
    /// Its entity.
    pub key: Option<EntityKey>,
    /// When it was accepted.
    pub accepted_at: Time,
    /// Attempts so far that counted.
    pub attempts: u32,
    /// When its next attempt is due, once it is the first of its entity.
    pub next_at: Time,
    /// Status of the last answer, if one came.
    pub status: Option<u16>,
    /// What went wrong last; None for one that only waits behind another.
    pub detail: Option<String>,
    /// It was given up and only keeps the later ones of its entity back, until `next_at` at the latest.
    pub held: bool,
}

/// An event whose turn it is.
#[derive(Debug)]
pub struct Taken<T> {
    /// Its position.
    pub seq: Seq,
    /// Its entity.
    pub key: Option<EntityKey>,
    /// When it was accepted.
    pub accepted_at: Time,
    /// The event; None for a parked one.
    pub payload: Option<T>,
    /// Its waiting row, if it was parked.
    pub waiting: Option<Waiting>,
}

struct Live<T> {
    key: Option<EntityKey>,
    accepted_at: Time,
    payload: T,
}

/// The events of one entity that are not done.
#[derive(Default)]
struct Line {
    /// The one whose turn it is: ready, being sent, or waiting for its commit.
    holder: Option<Seq>,
    /// Taken from the log, behind the holder.
    blocked: VecDeque<Seq>,
    /// Parked, whether it is their turn or not.
    parked: BTreeSet<Seq>,
    /// The entry in `Queues::due` for the first parked one.
    due: Option<(Time, Seq)>,
}

/// Everything that waits.
pub struct Queues<T> {
    ordered: bool,
    live: HashMap<Seq, Live<T>>,
    ready: VecDeque<Seq>,
    blocked: usize,
    parked: BTreeMap<Seq, Waiting>,
    due: BTreeSet<(Time, Seq)>,
    /// Those of `parked` that were given up and keep their entity back, by when they let it go.
    held: BTreeSet<(Time, Seq)>,
    lines: HashMap<EntityKey, Line>,
    /// Sent or given up, not durable yet.
    leaving: HashMap<Seq, Option<EntityKey>>,
    last_probed: (Time, Seq),
    parked_turn: bool,
}

impl<T> Queues<T> {
    /// Nothing waits. `ordered`: whether entities stand in line.
    pub fn new(ordered: bool) -> Self {
        Self {
            ordered,
            live: HashMap::new(),
            ready: VecDeque::new(),
            blocked: 0,
            parked: BTreeMap::new(),
            due: BTreeSet::new(),
            held: BTreeSet::new(),
            lines: HashMap::new(),
            leaving: HashMap::new(),
            last_probed: (Time::default(), 0),
            parked_turn: false,
        }
    }

    /// How many events taken from the log wait.
    pub fn live(&self) -> usize {
        self.live.len()
    }

    /// When the oldest event taken from the log was accepted.
    pub fn oldest_live(&self) -> Option<Time> {
        self.live.values().map(|live| live.accepted_at).min()
    }

    /// How many are parked.
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.parked.is_empty()
    }

    /// How many events taken from the log could be sent.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether an event taken from the log could be sent.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether something waits behind another of its entity.
    pub fn has_blocked(&self) -> bool {
        self.blocked > 0 || self.parked.len() > self.due.len()
    }

    /// When the next parked event is due.
    pub fn next_due(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Whether something could be sent now or later without anything else happening first.
    pub fn has_turn(&self) -> bool {
        !self.ready.is_empty() || !self.due.is_empty()
    }

    /// Adds an event from the log. When one of its entity is parked it has to be parked as well: that row is returned.
    pub fn offer(&mut self, seq: Seq, key: Option<EntityKey>, accepted_at: Time, payload: T) -> Option<Waiting> {
        let key_in_line = self.line_key(key);
        if let Some(key) = key_in_line {
            let line = self.lines.entry(key).or_default();
            // One that is being sent is no longer in `self.parked`; one whose parking is not durable yet is.
            if line.parked.iter().any(|s| self.parked.contains_key(s)) {
                return Some(self.park_behind(seq, key, accepted_at));
            }
            if line.holder.is_some() {
                line.blocked.push_back(seq);
                self.blocked += 1;
            } else {
                line.holder = Some(seq);
                self.ready.push_back(seq);
            }
        } else {
            self.ready.push_back(seq);
        }
        self.live.insert(seq, Live { key, accepted_at, payload });
        None
    }

    /// Adds a parked event that is saved already.
    pub fn restore(&mut self, waiting: Waiting) {
        let seq = waiting.seq;
        if self.knows(seq) && !self.is_tried_again(&waiting) {
            return;
        }
        if waiting.held {
            self.held.insert((waiting.next_at, seq));
        }
        match self.line_key(waiting.key) {
            Some(key) => {
                self.parked.insert(seq, waiting);
                self.lines.entry(key).or_default().parked.insert(seq);
                self.promote(key);
            }
            None => {
                if !waiting.held {
                    self.due.insert((waiting.next_at, seq));
                }
                self.parked.insert(seq, waiting);
            }
        }
    }

    /// Takes an event that may be sent at `now`; ready and due ones in turn.
    pub fn take_due(&mut self, now: Time) -> Option<Taken<T>> {
        let due = self.due.first().copied().filter(|(at, _)| *at <= now);
        self.take_one(due)
    }

    /// Takes an event for a probe, due or not; each call goes on to another one.
    pub fn take_any(&mut self) -> Option<Taken<T>> {
        let after = self.due.range((Excluded(self.last_probed), Unbounded)).next().or(self.due.first()).copied();
        if let Some(entry) = after {
            self.last_probed = entry;
        }
        self.take_one(after)
    }

    /// Takes back an event that was taken and is not to be counted. Those of its entity that have to be parked behind it
    /// are returned.
    pub fn put_back(
        &mut self,
        seq: Seq,
        key: Option<EntityKey>,
        accepted_at: Time,
        payload: Option<T>,
        waiting: Option<Waiting>,
    ) -> Vec<Waiting> {
        self.leaving.remove(&seq);
        match (waiting, payload) {
            (Some(waiting), _) => return self.put_back_parked(waiting),
            (None, Some(payload)) => {
                self.live.insert(seq, Live { key, accepted_at, payload });
                self.ready.push_back(seq);
            }
            (None, None) => {}
        }
        Vec::new()
    }

    /// Parks an event that was taken. Those of its entity that were read already are parked behind it and returned.
    pub fn park(&mut self, waiting: Waiting) -> Vec<Waiting> {
        let (seq, key) = (waiting.seq, self.line_key(waiting.key));
        if waiting.held {
            self.held.insert((waiting.next_at, seq));
        }
        self.parked.insert(seq, waiting);
        let Some(key) = key else { return Vec::new() };
        self.lines.entry(key).or_default().parked.insert(seq);
        self.park_blocked(key)
    }

    /// Parks what stands behind the holder, so that no event taken from the log waits for a parked one.
    fn park_blocked(&mut self, key: EntityKey) -> Vec<Waiting> {
        let Some(line) = self.lines.get_mut(&key) else { return Vec::new() };
        let blocked = std::mem::take(&mut line.blocked);
        self.blocked -= blocked.len();
        blocked
            .into_iter()
            .filter_map(|s| {
                let accepted_at = self.live.remove(&s)?.accepted_at;
                Some(self.park_behind(s, key, accepted_at))
            })
            .collect()
    }

    /// The outcome of an event is durable: the next of its entity may go.
    pub fn release(&mut self, seq: Seq) {
        match self.leaving.remove(&seq) {
            Some(Some(key)) => {
                if let Some(line) = self.lines.get_mut(&key) {
                    if line.holder == Some(seq) {
                        line.holder = None;
                    }
                    if !self.parked.contains_key(&seq) {
                        line.parked.remove(&seq);
                    }
                }
                self.promote(key);
            }
            Some(None) => {
                if let Some(w) = self.parked.get(&seq) {
                    self.due.insert((w.next_at, seq));
                }
            }
            None => {}
        }
    }

    /// Whether the event is parked, or was sent or given up and that is not durable yet.
    pub fn knows(&self, seq: Seq) -> bool {
        self.parked.contains_key(&seq) || self.leaving.contains_key(&seq)
    }

    fn line_key(&self, key: Option<EntityKey>) -> Option<EntityKey> {
        key.filter(|_| self.ordered)
    }

    fn take_one(&mut self, due: Option<(Time, Seq)>) -> Option<Taken<T>> {
        self.parked_turn = !self.parked_turn;
        match due {
            Some(entry) if self.parked_turn || self.ready.is_empty() => self.take_parked(entry),
            _ => self.take_ready(),
        }
    }

    fn take_ready(&mut self) -> Option<Taken<T>> {
        let seq = self.ready.pop_front()?;
        let Live { key, accepted_at, payload } = self.live.remove(&seq)?;
        self.leaving.insert(seq, self.line_key(key));
        Some(Taken { seq, key, accepted_at, payload: Some(payload), waiting: None })
    }

    fn take_parked(&mut self, entry: (Time, Seq)) -> Option<Taken<T>> {
        self.due.remove(&entry);
        let seq = entry.1;
        let waiting = self.parked.remove(&seq)?;
        let key = self.line_key(waiting.key);
        self.leaving.insert(seq, key);
        if let Some(key) = key {
            let line = self.lines.entry(key).or_default();
            line.holder = Some(seq);
            line.due = None;
        }
        Some(Taken { seq, key: waiting.key, accepted_at: waiting.accepted_at, payload: None, waiting: Some(waiting) })
    }

    fn put_back_parked(&mut self, waiting: Waiting) -> Vec<Waiting> {
        let (seq, next_at) = (waiting.seq, waiting.next_at);
        let key = self.line_key(waiting.key);
        self.parked.insert(seq, waiting);
        let Some(key) = key else {
            self.due.insert((next_at, seq));
            return Vec::new();
        };
        let behind = self.park_blocked(key);
        if let Some(line) = self.lines.get_mut(&key).filter(|l| l.holder == Some(seq)) {
            line.holder = None;
        }
        self.promote(key);
        behind
    }

    fn park_behind(&mut self, seq: Seq, key: EntityKey, accepted_at: Time) -> Waiting {
        let waiting = Waiting {
            seq,
            key: Some(key),
            accepted_at,
            attempts: 0,
            next_at: accepted_at,
            status: None,
            detail: None,
            held: false,
        };
        self.parked.insert(seq, waiting.clone());
        self.lines.entry(key).or_default().parked.insert(seq);
        waiting
    }

    /// Gives the turn to the earliest of an entity's line, unless somebody has it.
    fn promote(&mut self, key: EntityKey) {
        let Some(line) = self.lines.get_mut(&key) else { return };
        if line.holder.is_some() {
            return;
        }
        if let Some(old) = line.due.take() {
            self.due.remove(&old);
        }
        // A rejected one that is tried again is parked beside others that were read already.
        let next_blocked = line.blocked.front().copied().unwrap_or(Seq::MAX);
        if let Some(first) = line.parked.first().filter(|&&s| s < next_blocked) {
            // The first may be leaving: then its release promotes the next. One that was given up has no turn.
            if let Some(w) = self.parked.get(first).filter(|w| !w.held && !self.leaving.contains_key(&w.seq)) {
                line.due = Some((w.next_at, w.seq));
                self.due.insert((w.next_at, w.seq));
            }
        } else if let Some(seq) = line.blocked.pop_front() {
            self.blocked -= 1;
            line.holder = Some(seq);
            self.ready.push_back(seq);
        } else {
            self.lines.remove(&key);
        }
    }
}
