//! A lane: which event goes out next, and what its outcome means for the others.
//!
//! The lane does no I/O. Its owner offers events in order, starts what [`Lane::next`] gives, reports answers, commits
//! what [`Lane::take_outcomes`] collected and says when that is durable. Rules: `design.md`, "A lane".

mod age;
pub mod health;
pub mod progress;
pub mod queues;
pub mod replay;
mod replaying;
pub mod window;

#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::event::EntityKey;
use crate::integration::{Delivery, OnExhausted, OnReject, Ordering};
use crate::time::DAY_MS;
use crate::verdict::{GONE_RECHECK, Verdict};
use crate::{Ranges, Seq, Time};

use health::{Cause, Change, Health, Mode};
use progress::Progress;
use queues::{Queues, Waiting};
use replay::{Replay, ReplayOutcomes};
use window::{Rate, Window};

/// Most events that wait parked; then the lane stops reading.
pub const MAX_PARKED: usize = 10_000;
/// Most events that are taken from the log ahead of their attempts.
pub const READ_AHEAD: usize = 1_024;
/// Events at hand that can be sent at once; no more are taken then, or twice the window.
pub const READY_AHEAD: usize = 16;
/// A rejected event keeps its entity back no longer than it is listed itself: 30 days.
pub const HELD_FOR: Duration = Duration::from_millis(30 * DAY_MS as u64);
/// While many fail and none succeeds, at most this many attempts are under way.
const SUSPICIOUS_WINDOW: usize = 2;

/// An event to send now.
#[derive(Debug, PartialEq, Eq)]
pub struct Sending<T> {
    /// Its position.
    pub seq: Seq,
    /// The event, when the lane still has it; a parked one is to be fetched.
    pub payload: Option<T>,
    /// Which attempt of the event this is, from 1.
    pub attempt: u32,
    /// Attempts that are left after it.
    pub remaining: u32,
    /// A probe of an open circuit or a braked lane: no attempt of the event unless it succeeds.
    pub probe: bool,
    /// It belongs to the replay, not to the live flow.
    pub replay: bool,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What it means.
    pub verdict: Verdict,
    /// Status, if an answer came.
    pub status: Option<u16>,
    /// In words, for the lists.
    pub detail: String,
    /// The receiver asks to be sent no more.
    pub switch_off: bool,
    /// The event never left: whatever went wrong before does not count as an attempt of it.
    pub unsent: bool,
}

/// Why an event was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The receiver refused it.
    Rejected,
    /// Its last attempt failed.
    AttemptsExhausted,
    /// It became too old.
    Expired,
}

impl Reason {
    /// As it is listed.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Rejected => "rejected",
            Reason::AttemptsExhausted => "attempts_exhausted",
            Reason::Expired => "expired",
        }
    }
}

/// An event that was given up.
#[derive(Debug)]
pub struct GivenUp<T> {
    /// Its position.
    pub seq: Seq,
    /// The event, when the lane still has it.
    pub payload: Option<T>,
    /// Why.
    pub reason: Reason,
    /// Attempts that were made.
    pub attempts: u32,
    /// Status of the last answer.
    pub status: Option<u16>,
    /// What went wrong last.
    pub detail: Option<String>,
}

/// Something to write into the integration's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The first failure of an outage.
    RetryTriggered(String),
    /// The circuit opened.
    CircuitOpened(String),
    /// It closed.
    CircuitClosed,
    /// The brake is on.
    Braked(String),
    /// The brake is off.
    BrakeReleased,
}

/// Outcomes to commit together, with the progress that they make.
#[derive(Debug)]
pub struct Outcomes<T> {
    /// Everything up to here is settled or parked.
    pub cursor: Seq,
    /// What is settled ahead of the cursor.
    pub settled: Ranges,
    /// How many events were delivered.
    pub delivered: u64,
    /// Rows to write or replace.
    pub park: Vec<Waiting>,
    /// Rows that go.
    pub unpark: Vec<Seq>,
    /// Events given up.
    pub given_up: Vec<GivenUp<T>>,
    /// Entries for the integration's log.
    pub notices: Vec<Notice>,
    /// The integration is to stop, for this reason.
    pub stop: Option<String>,
    /// What became of replayed events.
    pub replay: Option<ReplayOutcomes<T>>,
    released: Vec<Seq>,
}

struct Slot {
    key: Option<EntityKey>,
    waiting: Option<Waiting>,
    accepted_at: Time,
    probe: bool,
}

/// What a sleeping lane remembers of its receiver.
#[derive(Clone, Debug)]
pub struct Memory {
    health: Health,
    window: Window,
    paused_until: Option<Time>,
}

/// One lane. `T` is what its owner keeps of an event.
pub struct Lane<T> {
    rules: Delivery,
    progress: Progress,
    queues: Queues<T>,
    slots: HashMap<Seq, Slot>,
    window: Window,
    rate: Rate,
    health: Health,
    paused_until: Option<Time>,
    troubled: bool,
    pending: Pending<T>,
    stopping: bool,
    replay: Option<Replay<T>>,
    /// Attempts of this replay, or of one that has ended, that are under way.
    replaying: HashMap<Seq, replaying::Sent>,
    sent_at: Option<Time>,
}

struct Pending<T> {
    delivered: u64,
    park: Vec<Waiting>,
    unpark: Vec<Seq>,
    given_up: Vec<GivenUp<T>>,
    notices: Vec<Notice>,
    stop: Option<String>,
    released: Vec<Seq>,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self {
            delivered: 0,
            park: Vec::new(),
            unpark: Vec::new(),
            given_up: Vec::new(),
            notices: Vec::new(),
            stop: None,
            released: Vec::new(),
        }
    }
}

impl<T> Lane<T> {
    /// A lane that goes on from what was saved.
    pub fn new(rules: Delivery, cursor: Seq, settled: Ranges, parked: Vec<Waiting>, now: Time) -> Self {
        let mut queues = Queues::new(rules.ordering == Ordering::Entity);
        parked.into_iter().for_each(|w| queues.restore(w));
        let mut lane = Self {
            progress: Progress::new(cursor, settled),
            queues,
            slots: HashMap::new(),
            window: Window::new(rules.max_in_flight),
            rate: Rate::new(rules.rate_per_second, now),
            health: Health::new(now),
            paused_until: None,
            troubled: false,
            pending: Pending::default(),
            stopping: false,
            replay: None,
            replaying: HashMap::new(),
            sent_at: None,
            rules,
        };
        lane.let_go_unless_held();
        lane
    }

    /// New delivery settings, for every attempt from now on. A changed `ordering` needs a new lane.
    pub fn set_rules(&mut self, rules: Delivery, now: Time) {
        self.window.set_max(rules.max_in_flight);
        if rules.rate_per_second != self.rules.rate_per_second {
            self.rate = Rate::new(rules.rate_per_second, now);
        }
        self.rules = rules;
        self.let_go_unless_held();
    }

    /// How far it has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Attempts under way.
    pub fn in_flight(&self) -> usize {
        self.slots.len() + self.replaying.len()
    }

    /// How many attempts may be under way now.
    pub fn window(&self, now: Time) -> usize {
        let limit = self.window.limit(now);
        if self.health.suspicious() { limit.min(SUSPICIOUS_WINDOW) } else { limit }
    }

    /// How many events are parked.
    pub fn parked(&self) -> usize {
        self.queues.parked()
    }

    /// How many rejected events keep their entity back.
    pub fn held(&self) -> usize {
        self.queues.held()
    }

    /// When the next parked event is due, if one may go before others.
    pub fn next_due(&self) -> Option<Time> {
        self.queues.next_due()
    }

    /// Whether the receiver is well.
    pub fn mode(&self) -> Mode {
        self.health.mode()
    }

    /// Until when the receiver asked to be left alone.
    pub fn paused_until(&self) -> Option<Time> {
        self.paused_until
    }

    /// Whether nothing is under way, taken, parked or waiting to be committed.
    pub fn is_idle(&self) -> bool {
        self.slots.is_empty()
            && self.queues.is_empty()
            && self.replay.is_none()
            && self.replaying.is_empty()
            && !self.has_outcomes()
    }

    /// How many more events the lane takes from the log now: as many as keep its window full for a while, more only
    /// when those at hand wait for others of their entity.
    pub fn room(&self, now: Time) -> usize {
        let enough = READY_AHEAD.max(2 * self.window(now));
        if self.stopping || self.queues.parked() >= MAX_PARKED || self.queues.ready() >= enough {
            return 0;
        }
        let ahead = if self.health.mode() == Mode::Flowing { READ_AHEAD } else { 1 };
        ahead.saturating_sub(self.queues.live() + self.slots.len())
    }

    /// What is worth remembering of the receiver while the lane sleeps; None when it is well.
    pub fn memory(&self) -> Option<Memory> {
        let unwell = !self.health.is_well() || self.paused_until.is_some();
        unwell.then(|| Memory {
            health: self.health.clone(),
            window: self.window.clone(),
            paused_until: self.paused_until,
        })
    }

    /// Takes up what an earlier lane of the integration remembered.
    pub fn remember(&mut self, memory: Memory) {
        self.health = memory.health;
        self.window = memory.window;
        self.window.set_max(self.rules.max_in_flight);
        self.paused_until = memory.paused_until;
    }

    /// An event that the integration does not want.
    pub fn skip(&mut self, seq: Seq) {
        if self.progress.read(seq) {
            self.progress.settle(seq);
        }
    }

    /// Events not read yet up to `seq`, none of which the integration wants.
    pub fn skip_to(&mut self, seq: Seq) {
        self.progress.skip_to(seq);
    }

    /// An event that the integration wants. Events are offered in order, each once.
    pub fn offer(&mut self, seq: Seq, key: Option<EntityKey>, accepted_at: Time, payload: T) {
        if !self.progress.read(seq) {
            return;
        }
        let behind = self.queues.offer(seq, key, accepted_at, payload);
        self.park_behind(behind);
    }

    /// A parked event that was added by somebody else, such as a rejected one that is to be tried again. One that the
    /// lane knows already stays as it is.
    pub fn add_parked(&mut self, waiting: Waiting) {
        self.queues.restore(waiting);
    }

    /// What is saved as parked by now: rows that somebody else added, and no longer those of rejected events that were
    /// deleted. To be read while nothing is being committed.
    pub fn take_up_parked(&mut self, saved: Vec<Waiting>) {
        let kept: HashSet<Seq> = saved.iter().filter(|w| w.held).map(|w| w.seq).collect();
        saved.into_iter().for_each(|w| self.add_parked(w));
        self.let_go(|_, seq| !kept.contains(&seq));
    }

    /// Takes no more events and starts no more attempts; what is under way still counts.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Whether it takes and starts nothing any more.
    pub fn is_stopped(&self) -> bool {
        self.stopping
    }

    /// What to send now, if anything.
    pub fn next(&mut self, now: Time) -> Option<Sending<T>> {
        while let Some(probe) = self.turn(now) {
            let taken = if probe { self.queues.take_any() } else { self.queues.take_due(now) };
            let Some(taken) = taken else { return self.next_replayed(now, probe) };
            if self.is_expired(taken.accepted_at, now) {
                self.give_up(taken.seq, taken.payload, taken.waiting, Reason::Expired, None);
                continue;
            }
            self.sent_at = Some(now);
            return Some(self.start(taken, probe));
        }
        None
    }

    /// When to ask [`Lane::next`] again although nothing happened; None: not before something does.
    pub fn wake_at(&mut self, now: Time) -> Option<Time> {
        if self.stopping {
            return None;
        }
        let at = match self.health.mode() {
            Mode::Probing { .. } => self.health.next_probe().filter(|_| self.has_something(now))?,
            Mode::Flowing => {
                let at = earliest(self.health.dark_at(), self.queues.next_let_go());
                return earliest(at, self.next_turn(now));
            }
        };
        Some(at.max(self.paused_until.unwrap_or(at)))
    }

    /// When an attempt may start, while attempts flow.
    fn next_turn(&mut self, now: Time) -> Option<Time> {
        if self.in_flight() >= self.window(now) {
            return self.ramp(now);
        }
        let at = if self.queues.has_ready() { now } else { earliest(self.queues.next_due(), self.replay_turn(now))? };
        let at = at.max(self.rate.wait(now).unwrap_or(now));
        Some(at.max(self.paused_until.unwrap_or(at)))
    }

    /// An attempt is over. `random` is uniform in 0..1.
    pub fn answered(&mut self, seq: Seq, payload: T, ended: Ended, now: Time, random: f64) {
        let Some(slot) = self.slots.remove(&seq) else { return };
        if slot.probe {
            self.health.probe_ended();
        }
        if ended.switch_off {
            self.switch_off();
        }
        match ended.verdict {
            Verdict::Delivered => self.delivered(seq, slot, now),
            Verdict::Reject => self.rejected(seq, slot, payload, ended, now),
            Verdict::Gone => self.gone(seq, slot, payload, ended, now),
            Verdict::Stop => self.told_to_stop(seq, slot, ended, now),
            Verdict::Retry { slow_down, pause, no_connection } => {
                self.slow_down(slow_down, pause, now);
                self.failed(seq, slot, payload, ended, no_connection, now, random);
            }
        }
    }

    /// A taken event could not be sent at all and goes back to where it was; nothing is counted.
    pub fn put_back(&mut self, seq: Seq, payload: Option<T>) {
        if let Some(slot) = self.slots.remove(&seq) {
            if slot.probe {
                self.health.probe_ended();
            }
            self.return_slot(seq, slot, payload);
        }
    }

    /// An event that is not in the log any more and was parked: nothing is left to send.
    pub fn lost(&mut self, seq: Seq) {
        if let Some(slot) = self.slots.remove(&seq) {
            if slot.probe {
                self.health.probe_ended();
            }
            self.settle(seq, slot.waiting.is_some());
        }
    }

    /// Gives up everything up to a position that is not under way, because the log drops it.
    pub fn expire_through(&mut self, seq: Seq) {
        for waiting in self.queues.take_parked_through(seq) {
            let seq = waiting.seq;
            self.give_up(seq, None, Some(waiting), Reason::Expired, None);
        }
        for (seq, payload) in self.queues.take_live_through(seq) {
            self.give_up(seq, Some(payload), None, Reason::Expired, None);
        }
    }

    /// An event that the log drops before the lane could send it.
    pub fn expire(&mut self, seq: Seq, payload: T) {
        if self.progress.read(seq) {
            self.give_up(seq, Some(payload), None, Reason::Expired, None);
        }
    }

    /// A person says that refused events are to be rejected although most are.
    pub fn release_brake(&mut self, now: Time) {
        let change = self.health.release_brake(now);
        self.note(change, "", now);
    }

    /// Whether there is something to commit.
    pub fn has_outcomes(&self) -> bool {
        let p = &self.pending;
        let replayed = self.replay.as_ref().is_some_and(Replay::has_outcomes);
        !p.released.is_empty() || !p.park.is_empty() || !p.notices.is_empty() || p.stop.is_some() || replayed
    }

    /// How many outcomes wait to be committed.
    pub fn outcomes(&self) -> usize {
        self.pending.released.len() + self.pending.park.len() + self.replay.as_ref().map_or(0, Replay::outcomes)
    }

    /// Whether an event waits only for outcomes to be committed.
    pub fn waits_for_commit(&self) -> bool {
        self.queues.has_blocked()
    }

    /// What to commit now. Afterwards [`Lane::committed`] is owed.
    pub fn take_outcomes(&mut self, now: Time) -> Outcomes<T> {
        self.look(now);
        let p = std::mem::take(&mut self.pending);
        self.stopping |= p.stop.is_some();
        Outcomes {
            cursor: self.progress.cursor(),
            settled: self.progress.settled().clone(),
            delivered: p.delivered,
            park: p.park,
            unpark: p.unpark,
            given_up: p.given_up,
            notices: p.notices,
            stop: p.stop,
            replay: self.replay.as_mut().and_then(Replay::take_outcomes),
            released: p.released,
        }
    }

    /// The outcomes are durable: the next events of their entities may go.
    pub fn committed(&mut self, released: Released) {
        for seq in released.0 {
            self.queues.release(seq);
        }
    }

    /// What is due by time alone: a circuit that opens because nothing succeeded, an integration that stops because its
    /// circuit has been open for too long.
    pub fn look(&mut self, now: Time) {
        let change = self.health.look(now);
        self.note(change, "many failed and nothing has succeeded since", now);
        self.stop_if_dark(now);
        self.let_go(|until, _| until <= now);
    }

    fn stop_if_dark(&mut self, now: Time) {
        if let Mode::Probing { cause: Cause::Circuit, since, .. } = self.health.mode()
            && self.rules.on_exhausted == OnExhausted::Stop
            && now.since(since) >= health::STOP_AFTER_OPEN
            && !self.stopping
        {
            self.pending.stop = Some(format!("the receiver has failed since {since}"));
            self.stopping = true;
        }
    }

    /// Whether an attempt may start now: Some(true) for a probe.
    fn turn(&mut self, now: Time) -> Option<bool> {
        let paused = self.paused_until.is_some_and(|t| now < t);
        if self.stopping || paused {
            return None;
        }
        self.paused_until = None;
        match self.health.mode() {
            Mode::Probing { .. } => self.health.probe_due(now).then_some(true),
            Mode::Flowing => {
                let free = self.in_flight() < self.window(now);
                (free && self.rate.wait(now).is_none()).then_some(false)
            }
        }
    }

    fn ramp(&self, now: Time) -> Option<Time> {
        const RAMP_CHECK: Duration = Duration::from_millis(250);
        let ramping = self.window(now) < self.rules.max_in_flight as usize && !self.queues.is_empty();
        ramping.then(|| now + RAMP_CHECK)
    }

    fn start(&mut self, taken: queues::Taken<T>, probe: bool) -> Sending<T> {
        self.rate.take();
        if probe {
            self.health.probe_started();
        }
        let before = taken.waiting.as_ref().map_or(0, |w| w.attempts);
        let sending = Sending {
            seq: taken.seq,
            payload: taken.payload,
            attempt: before + 1,
            remaining: self.rules.retry.attempts().saturating_sub(before + 1),
            probe,
            replay: false,
        };
        let slot = Slot { key: taken.key, waiting: taken.waiting, accepted_at: taken.accepted_at, probe };
        self.slots.insert(taken.seq, slot);
        sending
    }

    fn is_expired(&self, accepted_at: Time, now: Time) -> bool {
        self.rules.max_age_seconds.is_some_and(|s| now.since(accepted_at) > Duration::from_secs(s))
    }

    fn delivered(&mut self, seq: Seq, slot: Slot, now: Time) {
        self.window.grow();
        self.troubled = false;
        self.pending.delivered += 1;
        self.settle(seq, slot.waiting.is_some());
        let change = self.health.delivered(now);
        self.note(change, "", now);
    }

    fn rejected(&mut self, seq: Seq, slot: Slot, payload: T, ended: Ended, now: Time) {
        let braked = matches!(self.health.mode(), Mode::Probing { cause: Cause::Brake, .. });
        let change = self.health.rejected(now);
        self.note(change, &ended.detail, now);
        if braked {
            self.return_slot(seq, slot, Some(payload));
        } else {
            self.refused(seq, slot, payload, Reason::Rejected, ended, now);
        }
    }

    /// Gives an event up that was tried; its entity waits for it where that is wished.
    fn refused(&mut self, seq: Seq, slot: Slot, payload: T, reason: Reason, ended: Ended, now: Time) {
        if slot.key.is_none() || self.rules.on_reject != OnReject::HoldEntity {
            return self.give_up(seq, Some(payload), slot.waiting, reason, Some(ended));
        }
        let attempts = slot.waiting.as_ref().map_or(0, |w| w.attempts) + 1;
        let (status, detail) = (ended.status, Some(ended.detail.clone()));
        self.pending.given_up.push(GivenUp { seq, payload: Some(payload), reason, attempts, status, detail });
        self.wait_as(seq, slot, ended, now + HELD_FOR, attempts, true);
    }

    fn let_go_unless_held(&mut self) {
        if self.rules.on_reject != OnReject::HoldEntity {
            self.let_go(|_, _| true);
        }
    }

    /// Lets entities go on without their rejected event.
    fn let_go(&mut self, which: impl Fn(Time, Seq) -> bool) {
        for waiting in self.queues.take_held(which) {
            self.settle(waiting.seq, true);
        }
    }

    fn told_to_stop(&mut self, seq: Seq, slot: Slot, ended: Ended, now: Time) {
        self.pending.stop = Some(format!("delivery.verdicts says so: {}", ended.detail));
        self.stopping = true;
        let attempts = slot.waiting.as_ref().map_or(0, |w| w.attempts);
        self.park(seq, slot, ended, now, attempts);
    }

    fn gone(&mut self, seq: Seq, slot: Slot, payload: T, ended: Ended, now: Time) {
        if slot.waiting.as_ref().is_some_and(|w| w.status == ended.status) {
            self.pending.stop = Some(format!("the receiver is gone: {}", ended.detail));
            self.stopping = true;
        }
        drop(payload);
        let attempts = slot.waiting.as_ref().map_or(0, |w| w.attempts) + 1;
        self.park(seq, slot, ended, now + GONE_RECHECK, attempts);
    }

    #[allow(clippy::too_many_arguments)] // one call site; a struct would only be unpacked again
    fn failed(&mut self, seq: Seq, slot: Slot, payload: T, ended: Ended, no_connection: bool, now: Time, random: f64) {
        let was_flowing = self.health.mode() == Mode::Flowing;
        let change = self.health.failed(slot.key.map_or(seq as i64, |k| k.0), no_connection, now);
        self.note_trouble(&ended.detail);
        self.note(change, &ended.detail, now);
        if !was_flowing || slot.probe || ended.unsent {
            return self.return_slot(seq, slot, Some(payload));
        }
        let attempts = slot.waiting.as_ref().map_or(0, |w| w.attempts) + 1;
        match (self.rules.retry.wait_before(attempts + 1, random), self.rules.on_exhausted) {
            (Some(wait), _) => self.park(seq, slot, ended, now + wait, attempts),
            (None, OnExhausted::Reject) => {
                self.refused(seq, slot, payload, Reason::AttemptsExhausted, ended, now);
            }
            (None, OnExhausted::Stop) => {
                self.pending.stop = Some(format!("{attempts} attempts failed, the last one: {}", ended.detail));
                self.stopping = true;
                self.park(seq, slot, ended, now, 0);
            }
        }
    }

    fn park(&mut self, seq: Seq, slot: Slot, ended: Ended, next_at: Time, attempts: u32) {
        self.wait_as(seq, slot, ended, next_at, attempts, false);
    }

    fn wait_as(&mut self, seq: Seq, slot: Slot, ended: Ended, next_at: Time, attempts: u32, held: bool) {
        let waiting = Waiting {
            seq,
            key: slot.key,
            accepted_at: slot.accepted_at,
            attempts,
            next_at,
            status: ended.status,
            detail: Some(ended.detail),
            held,
        };
        let behind = self.queues.park(waiting.clone());
        self.pending.park.push(waiting);
        self.park_behind(behind);
        self.progress.settle(seq);
        self.pending.released.push(seq);
    }

    fn return_slot(&mut self, seq: Seq, slot: Slot, payload: Option<T>) {
        let behind = self.queues.put_back(seq, slot.key, slot.accepted_at, payload, slot.waiting);
        self.park_behind(behind);
    }

    /// Events that stand behind a parked one of their entity: the cursor passes them.
    fn park_behind(&mut self, behind: impl IntoIterator<Item = Waiting>) {
        for waiting in behind {
            self.progress.settle(waiting.seq);
            self.pending.park.push(waiting);
        }
    }

    fn give_up(
        &mut self,
        seq: Seq,
        payload: Option<T>,
        waiting: Option<Waiting>,
        reason: Reason,
        ended: Option<Ended>,
    ) {
        let before = waiting.as_ref().map_or(0, |w| w.attempts);
        let made = u32::from(ended.is_some());
        let (status, detail) = match ended {
            Some(e) => (e.status, Some(e.detail)),
            None => waiting.as_ref().map_or((None, None), |w| (w.status, w.detail.clone())),
        };
        self.pending.given_up.push(GivenUp { seq, payload, reason, attempts: before + made, status, detail });
        self.settle(seq, waiting.is_some());
    }

    fn settle(&mut self, seq: Seq, was_parked: bool) {
        if was_parked {
            self.pending.unpark.push(seq);
        }
        self.progress.settle(seq);
        self.pending.released.push(seq);
    }

    fn switch_off(&mut self) {
        self.pending.stop = Some("the receiver asked for it with webhook-delivery: disable".to_owned());
        self.stopping = true;
    }

    fn slow_down(&mut self, halve: bool, pause: Option<Duration>, now: Time) {
        if halve {
            self.window.halve(now);
        }
        self.paused_until = self.paused_until.max(pause.map(|p| now + p));
    }

    fn note_trouble(&mut self, detail: &str) {
        if !self.troubled {
            self.troubled = true;
            self.pending.notices.push(Notice::RetryTriggered(detail.to_owned()));
        }
    }

    fn note(&mut self, change: Change, detail: &str, now: Time) {
        let notice = match change {
            Change::None => return,
            Change::Closed(Cause::Circuit) => Notice::CircuitOpened(detail.to_owned()),
            Change::Closed(Cause::Brake) => Notice::Braked(detail.to_owned()),
            Change::Recovered(cause) => {
                self.window.recover(now);
                if cause == Cause::Circuit { Notice::CircuitClosed } else { Notice::BrakeReleased }
            }
        };
        self.pending.notices.push(notice);
    }
}

fn earliest(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    a.into_iter().chain(b).min()
}

impl<T> Outcomes<T> {
    /// What to hand to [`Lane::committed`] once everything else is durable.
    pub fn take_released(&mut self) -> Released {
        Released(std::mem::take(&mut self.released))
    }
}

/// Positions whose outcome is durable.
#[derive(Debug)]
pub struct Released(Vec<Seq>);
