//! Terminals of sites: what is known of them, and when they were last heard from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tillstream_model::{CompanyNo, Content, Time};
use tillstream_store::state::{Expected, SaveError};
use tillstream_store::{State, StoreError};

use crate::documents::{self, Kind, Saved};
use crate::sites::Sites;

/// Most terminals of a site.
pub const MAX_TERMINALS: usize = 1_000;
/// Most terminals whose last event is remembered here.
pub const MAX_HEARD: usize = 100_000;
/// How old what others know of a terminal's last event may become.
const NOTE_AFTER: Duration = Duration::from_secs(60);
/// Terminals that are read at once.
const PAGE: usize = 1_000;
/// Between site and terminal in a document's id; neither of them has control characters.
const BETWEEN: char = '\n';

/// A till, kiosk or other device of a site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terminal {
    /// Its number within the site.
    pub number: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// Nobody has made it: an event named it.
    pub is_new: bool,
}

impl Kind for Terminal {
    const KIND: &'static str = "terminal";
}

/// When a terminal was last heard from, as other nodes and later processes know it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Heard {
    /// When its last event was accepted.
    pub at: Time,
    /// The trading day that its newest event names.
    pub business_date: Option<String>,
}

impl Kind for Heard {
    const KIND: &'static str = "terminal_heard";
}

impl Heard {
    fn or_newer(self, other: Heard) -> Heard {
        let (older, newer) = if self.at <= other.at { (self, other) } else { (other, self) };
        Heard { business_date: newer.business_date.or(older.business_date), ..newer }
    }
}

/// A terminal as a document names it.
pub fn id_of(site: &str, terminal: &str) -> String {
    format!("{site}{BETWEEN}{terminal}")
}

/// The terminals of a company's sites by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// Ids and numbers by site, each with the id it stands for. Ids come before numbers.
    sites: HashMap<Box<str>, HashMap<Box<str>, Box<str>>>,
    ids: HashMap<Box<str>, usize>,
}

impl Numbers {
    /// Reads all terminals of a company.
    pub async fn read(state: &dyn State, company: CompanyNo) -> Result<Self, StoreError> {
        let (mut numbers, mut all) = (Self::default(), Vec::<Saved<Terminal>>::new());
        loop {
            let after = all.last().map_or("", |t| t.id.as_str());
            let page = documents::list::<Terminal>(state, Some(company), after, PAGE).await?;
            let last = page.len() < PAGE;
            all.extend(page);
            if last {
                break;
            }
        }
        let split = |id: &'_ str| id.split_once(BETWEEN).map(|(s, t)| (Box::<str>::from(s), Box::<str>::from(t)));
        for (site, id) in all.iter().filter_map(|t| split(&t.id)) {
            *numbers.ids.entry(site.clone()).or_default() += 1;
            numbers.sites.entry(site).or_default().insert(id.clone(), id);
        }
        for terminal in &all {
            if let (Some((site, id)), Some(number)) = (split(&terminal.id), &terminal.value.number) {
                numbers.sites.entry(site).or_default().entry(number.as_str().into()).or_insert(id);
            }
        }
        Ok(numbers)
    }

    /// The id of the terminal that is called so.
    pub fn resolve<'a>(&'a self, site: &str, name: &'a str) -> &'a str {
        self.sites.get(site).and_then(|names| names.get(name)).map_or(name, |id| id)
    }

    /// Whether a site has a terminal with this id.
    pub fn has(&self, site: &str, id: &str) -> bool {
        self.sites.get(site).and_then(|names| names.get(id)).is_some_and(|known| **known == *id)
    }

    /// How many terminals a site has.
    pub fn count(&self, site: &str) -> usize {
        self.ids.get(site).copied().unwrap_or_default()
    }

    /// Puts the terminal's id in the place of its number. The site's id is in its place already.
    pub fn settle(&self, content: &mut Content) {
        if let (Some(site), Some(terminal)) = (&content.site, &content.terminal) {
            let id = self.resolve(site, terminal);
            if id != &**terminal {
                content.terminal = Some(id.into());
            }
        }
    }
}

/// Sites and terminals that events name, each with the trading day that the newest of them names.
pub type Seen = BTreeMap<(Box<str>, Box<str>), Option<Box<str>>>;

/// A terminal, wherever it is.
type Place = (CompanyNo, Box<str>, Box<str>);

/// Terminals that this process heard from, and what of that is written down.
pub struct Terminals {
    state: Arc<dyn State>,
    heard: Mutex<BTreeMap<Place, (Heard, Option<Time>)>>,
}

impl Terminals {
    /// Of this state.
    pub fn new(state: Arc<dyn State>) -> Self {
        Self { state, heard: Mutex::default() }
    }

    /// These were accepted: each terminal with the trading day of its newest event.
    pub fn heard(&self, company: CompanyNo, terminals: Seen, at: Time) {
        let mut heard = lock(&self.heard);
        for ((site, terminal), date) in terminals {
            let room = heard.len() < MAX_HEARD;
            let place = (company, site, terminal);
            if room || heard.contains_key(&place) {
                let (last, _) = heard.entry(place).or_default();
                let newest = Heard { at, business_date: date.map(Into::into) };
                *last = std::mem::take(last).or_newer(newest);
            }
        }
    }

    /// When a terminal was last heard from, and the trading day it was at.
    pub async fn last_heard(&self, company: CompanyNo, site: &str, id: &str) -> Result<Option<Heard>, StoreError> {
        let noted = documents::get::<Heard>(&*self.state, Some(company), &id_of(site, id)).await?.map(|h| h.value);
        let since = lock(&self.heard).get(&(company, site.into(), id.into())).map(|(heard, _)| heard.clone());
        Ok(match (noted, since) {
            (Some(noted), Some(since)) => Some(noted.or_newer(since)),
            (noted, since) => noted.or(since),
        })
    }

    /// Writes down who was heard from, and makes terminals that nobody has made. What could not be written is written
    /// the next time.
    pub async fn flush(&self, sites: &Sites, now: Time) {
        let old = |heard: &Heard, noted: &Option<Time>| noted.is_none_or(|noted| noted + NOTE_AFTER <= heard.at);
        let due: Vec<(Place, Heard)> = lock(&self.heard)
            .iter()
            .filter(|(_, (heard, noted))| old(heard, noted))
            .map(|(place, (heard, _))| (place.clone(), heard.clone()))
            .collect();
        let mut made = BTreeMap::new();
        for (place, heard) in due {
            match self.note(sites, &place, &heard, &mut made, now).await {
                Ok(()) => {}
                Err(SaveError::Store(e)) if e.gone => {
                    lock(&self.heard).remove(&place);
                    continue;
                }
                Err(e) => {
                    tracing::warn!(error = %e, "terminals that were heard from could not be noted; trying again in the next round");
                    break;
                }
            }
            if let Some((_, noted)) = lock(&self.heard).get_mut(&place) {
                *noted = Some(heard.at);
            }
        }
        // Once for all, because everybody reads a company's sites again then.
        let companies: BTreeSet<CompanyNo> = made.into_keys().map(|(company, _)| company).collect();
        for company in companies {
            if let Err(e) = sites.changed(company).await {
                tracing::warn!(error = %e, "new terminals count when something else of the company's sites changes");
            }
        }
    }

    /// `made` counts the terminals that were made in this round.
    async fn note(
        &self,
        sites: &Sites,
        place: &Place,
        heard: &Heard,
        made: &mut BTreeMap<(CompanyNo, Box<str>), usize>,
        now: Time,
    ) -> Result<(), SaveError> {
        let (company, site, terminal) = place;
        let (of, id) = (Some(*company), id_of(site, terminal));
        let directory = sites.directory(*company, now).await?;
        let terminals = directory.terminals();
        let known = terminals.has(site, terminal);
        let new = made.get(&(*company, site.clone())).copied().unwrap_or_default();
        if !known && terminals.count(site) + new >= MAX_TERMINALS {
            return Ok(());
        }
        documents::put(&*self.state, of, &id, heard, Expected::Anything).await?;
        if known {
            return Ok(());
        }
        let terminal = Terminal { is_new: true, ..Terminal::default() };
        match documents::put(&*self.state, of, &id, &terminal, Expected::New).await {
            Ok(_) => *made.entry((*company, site.clone())).or_default() += 1,
            // It was made since the directory was read.
            Err(SaveError::Changed(_)) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_event_without_a_trading_day_leaves_the_one_that_is_known() {
        let heard = |at, date: Option<&str>| Heard { at: Time::from_millis(at), business_date: date.map(Into::into) };
        assert_eq!(heard(1, Some("a")).or_newer(heard(2, None)), heard(2, Some("a")));
        assert_eq!(heard(1, Some("a")).or_newer(heard(2, Some("b"))), heard(2, Some("b")));
        assert_eq!(heard(3, Some("a")).or_newer(heard(2, Some("b"))), heard(3, Some("a")));
    }
}
