//! What others see of a running lane, and how they reach it.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tillstream_model::lane::health::{Cause, Mode};
use tillstream_model::{Seq, Time};
use tokio::sync::{Notify, mpsc, oneshot};

/// Commands that may wait for one lane.
const COMMANDS: usize = 16;

/// A wish that a lane fulfils between two steps.
pub(super) enum Command {
    /// Read the settings and what is parked again.
    Reload(oneshot::Sender<()>),
    /// Take no events until the second end is dropped; says up to where events were taken.
    Hold(oneshot::Sender<Seq>, oneshot::Receiver<()>),
    /// List everything up to a position that is not settled as expired.
    Expire(Seq, oneshot::Sender<()>),
    /// Let the reject brake go.
    ReleaseBrake(oneshot::Sender<()>),
    /// End: finish what is under way and commit (or drop it at once); the sender is dropped when that is done.
    End { at_once: bool, done: oneshot::Sender<()> },
}

/// A running lane, as others see it.
pub(super) struct Handle {
    bell: Notify,
    commands: mpsc::Sender<Command>,
    inbox: Mutex<Option<mpsc::Receiver<Command>>>,
    status: Mutex<LaneStatus>,
}

/// What a lane is doing. Nodes tell each other in this shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneStatus {
    /// Everything up to here is settled or parked.
    pub cursor: Seq,
    /// Attempts under way.
    pub in_flight: usize,
    /// How many may be under way.
    pub window: usize,
    /// Events that wait for their next attempt or behind one that does.
    pub parked: usize,
    /// Rejected events among them that keep their entity back.
    #[serde(default)]
    pub held: usize,
    /// Whether the receiver is well.
    pub health: Health,
    /// The receiver asked to be left alone until then.
    pub paused_until: Option<Time>,
    /// When the next parked event is due.
    pub next_retry: Option<Time>,
    /// When its oldest event was accepted, parked ones left out; to about a second.
    #[serde(default)]
    pub oldest: Option<Time>,
}

/// Whether a lane's receiver is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// Attempts flow.
    Flowing,
    /// One probe at a time.
    Probing {
        /// `circuit`: it fails; `brake`: it rejects.
        cause: Cow<'static, str>,
        /// Since when.
        since: Time,
        /// When the next probe is due.
        next_probe: Time,
    },
}

impl From<Mode> for Health {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Flowing => Health::Flowing,
            Mode::Probing { cause, since, next_probe } => {
                let cause = if cause == Cause::Circuit { "circuit" } else { "brake" };
                Health::Probing { cause: cause.into(), since, next_probe }
            }
        }
    }
}

impl LaneStatus {
    /// Of a lane that waits at the head: it is past what came since and it does not want.
    pub(super) fn at_head(mut self, passed: Option<(Seq, Seq)>) -> Self {
        if let Some((_, to)) = passed.filter(|(read_to, _)| self.cursor >= *read_to) {
            self.cursor = self.cursor.max(to);
        }
        self
    }

    /// A lane with nothing to do.
    pub(super) fn resting(cursor: Seq) -> Self {
        Self {
            cursor,
            in_flight: 0,
            window: 0,
            parked: 0,
            held: 0,
            health: Health::Flowing,
            paused_until: None,
            next_retry: None,
            oldest: None,
        }
    }
}

impl Handle {
    pub(super) fn new() -> Arc<Self> {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        Arc::new(Self {
            bell: Notify::new(),
            commands,
            inbox: Mutex::new(Some(inbox)),
            status: Mutex::new(LaneStatus::resting(0)),
        })
    }

    /// Wakes the lane; never waits.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits for a ring.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Hands a command over; false when the lane has ended.
    pub(super) async fn tell(&self, command: Command) -> bool {
        self.commands.send(command).await.is_ok()
    }

    /// The lane's own end of the commands; it takes it once.
    pub(super) fn inbox(&self) -> Option<mpsc::Receiver<Command>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What the lane said last.
    pub(super) fn status(&self) -> LaneStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what the lane is doing.
    pub(super) fn say(&self, status: LaneStatus) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}
