//! A version of a record, and which of two is the newer.

use std::cmp::Ordering;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::condition;

/// Longest version, in bytes. An event with a longer one is treated as one without.
pub const MAX_VERSION_BYTES: usize = 128;

/// The text of a version as it stands in `data`.
///
/// There is no `Ord`: versions of one kind are in order, but kinds that are mixed compare as text, and then *a < b < c*
/// does not say that *a < c*. A source that mixes kinds in one record gets an answer for each two versions, no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(Box<str>);

impl Version {
    /// None when the text is longer than [`MAX_VERSION_BYTES`].
    pub fn new(text: &str) -> Option<Self> {
        (text.len() <= MAX_VERSION_BYTES).then(|| Version(text.into()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As timestamps (RFC 3339, any offset, to the nanosecond) if both are; else as decimal numbers if both are; else as
    /// text. `Equal` does not say that the two are spelled alike.
    pub fn compare(&self, other: &Version) -> Ordering {
        match (Kind::of(&self.0), Kind::of(&other.0)) {
            (Kind::Timestamp(a), Kind::Timestamp(b)) => a.cmp(&b),
            (Kind::Decimal(a), Kind::Decimal(b)) => a.cmp(&b),
            _ => self.0.cmp(&other.0),
        }
    }
}

enum Kind {
    Timestamp(Timestamp),
    Decimal(Decimal),
    Text,
}

impl Kind {
    fn of(text: &str) -> Self {
        let timestamp = || text.parse().ok().map(Kind::Timestamp);
        decimal(text).map(Kind::Decimal).or_else(timestamp).unwrap_or(Kind::Text)
    }
}

/// A number as JSON spells it, also inside a text; one with more than 28 digits is a text.
fn decimal(text: &str) -> Option<Decimal> {
    let spelled = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    condition::decimal(text).filter(|_| spelled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compare(a: &str, b: &str) -> Ordering {
        Version::new(a).unwrap().compare(&Version::new(b).unwrap())
    }

    #[test]
    fn versions_compare_by_their_kind() {
        for (older, newer) in [
            ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00.000000001Z"),
            ("2026-11-21T23:00:00+14:00", "2026-11-21T10:00:00Z"),
            ("9", "10"),
            ("-2", "-1.5"),
            ("9.99e1", "100"),
            ("9", "10.0"),
            ("2026-11-21T10:00:00", "2026-11-21T10:00:01"),
            ("2026-11-09", "2026-11-21"),
            ("b10", "b9"),
            ("1_0", "9"),
            ("10", "9a"),
        ] {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater, "{newer} {older}");
        }
    }

    #[test]
    fn other_spellings_of_one_version_are_equal() {
        for (a, b) in [("2026-11-21T10:00:00Z", "2026-11-21T11:00:00.0+01:00"), ("1.0", "1.00"), ("1e2", "100")] {
            assert_eq!(compare(a, b), Ordering::Equal);
        }
    }

    #[test]
    fn a_version_is_accepted_up_to_its_limit() {
        assert!(Version::new(&"a".repeat(MAX_VERSION_BYTES)).is_some());
        assert!(Version::new(&"a".repeat(MAX_VERSION_BYTES + 1)).is_none());
    }

    fn timestamp() -> impl Strategy<Value = String> {
        let offset = prop_oneof![Just("Z".to_owned()), (0..14u8).prop_map(|h| format!("+{h:02}:00"))];
        (0..3u8, 0..3u16, offset).prop_map(|(h, ms, offset)| format!("2026-11-21T1{h}:00:00.{ms:03}{offset}"))
    }

    fn number() -> impl Strategy<Value = String> {
        prop_oneof!["-?[0-9]{1,3}", "-?[0-9]{1,2}\\.[0-9]{1,2}", "[0-9]e[0-3]"]
    }

    fn any_version() -> impl Strategy<Value = String> {
        prop_oneof![timestamp(), number(), "[ab0-9.TZ:-]{0,6}", ".{0,6}"]
    }

    fn three(of: impl Strategy<Value = String>) -> impl Strategy<Value = [String; 3]> {
        prop::collection::vec(of, 3).prop_map(|v| v.try_into().unwrap())
    }

    proptest! {
        #[test]
        fn of_two_versions_one_is_newer_or_both_are_equal(a in any_version(), b in any_version()) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
        }

        #[test]
        fn within_a_kind_versions_are_in_order(
            [a, b, c] in prop_oneof![three(timestamp()), three(number()), three("[a-c]{0,3}")],
        ) {
            let (ab, bc) = (compare(&a, &b), compare(&b, &c));
            if ab != Ordering::Greater && bc != Ordering::Greater {
                prop_assert_ne!(compare(&a, &c), Ordering::Greater);
            }
            if ab == Ordering::Equal {
                prop_assert_eq!(compare(&a, &c), bc);
            }
        }

        #[test]
        fn whole_numbers_compare_as_such(a: i64, b: i64) {
            prop_assert_eq!(compare(&a.to_string(), &b.to_string()), a.cmp(&b));
        }
    }
}
