//! Scopes: what a key may do (`contracts/hub-api.md`, "Who may do what").

use std::fmt;

/// One thing that a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the names say it
pub enum Scope {
    EventsWrite,
    EventsRead,
    EventsPayload,
    IntegrationsRead,
    IntegrationsWrite,
    DeliveriesRead,
    DeliveriesWrite,
    SitesRead,
    SitesWrite,
    KeysWrite,
    UsersWrite,
    GatewaysWrite,
    ExtractorRead,
    ExtractorWrite,
    AuditRead,
    /// The operator's: every company.
    Instance,
}

/// The word for every scope of one company, those of later versions included.
pub const ALL: &str = "all";

impl Scope {
    /// Every scope.
    pub const LIST: [Scope; 16] = [
        Scope::EventsWrite,
        Scope::EventsRead,
        Scope::EventsPayload,
        Scope::IntegrationsRead,
        Scope::IntegrationsWrite,
        Scope::DeliveriesRead,
        Scope::DeliveriesWrite,
        Scope::SitesRead,
        Scope::SitesWrite,
        Scope::KeysWrite,
        Scope::UsersWrite,
        Scope::GatewaysWrite,
        Scope::ExtractorRead,
        Scope::ExtractorWrite,
        Scope::AuditRead,
        Scope::Instance,
    ];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::EventsWrite => "events:write",
            Scope::EventsRead => "events:read",
            Scope::EventsPayload => "events:payload",
            Scope::IntegrationsRead => "integrations:read",
            Scope::IntegrationsWrite => "integrations:write",
            Scope::DeliveriesRead => "deliveries:read",
            Scope::DeliveriesWrite => "deliveries:write",
            Scope::SitesRead => "sites:read",
            Scope::SitesWrite => "sites:write",
            Scope::KeysWrite => "keys:write",
            Scope::UsersWrite => "users:write",
            Scope::GatewaysWrite => "gateways:write",
            Scope::ExtractorRead => "extractor:read",
            Scope::ExtractorWrite => "extractor:write",
            Scope::AuditRead => "audit:read",
            Scope::Instance => "instance",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u32);

/// A word that is no scope.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{word}\" is no scope; one of {}", words())]
pub struct NoScope {
    /// Where it stands in the list.
    pub index: usize,
    /// As written.
    pub word: String,
}

impl Scopes {
    /// Every scope but the operator's.
    pub const COMPANY: Scopes = Scopes(Scope::Instance.bit() - 1);

    /// These scopes.
    pub const fn of(list: &[Scope]) -> Self {
        let (mut bits, mut n) = (0, 0);
        while n < list.len() {
            bits |= list[n].bit();
            n += 1;
        }
        Scopes(bits)
    }

    /// What is in either set.
    #[must_use]
    pub const fn with(self, other: Scopes) -> Self {
        Scopes(self.0 | other.0)
    }

    /// Each scope of the set.
    pub fn list(self) -> impl Iterator<Item = Scope> {
        Scope::LIST.into_iter().filter(move |s| self.holds(*s))
    }

    /// Reads a list of names; `all` stands for [`Scopes::COMPANY`].
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Self, NoScope> {
        let mut bits = 0;
        for (index, word) in words.iter().enumerate() {
            let word = word.as_ref();
            bits |= bits_of(word).ok_or_else(|| NoScope { index, word: word.chars().take(64).collect() })?;
        }
        Ok(Scopes(bits))
    }

    /// What a stored list allows; words of later versions allow nothing.
    pub fn stored(words: &[String]) -> Self {
        Scopes(words.iter().filter_map(|w| bits_of(w)).fold(0, |bits, bit| bits | bit))
    }

    /// Whether this very scope is in the set.
    pub const fn holds(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether the scope is in the set. The operator's holds every other.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Instance.bit()) != 0
    }

    /// The scopes of `wanted` that are not in the set.
    pub fn missing(self, wanted: Scopes) -> Vec<Scope> {
        Scope::LIST.into_iter().filter(|s| wanted.0 & s.bit() != 0 && !self.has(*s)).collect()
    }

    /// Whether this is an operator's set.
    pub const fn is_operator(self) -> bool {
        self.0 & Scope::Instance.bit() != 0
    }
}

fn bits_of(word: &str) -> Option<u32> {
    if word == ALL {
        return Some(Scopes::COMPANY.0);
    }
    Scope::LIST.into_iter().find(|s| s.name() == word).map(Scope::bit)
}

fn words() -> String {
    let mut words: Vec<&str> = Scope::LIST.iter().map(|s| s.name()).collect();
    words.push(ALL);
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_every_scope_but_the_operators() {
        let all = Scopes::parse(&["all"]).unwrap();
        for scope in Scope::LIST {
            assert_eq!(all.has(scope), scope != Scope::Instance, "{scope}");
            assert!(Scopes::parse(&[scope.name()]).unwrap().has(scope));
        }
        assert!(!all.is_operator());
    }

    #[test]
    fn the_operators_scope_holds_every_other() {
        let operator = Scopes::parse(&["instance"]).unwrap();
        assert_eq!(operator.missing(Scopes::COMPANY), []);
        assert!(operator.is_operator());
    }

    #[test]
    fn what_is_not_held_is_named() {
        let held = Scopes::parse(&["events:write", "keys:write"]).unwrap();
        let wanted = Scopes::parse(&["events:write", "events:read", "instance"]).unwrap();
        assert_eq!(held.missing(wanted), [Scope::EventsRead, Scope::Instance]);
    }

    #[test]
    fn a_word_that_is_no_scope_is_told_with_its_place_and_stored_ones_allow_nothing() {
        assert_eq!(Scopes::parse(&["all", "events"]).unwrap_err().index, 1);
        assert_eq!(Scopes::stored(&["events".into()]), Scopes::default());
    }
}
