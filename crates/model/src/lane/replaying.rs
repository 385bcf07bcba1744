//! What a lane does for the replay beside it: see [`super::replay`].

use super::replay::{LIVE_LATELY, REPLAY_BESIDE_LIVE, Replay};
use super::{Cause, Ended, GivenUp, Lane, Mode, OnExhausted, Ordering, Reason, Sending};
use crate::event::EntityKey;
use crate::verdict::{GONE_RECHECK, Verdict};
use crate::{Ranges, Seq, Time};

/// What an attempt under way holds.
pub(super) struct Sent {
    key: Option<EntityKey>,
    probe: bool,
}

/// An attempt that is over.
struct Attempted<T> {
    seq: Seq,
    key: Option<EntityKey>,
    payload: T,
    /// Attempts before it, and the status of the last of those.
    attempts: u32,
    before: Option<u16>,
    probe: bool,
}

impl<T> Lane<T> {
    /// Starts a replay that goes on after `cursor`. False: attempts of an earlier one are still under way.
    pub fn start_replay(&mut self, cursor: Seq, settled: Ranges) -> bool {
        if !self.replaying.is_empty() {
            return false;
        }
        self.replay = Some(Replay::new(self.rules.ordering == Ordering::Entity, cursor, settled));
        true
    }

    /// The replay, if one runs.
    pub fn replay(&mut self) -> Option<&mut Replay<T>> {
        self.replay.as_mut()
    }

    /// Ends the replay. What it has under way still lands, but is not counted.
    pub fn end_replay(&mut self) {
        self.replay = None;
    }

    /// The replay's next event, when the live flow has none and leaves room.
    pub(super) fn next_replayed(&mut self, now: Time, probe: bool) -> Option<Sending<T>> {
        let (limit, queues) = (self.replay_limit(now), &self.queues);
        let replay = self.replay.as_mut().filter(|r| probe || r.in_flight() < limit)?;
        let (turn, key) = replay.take(now, probe, |key| queues.is_free(key))?;
        if let Some(key) = key {
            self.queues.hold(key);
        }
        self.replaying.insert(turn.seq, Sent { key, probe });
        self.rate.take();
        if probe {
            self.health.probe_started();
        }
        let remaining = self.rules.retry.attempts().saturating_sub(turn.attempts + 1);
        let (seq, payload, attempt) = (turn.seq, Some(turn.payload), turn.attempts + 1);
        Some(Sending { seq, payload, attempt, remaining, probe, replay: true })
    }

    /// Half of the window, and next to nothing while the live flow is busy.
    fn replay_limit(&self, now: Time) -> usize {
        let busy = self.sent_at.is_some_and(|t| now.since(t) < LIVE_LATELY);
        if busy { REPLAY_BESIDE_LIVE } else { (self.window(now) / 2).max(REPLAY_BESIDE_LIVE) }
    }

    /// When the replay may start an attempt; None while only the end of another one allows it.
    pub(super) fn replay_turn(&self, now: Time) -> Option<Time> {
        let replay = self.replay.as_ref()?;
        let at = replay.wake_at(now, |key| self.queues.is_free(key))?;
        if replay.in_flight() < self.replay_limit(now) {
            return Some(at);
        }
        let quiet = self.sent_at.map(|t| t + LIVE_LATELY).filter(|t| *t > now)?;
        Some(at.max(quiet))
    }

    /// Whether there is anything to probe with.
    pub(super) fn has_something(&self, now: Time) -> bool {
        let replay = self.replay.as_ref();
        self.queues.has_turn() || replay.is_some_and(|r| r.wake_at(now, |key| self.queues.is_free(key)).is_some())
    }

    /// An attempt of the replay is over. `random` is uniform in 0..1.
    pub fn answered_replay(&mut self, seq: Seq, payload: T, ended: Ended, now: Time, random: f64) {
        let Some(probe) = self.replay_landed(seq) else { return };
        if ended.switch_off {
            self.switch_off();
        }
        // A replay that was ended meanwhile counts nothing.
        let Some((key, attempts, before)) = self.replay.as_mut().and_then(|r| r.landed(seq)) else { return };
        let item = Attempted { seq, key, payload, attempts, before, probe };
        match ended.verdict {
            Verdict::Delivered => self.replay_arrived(item, now),
            Verdict::Reject => self.replay_rejected(item, ended, now),
            Verdict::Gone if item.before == ended.status => {
                self.pending.stop = Some(format!("the receiver is gone: {}", ended.detail));
                self.stopping = true;
            }
            Verdict::Stop => {
                self.pending.stop = Some(format!("delivery.verdicts says so: {}", ended.detail));
                self.stopping = true;
                self.replay_put_back(item);
            }
            Verdict::Gone => self.replay_wait(item, now + GONE_RECHECK, ended.status),
            Verdict::Retry { slow_down, pause, no_connection } => {
                self.slow_down(slow_down, pause, now);
                self.replay_failed(item, ended, no_connection, now, random);
            }
        }
    }

    /// A replayed event could not be sent at all and goes back to where it was; nothing is counted.
    pub fn put_back_replayed(&mut self, seq: Seq, payload: T) {
        let Some(probe) = self.replay_landed(seq) else { return };
        if let Some((key, attempts, before)) = self.replay.as_mut().and_then(|r| r.landed(seq)) {
            self.replay_put_back(Attempted { seq, key, payload, attempts, before, probe });
        }
    }

    /// Gives back what an attempt held; whether it was a probe. None: there was none.
    fn replay_landed(&mut self, seq: Seq) -> Option<bool> {
        let Sent { key, probe } = self.replaying.remove(&seq)?;
        if probe {
            self.health.probe_ended();
        }
        if let Some(key) = key {
            self.queues.unhold(key);
        }
        Some(probe)
    }

    fn replay_arrived(&mut self, item: Attempted<T>, now: Time) {
        self.window.grow();
        self.troubled = false;
        let change = self.health.delivered(now);
        self.note(change, "", now);
        if let Some(replay) = &mut self.replay {
            replay.arrived(item.seq, item.key, item.payload);
        }
    }

    fn replay_rejected(&mut self, item: Attempted<T>, ended: Ended, now: Time) {
        let braked = matches!(self.health.mode(), Mode::Probing { cause: Cause::Brake, .. });
        let change = self.health.rejected(now);
        self.note(change, &ended.detail, now);
        if braked { self.replay_put_back(item) } else { self.replay_give_up(item, Reason::Rejected, ended) }
    }

    fn replay_failed(&mut self, item: Attempted<T>, ended: Ended, no_connection: bool, now: Time, random: f64) {
        let was_flowing = self.health.mode() == Mode::Flowing;
        let change = self.health.failed(item.key.map_or(item.seq as i64, |k| k.0), no_connection, now);
        self.note_trouble(&ended.detail);
        self.note(change, &ended.detail, now);
        if !was_flowing || item.probe || ended.unsent {
            return self.replay_put_back(item);
        }
        match (self.rules.retry.wait_before(item.attempts + 2, random), self.rules.on_exhausted) {
            (Some(wait), _) => self.replay_wait(item, now + wait, ended.status),
            (None, OnExhausted::Reject) => self.replay_give_up(item, Reason::AttemptsExhausted, ended),
            (None, OnExhausted::Stop) => {
                let attempts = item.attempts + 1;
                self.pending.stop = Some(format!("{attempts} attempts failed, the last one: {}", ended.detail));
                self.stopping = true;
            }
        }
    }

    fn replay_put_back(&mut self, item: Attempted<T>) {
        if let Some(replay) = &mut self.replay {
            replay.put_back(item.seq, item.key, item.payload, item.attempts, item.before);
        }
    }

    fn replay_wait(&mut self, item: Attempted<T>, at: Time, status: Option<u16>) {
        if let Some(replay) = &mut self.replay {
            replay.wait(at, item.seq, item.key, item.payload, item.attempts + 1, status);
        }
    }

    fn replay_give_up(&mut self, item: Attempted<T>, reason: Reason, ended: Ended) {
        let Attempted { seq, key, payload, attempts, .. } = item;
        let (status, detail) = (ended.status, Some(ended.detail));
        let given_up = GivenUp { seq, payload: Some(payload), reason, attempts: attempts + 1, status, detail };
        if let Some(replay) = &mut self.replay {
            replay.give_up(key, given_up);
        }
    }
}
