//! Who asks, as far as requests need it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tillstream_model::Time;
use tillstream_store::state::{Bound, Company};

use super::{Powers, Scope, Scopes};

/// What kind of holder it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A program with a key.
    Key,
    /// A person who signed in.
    Person,
    /// A session of the portal inside somebody's page.
    Portal,
}

/// Who holds a key or a session.
#[derive(Debug)]
pub struct Holder {
    /// What kind.
    pub who: Who,
    /// The id of the key, the person, or the portal's session.
    pub key_id: String,
    /// What may be done.
    pub scopes: Scopes,
    /// What it may be done with.
    pub bound: Bound,
    /// Whose it is; None for an operator's key.
    pub company: Option<Arc<Company>>,
    /// The id of the session, when it is one.
    pub session: Option<String>,
    /// Not valid from then on.
    pub expires_at: Option<Time>,
    /// For scopes that a person has for some sites only: which.
    pub(super) sites: BTreeMap<Scope, Vec<String>>,
}

impl Holder {
    /// As it stands in logs of changes.
    pub fn actor(&self) -> String {
        match self.who {
            Who::Key => format!("key {}", self.key_id),
            Who::Person => format!("user {}", self.key_id),
            Who::Portal => format!("portal {}", self.key_id),
        }
    }

    /// The only sites that a scope is for; all when empty.
    pub fn sites(&self, scope: Scope) -> &[String] {
        self.sites.get(&scope).unwrap_or(&self.bound.sites)
    }

    /// What of this the holder does not have itself, so that it cannot give it either.
    pub fn lacks(&self, wanted: &Powers) -> Vec<Scope> {
        let missing = |scope: &Scope| {
            let own = self.sites(*scope);
            let asked = wanted.sites.get(scope);
            let within = own.is_empty() || asked.is_some_and(|asked| asked.iter().all(|site| own.contains(site)));
            !self.scopes.has(*scope) || !within
        };
        wanted.scopes.list().filter(missing).collect()
    }
}

/// The holder unless its time is over.
pub(super) fn still_valid(holder: Arc<Holder>, now: Time) -> Option<Arc<Holder>> {
    holder.expires_at.is_none_or(|end| now < end).then_some(holder)
}

#[cfg(test)]
pub(super) fn key(id: &str, expires_at: Option<Time>) -> Holder {
    Holder {
        who: Who::Key,
        key_id: id.to_owned(),
        scopes: Scopes::COMPANY,
        bound: Bound::default(),
        company: None,
        session: None,
        expires_at,
        sites: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Grant, Privilege};
    use super::*;

    #[test]
    fn a_key_is_not_valid_from_its_expiry_on() {
        let end = Time::from_millis(10);
        let who = Arc::new(key("k", Some(end)));
        assert!(still_valid(who.clone(), Time::from_millis(9)).is_some());
        assert!(still_valid(who, end).is_none());
    }

    #[test]
    fn nobody_gives_more_than_they_hold_nor_for_more_sites() {
        let grant = |privilege, site: &[&str]| Grant { privilege, sites: site.iter().map(|s| (*s).into()).collect() };
        let of = |grants: &[Grant]| Powers::of(grants);
        let own = of(&[grant(Privilege::SiteServicesView, &["1", "2"]), grant(Privilege::ToolsManage, &[])]);
        let holder = Holder { scopes: own.scopes, sites: own.sites, ..key("u", None) };
        let lacks = |grants: &[Grant]| holder.lacks(&of(grants));
        assert!(lacks(&[grant(Privilege::SiteServicesView, &["2"]), grant(Privilege::ToolsManage, &[])]).is_empty());
        assert_eq!(lacks(&[grant(Privilege::SiteServicesView, &["2", "3"])]), [Scope::SitesRead]);
        assert_eq!(lacks(&[grant(Privilege::SiteServicesView, &[])]), [Scope::SitesRead]);
        assert_eq!(lacks(&[grant(Privilege::UsersManage, &[])]), [Scope::KeysWrite, Scope::UsersWrite]);
        assert!(!lacks(&[Grant::whole(Privilege::All)]).is_empty());
        assert!(key("k", None).lacks(&of(&[Grant::whole(Privilege::All)])).is_empty());
    }
}
