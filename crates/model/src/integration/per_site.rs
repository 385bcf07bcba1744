//! A value with exceptions by site.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// A default and the sites that differ. May be written as the bare default; always reads back as the object.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PerSite<T> {
    /// For every site that is not listed.
    pub default: T,
    /// By site; sites not known yet may stand here.
    pub sites: BTreeMap<String, T>,
}

impl<T> PerSite<T> {
    /// The same for every site.
    pub fn all(default: T) -> Self {
        Self { default, sites: BTreeMap::new() }
    }

    /// The value for a site; the default for events without one.
    pub fn of(&self, site: Option<&str>) -> &T {
        site.and_then(|s| self.sites.get(s)).unwrap_or(&self.default)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Spelling<T> {
    Object(Object<T>),
    Bare(T),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object<T> {
    default: T,
    #[serde(default = "BTreeMap::new")]
    sites: BTreeMap<String, T>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for PerSite<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Spelling::deserialize(d)
            .map(|s| match s {
                Spelling::Object(o) => PerSite { default: o.default, sites: o.sites },
                Spelling::Bare(default) => PerSite::all(default),
            })
            .map_err(|_| {
                serde::de::Error::custom("write one value, or {\"default\": value, \"sites\": {\"175\": value}}")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_value_is_the_default_and_reads_back_as_the_object() {
        let bare: PerSite<bool> = serde_json::from_str("true").unwrap();
        assert_eq!(serde_json::to_string(&bare).unwrap(), r#"{"default":true,"sites":{}}"#);
        let full: PerSite<bool> = serde_json::from_str(r#"{"default":false,"sites":{"175":true}}"#).unwrap();
        assert!(*full.of(Some("175")) && !full.of(Some("9")) && !full.of(None));
    }
}
