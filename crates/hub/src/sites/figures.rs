//! How many sites there are, and how many are heard from.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use tillstream_model::{CompanyNo, Time};
use tillstream_store::StoreError;
use utoipa::ToSchema;

use super::{Heard, PAGE, Site, Sites, lock};
use crate::documents::{self, Kind, Saved};

/// A site counts as heard from when its last event is no older.
const HEARD_WITHIN: Duration = Duration::from_secs(3_600);

/// A company's sites in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SiteFigures)]
pub struct Figures {
    /// All.
    pub total: u64,
    /// Those that an event named and nobody has saved yet.
    pub new: u64,
    /// Those with an event in the last hour.
    pub heard: u64,
    /// Those without an event for longer than their own limit.
    pub silent: u64,
}

impl Figures {
    fn add(&mut self, site: &Site, heard: Option<Time>, made: Time, now: Time) {
        self.total += 1;
        self.new += u64::from(site.is_new);
        self.heard += u64::from(heard.is_some_and(|at| now.since(at) <= HEARD_WITHIN));
        let since = now.since(heard.unwrap_or(made));
        let limit = site.silent_after_minutes.map(|minutes| Duration::from_secs(u64::from(minutes) * 60));
        self.silent += u64::from(limit.is_some_and(|limit| since > limit));
    }
}

impl Sites {
    /// A company's sites in figures; of what other nodes heard as they knew it about a minute ago.
    pub async fn figures(&self, company: CompanyNo, now: Time) -> Result<Figures, StoreError> {
        let noted = self.all::<Heard>(company).await?;
        let mut heard: HashMap<String, Time> = noted.into_iter().map(|h| (h.id, h.value.at)).collect();
        for ((_, site), last) in lock(&self.heard).range((company, Box::from(""))..).take_while(|(k, _)| k.0 == company)
        {
            let known = heard.entry(site.to_string()).or_insert(last.at);
            *known = last.at.max(*known);
        }
        let mut figures = Figures::default();
        for site in self.all::<Site>(company).await? {
            figures.add(&site.value, heard.get(&site.id).copied(), site.created_at, now);
        }
        Ok(figures)
    }

    pub(crate) async fn all<T: Kind>(&self, company: CompanyNo) -> Result<Vec<Saved<T>>, StoreError> {
        let mut all: Vec<Saved<T>> = Vec::new();
        loop {
            let after = all.last().map_or("", |s| s.id.as_str());
            let page = documents::list::<T>(&*self.state, Some(company), after, PAGE).await?;
            let last = page.len() < PAGE;
            all.extend(page);
            if last {
                return Ok(all);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_silent_after_its_own_limit_counted_from_its_last_event_or_its_making() {
        let minute = |n: u64| Time::default() + Duration::from_secs(n * 60);
        let told = |limit: Option<u32>, heard: Option<u64>, now: u64| {
            let mut figures = Figures::default();
            let site = Site { silent_after_minutes: limit, ..Site::default() };
            figures.add(&site, heard.map(minute), minute(10), minute(now));
            (figures.heard, figures.silent)
        };
        assert_eq!(told(Some(30), Some(100), 130), (1, 0));
        assert_eq!(told(Some(30), Some(100), 131), (1, 1));
        assert_eq!(told(Some(30), None, 40), (0, 0));
        assert_eq!(told(Some(30), None, 41), (0, 1));
        assert_eq!(told(None, Some(100), 160), (1, 0));
        assert_eq!(told(None, Some(100), 161), (0, 0), "nobody set a limit");
    }
}
