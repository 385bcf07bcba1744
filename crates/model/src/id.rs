//! Numbers and ids of things.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Time;

/// A position inside one company's log: dense, from 1, never reused. 0 means "before the first".
pub type Seq = u64;

/// The internal number of a company. Never reused; below [`CompanyNo::LIMIT`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CompanyNo(pub u32);

impl CompanyNo {
    /// Numbers are below this, so that (company, seq) fits into one 63-bit key.
    pub const LIMIT: u32 = 1 << 23;
}

/// The internal number of an integration. Never reused, unlike the id that people choose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IntegrationNo(pub u64);

/// An event's own id, made by the hub: 48 bits of acceptance time in milliseconds, then 80 random bits.
/// Written `evt_` and 26 characters of Crockford's base 32, so that ids sort by time. It is the `webhook-id`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId([u8; 16]);

const PREFIX: &str = "evt_";
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TEXT_LEN: usize = 26;

impl EventId {
    /// The id of an event accepted at `at`, made unique by 80 random bits.
    pub fn new(at: Time, random: [u8; 10]) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&at.millis().to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        Self(bytes)
    }

    /// As stored.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// As stored.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// When the event was accepted, to the millisecond.
    pub fn time(&self) -> Time {
        let mut ms = [0; 8];
        ms[2..].copy_from_slice(&self.0[..6]);
        Time::from_millis(i64::from_be_bytes(ms))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = u128::from_be_bytes(self.0);
        let mut text = [0u8; PREFIX.len() + TEXT_LEN];
        text[..PREFIX.len()].copy_from_slice(PREFIX.as_bytes());
        for slot in text[PREFIX.len()..].iter_mut().rev() {
            *slot = ALPHABET[(value & 31) as usize];
            value >>= 5;
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an event id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an event id: one starts with evt_ and goes on with 26 letters and digits")]
pub struct NotAnEventId;

impl FromStr for EventId {
    type Err = NotAnEventId;

    fn from_str(s: &str) -> Result<Self, NotAnEventId> {
        let text = s.strip_prefix(PREFIX).ok_or(NotAnEventId)?.as_bytes();
        if text.len() != TEXT_LEN || text[0] > b'7' {
            return Err(NotAnEventId);
        }
        let mut value = 0u128;
        for c in text {
            let digit = ALPHABET.iter().position(|a| a == c).ok_or(NotAnEventId)?;
            value = value << 5 | digit as u128;
        }
        Ok(Self(value.to_be_bytes()))
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_tells_when_its_event_was_accepted() {
        let at = Time::from_millis(1_700_000_000_123);
        assert_eq!(EventId::new(at, [7; 10]).time(), at);
    }

    proptest! {
        #[test]
        fn an_id_reads_back_as_written_and_sorts_as_its_text(a: [u8; 16], b: [u8; 16]) {
            let (a, b) = (EventId::from_bytes(a), EventId::from_bytes(b));
            prop_assert_eq!(a.to_string().parse::<EventId>().unwrap(), a);
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn no_other_text_is_an_id(s in "evt_[0-9A-Z]{25,27}") {
            if let Ok(id) = s.parse::<EventId>() {
                prop_assert_eq!(id.to_string(), s);
            }
        }
    }
}
