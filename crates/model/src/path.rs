//! Dotted paths into compact JSON, read without building a tree.
//!
//! `a.b` is the member `b` of the member `a`; `a[].b` is `b` of every element of the array `a`. A key with a dot in it
//! can't be named.

use std::borrow::Cow;
use std::fmt;

use crate::json::{end_of_string, unquote};

/// Longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 256;
/// Most steps of a path.
pub const MAX_PATH_STEPS: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(Box<str>),
    Each,
}

/// A parsed path.
#[derive(Clone, PartialEq, Eq)]
pub struct Path {
    written: Box<str>,
    steps: Vec<Step>,
}

/// Why a text is no path.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a path: write names joined by dots, with [] behind an array, such as data.items[].price")]
pub struct NotAPath(String);

impl Path {
    /// Reads a path; at most [`MAX_PATH_BYTES`] and [`MAX_PATH_STEPS`].
    pub fn parse(written: &str) -> Result<Self, NotAPath> {
        let wrong = || NotAPath(written.chars().take(MAX_PATH_BYTES).collect());
        let mut steps = Vec::new();
        for part in written.split('.') {
            let (name, each) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
            if name.is_empty() || name.contains(['[', ']']) || name.chars().any(|c| c.is_whitespace() || c.is_control())
            {
                return Err(wrong());
            }
            steps.push(Step::Member(name.into()));
            if each {
                steps.push(Step::Each);
            }
        }
        if written.len() > MAX_PATH_BYTES || steps.len() > MAX_PATH_STEPS {
            return Err(wrong());
        }
        Ok(Path { written: written.into(), steps })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The first name of the path.
    pub fn head(&self) -> &str {
        match self.steps.first() {
            Some(Step::Member(name)) => name,
            _ => "",
        }
    }

    /// Like [`Path::any`], with `json` being the value of the path's first name.
    pub fn any_below_head(&self, json: &str, mut visit: impl FnMut(&str) -> bool) -> bool {
        walk(json, self.steps.get(1..).unwrap_or_default(), &mut visit)
    }

    /// Without its first name: what is left to look for inside that member. None when nothing is left.
    pub fn tail(&self) -> Option<Path> {
        let steps = self.steps.get(1..).filter(|s| !s.is_empty())?.to_vec();
        let written = self.written[self.head().len()..].trim_start_matches('.').into();
        Some(Path { written, steps })
    }

    /// Calls `visit` with the raw text of each value the path leads to until it says true; whether it did.
    pub fn any(&self, json: &str, mut visit: impl FnMut(&str) -> bool) -> bool {
        walk(json, &self.steps, &mut visit)
    }

    /// The raw text of the first value that the path leads to.
    pub fn first<'a>(&self, json: &'a str) -> Option<&'a str> {
        let mut found = None;
        let base = json.as_ptr() as usize;
        self.any(json, |raw| {
            let from = raw.as_ptr() as usize - base;
            found = Some((from, from + raw.len()));
            true
        });
        found.map(|(from, to)| &json[from..to])
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl serde::Serialize for Path {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.written)
    }
}

impl<'de> serde::Deserialize<'de> for Path {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        Path::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The text of a string or number member of a flat object; None for anything else, an empty string included.
pub fn text<'a>(json: &'a str, member: &str) -> Option<Cow<'a, str>> {
    scalar_text(member_of(json, member)?)
}

/// A string's text or a number's spelling; None for other values and for the empty string.
pub fn scalar_text(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' => unquote(raw).filter(|s| !s.is_empty()),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

/// The raw text of an object's member.
pub fn member_of<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    members(json).find(|(key, _)| same_key(key, name)).map(|(_, value)| value)
}

/// The JSON text without what the paths lead to. None when they lead nowhere.
pub fn without(json: &str, paths: &[Path]) -> Option<String> {
    if !may_lead_somewhere(json, paths) {
        return None;
    }
    let paths: Vec<&[Step]> = paths.iter().map(|p| p.steps.as_slice()).collect();
    if !leads_somewhere(json, &paths) {
        return None;
    }
    let mut out = String::with_capacity(json.len());
    strip(json, &paths, &mut out);
    Some(out)
}

fn walk(json: &str, steps: &[Step], visit: &mut impl FnMut(&str) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else { return visit(json) };
    match step {
        Step::Member(name) => member_of(json, name).is_some_and(|value| walk(value, rest, visit)),
        Step::Each => elements(json).any(|value| walk(value, rest, visit)),
    }
}

/// Whether the text holds the first name of any path at all. A key may be spelled with escapes, so a text that has any
/// is always looked at closely.
fn may_lead_somewhere(json: &str, paths: &[Path]) -> bool {
    let bytes = json.as_bytes();
    !paths.is_empty()
        && (memchr::memchr(b'\\', bytes).is_some()
            || paths.iter().enumerate().any(|(i, p)| {
                let asked_before = paths[..i].iter().any(|other| other.head() == p.head());
                !asked_before && memchr::memmem::find(bytes, p.head().as_bytes()).is_some()
            }))
}

/// Whether any of the paths leads to a value. Most payloads have none of what is to be removed, and are not copied.
fn leads_somewhere(json: &str, paths: &[&[Step]]) -> bool {
    if paths.iter().any(|p| p.is_empty()) {
        return true;
    }
    match json.as_bytes().first() {
        Some(b'{') => members(json).any(|(key, value)| {
            let mut inner = paths.iter().filter_map(|p| step_into(p, key)).peekable();
            inner.peek().is_some() && leads_somewhere(value, &inner.collect::<Vec<_>>())
        }),
        Some(b'[') => {
            let inner: Vec<&[Step]> = paths.iter().filter_map(|p| p.strip_prefix(&[Step::Each][..])).collect();
            !inner.is_empty() && elements(json).any(|value| leads_somewhere(value, &inner))
        }
        _ => false,
    }
}

/// Copies `json` into `out` without what the paths lead to.
fn strip(json: &str, paths: &[&[Step]], out: &mut String) {
    match json.as_bytes().first() {
        Some(b'{') if !paths.is_empty() => strip_object(json, paths, out),
        Some(b'[') if !paths.is_empty() => strip_array(json, paths, out),
        _ => out.push_str(json),
    }
}

fn strip_object(json: &str, paths: &[&[Step]], out: &mut String) {
    out.push('{');
    for (key, value) in members(json) {
        let inner: Vec<&[Step]> = paths.iter().filter_map(|p| step_into(p, key)).collect();
        if inner.iter().any(|p| p.is_empty()) {
            continue;
        }
        comma(out, '{');
        out.push_str(key);
        out.push(':');
        strip(value, &inner, out);
    }
    out.push('}');
}

fn strip_array(json: &str, paths: &[&[Step]], out: &mut String) {
    let inner: Vec<&[Step]> = paths.iter().filter_map(|p| p.strip_prefix(&[Step::Each][..])).collect();
    out.push('[');
    if !inner.iter().any(|p| p.is_empty()) {
        for value in elements(json) {
            comma(out, '[');
            strip(value, &inner, out);
        }
    }
    out.push(']');
}

fn comma(out: &mut String, opening: char) {
    if !out.ends_with(opening) {
        out.push(',');
    }
}

fn step_into<'p>(path: &'p [Step], quoted_key: &str) -> Option<&'p [Step]> {
    match path.split_first()? {
        (Step::Member(name), rest) if same_key(quoted_key, name) => Some(rest),
        _ => None,
    }
}

fn same_key(quoted: &str, name: &str) -> bool {
    let inner = &quoted[1..quoted.len() - 1];
    inner == name || (inner.contains('\\') && unquote(quoted).is_some_and(|k| k == name))
}

/// The members of a compact JSON object: quoted key and raw value. Nothing for other values.
pub fn members(json: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut at = opening(json, b'{');
    std::iter::from_fn(move || {
        let from = at?;
        let bytes = json.as_bytes();
        if bytes.get(from) != Some(&b'"') {
            return None;
        }
        let colon = end_of_string(bytes, from)?;
        let value_end = end_of_value(bytes, colon + 1)?;
        at = Some(value_end + 1);
        Some((json.get(from..colon)?, json.get(colon + 1..value_end)?))
    })
}

/// The elements of a compact JSON array. Nothing for other values.
pub fn elements(json: &str) -> impl Iterator<Item = &str> {
    let mut at = opening(json, b'[').filter(|_| json != "[]");
    std::iter::from_fn(move || {
        let from = at.filter(|&a| a < json.len())?;
        let end = end_of_value(json.as_bytes(), from)?;
        at = Some(end + 1);
        json.get(from..end)
    })
}

fn opening(json: &str, bracket: u8) -> Option<usize> {
    (json.as_bytes().first() == Some(&bracket)).then_some(1)
}

/// The index right after the value that starts at `from`.
fn end_of_value(bytes: &[u8], from: usize) -> Option<usize> {
    match bytes.get(from)? {
        b'"' => end_of_string(bytes, from),
        b'{' | b'[' => end_of_nested(bytes, from),
        _ => Some(bytes[from..].iter().position(|b| matches!(b, b',' | b'}' | b']')).map_or(bytes.len(), |n| from + n)),
    }
}

fn end_of_nested(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut depth) = (from, 0usize);
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = end_of_string(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORDER: &str = r#"{"_id":"o1","n":10.00,"items":[{"sku":"a","m":[{"x":1},{"x":2}]},{"sku":"b"}],"time":{"last_modified":"t"},"é\"":{"k":true},"e":[],"o":{}}"#;

    fn first(path: &str) -> Option<&'static str> {
        Path::parse(path).unwrap().first(ORDER)
    }

    #[test]
    fn a_path_leads_through_members_and_elements() {
        assert_eq!(first("n"), Some("10.00"));
        assert_eq!(first("time.last_modified"), Some("\"t\""));
        assert_eq!(first("items[].m[].x"), Some("1"));
        assert_eq!(first("é\".k"), Some("true"));
        for nothing in ["items.sku", "time[]", "nope", "n.x", "e[]", "o.x", "items[].nope"] {
            assert_eq!(first(nothing), None, "{nothing}");
        }
        let mut seen = Vec::new();
        Path::parse("items[].sku").unwrap().any(ORDER, |raw| {
            seen.push(raw.to_owned());
            false
        });
        assert_eq!(seen, ["\"a\"", "\"b\""]);
    }

    #[test]
    fn what_paths_lead_to_can_be_removed() {
        let paths: Vec<_> =
            ["items[].m[].x", "time", "e[]", "nope.x"].iter().map(|p| Path::parse(p).unwrap()).collect();
        let left = without(ORDER, &paths).unwrap();
        assert_eq!(
            left,
            r#"{"_id":"o1","n":10.00,"items":[{"sku":"a","m":[{},{}]},{"sku":"b"}],"é\"":{"k":true},"e":[],"o":{}}"#
        );
        assert_eq!(without(&left, &paths), None);
    }

    #[test]
    fn wrong_paths_are_refused() {
        let long = "a".repeat(MAX_PATH_BYTES + 1);
        let deep = vec!["a"; MAX_PATH_STEPS + 1].join(".");
        for wrong in ["", ".", "a..b", "a[0]", "[]", "a b", "a.[]", "a[][]", &long, &deep] {
            assert!(Path::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Path::parse(&"a".repeat(MAX_PATH_BYTES)).is_ok());
        assert!(Path::parse(&vec!["a"; MAX_PATH_STEPS].join(".")).is_ok());
    }

    #[test]
    fn a_path_splits_into_head_and_tail() {
        let path = Path::parse("data.items[].sku").unwrap();
        assert_eq!(path.head(), "data");
        assert_eq!(path.tail().unwrap(), Path::parse("items[].sku").unwrap());
        assert_eq!(Path::parse("site").unwrap().tail(), None);
    }

    #[test]
    fn a_key_spelled_with_escapes_is_removed_too() {
        let path = Path::parse("card.number").unwrap();
        let json = r#"{"\u0063ard":{"num\u0062er":1,"x":2}}"#;
        assert_eq!(without(json, &[path]).as_deref(), Some(r#"{"\u0063ard":{"x":2}}"#));
    }

    proptest! {
        #[test]
        fn members_and_elements_agree_with_a_parsed_tree(value in crate::json::tests::any_json()) {
            let json = serde_json::to_string(&value).unwrap();
            let keys: Vec<String> = members(&json).map(|(k, v)| {
                serde_json::from_str::<serde_json::Value>(v).unwrap();
                unquote(k).unwrap().into_owned()
            }).collect();
            let expected: Vec<String> = value.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default();
            prop_assert_eq!(keys, expected);
            prop_assert_eq!(elements(&json).count(), value.as_array().map_or(0, Vec::len));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}\",:\\\\ a1]{0,64}") {
            let path = Path::parse("a[].a").unwrap();
            let _ = path.first(&text);
            let _ = without(&text, std::slice::from_ref(&path));
        }
    }
}
