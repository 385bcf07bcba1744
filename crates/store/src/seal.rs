//! Sealing of secrets at rest: XChaCha20-Poly1305, bound to company and integration.
//!
//! Stored settings are one JSON document, `{"settings": …, "secrets": {"<path>": "sealed:v1:…"}}`: the settings with
//! nothing of their secrets in them, and each secret sealed beside them under its path. A sealed text opens only with
//! the key, the company, the integration and the path it was sealed for.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tillstream_model::integration::{Secret, Settings};
use tillstream_model::{CompanyNo, IntegrationNo};

/// What every sealed text begins with.
pub(crate) const PREFIX: &str = "sealed:v1:";
const NONCE_BYTES: usize = 24;
/// Mode of a key file that is made.
const KEY_FILE_MODE: u32 = 0o600;

/// Why a key or a sealed text is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The text is no key.
    #[error("a master key is 64 hexadecimal digits")]
    NotAKey,
    /// The key file cannot be read or written.
    #[error("key file {0}: {1}")]
    File(String, std::io::Error),
    /// The text was sealed with another key, or is not sealed at all.
    #[error("sealed with key {0}, not with this one")]
    OtherKey(String),
    /// What is stored was made with another key.
    #[error("it was made with master key {made_with}; this one is {this}")]
    Another {
        /// That key's name.
        made_with: String,
        /// The name of the one that was given.
        this: String,
    },
    /// The text was changed, or sealed for another company, integration or place.
    #[error("the sealed secret {0} does not open here")]
    Broken(String),
    /// The stored document is not what this version writes.
    #[error("stored settings: {0}")]
    Document(#[from] serde_json::Error),
}

/// The 32 bytes that all secrets are sealed with, and during a rotation the ones before them. Never stored beside what
/// they seal.
#[derive(Clone)]
pub struct MasterKey {
    key: Key,
    /// Opens what was sealed before.
    older: Option<Key>,
}

type Key = [u8; 32];

impl MasterKey {
    /// The key of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self { key: bytes, older: None }
    }

    /// A key that nobody knows yet.
    pub fn random() -> Self {
        Self::new(rand::random())
    }

    /// From 64 hexadecimal digits; white space around them is ignored. During a rotation two keys with a comma between
    /// them, the new one first.
    pub fn from_hex(text: &str) -> Result<Self, SealError> {
        match text.split_once(',') {
            None => Ok(Self::new(key_of(text)?)),
            Some((new, old)) => Ok(Self { key: key_of(new)?, older: Some(key_of(old)?) }),
        }
    }

    /// This key, with which an older one opens what it sealed.
    #[must_use]
    pub fn after(self, older: &MasterKey) -> Self {
        Self { older: Some(older.key), ..self }
    }

    /// Whether it knows the one before it.
    pub fn has_older(&self) -> bool {
        self.older.is_some()
    }

    /// The key as people keep it: 64 hexadecimal digits.
    pub fn reveal(&self) -> String {
        hex(&self.key)
    }

    /// The marks of the keys, newest first; one of them is kept beside what is sealed.
    fn marks(&self) -> Vec<String> {
        self.all().into_iter().map(|key| key.mark()).collect()
    }

    /// The mark that is kept beside what is sealed, if it is of one of these keys.
    pub(crate) fn known(&self, mark: String) -> Result<String, SealError> {
        if self.marks().contains(&mark) {
            return Ok(mark);
        }
        Err(SealError::Another { made_with: mark.split(':').next().unwrap_or("?").to_owned(), this: self.id() })
    }

    /// Names the key and tells whether another one is the same.
    pub(crate) fn mark(&self) -> String {
        format!("{}:{}", self.id(), self.check_value())
    }

    fn all(&self) -> Vec<Self> {
        std::iter::once(self.key).chain(self.older).map(Self::new).collect()
    }

    /// Reads the key file.
    pub fn load(path: &Path) -> Result<Self, SealError> {
        let text = std::fs::read_to_string(path);
        Self::from_hex(&text.map_err(|e| SealError::File(path.display().to_string(), e))?)
    }

    /// Reads the key file; makes one that only its owner can read, with a random key, when there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, SealError> {
        let failed = |e| SealError::File(path.display().to_string(), e);
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_hex(&text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Self::random().create(path),
            Err(e) => Err(failed(e)),
        }
    }

    /// Names the key without telling it: the first 8 hexadecimal digits of its SHA-256.
    pub fn id(&self) -> String {
        hex(&Sha256::digest(self.key)[..4])
    }

    /// Tells whether another key is the same, without telling the key; kept beside what is sealed.
    pub fn check_value(&self) -> String {
        let hash = Sha256::new().chain_update(b"tillstream master key").chain_update(self.key).finalize();
        hex(&hash[..16])
    }

    /// Writes the key into a new file that only its owner can read; it is on disk when this returns.
    pub fn create(self, path: &Path) -> Result<Self, SealError> {
        self.save(path).map_err(|e| SealError::File(path.display().to_string(), e))?;
        Ok(self)
    }

    fn save(&self, path: &Path) -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(KEY_FILE_MODE).open(path)?;
        file.write_all(format!("{}\n", hex(&self.key)).as_bytes())?;
        file.sync_all()?;
        std::fs::File::open(crate::archive::folder_of(path))?.sync_all()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id())
    }
}

/// What a secret belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The company.
    pub company: CompanyNo,
    /// The integration.
    pub integration: IntegrationNo,
}

impl Owner {
    fn bound_to(self, path: &str) -> Vec<u8> {
        let (company, integration) = (self.company.0.to_be_bytes(), self.integration.0.to_be_bytes());
        [&company[..], &integration[..], path.as_bytes()].concat()
    }
}

/// Seals secrets with one key, and opens what was sealed with any of those it has.
#[derive(Clone)]
pub struct Sealer {
    /// The one that seals first.
    keys: Vec<(String, XChaCha20Poly1305)>,
}

impl Sealer {
    /// A sealer with this key, and the one before it to open.
    pub fn new(key: &MasterKey) -> Self {
        let of = |key: MasterKey| (key.id(), XChaCha20Poly1305::new(&key.key.into()));
        Self { keys: key.all().into_iter().map(of).collect() }
    }

    /// One that seals with the key of this mark; an error when it has no such key.
    pub(crate) fn sealing_with(mut self, mark: &str) -> Result<Self, SealError> {
        let id = mark.split(':').next().unwrap_or(mark);
        match self.keys.iter().position(|(known, _)| known == id) {
            Some(at) => {
                self.keys.swap(0, at);
                Ok(self)
            }
            None => Err(SealError::OtherKey(id.to_owned())),
        }
    }

    /// Whether a text is sealed, and with another key than this one seals with.
    pub(crate) fn is_behind(&self, text: &str) -> bool {
        let sealed_with = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once(':')).map(|(id, _)| id);
        sealed_with.is_some_and(|id| self.keys.first().is_none_or(|(current, _)| current != id))
    }

    /// Seals a text for one place: `sealed:v1:<key id>:<base64 of nonce and cipher text>`.
    pub fn seal(&self, owner: Owner, path: &str, text: &str) -> Result<String, SealError> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: text.as_bytes(), aad: &owner.bound_to(path) };
        let (key_id, cipher) = self.keys.first().ok_or(SealError::NotAKey)?;
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Broken(path.into()))?;
        Ok(format!("{PREFIX}{key_id}:{}", STANDARD.encode([&nonce[..], &sealed].concat())))
    }

    /// Opens what [`Sealer::seal`] gave for the same place.
    pub fn open(&self, owner: Owner, path: &str, sealed: &str) -> Result<String, SealError> {
        let broken = || SealError::Broken(path.to_owned());
        let (key_id, body) = sealed.strip_prefix(PREFIX).and_then(|s| s.split_once(':')).ok_or_else(broken)?;
        let key = self.keys.iter().find(|(known, _)| known == key_id);
        let (_, cipher) = key.ok_or_else(|| SealError::OtherKey(key_id.to_owned()))?;
        let bytes = STANDARD.decode(body).map_err(|_| broken())?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or_else(broken)?;
        let payload = Payload { msg: text, aad: &owner.bound_to(path) };
        let open = cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| broken())?;
        String::from_utf8(open).map_err(|_| broken())
    }

    /// Settings as they are stored.
    pub fn to_stored(&self, owner: Owner, settings: &Settings) -> Result<String, SealError> {
        let mut bare = settings.clone();
        let mut secrets = BTreeMap::new();
        for (path, secret) in bare.secrets_mut() {
            let sealed = self.seal(owner, &path, secret.reveal())?;
            secrets.insert(path, sealed);
            *secret = Secret::new("");
        }
        Ok(serde_json::to_string(&Stored { settings: bare, secrets })?)
    }

    /// Stored settings with their secrets open.
    pub fn from_stored(&self, owner: Owner, stored: &str) -> Result<Settings, SealError> {
        let Stored { mut settings, secrets } = serde_json::from_str(stored)?;
        for (path, secret) in settings.secrets_mut() {
            let sealed = secrets.get(&path).ok_or_else(|| SealError::Broken(path.clone()))?;
            *secret = Secret::new(self.open(owner, &path, sealed)?);
        }
        Ok(settings)
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    settings: Settings,
    secrets: BTreeMap<String, String>,
}

fn key_of(text: &str) -> Result<Key, SealError> {
    let text = text.trim().as_bytes();
    let mut key = [0; 32];
    if text.len() != 2 * key.len() {
        return Err(SealError::NotAKey);
    }
    for (byte, pair) in key.iter_mut().zip(text.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Ok(key)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn hex_digit(c: u8) -> Result<u8, SealError> {
    (c as char).to_digit(16).map(|d| d as u8).ok_or(SealError::NotAKey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tillstream_model::integration::Written;

    const OWNER: Owner = Owner { company: CompanyNo(7), integration: IntegrationNo(3) };

    fn settings() -> Settings {
        let written = serde_json::json!({
            "id": "erp",
            "target": {"kind": "http", "url": "https://erp.example", "headers": {"x-key": "header-key-QX1Z"},
                "authorization": {"default": "Bearer default-QX2Z", "sites": {"a.b": "Bearer site-QX3Z", "9": null}}},
            "signing": {"secrets": [format!("whsec_{}", STANDARD.encode([9; 32]))]},
        });
        Written::from_json(written).unwrap().complete().unwrap()
    }

    #[test]
    fn stored_settings_read_back_and_show_nothing_of_their_secrets() {
        let sealer = Sealer::new(&MasterKey::new([1; 32]));
        let stored = sealer.to_stored(OWNER, &settings()).unwrap();
        for (_, secret) in settings().secrets_mut() {
            let text = secret.reveal();
            assert!(!stored.contains(text) && !stored.contains(&text[text.len() - 4..]), "{stored}");
        }
        assert_eq!(sealer.from_stored(OWNER, &stored).unwrap(), settings());
    }

    #[test]
    fn another_key_company_integration_or_path_does_not_open_a_secret() {
        let sealer = Sealer::new(&MasterKey::new([1; 32]));
        let sealed = sealer.seal(OWNER, "a", "text").unwrap();
        assert_eq!(sealer.open(OWNER, "a", &sealed).unwrap(), "text");
        let other_company = Owner { company: CompanyNo(8), ..OWNER };
        let other_integration = Owner { integration: IntegrationNo(4), ..OWNER };
        for (owner, path) in [(other_company, "a"), (other_integration, "a"), (OWNER, "b")] {
            assert!(matches!(sealer.open(owner, path, &sealed), Err(SealError::Broken(_))), "{owner:?} {path}");
        }
        let other = Sealer::new(&MasterKey::new([2; 32]));
        assert!(matches!(other.open(OWNER, "a", &sealed), Err(SealError::OtherKey(_))));
    }

    #[test]
    fn a_changed_or_cut_text_does_not_open() {
        let sealer = Sealer::new(&MasterKey::new([1; 32]));
        let sealed = sealer.seal(OWNER, "a", "text").unwrap();
        let changed = sealed.replace("sealed:v1", "sealed:v2");
        for wrong in [changed.as_str(), &sealed[..sealed.len() - 8], &sealed[..24], "", "text"] {
            assert!(sealer.open(OWNER, "a", wrong).is_err(), "{wrong}");
        }
        assert_ne!(sealed, sealer.seal(OWNER, "a", "text").unwrap(), "every sealing has its own nonce");
    }

    #[test]
    fn a_key_file_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(MasterKey::load_or_create(&path).unwrap().check_value(), made.check_value());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, KEY_FILE_MODE);
        std::fs::write(&path, "not a key").unwrap();
        assert!(matches!(MasterKey::load_or_create(&path), Err(SealError::NotAKey)));
    }

    #[test]
    fn a_key_is_64_hexadecimal_digits_and_is_never_shown() {
        let text = "0123456789abcdefABCDEF00".repeat(3)[..64].to_owned();
        let key = MasterKey::from_hex(&format!(" {text}\n")).unwrap();
        assert_eq!(hex(&key.key), text.to_lowercase());
        assert_eq!(format!("{key:?}"), format!("MasterKey({})", key.id()));
        assert_eq!(key.id().len(), 8);
        for wrong in ["", &text[..63], &format!("{text}0"), &"g".repeat(64)] {
            assert!(MasterKey::from_hex(wrong).is_err(), "{wrong}");
        }
    }
}
