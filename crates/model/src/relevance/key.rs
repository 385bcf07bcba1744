//! The expression that says which fields identify a record and which one is its version.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::mark::{Identity, Record};
use super::version::Version;
use crate::path::{NotAPath, Path, scalar_text};

/// The expression of an integration that does not say another.
pub const DEFAULT_KEY: &str = "_id,time.last_modified";
/// Longest expression, in bytes.
pub const MAX_KEY_BYTES: usize = 1_024;
/// Fewest paths of an expression: one that identifies and one of the version.
pub const MIN_KEY_PATHS: usize = 2;
/// Most paths of an expression.
pub const MAX_KEY_PATHS: usize = 8;

/// A parsed expression: dotted paths into `data`, joined by commas. All but the last identify the record, the last is
/// its version. Spelled without blanks; the spelling is part of each record's [`Identity`].
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    written: Box<str>,
    paths: Vec<Path>,
}

/// Why a text is no relevance key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAKey {
    /// Longer than [`MAX_KEY_BYTES`].
    #[error("{0} bytes; a relevance key has at most {MAX_KEY_BYTES}")]
    TooLong(usize),
    /// There are fewer than [`MIN_KEY_PATHS`] paths, or more than [`MAX_KEY_PATHS`].
    #[error(
        "{0} paths; write the paths that identify a record and then the one of its version, {MIN_KEY_PATHS} to \
         {MAX_KEY_PATHS} joined by commas, such as {DEFAULT_KEY}"
    )]
    Count(usize),
    /// One of them is no path.
    #[error("path {number}: {wrong}")]
    Path {
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        wrong: NotAPath,
    },
    /// It leads to many values, of which none is *the* value.
    #[error("path {number}: \"{path}\" leads to the elements of an array; name one field")]
    Many {
        /// Which, from 1.
        number: usize,
        /// As written.
        path: String,
    },
    /// Each version would be a record of its own, or the path is there for nothing.
    #[error("path {number}: \"{path}\" stands twice")]
    Twice {
        /// Which, from 1.
        number: usize,
        /// As written.
        path: String,
    },
}

impl Key {
    /// Reads an expression; blanks around the commas don't count.
    pub fn parse(written: &str) -> Result<Self, NotAKey> {
        if written.len() > MAX_KEY_BYTES {
            return Err(NotAKey::TooLong(written.len()));
        }
        let parts: Vec<&str> = written.split(',').map(str::trim).collect();
        if !(MIN_KEY_PATHS..=MAX_KEY_PATHS).contains(&parts.len()) {
            return Err(NotAKey::Count(parts.len()));
        }
        let numbered = parts.iter().enumerate().map(|(i, part)| path(i + 1, part, &parts[..i]));
        Ok(Key { paths: numbered.collect::<Result<_, _>>()?, written: parts.join(",").into() })
    }

    /// The expression.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The record that `data` (compact JSON) is a version of. None when a path leads to no text, number, `true` or
    /// `false`, or to an empty text, or the version is too long: such an event is sent, never dropped, and counted.
    pub fn read(&self, data: &str) -> Option<Record> {
        let (version, record) = self.paths.split_last()?;
        let parts = record.iter().map(|path| scalar(path, data)).collect::<Option<Vec<_>>>()?;
        let version = Version::new(&scalar(version, data)?)?;
        Some(Record::new(Identity::of(&self.written, &parts), version, data))
    }
}

impl Default for Key {
    /// [`DEFAULT_KEY`]; a test holds that it is one.
    fn default() -> Self {
        Key::parse(DEFAULT_KEY).unwrap_or(Key { written: "".into(), paths: Vec::new() })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.written)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        Key::parse(&text).map_err(serde::de::Error::custom)
    }
}

fn path(number: usize, part: &str, before: &[&str]) -> Result<Path, NotAKey> {
    let path = Path::parse(part).map_err(|wrong| NotAKey::Path { number, wrong })?;
    if part.contains("[]") {
        return Err(NotAKey::Many { number, path: part.to_owned() });
    }
    if before.contains(&part) {
        return Err(NotAKey::Twice { number, path: part.to_owned() });
    }
    Ok(path)
}

fn scalar<'a>(path: &Path, data: &'a str) -> Option<Cow<'a, str>> {
    match path.first(data)? {
        truth @ ("true" | "false") => Some(Cow::Borrowed(truth)),
        raw => scalar_text(raw),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::MAX_PATH_BYTES;

    const ORDER: &str =
        r#"{"_id":"o1","n":7,"t":true,"z":null,"e":"","time":{"last_modified":"2026-11-21T10:00:00Z"}}"#;

    fn read(key: &str, data: &str) -> Option<Record> {
        Key::parse(key).unwrap().read(data)
    }

    #[test]
    fn the_default_key_reads_an_orders_id_and_when_it_was_changed() {
        let key = Key::default();
        assert_eq!(key.as_str(), DEFAULT_KEY);
        let record = key.read(ORDER).unwrap();
        assert_eq!(record.version.as_str(), "2026-11-21T10:00:00Z");
        assert_eq!(key.read(r#"{"_id":"o1"}"#), None);
    }

    #[test]
    fn a_key_is_its_text() {
        let key: Key = serde_json::from_str(r#"" a.b , c ,v""#).unwrap();
        assert_eq!(serde_json::to_string(&key).unwrap(), r#""a.b,c,v""#);
        assert!(serde_json::from_str::<Key>("\"a\"").is_err());
    }

    #[test]
    fn only_scalars_that_say_something_are_read() {
        for right in ["_id,n", "n,_id", "t,n", "_id,n,t"] {
            assert!(read(right, ORDER).is_some(), "{right}");
        }
        for missing in ["z,n", "_id,z", "e,n", "time,n", "_id,nope", "_id.x,n"] {
            assert_eq!(read(missing, ORDER), None, "{missing}");
        }
        assert_eq!(Key::default().read("null"), None, "an erased payload");
        let long = format!(r#"{{"a":1,"v":"{}"}}"#, "x".repeat(super::super::MAX_VERSION_BYTES + 1));
        assert_eq!(read("a,v", &long), None);
    }

    #[test]
    fn an_identity_is_that_of_the_parts_in_their_places() {
        let identity = |key: &str, data: &str| read(key, data).unwrap().identity;
        assert_eq!(identity("a,v", r#"{"a":"7","v":1}"#), identity("a,v", r#"{"v":2,"a":7}"#));
        assert_eq!(identity("a,v", r#"{"a":"\u0061","v":1}"#), identity("a,v", r#"{"a":"a","v":1}"#));
        assert_ne!(identity("a,b,v", r#"{"a":"xy","b":"z","v":1}"#), identity("a,b,v", r#"{"a":"x","b":"yz","v":1}"#));
        assert_ne!(identity("a,v", r#"{"a":7,"v":1}"#), identity("a,w", r#"{"a":7,"w":1}"#), "another key");
    }

    #[test]
    fn a_wrong_key_is_refused_with_its_place() {
        let told = |key: &str| Key::parse(key).unwrap_err().to_string();
        assert!(told("a").starts_with("1 paths; write the paths"));
        assert!(told("").starts_with("1 paths; write the paths"));
        assert!(told("a,").starts_with("path 2: \"\" is not a path"));
        assert!(told("a,b c").starts_with("path 2: \"b c\" is not a path"));
        assert_eq!(told("a,i[].p"), "path 2: \"i[].p\" leads to the elements of an array; name one field");
        assert_eq!(told("a,b,a"), "path 3: \"a\" stands twice");
    }

    #[test]
    fn a_key_is_accepted_up_to_its_limits() {
        let many = |n: usize| (0..n).map(|i| format!("p{i}")).collect::<Vec<_>>().join(",");
        assert!(Key::parse(&many(MAX_KEY_PATHS)).is_ok());
        assert_eq!(Key::parse(&many(MAX_KEY_PATHS + 1)), Err(NotAKey::Count(MAX_KEY_PATHS + 1)));
        let wide = |last: usize| {
            let full = ["a", "b", "c"].map(|c| c.repeat(MAX_PATH_BYTES)).join(",");
            format!("{full},{}", "d".repeat(last))
        };
        let last = MAX_KEY_BYTES - wide(0).len();
        assert!(Key::parse(&wide(last)).is_ok());
        assert_eq!(Key::parse(&wide(last + 1)), Err(NotAKey::TooLong(MAX_KEY_BYTES + 1)));
    }
}
