//! Held events as they are stored: what the log would keep, without a position and an id.

use std::collections::BTreeMap;

use tillstream_model::{CompanyNo, Content, Event, EventId, Time};

use super::caller::Caller;
use super::{Cause, event};
use crate::held::{HeldLimits, HeldSite, Holding};

/// An event that is to be held.
pub(crate) struct Row {
    pub(crate) site: String,
    pub(crate) size: i64,
    pub(crate) caller: Option<Caller>,
    pub(crate) event: Vec<u8>,
}

impl Row {
    /// As stored.
    pub(crate) fn of(company: CompanyNo, content: Content, at: Time) -> Result<Self, Cause> {
        let site = content.site.as_deref().ok_or("an event that is to be held names no site")?.to_owned();
        let size = i64::try_from(content.size())?;
        let caller = Caller::of(company, &content);
        let event = Event { company, seq: 0, id: EventId::new(at, [0; 10]), accepted_at: at, content };
        Ok(Self { site, size, caller, event: event::write(&event)? })
    }
}

/// What a stored event says.
pub(crate) fn content(stored: &[u8]) -> Result<Content, Cause> {
    Ok(event::read(stored)?.content)
}

/// What is known of an event that is held under the same idempotency id.
pub(crate) fn repeat(caller: &Caller, fingerprint: &[u8]) -> Holding {
    if fingerprint == caller.fingerprint { Holding::Duplicate } else { Holding::Conflict }
}

/// What is held of a company, and what comes to it.
pub(crate) struct Room {
    limits: HeldLimits,
    events: u64,
    bytes: u64,
    sites: BTreeMap<String, (u64, u64)>,
}

impl Room {
    /// Beside what is held already.
    pub(crate) fn of(held: &[HeldSite], limits: HeldLimits) -> Self {
        Self {
            limits,
            events: held.iter().map(|h| h.events).sum(),
            bytes: held.iter().map(|h| h.bytes).sum(),
            sites: held.iter().map(|h| (h.site.clone(), (0, 0))).collect(),
        }
    }

    /// Takes an event in; false when there is no room for it.
    pub(crate) fn take(&mut self, row: &Row) -> bool {
        let size = u64::try_from(row.size).unwrap_or_default();
        self.events += 1;
        self.bytes += size;
        let (events, bytes) = self.sites.entry(row.site.clone()).or_default();
        *events += 1;
        *bytes += size;
        let sites = self.sites.len() as u64;
        self.events <= self.limits.events && self.bytes <= self.limits.bytes && sites <= self.limits.sites
    }

    /// What came: events and bytes by site.
    pub(crate) fn came(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        self.sites
            .iter()
            .filter(|(_, (events, _))| *events > 0)
            .map(|(s, (events, bytes))| (s.as_str(), *events, *bytes))
    }
}
