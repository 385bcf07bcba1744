//! Sealing stored texts anew under another key.
//!
//! A document is changed as text, so that everything in it but the sealed values stays byte for byte what it is.

use serde_json::Value;
use tillstream_model::{CompanyNo, IntegrationNo};

use crate::seal::{Owner, Sealer};

/// A rotation of the master key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Secrets that were sealed anew.
    pub resealed: u64,
    /// Where texts stand that look sealed with the key before and open nowhere: `<table>.<column>`.
    pub left: Vec<String>,
}

/// A text after it was looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resealed {
    /// As it is to be stored.
    pub(crate) text: String,
    /// How many values in it were sealed anew.
    pub(crate) count: u64,
}

/// An integration's stored settings; None when nothing in them is behind.
pub(crate) fn settings(sealer: &Sealer, owner: Owner, stored: &str) -> Option<Resealed> {
    reseal(sealer, owner, stored, |place| vec![place.last().cloned().unwrap_or_default()])
}

/// A document, in which a secret is sealed for `<kind>/<id>/<place>`; None when nothing in it is behind.
pub(crate) fn document(sealer: &Sealer, company: CompanyNo, kind: &str, id: &str, body: &str) -> Option<Resealed> {
    let owner = Owner { company, integration: IntegrationNo(0) };
    reseal(sealer, owner, body, |place| {
        let last = place.last().map(String::as_str).unwrap_or_default();
        vec![format!("{kind}/{id}/{last}"), format!("{kind}/{id}/{}", place.join(".")), format!("{kind}/{id}")]
    })
}

/// An answer that is kept of a company (0: of the instance); None when it is not behind.
pub(crate) fn answer(sealer: &Sealer, company: CompanyNo, id: &str, sealed: &str) -> Option<String> {
    let (owner, path) = crate::answers::place(Some(company), id);
    let answer = sealer.open(owner, &path, sealed).ok().filter(|_| sealer.is_behind(sealed))?;
    sealer.seal(owner, &path, &answer).ok()
}

fn reseal(sealer: &Sealer, owner: Owner, stored: &str, paths: impl Fn(&[String]) -> Vec<String>) -> Option<Resealed> {
    let mut found = Vec::new();
    walk(&serde_json::from_str(stored).ok()?, &mut Vec::new(), &mut |place, text| {
        if sealer.is_behind(text) {
            found.push((paths(place), text.to_owned()));
        }
    });
    let (mut text, mut count) = (stored.to_owned(), 0);
    for (paths, sealed) in found {
        let open = |path: &String| Some((path.clone(), sealer.open(owner, path, &sealed).ok()?));
        // What opens nowhere was never sealed by us: somebody wrote a text that looks like it.
        let Some((path, secret)) = paths.iter().find_map(open) else { continue };
        let Ok(new) = sealer.seal(owner, &path, &secret) else { continue };
        // A sealed text has no character that JSON would escape.
        text = text.replace(&sealed, &new);
        count += 1;
    }
    (count > 0).then_some(Resealed { text, count })
}

fn walk(value: &Value, place: &mut Vec<String>, see: &mut dyn FnMut(&[String], &str)) {
    match value {
        Value::String(text) => see(place, text),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                place.push(at.to_string());
                walk(item, place, see);
                place.pop();
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                place.push(name.clone());
                walk(field, place, see);
                place.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MasterKey;

    const COMPANY: CompanyNo = CompanyNo(7);
    const OF_DOCUMENTS: Owner = Owner { company: COMPANY, integration: IntegrationNo(0) };

    fn keys() -> (Sealer, Sealer) {
        let (old, new) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
        (Sealer::new(&old), Sealer::new(&new.after(&old)))
    }

    #[test]
    fn settings_are_sealed_anew_and_a_second_time_nothing_is_left_to_do() {
        let (old, both) = keys();
        let owner = Owner { company: COMPANY, integration: IntegrationNo(3) };
        let settings = crate::suite::settings("erp", "s3cret");
        let stored = old.to_stored(owner, &settings).unwrap();
        let new = super::settings(&both, owner, &stored).unwrap();
        assert!(new.count >= 4, "{new:?}");
        let alone = Sealer::new(&MasterKey::new([2; 32]));
        assert_eq!(alone.from_stored(owner, &new.text).unwrap(), settings);
        assert_eq!(super::settings(&both, owner, &new.text), None);
    }

    #[test]
    fn a_document_keeps_every_byte_but_its_sealed_values() {
        let (old, both) = keys();
        let sealed = old.seal(OF_DOCUMENTS, "contact/c1/signing", "whsec_x").unwrap();
        let body = format!(r#"{{"z":1.50, "secrets":{{"signing":"{sealed}"}},"big":123456789012345678901234567890}}"#);
        let new = document(&both, COMPANY, "contact", "c1", &body).unwrap();
        let (before, after) = body.split_once(&sealed).unwrap();
        let resealed = new.text.strip_prefix(before).unwrap().strip_suffix(after).unwrap();
        let alone = Sealer::new(&MasterKey::new([2; 32]));
        assert_eq!(alone.open(OF_DOCUMENTS, "contact/c1/signing", resealed).unwrap(), "whsec_x");
    }

    #[test]
    fn a_text_that_only_looks_sealed_or_belongs_elsewhere_stays_as_it_is() {
        let (old, both) = keys();
        let elsewhere = old.seal(OF_DOCUMENTS, "contact/c2/signing", "whsec_x").unwrap();
        let looks = elsewhere[..30].to_owned();
        for text in [elsewhere, looks, "sealed:v1:".into(), "sealed:v1:ffffffff:AAAA".into()] {
            assert_eq!(
                document(&both, COMPANY, "contact", "c1", &format!(r#"{{"signing":"{text}"}}"#)),
                None,
                "{text}"
            );
        }
        assert_eq!(document(&both, COMPANY, "contact", "c1", "no JSON"), None);
    }
}
