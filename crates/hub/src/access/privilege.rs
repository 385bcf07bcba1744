//! Privileges: what a person may do, and the scopes behind each (`contracts/hub-api.md`, "Who may do what").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Scope, Scopes};

/// One thing that a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum Privilege {
    /// Look at the company and its sites.
    #[serde(rename = "company.view")]
    CompanyView,
    /// Look at sites.
    #[serde(rename = "site_services.view")]
    SiteServicesView,
    /// Change integrations and sites.
    #[serde(rename = "services.configure")]
    ServicesConfigure,
    /// Look at integrations, deliveries, and events without their payloads.
    #[serde(rename = "tools.view")]
    ToolsView,
    /// Change integrations and deliveries.
    #[serde(rename = "tools.manage")]
    ToolsManage,
    /// Look at events with their payloads.
    #[serde(rename = "events.view_payload")]
    EventsViewPayload,
    /// Change people and keys.
    #[serde(rename = "users.manage")]
    UsersManage,
    /// Everything in the company, what later versions add included.
    #[serde(rename = "all")]
    All,
}

/// A privilege that somebody has: for the whole company, or for some sites only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What.
    pub privilege: Privilege,
    /// Only for these sites; the whole company when empty.
    #[serde(default)]
    #[schema(max_items = 100, example = json!(["175"]))]
    pub sites: Vec<String>,
}

impl Privilege {
    /// Every privilege.
    pub const LIST: [Privilege; 8] = [
        Privilege::CompanyView,
        Privilege::SiteServicesView,
        Privilege::ServicesConfigure,
        Privilege::ToolsView,
        Privilege::ToolsManage,
        Privilege::EventsViewPayload,
        Privilege::UsersManage,
        Privilege::All,
    ];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Privilege::CompanyView => "company.view",
            Privilege::SiteServicesView => "site_services.view",
            Privilege::ServicesConfigure => "services.configure",
            Privilege::ToolsView => "tools.view",
            Privilege::ToolsManage => "tools.manage",
            Privilege::EventsViewPayload => "events.view_payload",
            Privilege::UsersManage => "users.manage",
            Privilege::All => "all",
        }
    }

    /// The scopes that follow for the whole company. Events are among the tools, and no payload is seen without its
    /// event: nothing else would let a person look at events.
    pub fn scopes(self) -> Scopes {
        match self {
            Privilege::CompanyView | Privilege::SiteServicesView => Scopes::of(&[Scope::SitesRead]),
            Privilege::ServicesConfigure => Scopes::of(&[Scope::IntegrationsWrite, Scope::SitesWrite]),
            Privilege::ToolsView => Scopes::of(&[Scope::IntegrationsRead, Scope::DeliveriesRead, Scope::EventsRead]),
            Privilege::ToolsManage => Scopes::of(&[Scope::IntegrationsWrite, Scope::DeliveriesWrite]),
            Privilege::EventsViewPayload => Scopes::of(&[Scope::EventsPayload, Scope::EventsRead]),
            Privilege::UsersManage => Scopes::of(&[Scope::UsersWrite, Scope::KeysWrite]),
            Privilege::All => Scopes::COMPANY,
        }
    }

    /// The scopes that follow when it is for some sites only: those whose calls know of sites. None: it is always for
    /// the whole company.
    pub fn scopes_of_sites(self) -> Scopes {
        match self {
            Privilege::CompanyView | Privilege::SiteServicesView => Scopes::of(&[Scope::SitesRead]),
            Privilege::ServicesConfigure => Scopes::of(&[Scope::SitesWrite]),
            Privilege::ToolsView => Scopes::of(&[Scope::EventsRead]),
            Privilege::EventsViewPayload => Scopes::of(&[Scope::EventsPayload, Scope::EventsRead]),
            Privilege::ToolsManage | Privilege::UsersManage | Privilege::All => Scopes::default(),
        }
    }

    /// The scopes that follow when it is for some integrations only: those whose calls know of them.
    pub fn scopes_of_integrations(self) -> Scopes {
        match self {
            Privilege::ToolsView => Scopes::of(&[Scope::IntegrationsRead, Scope::DeliveriesRead]),
            Privilege::ToolsManage => Scopes::of(&[Scope::DeliveriesWrite]),
            Privilege::EventsViewPayload => Scopes::of(&[Scope::EventsPayload]),
            _ => Scopes::default(),
        }
    }

    /// The names of the privileges that a scope follows from, for somebody who lacks it.
    pub fn behind(scope: Scope) -> String {
        let names: Vec<&str> = Self::LIST.iter().filter(|p| p.scopes().has(scope)).map(|p| p.name()).collect();
        let most = names.len().saturating_sub(1).max(1);
        names[..most.min(names.len())].join(" or ")
    }
}

impl Grant {
    /// For the whole company.
    pub fn whole(privilege: Privilege) -> Self {
        Self { privilege, sites: Vec::new() }
    }
}

/// What follows from privileges: scopes, and for some of them the only sites that they are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Powers {
    /// The scopes.
    pub scopes: Scopes,
    /// The only sites, for scopes that are not for all.
    pub sites: BTreeMap<Scope, Vec<String>>,
}

impl Powers {
    /// Of these privileges. What one gives for the whole company, no other narrows.
    pub fn of(grants: &[Grant]) -> Self {
        let mut powers = Powers::default();
        let mut whole = Scopes::default();
        for grant in grants {
            if grant.sites.is_empty() {
                whole = whole.with(grant.privilege.scopes());
                continue;
            }
            for scope in grant.privilege.scopes_of_sites().list() {
                powers.sites.entry(scope).or_default().extend(grant.sites.iter().cloned());
                powers.scopes = powers.scopes.with(Scopes::of(&[scope]));
            }
        }
        powers.sites.retain(|scope, _| !whole.has(*scope));
        powers.scopes = powers.scopes.with(whole);
        powers
    }

    /// Of these privileges, for some integrations only; for all when there are none.
    pub fn within(privileges: &[Privilege], integrations: &[String]) -> Self {
        let scopes = |p: &Privilege| if integrations.is_empty() { p.scopes() } else { p.scopes_of_integrations() };
        let scopes = privileges.iter().map(scopes).fold(Scopes::default(), Scopes::with);
        Powers { scopes, sites: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(privilege: Privilege, sites: &[&str]) -> Grant {
        Grant { privilege, sites: sites.iter().map(|s| (*s).to_owned()).collect() }
    }

    #[test]
    fn a_privilege_is_written_by_its_name_and_read_by_it() {
        for privilege in Privilege::LIST {
            let text = serde_json::to_string(&privilege).unwrap();
            assert_eq!(text, format!("\"{}\"", privilege.name()));
            assert_eq!(serde_json::from_str::<Privilege>(&text).unwrap(), privilege);
        }
    }

    #[test]
    fn what_is_given_for_the_company_is_not_narrowed_by_what_is_given_for_a_site() {
        let powers = Powers::of(&[
            grant(Privilege::SiteServicesView, &["175"]),
            grant(Privilege::EventsViewPayload, &["175", "9"]),
            grant(Privilege::ToolsView, &[]),
        ]);
        assert!(powers.scopes.has(Scope::DeliveriesRead) && !powers.scopes.has(Scope::SitesWrite));
        assert_eq!(powers.sites[&Scope::SitesRead], ["175"]);
        assert_eq!(powers.sites[&Scope::EventsPayload], ["175", "9"]);
        assert!(!powers.sites.contains_key(&Scope::EventsRead), "the tools are for the whole company");
    }

    #[test]
    fn a_privilege_for_a_site_gives_only_what_knows_of_sites() {
        let powers = Powers::of(&[grant(Privilege::ServicesConfigure, &["1"]), grant(Privilege::UsersManage, &["1"])]);
        assert_eq!(powers.scopes, Scopes::of(&[Scope::SitesWrite]));
        let both = Powers::of(&[grant(Privilege::ToolsView, &["1"]), grant(Privilege::EventsViewPayload, &["2"])]);
        assert_eq!(both.sites[&Scope::EventsRead], ["1", "2"]);
    }

    #[test]
    fn everything_is_every_scope_of_the_company_and_never_the_operators() {
        let powers = Powers::of(&[Grant::whole(Privilege::All)]);
        assert_eq!(powers.scopes, Scopes::COMPANY);
        assert!(!powers.scopes.is_operator());
    }

    #[test]
    fn the_privileges_behind_a_scope_are_named() {
        assert_eq!(Privilege::behind(Scope::DeliveriesWrite), "tools.manage");
        assert_eq!(Privilege::behind(Scope::IntegrationsWrite), "services.configure or tools.manage");
        assert_eq!(Privilege::behind(Scope::AuditRead), "all");
        assert_eq!(Privilege::behind(Scope::Instance), "");
    }
}
