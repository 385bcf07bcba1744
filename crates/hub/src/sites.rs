//! Sites: what is known of them, by which names events may call them, and when they were last heard from.

mod figures;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tillstream_model::{CompanyNo, Content, Time};
use tillstream_store::state::{Expected, SaveError};
use tillstream_store::{State, StoreError};
use utoipa::ToSchema;

use crate::documents::{self, Kind};
use crate::terminals::Numbers;

pub use figures::Figures;

/// How long what is known of a company's sites counts before it is looked at again.
const FRESH: Duration = Duration::from_secs(5);
/// Sites that are read at once.
const PAGE: usize = 1_000;
/// Most sites whose last event is remembered here.
pub const MAX_HEARD: usize = 100_000;
/// How old what others know of a site's last event may become.
const NOTE_AFTER: Duration = Duration::from_secs(60);

/// A store, restaurant or warehouse.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Site {
    /// Its number among the company's stores.
    pub store_number: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// Its IANA time zone; None: the company's.
    pub timezone: Option<String>,
    /// How its amounts are rounded.
    pub money: Money,
    /// Other ids under which events name it.
    pub aliases: Vec<String>,
    /// It counts as silent after so many minutes without an event; None: never.
    pub silent_after_minutes: Option<u32>,
    /// Nobody has made it: an event named it.
    pub is_new: bool,
}

impl Kind for Site {
    const KIND: &'static str = "site";
}

/// How amounts of a site are rounded (`contracts/data-stream.md`, sales figures).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Money {
    /// Digits after the point: 0, 2 or 3.
    #[schema(example = 2)]
    pub precision: u8,
    /// Which way.
    pub rounding: Rounding,
}

impl Default for Money {
    fn default() -> Self {
        Money { precision: 2, rounding: Rounding::Nearest }
    }
}

/// Which way amounts are rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Half away from zero.
    #[default]
    Nearest,
    /// Away from zero.
    Up,
    /// Towards zero.
    Down,
}

/// When a site was last heard from, as other nodes and later processes know it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Heard {
    at: Time,
}

impl Kind for Heard {
    const KIND: &'static str = "site_heard";
}

/// Counts the changes of a company's sites, so that others need not read all of them to see that none changed.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Changes {}

impl Kind for Changes {
    const KIND: &'static str = "site_changes";
}

/// A company's sites by their names.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    ids: HashSet<Box<str>>,
    /// Store numbers and aliases.
    names: HashMap<Box<str>, Box<str>>,
    terminals: Numbers,
}

impl Directory {
    /// The id of the site that is called so; ids come before aliases, and aliases before store numbers.
    pub fn resolve<'a>(&'a self, name: &'a str) -> &'a str {
        if self.ids.contains(name) {
            return name;
        }
        self.names.get(name).map_or(name, |id| id)
    }

    /// Whether there is a site with this id.
    pub fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// The terminals of these sites.
    pub fn terminals(&self) -> &Numbers {
        &self.terminals
    }

    /// Puts the site's id in the place of another name, and then its terminal's.
    pub fn settle(&self, content: &mut Content) {
        if let Some(site) = &content.site {
            let id = self.resolve(site);
            if id != &**site {
                content.site = Some(id.into());
            }
        }
        self.terminals.settle(content);
    }

    fn add(&mut self, id: &str, site: &Site) {
        self.ids.insert(id.into());
        for alias in &site.aliases {
            self.names.insert(alias.as_str().into(), id.into());
        }
    }

    /// After all aliases.
    fn add_number(&mut self, id: &str, site: &Site) {
        if let Some(number) = &site.store_number {
            self.names.entry(number.as_str().into()).or_insert_with(|| id.into());
        }
    }
}

/// Knows the sites of all companies.
pub struct Sites {
    state: Arc<dyn State>,
    known: Mutex<HashMap<CompanyNo, Known>>,
    /// Sites that this process heard from.
    heard: Mutex<BTreeMap<(CompanyNo, Box<str>), Last>>,
}

/// When a site was last heard from, and what of that is written down.
#[derive(Clone, Copy, Default)]
struct Last {
    at: Time,
    noted: Option<Time>,
}

struct Known {
    directory: Arc<Directory>,
    changes: u32,
    looked_at: Time,
}

impl Sites {
    /// Of this state.
    pub fn new(state: Arc<dyn State>) -> Self {
        Self { state, known: Mutex::default(), heard: Mutex::default() }
    }

    /// A company's sites, as they were a few seconds ago at most.
    pub async fn directory(&self, company: CompanyNo, now: Time) -> Result<Arc<Directory>, StoreError> {
        let known = lock(&self.known).get(&company).map(|k| (k.directory.clone(), k.looked_at));
        if let Some((directory, _)) = known.filter(|(_, at)| now < *at + FRESH && *at <= now) {
            return Ok(directory);
        }
        self.look_again(company, now).await
    }

    /// A company's sites as they are now.
    pub async fn look_again(&self, company: CompanyNo, now: Time) -> Result<Arc<Directory>, StoreError> {
        let known = lock(&self.known).get(&company).map(|k| (k.directory.clone(), k.changes));
        let changes = self.changes(company).await?;
        let directory = match known {
            Some((directory, then)) if then == changes => directory,
            _ => Arc::new(self.read(company).await?),
        };
        lock(&self.known).insert(company, Known { directory: directory.clone(), changes, looked_at: now });
        Ok(directory)
    }

    /// Counts the changes of a company's sites.
    pub async fn changes(&self, company: CompanyNo) -> Result<u32, StoreError> {
        Ok(documents::get::<Changes>(&*self.state, Some(company), "all").await?.map_or(0, |c| c.version))
    }

    async fn read(&self, company: CompanyNo) -> Result<Directory, StoreError> {
        let (mut directory, all) = (Directory::default(), self.all::<Site>(company).await?);
        for site in &all {
            directory.add(&site.id, &site.value);
        }
        for site in &all {
            directory.add_number(&site.id, &site.value);
        }
        directory.terminals = Numbers::read(&*self.state, company).await?;
        Ok(directory)
    }

    /// A company's sites were changed: everybody looks again, this process at once.
    pub async fn changed(&self, company: CompanyNo) -> Result<(), SaveError> {
        documents::put(&*self.state, Some(company), "all", &Changes {}, Expected::Anything).await?;
        lock(&self.known).remove(&company);
        Ok(())
    }

    /// Events of these sites were accepted.
    pub fn heard(&self, company: CompanyNo, sites: impl Iterator<Item = Box<str>>, at: Time) {
        let mut heard = lock(&self.heard);
        for site in sites {
            let room = heard.len() < MAX_HEARD;
            let key = (company, site);
            if room || heard.contains_key(&key) {
                let last = heard.entry(key).or_default();
                last.at = last.at.max(at);
            }
        }
    }

    /// When a site was last heard from.
    pub async fn last_heard(&self, company: CompanyNo, site: &str) -> Result<Option<Time>, StoreError> {
        let noted = documents::get::<Heard>(&*self.state, Some(company), site).await?.map(|h| h.value.at);
        let since = lock(&self.heard).get(&(company, Box::from(site))).map(|last| last.at);
        Ok(noted.max(since))
    }

    /// Writes down who was heard from, and makes sites that nobody has made. What could not be written is written the
    /// next time.
    pub async fn flush(&self, now: Time) {
        let old = |last: &Last| last.noted.is_none_or(|noted| noted + NOTE_AFTER <= last.at);
        let due: Vec<_> =
            lock(&self.heard).iter().filter(|(_, last)| old(last)).map(|(key, last)| (key.clone(), last.at)).collect();
        for ((company, site), at) in due {
            match self.note(company, &site, at, now).await {
                Ok(()) => {}
                Err(SaveError::Store(e)) if e.gone => {
                    lock(&self.heard).remove(&(company, site));
                    continue;
                }
                Err(e) => {
                    tracing::warn!(error = %e, "sites that were heard from could not be noted; trying again in the next round");
                    return;
                }
            }
            if let Some(last) = lock(&self.heard).get_mut(&(company, site)) {
                last.noted = Some(at);
            }
        }
    }

    async fn note(&self, company: CompanyNo, site: &str, at: Time, now: Time) -> Result<(), SaveError> {
        documents::put(&*self.state, Some(company), site, &Heard { at }, Expected::Anything).await?;
        if !self.directory(company, now).await?.has(site) {
            let new = Site { is_new: true, ..Site::default() };
            match documents::put(&*self.state, Some(company), site, &new, Expected::New).await {
                Ok(_) => self.changed(company).await?,
                // Somebody made it in this moment.
                Err(SaveError::Changed(_)) => {}
                Err(e) => return Err(e),
            }
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

    fn directory(sites: &[(&str, Option<&str>, &[&str])]) -> Directory {
        let site = |number: &Option<&str>, aliases: &[&str]| Site {
            store_number: number.map(str::to_owned),
            aliases: aliases.iter().map(|a| (*a).to_owned()).collect(),
            ..Site::default()
        };
        let mut directory = Directory::default();
        for (id, number, aliases) in sites {
            directory.add(id, &site(number, aliases));
        }
        for (id, number, aliases) in sites {
            directory.add_number(id, &site(number, aliases));
        }
        directory
    }

    #[test]
    fn an_id_comes_before_an_alias_and_an_alias_before_a_number() {
        let d = directory(&[
            ("a", Some("7"), &["north"]),
            ("7", None, &[]),
            ("b", Some("north"), &["8"]),
            ("c", Some("9"), &[]),
        ]);
        for (name, id) in [("a", "a"), ("7", "7"), ("north", "a"), ("8", "b"), ("9", "c"), ("new", "new")] {
            assert_eq!(d.resolve(name), id, "{name}");
        }
        assert!(d.has("b") && !d.has("north"));
    }
}
