//! Events of sites that nobody knows: held beside the log, and let into it by a person
//! (`docs/decisions/0031-events-of-unknown-sites.md`).

use std::sync::Arc;

use tillstream_model::incoming;
use tillstream_store::held::{HoldError, Holding};
use tillstream_store::state::UnknownSites;

use super::{Company, Content, Ingest, IngestError, Refused, Report, StoreError, Time};
use crate::held::{AT_ONCE, LIMITS, to_append};
use crate::sites::Directory;

/// An event that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldAt {
    /// Its place in the request.
    pub index: usize,
    /// It was held already, under the same idempotency id.
    pub duplicate: bool,
}

/// What became of a site's held events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// In the log now.
    pub appended: u64,
    /// They were in the log already.
    pub duplicates: u64,
    /// Still held: the log has another event under their idempotency id.
    pub conflicts: u64,
}

impl Ingest {
    /// The company's sites. Before an event is held it is made sure that its site is not known by now: what another
    /// node lets go must not be held again.
    pub(super) async fn sites_for(
        &self,
        company: &Company,
        read: &[Result<Content, incoming::Refused>],
        now: Time,
    ) -> Result<Arc<Directory>, StoreError> {
        let sites = self.sites.directory(company.no, now).await?;
        match read.iter().flatten().any(|content| is_held(company, &sites, content)) {
            true => self.sites.look_again(company.no, now).await,
            false => Ok(sites),
        }
    }

    /// Holds events, or says of each why it is not held. The others of the request are in the log by then.
    pub(super) async fn hold(&self, company: &Company, events: Vec<(usize, Content)>, report: &mut Report, now: Time) {
        if events.is_empty() {
            return;
        }
        let (indices, events): (Vec<usize>, Vec<Content>) = events.into_iter().unzip();
        match self.stores.state.hold(company.no, events, now, LIMITS).await {
            Ok(held) => {
                for (held, index) in held.into_iter().zip(indices) {
                    match held {
                        Holding::New => report.held.push(HeldAt { index, duplicate: false }),
                        Holding::Duplicate => report.held.push(HeldAt { index, duplicate: true }),
                        Holding::Conflict => report.rejected.push(conflict(index)),
                    }
                }
            }
            Err(e) => report.rejected.extend(indices.into_iter().map(|index| not_held(index, &e))),
        }
    }

    /// Appends what is held of a site, in order, and lets go of it. A release that broke off is repeated without harm.
    pub async fn release(&self, company: &Company, site: &str) -> Result<Released, IngestError> {
        let (state, mut after, mut done) = (&self.stores.state, 0, Released::default());
        loop {
            let held = state.held(company.no, site, after, AT_ONCE).await?;
            let Some(last) = held.last() else { return Ok(done) };
            after = last.id;
            let sites = self.sites.look_again(company.no, (self.clock)()).await?;
            let events = held.iter().map(to_append).enumerate().map(|(index, mut content)| {
                sites.settle(&mut content);
                (index, content)
            });
            let mut report = Report::default();
            self.append(company, events.collect(), &mut report).await?;
            let gone = report.accepted.iter().filter_map(|a| Some(held.get(a.index)?.id)).collect();
            state.unhold(company.no, site, gone).await?;
            let duplicates = report.accepted.iter().filter(|a| a.duplicate).count() as u64;
            done.duplicates += duplicates;
            done.appended += report.accepted.len() as u64 - duplicates;
            done.conflicts += report.rejected.len() as u64;
            self.count(company.no, &report);
        }
    }

    /// Removes what is held of a site; how many events that were.
    pub async fn discard(&self, company: &Company, site: &str) -> Result<u64, StoreError> {
        let (state, mut removed) = (&self.stores.state, 0);
        loop {
            let held = state.held(company.no, site, 0, AT_ONCE).await?;
            if held.is_empty() {
                return Ok(removed);
            }
            removed += held.len() as u64;
            state.unhold(company.no, site, held.iter().map(|h| h.id).collect()).await?;
        }
    }
}

/// Whether an event is of a site that nobody knows, and the company wants it held.
pub(super) fn is_held(company: &Company, sites: &Directory, content: &Content) -> bool {
    let holds = company.rules.unknown_sites == UnknownSites::Hold;
    holds && content.site.as_deref().is_some_and(|site| !sites.has(sites.resolve(site)))
}

/// Another event has the idempotency id.
pub(super) fn conflict(index: usize) -> Refused {
    Refused {
        index,
        slug: "idempotency-conflict",
        detail: "another event was accepted under this id in the last 7 days".into(),
        path: Some("id".into()),
    }
}

fn not_held(index: usize, e: &HoldError) -> Refused {
    let (slug, detail) = match e {
        HoldError::Full => (
            "held-limit",
            format!(
                "nobody knows the site, and {} events, {} bytes or {} sites are held already; release or delete some",
                LIMITS.events, LIMITS.bytes, LIMITS.sites
            ),
        ),
        HoldError::Store(e) => {
            tracing::warn!(error = %e, "events could not be held");
            ("unavailable", "nobody knows the site, and the event could not be held; send it again".to_owned())
        }
    };
    Refused { index, slug, detail, path: Some("site".into()) }
}
