//! `GET /v1/events/stream`: the log as it grows, as Server-Sent Events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::response::sse::{Event as Block, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use tillstream_model::{Event, Seq};
use tillstream_store::ReadLimit;
use tillstream_store::state::Company;
use tokio::time::Instant;
use utoipa::IntoParams;

use super::docs::{Crowded, Denied, WrongQuery};
use super::event_filter::{Filter, business_date, correlation};
use super::event_view::EventView;
use super::extract::{Caller, Params};
use super::positions;
use crate::Hub;
use crate::access::Scope;
use crate::live::{Follower, Full, MAX_STREAMS, MAX_STREAMS_PER_COMPANY};
use crate::problem::{Kind, Problem, Result};

/// A stream that has nothing to say says so this often, so that nobody in between takes it for dead.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often it is looked up whether the key still counts.
pub const CHECK_EVERY: Duration = Duration::from_secs(5);
/// A stream whose filter passes nothing says after so many events where it is.
pub const SAY_PLACE_AFTER: usize = 1_000;
/// What is read from the log at once, and so the most that a stream holds in memory.
const BATCH: ReadLimit = ReadLimit { events: 200, bytes: 1 << 20 };
/// How long a client that lost the connection is asked to wait before it comes back.
const COME_BACK_AFTER: Duration = Duration::from_secs(1);
/// `Retry-After` while too many streams are open.
const FULL_RETRY_SECONDS: u32 = 5;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Proxies that gather what passes would hold events back.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// Which events to follow. All that is given has to hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct StreamQuery {
    /// Only events of this entity, such as `order`.
    pub entity: Option<String>,
    /// Only events of this name.
    pub name: Option<String>,
    /// Only of this site.
    pub site: Option<String>,
    /// Only of this terminal.
    pub terminal: Option<String>,
    /// Only about this one.
    pub entity_id: Option<String>,
    /// Only with this related id, as `<field>:<id>`.
    #[param(example = "order_id:o-118")]
    pub correlation: Option<String>,
    /// Only of this trading day.
    #[param(format = Date)]
    pub business_date: Option<String>,
    /// Start after this position; at the end of the log when neither this nor `Last-Event-ID` is given.
    #[param(example = "1-500")]
    pub after: Option<String>,
}

impl StreamQuery {
    fn filter(&self, caller: &Caller) -> Result<Filter> {
        self.site.as_ref().map_or(Ok(()), |site| caller.reaches_site(site))?;
        Ok(Filter {
            entity: self.entity.clone(),
            name: self.name.clone(),
            site: self.site.clone(),
            terminal: self.terminal.clone(),
            entity_id: self.entity_id.clone(),
            correlation: correlation(self.correlation.as_deref())?,
            business_date: business_date(self.business_date.as_deref())?,
            only: caller.bound_sites().to_vec(),
        })
    }
}

/// Follow events
///
/// Server-Sent Events, without an end: `id` is the position, `event` the name and `data` the event as the list shows
/// it. A client that comes back with `Last-Event-ID` (browsers do so by themselves) or `after` misses nothing that is
/// still kept. Without either it starts at the end of the log. A block with an `id` alone says how far a filter has
/// looked. A slow reader lags; nothing is left out. The stream ends when the key no longer counts and when the hub
/// ends. At most 100 streams of a company at once on one node.
#[utoipa::path(
    get, path = "/v1/events/stream", tag = "events",
    params(
        StreamQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "Start after this position; counts more than `after`")
    ),
    responses(
        (status = 200, description = "Events as they come", body = String, content_type = "text/event-stream"),
        Denied, WrongQuery, Crowded
    )
)]
pub async fn stream_events(
    State(hub): State<Hub>,
    caller: Caller,
    Params(query): Params<StreamQuery>,
    parts: Parts,
) -> Result<Response> {
    let company = caller.company(Scope::EventsRead)?.clone();
    let filter = query.filter(&caller)?;
    let start = match asked_start(&hub, &company, &query, &parts)? {
        Some(start) => start,
        None => hub.log().head(company.no).await?,
    };
    let follower = hub.live().follow(company.no).map_err(full)?;
    let first = stream::iter([Ok::<_, Infallible>(beginning(&hub, start))]);
    let (parts, batch) = (credentials(&parts), VecDeque::new());
    let reader = Reader {
        hub,
        parts,
        caller,
        company,
        filter,
        follower,
        read_to: start,
        batch,
        skipped: 0,
        checked: Instant::now(),
    };
    let events = stream::unfold(reader, |mut reader| async move { Some((Ok(reader.next().await?), reader)) });
    let blocks = Sse::new(first.chain(events)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(([UNBUFFERED], blocks).into_response())
}

/// So that a client that is cut off before the first event comes back to the right place.
fn beginning(hub: &Hub, start: Seq) -> Block {
    Block::default().retry(COME_BACK_AFTER).id(hub.stores().epochs.position(start).to_string())
}

/// What shows who asks, to look it up again.
fn credentials(parts: &Parts) -> Parts {
    let mut kept = http::Request::new(()).into_parts().0;
    kept.headers = parts.headers.clone();
    kept.extensions = parts.extensions.clone();
    kept
}

fn asked_start(hub: &Hub, company: &Company, query: &StreamQuery, parts: &Parts) -> Result<Option<Seq>> {
    let last = parts.headers.get(LAST_EVENT_ID).map(|v| ("Last-Event-ID", String::from_utf8_lossy(v.as_bytes())));
    let asked = last.or_else(|| query.after.as_deref().map(|after| ("after", after.into())));
    asked.map(|(place, text)| positions::read(hub, company, place, &text)).transpose()
}

fn full(full: Full) -> Problem {
    let (kind, text) = match full {
        Full::Company => {
            (Kind::TooManyStreams, format!("the company has {MAX_STREAMS_PER_COMPANY} streams open; close some"))
        }
        Full::Process => (Kind::Unavailable, format!("{MAX_STREAMS} streams are open here; come back later")),
    };
    Problem::new(kind, text).retry_after(FULL_RETRY_SECONDS)
}

/// One stream: a place in the log, and little more.
struct Reader {
    hub: Hub,
    parts: Parts,
    caller: Caller,
    company: Arc<Company>,
    filter: Filter,
    follower: Follower,
    read_to: Seq,
    batch: VecDeque<Arc<Event>>,
    /// Events in a row that did not pass.
    skipped: usize,
    checked: Instant,
}

impl Reader {
    /// What to send next; None: the stream is over.
    async fn next(&mut self) -> Option<Block> {
        loop {
            if self.follower.is_ended() || !self.is_welcome().await {
                return None;
            }
            while let Some(event) = self.batch.pop_front() {
                if self.filter.matches(&event) {
                    self.skipped = 0;
                    return self.block(&event);
                }
                self.skipped += 1;
            }
            if self.skipped >= SAY_PLACE_AFTER {
                self.skipped = 0;
                return Some(Block::default().id(self.hub.stores().epochs.position(self.read_to).to_string()));
            }
            self.fill().await?;
        }
    }

    /// Reads on, or waits for something to read.
    async fn fill(&mut self) -> Option<()> {
        self.follower.look();
        match self.hub.log().read(self.company.no, self.read_to, BATCH).await {
            Ok(events) if events.is_empty() => self.wait().await,
            Ok(events) => {
                self.read_to = events.last().map_or(self.read_to, |e| e.seq);
                self.batch = events.into();
                // What is in memory is read without a pause; others want to go on too.
                tokio::task::yield_now().await;
            }
            Err(e) => {
                tracing::warn!(company = self.company.no.0, error = %e, "a stream of events ends");
                return None;
            }
        }
        Some(())
    }

    async fn wait(&mut self) {
        let check = tokio::time::sleep_until(self.checked + CHECK_EVERY);
        tokio::select! {
            () = self.follower.woken() => {}
            () = check => {}
        }
    }

    fn block(&self, event: &Event) -> Option<Block> {
        let payload = self.caller.sees_payload(event.content.site.as_deref());
        let view = EventView::new(&self.company, event, payload);
        let data = serde_json::to_string(&view).ok()?;
        let id = self.hub.stores().epochs.position(event.seq).to_string();
        Some(Block::default().id(id).event(&event.content.name).data(data))
    }

    /// Whether the key may still follow; looked up again every [`CHECK_EVERY`].
    async fn is_welcome(&mut self) -> bool {
        if self.checked.elapsed() < CHECK_EVERY {
            return true;
        }
        self.checked = Instant::now();
        let Ok(caller) = Caller::from_request_parts(&mut self.parts, &self.hub).await else { return false };
        let same = caller.company(Scope::EventsRead).is_ok_and(|company| company.no == self.company.no);
        self.filter.only = caller.bound_sites().to_vec();
        self.caller = caller;
        same
    }
}
