//! The only door to the log.

mod hold;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use tillstream_model::incoming::{self, Drop, Unreadable};
use tillstream_model::path::Path;
use tillstream_model::{CompanyNo, Content, EventId, Seq, Time, Trace};
use tillstream_store::state::Company;
use tillstream_store::usage::Counts;
use tillstream_store::{Append, AppendError, Appended, Clock, StoreError, Stores};
use tokio::time::Instant;
use tracing::Instrument;

use crate::observe::Meters;
use crate::rates::{Exceeded, Rates, Standing, Whose};
use crate::sites::Sites;
use crate::terminals::{Seen, Terminals};
use crate::usage::Usage;

pub use hold::{HeldAt, Released};
pub use tillstream_model::incoming::Body as BodyKind;

/// Takes events in and answers after they are durable.
pub struct Ingest {
    stores: Stores,
    sites: Arc<Sites>,
    terminals: Arc<Terminals>,
    usage: Arc<Usage>,
    rates: Rates,
    clock: Clock,
    meters: Meters,
    drops: RwLock<HashMap<CompanyNo, Arc<Dropped>>>,
}

/// Who sends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sender<'a> {
    /// Only events of these sites are taken; of all when there are none.
    pub only: &'a [String],
    /// The key's id, and how many events a second it may send.
    pub key: Option<(&'a str, Option<u32>)>,
    /// The trace that the request belongs to, which its events go on with.
    pub trace: Option<Trace>,
}

/// A company's `ingest_drop`, parsed.
struct Dropped {
    written: Vec<String>,
    drop: Drop,
}

/// What became of a body, event by event.
#[derive(Debug, Default)]
pub struct Report {
    /// In the log.
    pub accepted: Vec<Accepted>,
    /// Not in the log, and why.
    pub rejected: Vec<Refused>,
    /// Kept beside the log until a person decides.
    pub held: Vec<HeldAt>,
    /// How the sender's tightest limit stands, if there is one.
    pub standing: Option<Standing>,
}

/// An event that is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its place in the request.
    pub index: usize,
    /// Its id.
    pub id: EventId,
    /// Its position.
    pub seq: Seq,
    /// It was in the log already, under the same idempotency id.
    pub duplicate: bool,
}

/// An event that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its place in the request.
    pub index: usize,
    /// `invalid-event`, `event-too-large`, `name-reserved`, `not-found`, `idempotency-conflict`, `held-limit` or
    /// `unavailable`.
    pub slug: &'static str,
    /// What is wrong.
    pub detail: String,
    /// The field, when it is about one.
    pub path: Option<String>,
}

/// Why nothing of a body was taken.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The body can't be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The log takes nothing now; the whole request may be repeated.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The company's sites can't be looked up; the whole request may be repeated.
    #[error(transparent)]
    Sites(#[from] StoreError),
    /// The sender sends too much.
    #[error(transparent)]
    Rate(#[from] Exceeded),
    /// The company has as much in the log as it may.
    #[error("the company has more than {limit} bytes in the log")]
    Stored {
        /// How much that is.
        limit: u64,
    },
}

impl Ingest {
    /// A door to this log.
    pub fn new(
        stores: &Stores,
        sites: Arc<Sites>,
        terminals: Arc<Terminals>,
        usage: Arc<Usage>,
        clock: Clock,
        meters: Meters,
    ) -> Self {
        let (stores, rates, drops) = (stores.clone(), Rates::default(), RwLock::default());
        Self { stores, sites, terminals, usage, rates, clock, meters, drops }
    }

    /// How much may come in.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Reads a body that is already unpacked and appends its events. Events of one body keep their order; what is wrong
    /// with one of them does not touch the others.
    pub async fn accept(
        &self,
        company: &Company,
        sender: Sender<'_>,
        body: Bytes,
        kind: BodyKind,
    ) -> Result<Report, IngestError> {
        let started = Instant::now();
        let dropped = self.dropped(company);
        let now = (self.clock)();
        let (mut report, mut events, mut unknown) = (Report::default(), Vec::new(), Vec::new());
        let read = incoming::read(&body, kind, &dropped.drop)?;
        report.standing = self.take(company, sender, read.len())?;
        let sites = self.sites_for(company, &read, now).await?;
        for (index, read) in read.into_iter().enumerate() {
            match read {
                Ok(mut content) => {
                    sites.settle(&mut content);
                    content.trace = sender.trace;
                    match out_of_reach(sender.only, index, &content) {
                        Some(refused) => report.rejected.push(refused),
                        None if hold::is_held(company, &sites, &content) => unknown.push((index, content)),
                        None => events.push((index, content)),
                    }
                }
                Err(r) => report.rejected.push(Refused { index, slug: r.slug, detail: r.detail, path: r.path }),
            }
        }
        drop(body);
        self.check_room(company, &events, now).await?;
        if !events.is_empty() {
            self.append(company, events, &mut report).await?;
            self.meters.append_seconds.record(started.elapsed());
        }
        self.hold(company, unknown, &mut report, now).await;
        report.rejected.sort_by_key(|r| r.index);
        self.count(company.no, &report);
        Ok(report)
    }

    /// Appends events that the hub makes itself, which no caller may. Their idempotency ids are the hub's own: what was
    /// said first under one stands, and a repeat changes nothing. That an event names a site is no sign of life of it.
    pub async fn append_own(&self, company: &Company, events: Vec<Content>) -> Result<(), AppendError> {
        let append = Append { company: company.no, retention: company.retention, events };
        self.stores.log.append(append).await?;
        Ok(())
    }

    /// Appends events, each with its place in the request. Conflicts are the only ones that are refused.
    async fn append(
        &self,
        company: &Company,
        events: Vec<(usize, Content)>,
        report: &mut Report,
    ) -> Result<(), AppendError> {
        let heard: BTreeSet<&str> = events.iter().filter_map(|(_, e)| e.site.as_deref()).collect();
        let heard: Vec<Box<str>> = heard.into_iter().map(Box::from).collect();
        let terminals = terminals_of(&events);
        let sizes: Vec<u64> = events.iter().map(|(_, e)| e.size() as u64).collect();
        let (indices, events): (Vec<usize>, Vec<Content>) = events.into_iter().unzip();
        let append = Append { company: company.no, retention: company.retention, events };
        let mut counts = Counts::default();
        let span = tracing::trace_span!(target: "tillstream::traces", "append", events = append.events.len());
        let appended = self.stores.log.append(append).instrument(span).await?;
        let (now, mut at) = ((self.clock)(), None);
        for ((appended, index), size) in appended.into_iter().zip(indices).zip(sizes) {
            match appended {
                Appended::New { seq, id } => {
                    counts.add(&Counts { events: 1, bytes: size, ..Counts::default() });
                    at = Some(id.time());
                    report.accepted.push(Accepted { index, id, seq, duplicate: false });
                }
                Appended::Duplicate { seq, id } => report.accepted.push(Accepted { index, id, seq, duplicate: true }),
                Appended::Conflict => report.rejected.push(hold::conflict(index)),
            }
        }
        // The log's own time says in which day's segment they are.
        self.usage.add(company.no, Some(company.retention), &counts, at.unwrap_or(now));
        self.sites.heard(company.no, heard.into_iter(), now);
        self.terminals.heard(company.no, terminals, now);
        Ok(())
    }

    fn take(&self, company: &Company, sender: Sender<'_>, events: usize) -> Result<Option<Standing>, Exceeded> {
        let of_company = company.rules.limits.events_per_second;
        let of_key = sender.key.filter(|(_, limit)| limit.is_some());
        if of_company.is_none() && of_key.is_none() {
            return Ok(None);
        }
        let company = (Whose::Company(company.no), of_company);
        match of_key {
            Some((id, limit)) => self.rates.take(&[(Whose::Key(id.to_owned()), limit), company], events),
            None => self.rates.take(&[company], events),
        }
    }

    async fn check_room(&self, company: &Company, events: &[(usize, Content)], now: Time) -> Result<(), IngestError> {
        let Some(limit) = company.rules.limits.stored_bytes else { return Ok(()) };
        let more: u64 = events.iter().map(|(_, e)| e.size() as u64).sum();
        match self.usage.stored_bytes(company.no, now).await? + more > limit {
            true => Err(IngestError::Stored { limit }),
            false => Ok(()),
        }
    }

    fn dropped(&self, company: &Company) -> Arc<Dropped> {
        let known = self.drops.read().unwrap_or_else(PoisonError::into_inner).get(&company.no).cloned();
        match known {
            Some(dropped) if dropped.written == company.ingest_drop => dropped,
            _ => self.parse_drop(company),
        }
    }

    fn parse_drop(&self, company: &Company) -> Arc<Dropped> {
        // Paths are checked when a company is saved, so none is left out here.
        let paths = company.ingest_drop.iter().filter_map(|p| Path::parse(p).ok()).collect();
        let dropped = Arc::new(Dropped { written: company.ingest_drop.clone(), drop: Drop(paths) });
        self.drops.write().unwrap_or_else(PoisonError::into_inner).insert(company.no, dropped.clone());
        dropped
    }

    fn count(&self, company: CompanyNo, report: &Report) {
        let duplicates = report.accepted.iter().filter(|a| a.duplicate).count() as u64;
        let new = report.accepted.len() as u64 - duplicates;
        self.meters.events_accepted.increment(new);
        self.meters.statistics.accepted(company, new, (self.clock)());
        if duplicates > 0 {
            self.meters.events_duplicate.increment(duplicates);
        }
        if !report.rejected.is_empty() {
            self.meters.events_refused.increment(report.rejected.len() as u64);
        }
    }
}

/// The terminals of events, each with the trading day that the last of them names.
fn terminals_of(events: &[(usize, Content)]) -> Seen {
    let mut found = BTreeMap::<(&str, &str), Option<&str>>::new();
    for (_, event) in events {
        if let (Some(site), Some(terminal)) = (&event.site, &event.terminal) {
            let date = found.entry((site, terminal)).or_default();
            *date = event.business_date.as_deref().or(*date);
        }
    }
    found.into_iter().map(|((site, terminal), date)| ((site.into(), terminal.into()), date.map(Box::from))).collect()
}

/// An event of a site that the sender's key does not reach, as if there were no such site.
fn out_of_reach(only: &[String], index: usize, content: &Content) -> Option<Refused> {
    let site = content.site.as_deref();
    if only.is_empty() || site.is_some_and(|site| only.iter().any(|o| o == site)) {
        return None;
    }
    let detail = match site {
        Some(site) => format!("there is no site \"{site}\""),
        None => "the key is bound to sites; name one".to_owned(),
    };
    Some(Refused { index, slug: "not-found", detail, path: Some("site".into()) })
}
