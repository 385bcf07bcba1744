//! Values that are written and never shown.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Time;

/// What a masked value starts with.
const MASK: char = '…';
/// Secrets shorter than this show nothing of themselves.
const SHOWN_FROM: usize = 12;
/// How many characters at the end are shown.
const SHOWN: usize = 4;

/// A value that people write and nobody reads back: shown and logged as `…` and its last four characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// A secret with this text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Secret(text.into())
    }

    /// The text itself; for sending, signing and sealing only.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The text as it may be shown.
    pub fn masked(&self) -> String {
        let count = self.0.chars().count();
        let skip = if count < SHOWN_FROM { count } else { count - SHOWN };
        std::iter::once(MASK).chain(self.0.chars().skip(skip)).collect()
    }

    /// Whether the text is a masked value, which in a write means "unchanged".
    pub fn looks_masked(&self) -> bool {
        self.0.starts_with(MASK)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.masked())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(Secret::new)
    }
}

/// A key that signs deliveries: `whsec_` and the base64 of 24 to 64 bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SigningSecret {
    /// The key as text.
    pub secret: Secret,
    /// It signs until then; None: until it is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

const PREFIX: &str = "whsec_";
/// How many bytes a signing key may have (Standard Webhooks).
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

impl SigningSecret {
    /// A key of 32 random bytes.
    pub fn generate(random: [u8; 32]) -> Self {
        Self { secret: Secret::new(format!("{PREFIX}{}", STANDARD.encode(random))), expires_at: None }
    }

    /// The bytes to sign with; None when the text is no signing key.
    pub fn key(&self) -> Option<Vec<u8>> {
        let text = self.secret.reveal().strip_prefix(PREFIX)?;
        STANDARD.decode(text).ok().filter(|key| KEY_BYTES.contains(&key.len()))
    }
}

impl<'de> Deserialize<'de> for SigningSecret {
    /// A bare text, or `{secret, expires_at}`.
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Bare(Secret),
            Object { secret: Secret, expires_at: Option<Time> },
        }
        Ok(match Spelling::deserialize(d)? {
            Spelling::Bare(secret) => Self { secret, expires_at: None },
            Spelling::Object { secret, expires_at } => Self { secret, expires_at },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_last_four_characters_or_nothing() {
        assert_eq!(Secret::new("Bearer abcdef1234").masked(), "…1234");
        assert_eq!(Secret::new("short123456").masked(), "…");
        assert_eq!(format!("{:?}", Secret::new("Bearer abcdef1234")), "…1234");
        assert_eq!(serde_json::to_string(&Secret::new("x")).unwrap(), "\"…\"");
    }

    #[test]
    fn a_generated_signing_secret_reads_back_as_its_bytes() {
        assert_eq!(SigningSecret::generate([7; 32]).key(), Some(vec![7; 32]));
        for wrong in ["whsec_", "whsec_AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "whsec_***"] {
            let secret = SigningSecret { secret: Secret::new(wrong), expires_at: None };
            assert_eq!(secret.key(), None, "{wrong}");
        }
    }
}
