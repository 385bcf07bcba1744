//! The circuit and the reject brake (`design.md`, "A lane").

use std::collections::VecDeque;
use std::time::Duration;

use crate::Time;

/// Failed attempts that open the circuit …
pub const OPEN_AFTER_FAILURES: u32 = 10;
/// … when they were about at least this many different entities …
pub const OPEN_AFTER_KEYS: usize = 3;
/// … and nothing succeeded for this long.
pub const OPEN_AFTER: Duration = Duration::from_secs(5);
/// Connections in a row that could not be made open it at once.
pub const OPEN_AFTER_NO_CONNECTION: u32 = 2;
/// Rejections in a row that put the brake on.
pub const BRAKE_AFTER_ROW: u32 = 20;
/// Answers that are looked back at: more than half rejected also puts the brake on.
pub const BRAKE_LOOKBACK: usize = 100;
/// First wait for a probe; doubles up to [`PROBE_MAX`].
pub const PROBE_FIRST: Duration = Duration::from_secs(1);
/// Longest wait between two probes.
pub const PROBE_MAX: Duration = Duration::from_secs(60);
/// With `on_exhausted: stop`, a circuit open for so long stops the integration.
pub const STOP_AFTER_OPEN: Duration = Duration::from_secs(900);

/// Why only probes go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The receiver fails.
    Circuit,
    /// The receiver rejects.
    Brake,
}

/// Whether the receiver is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Attempts flow.
    Flowing,
    /// One probe at a time.
    Probing {
        /// Why.
        cause: Cause,
        /// Since when.
        since: Time,
        /// When the next probe is due.
        next_probe: Time,
    },
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// Only probes from now on.
    Closed(Cause),
    /// Attempts flow again.
    Recovered(Cause),
}

/// Watches answers. One per lane.
#[derive(Clone, Debug)]
pub struct Health {
    mode: Mode,
    probe_wait: Duration,
    probe_out: bool,
    failures: u32,
    failed_keys: Vec<i64>,
    quiet_since: Time,
    no_connection: u32,
    rejected_row: u32,
    recent: VecDeque<bool>,
}

impl Health {
    /// Well, until shown otherwise.
    pub fn new(now: Time) -> Self {
        Self {
            mode: Mode::Flowing,
            probe_wait: PROBE_FIRST,
            probe_out: false,
            failures: 0,
            failed_keys: Vec::new(),
            quiet_since: now,
            no_connection: 0,
            rejected_row: 0,
            recent: VecDeque::with_capacity(BRAKE_LOOKBACK),
        }
    }

    /// How it stands.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether nothing speaks against the receiver.
    pub fn is_well(&self) -> bool {
        self.mode == Mode::Flowing && self.failures == 0 && self.rejected_row == 0 && !self.recent.contains(&true)
    }

    /// Many failed and nothing succeeded since: not an outage yet, but no reason to send at full rate.
    pub fn suspicious(&self) -> bool {
        self.failures >= OPEN_AFTER_FAILURES && self.failed_keys.len() >= OPEN_AFTER_KEYS
    }

    /// Whether a probe may start now.
    pub fn probe_due(&self, now: Time) -> bool {
        matches!(self.mode, Mode::Probing { next_probe, .. } if !self.probe_out && next_probe <= now)
    }

    /// When a probe will be due; None when attempts flow or one is out.
    pub fn next_probe(&self) -> Option<Time> {
        match self.mode {
            Mode::Probing { next_probe, .. } if !self.probe_out => Some(next_probe),
            _ => None,
        }
    }

    /// A probe starts.
    pub fn probe_started(&mut self) {
        self.probe_out = true;
    }

    /// The probe is over.
    pub fn probe_ended(&mut self) {
        self.probe_out = false;
    }

    /// An event was delivered.
    pub fn delivered(&mut self, now: Time) -> Change {
        self.alive(now);
        self.rejected_row = 0;
        self.remember(false);
        self.recover(now)
    }

    /// An event was rejected: the receiver lives, which ends an outage, but may put the brake on.
    pub fn rejected(&mut self, now: Time) -> Change {
        self.alive(now);
        match self.mode {
            Mode::Probing { cause: Cause::Brake, .. } => {
                self.probe_again(now);
                Change::None
            }
            Mode::Probing { cause: Cause::Circuit, .. } => self.recover(now),
            Mode::Flowing => self.count_rejection(now),
        }
    }

    /// An attempt failed; `key` tells entities apart (an event without one is its own).
    pub fn failed(&mut self, key: i64, no_connection: bool, now: Time) -> Change {
        self.no_connection = if no_connection { self.no_connection + 1 } else { 0 };
        if let Mode::Probing { .. } = self.mode {
            self.probe_again(now);
            return Change::None;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failed_keys.len() < OPEN_AFTER_KEYS && !self.failed_keys.contains(&key) {
            self.failed_keys.push(key);
        }
        let refused = self.no_connection >= OPEN_AFTER_NO_CONNECTION;
        if refused { self.close(Cause::Circuit, now) } else { self.look(now) }
    }

    /// Looks whether nothing has succeeded for too long although nothing new failed either.
    pub fn look(&mut self, now: Time) -> Change {
        match self.dark_at() {
            Some(at) if at <= now => self.close(Cause::Circuit, now),
            _ => Change::None,
        }
    }

    /// When the circuit opens unless something succeeds before; None when not so much has failed.
    pub fn dark_at(&self) -> Option<Time> {
        let suspicious = self.mode == Mode::Flowing && self.suspicious();
        suspicious.then(|| self.quiet_since + OPEN_AFTER)
    }

    /// A person says that the brake is to be let go: what is refused is to be rejected.
    pub fn release_brake(&mut self, now: Time) -> Change {
        match self.mode {
            Mode::Probing { cause: Cause::Brake, .. } => self.recover(now),
            _ => Change::None,
        }
    }

    fn alive(&mut self, now: Time) {
        self.failures = 0;
        self.failed_keys.clear();
        self.no_connection = 0;
        self.quiet_since = now;
    }

    fn count_rejection(&mut self, now: Time) -> Change {
        self.rejected_row += 1;
        self.remember(true);
        let of_recent = self.recent.iter().filter(|&&r| r).count();
        let most = self.recent.len() == BRAKE_LOOKBACK && of_recent * 2 > BRAKE_LOOKBACK;
        if self.rejected_row >= BRAKE_AFTER_ROW || most { self.close(Cause::Brake, now) } else { Change::None }
    }

    fn remember(&mut self, rejected: bool) {
        if self.recent.len() == BRAKE_LOOKBACK {
            self.recent.pop_front();
        }
        self.recent.push_back(rejected);
    }

    fn close(&mut self, cause: Cause, now: Time) -> Change {
        self.probe_wait = PROBE_FIRST;
        self.mode = Mode::Probing { cause, since: now, next_probe: now + PROBE_FIRST };
        Change::Closed(cause)
    }

    fn probe_again(&mut self, now: Time) {
        if let Mode::Probing { cause, since, next_probe } = self.mode
            && next_probe <= now
        {
            self.probe_wait = (self.probe_wait * 2).min(PROBE_MAX);
            self.mode = Mode::Probing { cause, since, next_probe: now + self.probe_wait };
        }
    }

    fn recover(&mut self, now: Time) -> Change {
        let Mode::Probing { cause, .. } = self.mode else { return Change::None };
        self.mode = Mode::Flowing;
        self.rejected_row = 0;
        self.recent.clear();
        self.alive(now);
        Change::Recovered(cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn the_circuit_opens_after_ten_failures_over_three_entities_and_five_dark_seconds() {
        let mut h = Health::new(at(0));
        for n in 0..20 {
            assert_eq!(h.failed(n % 3, false, at(4_999)), Change::None);
        }
        assert!(h.suspicious());
        assert_eq!(h.failed(0, false, at(5_000)), Change::Closed(Cause::Circuit));
    }

    #[test]
    fn the_circuit_opens_by_time_when_nothing_more_is_tried() {
        let mut h = Health::new(at(0));
        assert_eq!(h.dark_at(), None);
        for n in 0..10 {
            h.failed(n, false, at(1_000));
        }
        assert_eq!((h.dark_at(), h.look(at(4_999))), (Some(at(5_000)), Change::None));
        assert_eq!(h.look(at(5_000)), Change::Closed(Cause::Circuit));
        assert_eq!((h.dark_at(), h.look(at(9_000))), (None, Change::None));
    }

    #[test]
    fn one_or_two_failing_entities_never_open_it() {
        let mut h = Health::new(at(0));
        for n in 0..1_000 {
            assert_eq!(h.failed(n % 2, false, at(n * 1_000)), Change::None);
        }
    }

    #[test]
    fn a_receiver_that_fails_one_in_five_keeps_its_circuit_closed() {
        let mut h = Health::new(at(0));
        for n in 0..1_000 {
            let change = if n % 5 == 0 { h.failed(n, false, at(n * 100)) } else { h.delivered(at(n * 100)) };
            assert_eq!(change, Change::None);
            assert!(!h.suspicious());
        }
    }

    #[test]
    fn two_connections_in_a_row_that_cannot_be_made_open_it() {
        let mut h = Health::new(at(0));
        assert_eq!(h.failed(1, true, at(0)), Change::None);
        assert_eq!(h.failed(1, false, at(0)), Change::None);
        assert_eq!(h.failed(1, true, at(0)), Change::None);
        assert_eq!(h.failed(1, true, at(0)), Change::Closed(Cause::Circuit));
    }

    #[test]
    fn probes_come_after_1_2_4_up_to_60_seconds() {
        let mut h = Health::new(at(0));
        h.failed(1, true, at(0));
        h.failed(1, true, at(0));
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..8 {
            let next = h.next_probe().unwrap().millis();
            waits.push((next - now) / 1_000);
            now = next;
            assert!(!h.probe_due(at(now - 1)) && h.probe_due(at(now)));
            h.probe_started();
            assert!(!h.probe_due(at(now)));
            h.probe_ended();
            assert_eq!(h.failed(1, true, at(now)), Change::None);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(h.delivered(at(now)), Change::Recovered(Cause::Circuit));
        assert_eq!(h.mode(), Mode::Flowing);
    }

    #[test]
    fn late_answers_of_before_do_not_push_the_probe_away() {
        let mut h = Health::new(at(0));
        h.failed(1, true, at(0));
        h.failed(1, true, at(0));
        for _ in 0..30 {
            h.failed(1, true, at(10));
        }
        assert_eq!(h.next_probe(), Some(at(1_000)));
    }

    #[test]
    fn twenty_rejections_in_a_row_put_the_brake_on() {
        let mut h = Health::new(at(0));
        for _ in 0..BRAKE_AFTER_ROW - 1 {
            assert_eq!(h.rejected(at(0)), Change::None);
        }
        h.delivered(at(0));
        for _ in 0..BRAKE_AFTER_ROW - 1 {
            assert_eq!(h.rejected(at(0)), Change::None);
        }
        assert_eq!(h.rejected(at(0)), Change::Closed(Cause::Brake));
        assert_eq!(h.rejected(at(1_000)), Change::None);
        assert_eq!(h.delivered(at(3_000)), Change::Recovered(Cause::Brake));
    }

    #[test]
    fn more_than_half_of_the_last_hundred_put_the_brake_on() {
        let mut h = Health::new(at(0));
        for n in 0..BRAKE_LOOKBACK / 2 {
            assert_eq!((n, h.rejected(at(0))), (n, Change::None));
            h.delivered(at(0));
        }
        // Half and half so far: 50 of 100. One more rejection drops an old one and stays at half, the next tips it.
        assert_eq!(h.rejected(at(0)), Change::None);
        assert_eq!(h.rejected(at(0)), Change::Closed(Cause::Brake));
    }
}
