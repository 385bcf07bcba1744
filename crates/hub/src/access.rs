//! Who may do what: keys and sessions, their scopes, and a small cache of both (`contracts/hub-api.md`, "Who may do
//! what").

mod cache;
mod holder;
mod privilege;
mod scope;
pub mod sessions;
pub mod token;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tillstream_model::{CompanyNo, Time};
use tillstream_store::state::{Bound, Company, Key};
use tillstream_store::{State, StoreError};

pub use cache::{CACHED_FOR, CACHED_KEYS, is_fresh};
use holder::still_valid;
pub use holder::{Holder, Who};
pub use privilege::{Grant, Powers, Privilege};
pub use scope::{ALL, NoScope, Scope, Scopes};

/// What every key starts with.
pub const KEY_PREFIX: &str = "tsk_";
/// Longest text that is taken for a key, in bytes; longer ones are not hashed.
const MAX_KEY_BYTES: usize = 256;

/// What a new key shall be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Whose; None for an operator's.
    pub company: Option<CompanyNo>,
    /// What people call it.
    pub name: String,
    /// Names of scopes, already checked with [`Scopes::parse`].
    pub scopes: Vec<String>,
    /// What it may do it with.
    pub bound: Bound,
    /// Not valid from then on.
    pub expires_at: Option<Time>,
}

impl NewKey {
    /// Makes the key: the text to show once, and what is stored of it. `random` makes the key, `id` its id.
    pub fn make(self, random: [u8; 32], id: u64, now: Time) -> (String, Key) {
        let text = format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        let key = Key {
            id: format!("key_{id:016x}"),
            company: self.company,
            name: self.name,
            scopes: self.scopes,
            bound: self.bound,
            hash: hash_of(&text),
            created_at: now,
            expires_at: self.expires_at,
            last_used_at: None,
        };
        (text, key)
    }
}

/// Looks up keys and companies, and keeps them for a moment.
pub struct Access {
    state: Arc<dyn State>,
    cache: cache::Cache,
    sessions: cache::Cache,
    companies: Mutex<Companies>,
}

#[derive(Default)]
struct Companies {
    list: Vec<Arc<Company>>,
    at: Option<Time>,
}

impl Access {
    /// Looks up in this state.
    pub fn new(state: Arc<dyn State>) -> Self {
        Self { state, cache: cache::Cache::default(), sessions: cache::Cache::default(), companies: Mutex::default() }
    }

    /// Who holds this key, or token of the portal inside somebody's page, at `now`; None when nobody does any more.
    pub async fn holder(&self, key: &str, now: Time) -> Result<Option<Arc<Holder>>, StoreError> {
        if key.starts_with(token::Opens::Portal.prefix()) {
            return self.portal(key, now).await;
        }
        if !key.starts_with(KEY_PREFIX) || key.len() > MAX_KEY_BYTES {
            return Ok(None);
        }
        let hash = hash_of(key);
        if let Some(holder) = self.cache.get(&hash, now) {
            return Ok(still_valid(holder, now));
        }
        let Some(key) = self.state.key_by_hash(&hash).await?.filter(|k| bool::from(k.hash.ct_eq(&hash))) else {
            return Ok(None);
        };
        let Some(holder) = self.holder_of(key, now).await? else { return Ok(None) };
        self.cache.keep(hash, holder.clone(), now);
        Ok(still_valid(holder, now))
    }

    /// The company with this external id.
    pub async fn company(&self, external_id: &str, now: Time) -> Result<Option<Arc<Company>>, StoreError> {
        self.find_company(now, |c| c.external_id == external_id).await
    }

    /// A company was saved in this process: it counts at once.
    pub fn company_changed(&self) {
        *lock(&self.companies) = Companies::default();
        self.cache.clear();
        self.sessions.clear();
    }

    /// A key was deleted in this process: it stops working at once.
    pub fn forget(&self, key_id: &str) {
        self.cache.forget(key_id);
    }

    /// Writes down when keys were last used; to be called about once a minute. What could not be written is written
    /// the next time.
    pub async fn flush_used(&self, now: Time) {
        // When a session was used is written down with the session.
        self.sessions.take_used(now);
        let used = self.cache.take_used(now);
        if used.is_empty() {
            return;
        }
        if let Err(e) = self.state.touch_keys(used.clone()).await {
            tracing::warn!(error = %e, "uses of keys could not be noted; trying again in the next round");
            self.cache.put_back(used);
        }
    }

    async fn holder_of(&self, key: Key, now: Time) -> Result<Option<Arc<Holder>>, StoreError> {
        let company = match key.company {
            None => None,
            Some(no) => match self.find_company(now, |c| c.no == no).await? {
                Some(company) => Some(company),
                None => return Ok(None),
            },
        };
        let scopes = Scopes::stored(&key.scopes);
        let Key { id, bound, expires_at, .. } = key;
        let sites = BTreeMap::new();
        let who = Who::Key;
        Ok(Some(Arc::new(Holder { who, key_id: id, scopes, bound, company, session: None, expires_at, sites })))
    }

    async fn find_company(
        &self,
        now: Time,
        is_it: impl Fn(&Company) -> bool,
    ) -> Result<Option<Arc<Company>>, StoreError> {
        {
            let known = lock(&self.companies);
            let found =
                known.at.filter(|at| cache::is_fresh(*at, now)).and_then(|_| known.list.iter().find(|c| is_it(c)));
            if let Some(company) = found {
                return Ok(Some(company.clone()));
            }
        }
        let list: Vec<Arc<Company>> = self.state.companies().await?.into_iter().map(Arc::new).collect();
        let found = list.iter().find(|c| is_it(c)).cloned();
        *lock(&self.companies) = Companies { list, at: Some(now) };
        Ok(found)
    }
}

/// SHA-256 of a key, as it is stored and looked up by.
pub fn hash_of(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_256_random_bits_and_only_its_hash_is_stored() {
        let new = NewKey {
            company: None,
            name: "x".into(),
            scopes: vec![ALL.into()],
            bound: Bound::default(),
            expires_at: None,
        };
        let (text, key) = new.make([7; 32], 7, Time::default());
        assert_eq!(text.len(), KEY_PREFIX.len() + 43);
        assert_eq!(key.hash, hash_of(&text));
        assert_eq!(key.id, "key_0000000000000007");
    }
}
