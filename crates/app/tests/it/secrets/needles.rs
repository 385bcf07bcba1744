//! Looking for secrets in whatever form they may have been written.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::support::{Hub, database, values};

/// Every form of a secret is longer; one step of the search compares so many bytes.
const HEAD_BYTES: usize = 8;

/// Secrets in all their forms.
#[derive(Default)]
pub struct Needles {
    by_head: HashMap<[u8; HEAD_BYTES], Vec<(String, Vec<u8>)>>,
}

impl Needles {
    /// Adds a secret: as it is, in base64 wherever it stands in what was encoded, in hex, and as a part of a URL.
    pub fn add(&mut self, name: &str, secret: impl AsRef<[u8]>) {
        for (form, bytes) in forms(secret.as_ref()) {
            let head = bytes.first_chunk().unwrap_or_else(|| panic!("{name} is too short to be looked for"));
            self.by_head.entry(*head).or_default().push((format!("{name}, {form}"), bytes));
        }
    }

    /// The secrets that are in these bytes.
    pub fn in_bytes(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for (at, head) in bytes.windows(HEAD_BYTES).enumerate() {
            let Some(candidates) = head.first_chunk().and_then(|h| self.by_head.get(h)) else { continue };
            let there = candidates.iter().filter(|(_, needle)| bytes[at..].starts_with(needle));
            found.extend(there.map(|(name, _)| name.as_str()));
        }
        found
    }

    /// The secrets that a hub keeps in the open, each with its place: in its files or in its database.
    pub async fn in_data(&self, hub: &Hub) -> Vec<String> {
        let mut found = Vec::new();
        self.in_folder(&hub.folder().join("data"), &mut found);
        if database::is_used() {
            for (place, value) in values::values(hub.folder()).await {
                found.extend(self.in_bytes(value.as_bytes()).iter().map(|name| format!("{name} in {place}")));
            }
        }
        found
    }

    /// As [`Needles::in_data`], in the files of a folder and below.
    pub fn in_folder(&self, folder: &Path, found: &mut Vec<String>) {
        // There is no such folder where everything is in a database.
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                self.in_folder(&path, found);
            } else {
                self.in_file(&path, found);
            }
        }
    }

    /// As [`Needles::in_data`], in one file.
    pub fn in_file(&self, path: &Path, found: &mut Vec<String>) {
        // A file may go while it is looked for: a write-ahead log, for one.
        let bytes = std::fs::read(path).unwrap_or_default();
        found.extend(self.in_bytes(&bytes).iter().map(|name| format!("{name} in {}", path.display())));
    }
}

fn forms(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hex: String = secret.iter().map(|b| format!("{b:02x}")).collect();
    let mut forms = vec![
        ("as it is", secret.to_vec()),
        ("in hex", hex.clone().into()),
        ("in hex", hex.to_uppercase().into()),
        ("in a URL", percent(secret, |b| format!("%{b:02X}")).into()),
        ("in a URL", percent(secret, |b| format!("%{b:02x}")).into()),
        ("in a form", percent(secret, |b| if b == b' ' { "+".to_owned() } else { format!("%{b:02X}") }).into()),
    ];
    for shift in 0..3 {
        forms.push(("in base64", inside(&STANDARD_NO_PAD, secret, shift)));
        forms.push(("in base64", inside(&URL_SAFE_NO_PAD, secret, shift)));
    }
    forms.sort();
    forms.dedup_by(|a, b| a.1 == b.1);
    forms
}

fn percent(secret: &[u8], escaped: impl Fn(u8) -> String) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~".contains(b);
    secret.iter().map(|b| if plain(b) { char::from(*b).to_string() } else { escaped(*b) }).collect()
}

/// The characters that stand for these bytes alone when so many others come before them and any after them.
fn inside(engine: &impl Engine, secret: &[u8], before: usize) -> Vec<u8> {
    let mut all = vec![0; before];
    all.extend_from_slice(secret);
    let text = engine.encode(&all).into_bytes();
    let mixed_before = [0, 2, 3][before];
    let mixed_after = usize::from(!all.len().is_multiple_of(3));
    text[mixed_before..text.len() - mixed_after].to_vec()
}

#[test]
fn a_secret_is_found_in_every_form() {
    const SECRET: &[u8] = b"Bearer s3cr3t/with+odd chars?~";
    let mut needles = Needles::default();
    needles.add("it", SECRET);
    let base64 = base64::engine::general_purpose::STANDARD;
    for before in ["", "a", "ab", "abc", "abcdefg"] {
        let around = [before.as_bytes(), SECRET, b" and more"].concat();
        let hex: String = around.iter().map(|b| format!("{b:02x}")).collect();
        let written = [around.clone(), base64.encode(&around).into(), URL_SAFE_NO_PAD.encode(&around).into()];
        for text in written.into_iter().chain([hex.clone().into(), hex.to_uppercase().into()]) {
            assert!(!needles.in_bytes(&text).is_empty(), "{}", String::from_utf8_lossy(&text));
        }
    }
    assert!(!needles.in_bytes(b"?key=Bearer%20s3cr3t%2Fwith%2Bodd%20chars%3F~&x").is_empty());
    assert!(!needles.in_bytes(b"key=Bearer+s3cr3t%2Fwith%2Bodd+chars%3F~").is_empty());
    assert!(needles.in_bytes(b"Bearer s3cr3t/with+odd chars!").is_empty());
}
