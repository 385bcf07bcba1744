//! One attempt: from a taken event to the end of its exchange.

use std::fmt::{self, Display};
use std::sync::Arc;

use tillstream_model::lane::{Ended, Sending};
use tillstream_model::verdict::Verdict;
use tillstream_model::{CompanyNo, Event, IntegrationNo, Seq, Time};
use tillstream_store::state::{Attempt, Failure, name_hash};
use tillstream_store::{Clock, Stores};
use tracing::field::{self, Empty};
use tracing::{Instrument, Span};

use super::budget::{Share, Slot};
use super::exchange::Exchange;
use super::target::Target;

/// What every attempt of a lane needs.
#[derive(Clone)]
pub(super) struct Launcher {
    pub(super) company: CompanyNo,
    pub(super) no: IntegrationNo,
    pub(super) stores: Stores,
    pub(super) clock: Clock,
    pub(super) share: Share,
    /// The replay that runs beside the live flow.
    pub(super) replay: Option<Arc<str>>,
    pub(super) target: Arc<Target>,
}

/// How an attempt ended.
pub(super) enum Flight {
    /// It was made.
    Made(Box<Made>),
    /// The event could not be read; it goes back to where it was.
    Unread(Seq, String),
    /// The event is not in the log any more.
    Lost(Seq),
    /// Its payload was deleted: there is nothing to be sent.
    Deleted(Seq),
}

/// An attempt that was made.
pub(super) struct Made {
    pub(super) event: Arc<Event>,
    pub(super) ended: Ended,
    pub(super) row: Attempt,
    /// It belongs to a replay.
    pub(super) replay: bool,
}

/// Makes an attempt. The slot is held until it ends.
pub(super) async fn fly(launcher: Arc<Launcher>, sending: Sending<Arc<Event>>, slot: Slot, answered: bool) -> Flight {
    let seq = sending.seq;
    let event = match &sending.payload {
        Some(event) => event.clone(),
        None => match launcher.fetch(seq).await {
            Ok(Some(event)) => event,
            Ok(None) => return Flight::Lost(seq),
            Err(e) => return Flight::Unread(seq, e.to_string()),
        },
    };
    if event.content.is_erased() || launcher.stores.log.is_erased(launcher.company, seq) {
        return Flight::Deleted(seq);
    }
    let room = launcher.share.body(event.content.size(), answered).await;
    let at = (launcher.clock)();
    let replay = launcher.replay.as_deref().filter(|_| sending.replay);
    let span = launcher.span(&event, sending.attempt, at);
    let exchange = launcher.target.send(&event, sending.attempt, replay, at).instrument(span.clone()).await;
    span.record("status", exchange.status);
    drop((room, slot));
    Flight::Made(Box::new(made(event, &sending, exchange, at)))
}

impl Launcher {
    /// The span of an attempt: below the trace that its event came with, under the id that the receiver is told. Its
    /// values are only made when somebody collects them.
    fn span(&self, event: &Event, attempt: u32, at: Time) -> Span {
        let sent = fmt::from_fn(|f| self.target.trace(event, attempt, at).map_or(Ok(()), |trace| trace.fmt(f)));
        tracing::trace_span!(target: "tillstream::traces", "attempt", integration = self.no.0, event_id = %event.id,
            number = attempt, traceparent = event.content.trace.map(field::display), sent = %sent, status = Empty)
    }

    async fn fetch(&self, seq: Seq) -> tillstream_store::Result<Option<Arc<Event>>> {
        if let Some(event) = self.stores.log.get(self.company, &[seq]).await?.pop() {
            return Ok(Some(event));
        }
        Ok(self.stores.state.parked_of(self.no, seq).await?.and_then(|p| p.event))
    }
}

fn made(event: Arc<Event>, sending: &Sending<Arc<Event>>, exchange: Exchange, at: Time) -> Made {
    let delivered = exchange.verdict == Verdict::Delivered;
    let row = Attempt {
        seq: event.seq,
        at,
        number: if (sending.probe || exchange.unsent) && !delivered { 0 } else { sending.attempt },
        elapsed_ms: u32::try_from(exchange.elapsed.as_millis()).unwrap_or(u32::MAX),
        status: exchange.status,
        remaining: if delivered { 0 } else { sending.remaining },
        domain_key: event.content.domain_key(),
        name_hash: name_hash(&event.content.name),
        failure: exchange.failure.map(shortened),
    };
    let Exchange { verdict, status, detail, switch_off, unsent, .. } = exchange;
    let ended = Ended { verdict, status, detail, switch_off, unsent };
    Made { event, ended, row, replay: sending.replay }
}

/// Longest description of a failure that is kept, in bytes.
const MAX_DETAIL: usize = 512;

fn shortened(mut failure: Failure) -> Failure {
    let end = (0..=MAX_DETAIL.min(failure.detail.len())).rev().find(|&i| failure.detail.is_char_boundary(i));
    failure.detail.truncate(end.unwrap_or(0));
    failure
}
