//! Idempotency ids, as engines look them up.

use sha2::{Digest, Sha256};
use tillstream_model::{CompanyNo, Content};

/// SHA-256 prefix of company, site and idempotency id.
pub(crate) type IdHash = [u8; 16];

/// What the writer needs to know of an event with an idempotency id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// Names the id.
    pub(crate) hash: IdHash,
    /// Tells a repeat from another event.
    pub(crate) fingerprint: [u8; 16],
}

impl Caller {
    /// None for an event without an idempotency id.
    pub(crate) fn of(company: CompanyNo, content: &Content) -> Option<Self> {
        let id = content.caller_id.as_deref()?;
        let hash = id_hash(company, content.site.as_deref(), id);
        Some(Self { hash, fingerprint: content.fingerprint() })
    }
}

/// The name of an idempotency id.
pub(crate) fn id_hash(company: CompanyNo, site: Option<&str>, id: &str) -> IdHash {
    let hash = Sha256::new()
        .chain_update(company.0.to_be_bytes())
        .chain_update(site.map_or(u64::MAX, |s| s.len() as u64).to_be_bytes())
        .chain_update(site.unwrap_or_default())
        .chain_update(id)
        .finalize();
    let mut prefix = [0; 16];
    prefix.copy_from_slice(&hash[..16]);
    prefix
}
