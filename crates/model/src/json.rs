//! Compact JSON: white space between tokens removed, spelling of strings and numbers kept, doubled keys refused.
//!
//! The input has already been found to be JSON (by `serde_json`); this pass only looks at its structure. The log keeps
//! what this returns, so a payload is always one line (`design.md`, "The log").

use std::borrow::Cow;
use std::collections::HashSet;

use memchr::memchr2;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Deepest nesting of objects and arrays that is accepted.
pub const MAX_DEPTH: usize = 64;

/// Characters of a string that are looked at one by one before the rest is searched.
const SHORT: usize = 24;
/// Up to this many keys of one object are compared one by one, more are hashed.
const LINEAR_KEYS: usize = 24;

/// Why a JSON text is refused although its syntax is right.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refused {
    /// One object has the same key twice; readers would disagree about its value.
    #[error("the key \"{0}\" stands twice in one object")]
    DoubledKey(String),
    /// Deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Not JSON; the caller did not check it first.
    #[error("not a JSON text")]
    Broken,
}

/// A compact JSON text. Checked once at the door and never again on its way through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(Box<str>);

impl Json {
    /// Takes a text that [`compact`] returned, or that was kept since.
    pub fn trusted(text: impl Into<Box<str>>) -> Self {
        Json(text.into())
    }

    /// The text.
    pub fn get(&self) -> &str {
        &self.0
    }
}

impl Serialize for Json {
    /// As the JSON it is, not as a text.
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(serde::ser::Error::custom)?.serialize(s)
    }
}

/// The compact spelling of a valid JSON text; borrowed when it is compact already.
pub fn compact(json: &str) -> Result<Cow<'_, str>, Refused> {
    let mut scan = Scan {
        json,
        at: 0,
        kept: None,
        keep_from: 0,
        objects: Vec::with_capacity(8),
        keys: Vec::with_capacity(32),
        tags: Vec::with_capacity(32),
    };
    scan.run()?;
    Ok(scan.finish())
}

/// What is open at some depth: an array, or an object whose keys start at an index of `Scan::keys`.
enum Open<'a> {
    Array,
    Object { keys_from: usize, hashed: HashSet<Cow<'a, str>> },
}

struct Scan<'a> {
    json: &'a str,
    at: usize,
    kept: Option<String>,
    keep_from: usize,
    objects: Vec<Open<'a>>,
    keys: Vec<Cow<'a, str>>,
    /// Of each key in `keys` its length and beginning: most keys differ in these already.
    tags: Vec<u64>,
}

/// Equal for equal keys.
fn tag_of(key: &str) -> u64 {
    let mut tag = [0; 8];
    let kept = key.len().min(7);
    tag[..kept].copy_from_slice(&key.as_bytes()[..kept]);
    // The beginning alone would take "ab" for "ab\0"; beyond 255 bytes only the beginning tells.
    tag[7] = key.len().min(255) as u8;
    u64::from_le_bytes(tag)
}

impl<'a> Scan<'a> {
    fn run(&mut self) -> Result<(), Refused> {
        let bytes = self.json.as_bytes();
        while let Some(&b) = bytes.get(self.at) {
            match b {
                b' ' | b'\n' | b'\r' | b'\t' => self.skip_space(),
                b'"' => self.string()?,
                b'{' | b'[' => self.open(b)?,
                b'}' | b']' => self.close()?,
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    fn skip_space(&mut self) {
        let from = self.at;
        let bytes = self.json.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        let capacity = self.json.len();
        let kept = self.kept.get_or_insert_with(|| String::with_capacity(capacity));
        kept.push_str(&self.json[self.keep_from..from]);
        self.keep_from = self.at;
    }

    fn string(&mut self) -> Result<(), Refused> {
        let from = self.at;
        self.at = end_of_string(self.json.as_bytes(), from).ok_or(Refused::Broken)?;
        let in_object = matches!(self.objects.last(), Some(Open::Object { .. }));
        if in_object && self.colon_follows() {
            self.key(&self.json[from..self.at])?;
        }
        Ok(())
    }

    fn colon_follows(&self) -> bool {
        let rest = &self.json.as_bytes()[self.at..];
        rest.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':')
    }

    fn key(&mut self, quoted: &'a str) -> Result<(), Refused> {
        let key = unquote(quoted).ok_or(Refused::Broken)?;
        let Some(Open::Object { keys_from, hashed }) = self.objects.last_mut() else { return Err(Refused::Broken) };
        let tag = tag_of(&key);
        let doubled = match hashed.is_empty() {
            true => {
                let mut seen = self.tags[*keys_from..].iter().zip(&self.keys[*keys_from..]);
                seen.any(|(t, k)| *t == tag && *k == key)
            }
            false => !hashed.insert(key.clone()),
        };
        if doubled {
            return Err(Refused::DoubledKey(key.into_owned()));
        }
        if hashed.is_empty() {
            self.keys.push(key);
            self.tags.push(tag);
            if self.keys.len() - *keys_from > LINEAR_KEYS {
                hashed.extend(self.keys.drain(*keys_from..));
                self.tags.truncate(*keys_from);
            }
        }
        Ok(())
    }

    fn open(&mut self, b: u8) -> Result<(), Refused> {
        if self.objects.len() == MAX_DEPTH {
            return Err(Refused::TooDeep);
        }
        self.objects.push(match b {
            b'[' => Open::Array,
            _ => Open::Object { keys_from: self.keys.len(), hashed: HashSet::new() },
        });
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Refused> {
        if let Open::Object { keys_from, .. } = self.objects.pop().ok_or(Refused::Broken)? {
            self.keys.truncate(keys_from);
            self.tags.truncate(keys_from);
        }
        self.at += 1;
        Ok(())
    }

    fn finish(self) -> Cow<'a, str> {
        match self.kept {
            None => Cow::Borrowed(self.json),
            Some(mut kept) => {
                kept.push_str(&self.json[self.keep_from..]);
                Cow::Owned(kept)
            }
        }
    }
}

/// The index right after the string that starts at `from`.
pub(crate) fn end_of_string(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from + 1;
    // Most strings are short: looking at their bytes one by one beats setting up a search.
    for _ in 0..SHORT {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The text of a quoted JSON string; borrowed unless it has escapes.
pub fn unquote(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(quoted).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// Writes `text` as a JSON string.
pub fn push_quoted(out: &mut Vec<u8>, text: &str) {
    let plain = !text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\');
    if plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing a string into a Vec has no way to fail.
        let _ = serde_json::to_writer(out, text);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn white_space_goes_and_spelling_stays() {
        let json = "{ \"a b\" : [ 10.00 , 1e5,\n\"x \\u0041\\\" y\" ],\t\"c\":{ } }";
        assert_eq!(compact(json).unwrap(), r#"{"a b":[10.00,1e5,"x \u0041\" y"],"c":{}}"#);
        assert!(matches!(compact("{\"a\":1}").unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn a_doubled_key_is_refused_in_any_spelling_and_at_any_depth() {
        for json in [r#"{"a":1,"a":2}"#, r#"{"x":[{"a":1, "\u0061" :2}]}"#] {
            assert_eq!(compact(json), Err(Refused::DoubledKey("a".into())), "{json}");
        }
        assert!(compact(r#"{"a":{"a":1},"b":[{"a":1},{"a":"a"}]}"#).is_ok());
    }

    #[test]
    fn a_doubled_key_is_found_among_many() {
        let members = |n: usize| (0..n).map(|i| format!("\"k{i}\":{{\"k1\":0}}")).collect::<Vec<_>>().join(",");
        for n in [LINEAR_KEYS, LINEAR_KEYS + 1, LINEAR_KEYS + 2, 500] {
            assert!(compact(&format!("{{{}}}", members(n))).is_ok());
            let doubled = format!("{{{},\"k{}\":1}}", members(n), n / 2);
            assert_eq!(compact(&doubled), Err(Refused::DoubledKey(format!("k{}", n / 2))));
        }
    }

    #[test]
    fn keys_that_only_begin_alike_are_different() {
        for json in [r#"{"ab":1,"ab\u0000":2}"#.to_owned(), format!(r#"{{"{0}x":1,"{0}y":2}}"#, "k".repeat(300))] {
            assert!(compact(&json).is_ok(), "{json}");
        }
    }

    #[test]
    fn depth_is_accepted_up_to_the_limit() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(compact(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(compact(&nested(MAX_DEPTH + 1)), Err(Refused::TooDeep));
    }

    pub(crate) fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(".{0,4}", inner, 0..6)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn compacting_keeps_the_value_and_leaves_one_line(value in any_json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let compacted = compact(&pretty).unwrap();
            prop_assert!(!compacted.contains('\n'));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&compacted).unwrap(), value.clone());
            prop_assert_eq!(compacted.as_ref(), serde_json::to_string(&value).unwrap());
        }

        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}\",:\\\\ a1\n]{0,64}") {
            let _ = compact(&text);
        }
    }
}
