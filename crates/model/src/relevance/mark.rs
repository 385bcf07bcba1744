//! One version of a record at one position.

use std::borrow::Cow;
use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::version::Version;
use crate::Seq;
use crate::event::first_16;

/// Identifies a record under a relevance key: 128 bits of SHA-256 over the expression and the values of its paths, each
/// with its length before it. Unlike the key that order is kept by, two records on one identity would suppress each
/// other, so 64 bits are not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity([u8; 16]);

impl Identity {
    /// The identity of the values that the paths of the expression `key` lead to.
    pub(super) fn of(key: &str, parts: &[Cow<'_, str>]) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(key).chain(parts.iter().map(AsRef::as_ref)) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Identity(first_16(&hash.finalize()))
    }

    /// As stored.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What an event says about a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which record.
    pub identity: Identity,
    /// Which version of it.
    pub version: Version,
    /// Its whole `data`.
    pub data: DataHash,
}

impl Record {
    pub(super) fn new(identity: Identity, version: Version, data: &str) -> Self {
        Self { identity, version, data: DataHash(first_16(&Sha256::digest(data))) }
    }

    /// The version at the event's position, to offer to the record's [`super::Memory`].
    pub fn at(self, seq: Seq) -> Mark {
        Mark { version: self.version, seq, data: self.data }
    }
}

/// 128 bits of SHA-256 over a payload as it stands in the log: another spelling is other data. Written as base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHash([u8; 16]);

impl Serialize for DataHash {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD_NO_PAD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for DataHash {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        let bytes = STANDARD_NO_PAD.decode(text.as_bytes()).ok().and_then(|b| b.try_into().ok());
        bytes.map(DataHash).ok_or_else(|| serde::de::Error::custom("16 bytes in base64"))
    }
}

/// A version of a record, where it stands in the log, and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The version.
    #[serde(rename = "v")]
    pub version: Version,
    /// The event's position.
    #[serde(rename = "s")]
    pub seq: Seq,
    /// Of the event's `data`.
    #[serde(rename = "h")]
    pub data: DataHash,
}

impl Mark {
    /// Of two versions the lower is older; of two events with the same version, the earlier.
    pub fn is_older_than(&self, other: &Mark) -> bool {
        match self.version.compare(&other.version) {
            Ordering::Less => true,
            Ordering::Equal => self.seq < other.seq,
            Ordering::Greater => false,
        }
    }

    /// Whether both say the same of the same version.
    pub fn repeats(&self, other: &Mark) -> bool {
        self.data == other.data && self.version.compare(&other.version) == Ordering::Equal
    }
}
