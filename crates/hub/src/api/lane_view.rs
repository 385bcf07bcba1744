//! Where an integration stands: its saved figures and what its lane is doing now, put together.

use serde::Serialize;
use tillstream_model::{Seq, Time};
use tillstream_store::ReadLimit;
use tillstream_store::state::{Integration, LaneFigures};
use utoipa::ToSchema;

use crate::Hub;
use crate::deliver::{Health, LaneStatus};
use crate::problem::Result;

/// Whether the receiver is asked freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Circuit {
    /// Deliveries flow.
    Closed,
    /// The receiver fails; one probe at a time.
    Open,
    /// The receiver refuses too much; one probe at a time.
    Braked,
}

/// Where an integration stands in the log.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CursorView {
    /// Everything up to here is settled or parked.
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// Events of the log behind it, unwanted ones counted.
    pub lag_events: u64,
    /// How long the oldest of them has waited.
    pub lag_seconds: f64,
    /// Events that wait for their next attempt, or behind one that does; rejected ones that keep their entity back
    /// counted.
    pub parked: u64,
    /// Whether the receiver is asked freely.
    pub circuit: Circuit,
}

/// Where an integration stands.
pub struct Standing {
    /// Its saved figures.
    pub figures: LaneFigures,
    /// Its lane, if it runs.
    pub lane: Option<LaneStatus>,
    /// The company's last position.
    pub head: Seq,
    oldest_waiting: Option<Time>,
}

/// Finds out where an integration stands. `head` is the company's last position.
pub async fn standing(hub: &Hub, integration: &Integration, head: Seq) -> Result<Standing> {
    let figures = hub.state().lane_figures(integration.no).await?;
    let lane = hub.deliver().lane(integration.company, integration.no).await?;
    let mut standing = Standing { figures, lane, head, oldest_waiting: None };
    if standing.cursor() < head {
        standing.oldest_waiting = accepted_after(hub, integration, standing.cursor()).await?;
    }
    Ok(standing)
}

async fn accepted_after(hub: &Hub, integration: &Integration, cursor: Seq) -> Result<Option<Time>> {
    let one = ReadLimit { events: 1, bytes: 1 };
    let events = hub.log().read(integration.company, cursor, one).await?;
    Ok(events.first().map(|e| e.accepted_at))
}

impl Standing {
    /// Everything up to here is settled or parked. A running lane is ahead of what it saved.
    pub fn cursor(&self) -> Seq {
        self.lane.as_ref().map_or(0, |lane| lane.cursor).max(self.figures.cursor)
    }

    /// Whether the receiver is asked freely.
    pub fn circuit(&self) -> Circuit {
        self.lane.as_ref().map_or(Circuit::Closed, |lane| circuit_of(&lane.health))
    }

    /// As it is shown.
    pub fn view(&self, now: Time) -> CursorView {
        CursorView {
            seq: self.cursor(),
            lag_events: self.head.saturating_sub(self.cursor()),
            lag_seconds: self.oldest_waiting.map_or(0.0, |t| now.since(t).as_secs_f64()),
            parked: self.lane.as_ref().map_or(self.figures.parked, |lane| lane.parked as u64),
            circuit: self.circuit(),
        }
    }
}

/// Whether the receiver is asked freely.
pub fn circuit_of(health: &Health) -> Circuit {
    match health {
        Health::Flowing => Circuit::Closed,
        Health::Probing { cause, .. } if cause == "brake" => Circuit::Braked,
        Health::Probing { .. } => Circuit::Open,
    }
}

/// What a lane is doing now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LaneView {
    /// Attempts under way.
    pub in_flight: usize,
    /// Most attempts under way now; grows with answers, halves when the receiver is over its limits.
    pub window: usize,
    /// Rejected events that keep their entity back until they are retried or deleted.
    pub held: usize,
    /// The receiver asked to be left alone until then.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub paused_until: Option<Time>,
    /// When the next attempt of a parked event is due.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub next_retry: Option<Time>,
    /// Since when the receiver is only probed.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub probing_since: Option<Time>,
    /// When the next probe is due.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub next_probe: Option<Time>,
}

impl From<&LaneStatus> for LaneView {
    fn from(lane: &LaneStatus) -> Self {
        let (probing_since, next_probe) = match &lane.health {
            Health::Flowing => (None, None),
            Health::Probing { since, next_probe, .. } => (Some(*since), Some(*next_probe)),
        };
        LaneView {
            in_flight: lane.in_flight,
            window: lane.window,
            held: lane.held,
            paused_until: lane.paused_until,
            next_retry: lane.next_retry,
            probing_since,
            next_probe,
        }
    }
}
