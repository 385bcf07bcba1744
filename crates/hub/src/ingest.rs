//! The only door to the log.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use tillstream_model::incoming::{self, Drop, Unreadable};
use tillstream_model::path::Path;
use tillstream_model::{CompanyNo, Content, EventId, Seq};
use tillstream_store::state::Company;
use tillstream_store::{Append, AppendError, Appended, Clock, Log, StoreError};
use tokio::time::Instant;
use tracing::Instrument;

use crate::observe::Meters;
use crate::sites::Sites;

pub use tillstream_model::incoming::Body as BodyKind;

/// Takes events in and answers after they are durable.
pub struct Ingest {
    log: Arc<dyn Log>,
    sites: Arc<Sites>,
    clock: Clock,
    meters: Meters,
    drops: RwLock<HashMap<CompanyNo, Arc<Dropped>>>,
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
    /// `invalid-event`, `event-too-large`, `name-reserved`, `not-found` or `idempotency-conflict`.
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
}

impl Ingest {
    /// A door to this log.
    pub fn new(log: Arc<dyn Log>, sites: Arc<Sites>, clock: Clock, meters: Meters) -> Self {
        Self { log, sites, clock, meters, drops: RwLock::default() }
    }

    /// Reads a body that is already unpacked and appends its events. Events of one body keep their order; what is wrong
    /// with one of them does not touch the others. Only events of these sites are taken; of all when there are none.
    pub async fn accept(
        &self,
        company: &Company,
        only: &[String],
        body: Bytes,
        kind: BodyKind,
    ) -> Result<Report, IngestError> {
        let started = Instant::now();
        let dropped = self.dropped(company);
        let sites = self.sites.directory(company.no, (self.clock)()).await?;
        let mut report = Report::default();
        let mut indices = Vec::new();
        let mut events = Vec::new();
        for (index, read) in incoming::read(&body, kind, &dropped.drop)?.into_iter().enumerate() {
            match read {
                Ok(mut content) => {
                    sites.settle(&mut content);
                    match out_of_reach(only, index, &content) {
                        Some(refused) => report.rejected.push(refused),
                        None => {
                            indices.push(index);
                            events.push(content);
                        }
                    }
                }
                Err(r) => report.rejected.push(Refused { index, slug: r.slug, detail: r.detail, path: r.path }),
            }
        }
        drop(body);
        if !events.is_empty() {
            let heard: BTreeSet<Box<str>> = events.iter().filter_map(|e| e.site.clone()).collect();
            self.append(company, events, &indices, &mut report).await?;
            self.sites.heard(company.no, heard.into_iter(), (self.clock)());
            self.meters.append_seconds.record(started.elapsed());
        }
        self.count(&report);
        Ok(report)
    }

    /// Appends events that the hub makes itself, which no caller may. Their idempotency ids are the hub's own: what was
    /// said first under one stands, and a repeat changes nothing. That an event names a site is no sign of life of it.
    pub async fn append_own(&self, company: &Company, events: Vec<Content>) -> Result<(), AppendError> {
        let append = Append { company: company.no, retention: company.retention, events };
        self.log.append(append).await?;
        Ok(())
    }

    async fn append(
        &self,
        company: &Company,
        events: Vec<Content>,
        indices: &[usize],
        report: &mut Report,
    ) -> Result<(), AppendError> {
        let append = Append { company: company.no, retention: company.retention, events };
        let span = tracing::trace_span!(target: "tillstream::traces", "append", events = append.events.len());
        for (appended, &index) in self.log.append(append).instrument(span).await?.into_iter().zip(indices) {
            match appended {
                Appended::New { seq, id } => report.accepted.push(Accepted { index, id, seq, duplicate: false }),
                Appended::Duplicate { seq, id } => report.accepted.push(Accepted { index, id, seq, duplicate: true }),
                Appended::Conflict => report.rejected.push(Refused {
                    index,
                    slug: "idempotency-conflict",
                    detail: "another event was accepted under this id in the last 7 days".into(),
                    path: Some("id".into()),
                }),
            }
        }
        report.rejected.sort_by_key(|r| r.index);
        Ok(())
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

    fn count(&self, report: &Report) {
        let duplicates = report.accepted.iter().filter(|a| a.duplicate).count() as u64;
        self.meters.events_accepted.increment(report.accepted.len() as u64 - duplicates);
        if duplicates > 0 {
            self.meters.events_duplicate.increment(duplicates);
        }
        if !report.rejected.is_empty() {
            self.meters.events_refused.increment(report.rejected.len() as u64);
        }
    }
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
