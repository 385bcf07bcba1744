//! Passwords: hashed with argon2id, a few at a time and away from the threads that serve requests.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

/// Shortest password, in characters.
pub const MIN_CHARS: usize = 12;
/// Longest password, in characters.
pub const MAX_CHARS: usize = 200;
/// Passwords hashed at once; each takes [`MEMORY_KIB`] of memory.
pub const AT_ONCE: usize = 2;
/// Passwords that wait for their turn; further ones are refused.
pub const MAX_WAITING: usize = 32;
/// Memory of one hash, in KiB (OWASP's parameters for argon2id).
const MEMORY_KIB: u32 = 19_456;
/// Passes over that memory.
const PASSES: u32 = 2;
/// Lanes of one hash.
const LANES: u32 = 1;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;
/// Most memory and passes that a stored hash may ask for.
const MAX_COST: (u32, u32) = (1 << 18, 16);

/// Too many passwords are waiting to be hashed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("too many passwords are waiting to be checked")]
pub struct Busy;

/// Hashes and checks passwords.
pub struct Passwords {
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        let semaphore = |n| Arc::new(Semaphore::new(n));
        Self { running: semaphore(AT_ONCE), places: semaphore(AT_ONCE + MAX_WAITING) }
    }
}

/// Whether a password is long enough and not too long.
pub fn is_acceptable(password: &str) -> bool {
    password.len() <= MAX_CHARS * char::MAX.len_utf8() && (MIN_CHARS..=MAX_CHARS).contains(&password.chars().count())
}

impl Passwords {
    /// The hash of a password, as it is stored.
    ///
    /// # Errors
    /// [`Busy`] when too many wait.
    pub async fn hash(&self, password: String, salt: [u8; 16]) -> Result<String, Busy> {
        self.work(move || hash(&password, salt)).await?.ok_or(Busy)
    }

    /// Whether this is the password. Takes as long when there is none.
    ///
    /// # Errors
    /// [`Busy`] when too many wait.
    pub async fn check(&self, password: String, stored: Option<String>) -> Result<bool, Busy> {
        self.work(move || match stored {
            Some(stored) => is_same(&password, &stored),
            None => {
                std::hint::black_box(hash(&password, [0; 16]));
                false
            }
        })
        .await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| Busy)?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| Busy)?;
        // The places go with the work, not with the request: one that is given up goes on hashing.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((running, place));
            done
        });
        done.await.map_err(|_| Busy)
    }
}

fn hash(password: &str, salt: [u8; 16]) -> Option<String> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)).ok()?;
    let text = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
    let hash = digest(params, password, &salt)?;
    Some(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${}${}", text(&salt), text(&hash)))
}

fn digest(params: Params, password: &str, salt: &[u8]) -> Option<[u8; HASH_BYTES]> {
    let mut out = [0; HASH_BYTES];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(password.as_bytes(), salt, &mut out).ok()?;
    Some(out)
}

fn is_same(password: &str, stored: &str) -> bool {
    let Some((params, salt, hash)) = read(stored) else { return false };
    digest(params, password, &salt).is_some_and(|found| found.ct_eq(&hash).into())
}

/// Parameters, salt and hash of a stored text (the PHC string format).
fn read(stored: &str) -> Option<(Params, Vec<u8>, Vec<u8>)> {
    let rest = stored.strip_prefix("$argon2id$v=19$")?;
    let mut parts = rest.split('$');
    let (costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let cost = |name: &str| costs.split(',').find_map(|c| c.strip_prefix(name)?.parse::<u32>().ok());
    let (memory, passes, lanes) = (cost("m=")?, cost("t=")?, cost("p=")?);
    let fits = memory <= MAX_COST.0 && passes <= MAX_COST.1 && lanes == LANES;
    let params = Params::new(memory, passes, lanes, Some(HASH_BYTES)).ok().filter(|_| fits)?;
    Some((params, STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_itself_fits_its_hash() {
        let passwords = Passwords::default();
        let stored = passwords.hash("correct horse".into(), [7; 16]).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !stored.contains("horse"));
        let check = async |password: &str, stored: &str| passwords.check(password.into(), Some(stored.into())).await;
        assert_eq!(check("correct horse", &stored).await, Ok(true));
        assert_eq!(check("correct horsE", &stored).await, Ok(false));
        assert_eq!(check("correct horse", &stored[..stored.len() - 1]).await, Ok(false));
        assert_eq!(check("correct horse", &stored.replace("m=19456", "m=999999999")).await, Ok(false));
        assert_eq!(passwords.check("correct horse".into(), None).await, Ok(false));
        assert_ne!(passwords.hash("correct horse".into(), [8; 16]).await.unwrap(), stored);
    }

    #[test]
    fn a_password_has_12_to_200_characters() {
        for (length, right) in [(MIN_CHARS - 1, false), (MIN_CHARS, true), (MAX_CHARS, true), (MAX_CHARS + 1, false)] {
            assert_eq!(is_acceptable(&"ü".repeat(length)), right, "{length}");
        }
    }

    #[tokio::test]
    async fn two_are_hashed_at_once_and_no_more_wait_than_there_are_places() {
        let passwords = Arc::new(Passwords::default());
        let (release, held) = std::sync::mpsc::sync_channel::<()>(AT_ONCE + MAX_WAITING);
        let held = Arc::new(std::sync::Mutex::new(held));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE + MAX_WAITING {
            let (passwords, held) = (passwords.clone(), held.clone());
            tasks.spawn(async move { passwords.work(move || held.lock().unwrap().recv().unwrap()).await });
        }
        while passwords.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.work(|| ()).await, Err(Busy));
        assert_eq!(passwords.running.available_permits(), 0);
        for _ in 0..AT_ONCE + MAX_WAITING {
            release.send(()).unwrap();
        }
        while let Some(done) = tasks.join_next().await {
            assert_eq!(done.unwrap(), Ok(()));
        }
        assert_eq!(passwords.work(|| ()).await, Ok(()));
    }
}
