//! People of a company: who they are, and the one-time links with which they set their password.

pub mod password;
pub mod throttle;
pub mod views;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tillstream_model::{CompanyNo, Time};
use tillstream_store::state::{Expected, SaveError};
use tillstream_store::{State, StoreError};
use utoipa::ToSchema;

use crate::access::sessions::{PortalSession, Presence, Session};
use crate::access::token::{self, Opens};
use crate::access::{Grant, Privilege};
use crate::documents::{self, Kind, Saved};

/// How long a sign-in link is good.
pub const LINK_LIFE: Duration = Duration::from_secs(24 * 3_600);
/// How long the URL of a portal session is good.
pub const PORTAL_LINK_LIFE: Duration = Duration::from_secs(10 * 60);
/// Longest e-mail address, in bytes (RFC 5321).
pub const MAX_EMAIL: usize = 254;
/// Longest name, in characters.
pub const MAX_NAME: usize = 200;
/// How long an address is kept for somebody who is being saved.
const ADDRESS_HELD: Duration = Duration::from_secs(60);
/// Documents that are looked at at once when ended ones are removed.
const PAGE: usize = 500;

/// Somebody who signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// As they wrote it; unique in the company, whatever its case.
    pub email: String,
    /// What people call them.
    #[serde(default)]
    pub name: String,
    /// What they may do.
    #[serde(default)]
    pub privileges: Vec<Grant>,
    /// Whether they may sign in.
    #[serde(default)]
    pub status: UserStatus,
    /// The hash of the password ([`password`]); none until they have set one.
    #[serde(default)]
    pub password: Option<String>,
    /// Counts the passwords: sessions and links of an older one have ended.
    #[serde(default)]
    pub generation: u32,
}

impl Kind for User {
    const KIND: &'static str = "user";
}

impl User {
    /// Somebody new, without a password.
    pub fn new(email: String, name: String, privileges: Vec<Grant>) -> Self {
        Self { email, name, privileges, status: UserStatus::Active, password: None, generation: 0 }
    }

    /// Somebody who may do everything in the company.
    pub fn administrator(email: String, name: String) -> Self {
        Self::new(email, name, vec![Grant::whole(Privilege::All)])
    }
}

/// Whether somebody may sign in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// They may.
    #[default]
    Active,
    /// They may not, and their sessions have ended.
    Disabled,
}

/// Who has an e-mail address; the id is the address in small letters.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Address {
    user: String,
}

impl Kind for Address {
    const KIND: &'static str = "user_email";
}

/// With what a person sets a password, once. Its id is the hash of its token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Link {
    /// Whose.
    pub user: String,
    /// The person's generation when it was made; another one ends it.
    pub generation: u32,
    /// When it ends.
    pub expires_at: Time,
}

impl Kind for Link {
    const KIND: &'static str = "user_link";
}

/// With what a session of the portal inside somebody's page begins, once. Its id is the hash of its token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PortalLink {
    /// The session.
    pub session: PortalSession,
    /// When the link ends.
    pub expires_at: Time,
}

impl Kind for PortalLink {
    const KIND: &'static str = "portal_link";
}

/// Why somebody was not saved.
#[derive(Debug, thiserror::Error)]
pub enum NotSaved {
    /// Somebody else of the company has this address.
    #[error("somebody else has the address {0}")]
    Taken(String),
    /// The state says why.
    #[error(transparent)]
    Save(#[from] SaveError),
}

impl From<StoreError> for NotSaved {
    fn from(e: StoreError) -> Self {
        NotSaved::Save(e.into())
    }
}

/// An address as it is compared.
pub fn folded(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Whether a text may be an address: something before and after one `@`, nothing that a mail's head would trip over.
pub fn is_email(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c.is_control() || "<>,;\"".contains(c))
    };
    let parts: Vec<&str> = text.split('@').collect();
    folded(text).len() <= MAX_EMAIL && text.len() <= MAX_EMAIL && parts.len() == 2 && parts.into_iter().all(plain)
}

/// Whether a text may be a name; an empty one is none yet.
pub fn is_name(text: &str) -> bool {
    text.chars().count() <= MAX_NAME && !text.chars().any(char::is_control)
}

/// A new id for somebody.
pub fn new_id(random: u64) -> String {
    format!("usr_{random:016x}")
}

/// Whoever has this address.
pub async fn by_email(state: &dyn State, of: CompanyNo, email: &str) -> Result<Option<Saved<User>>, StoreError> {
    let Some(address) = documents::get::<Address>(state, Some(of), &folded(email)).await? else { return Ok(None) };
    let user = documents::get::<User>(state, Some(of), &address.value.user).await?;
    Ok(user.filter(|u| folded(&u.value.email) == folded(email)))
}

/// Makes somebody.
pub async fn create(
    state: &dyn State,
    of: CompanyNo,
    id: &str,
    user: &User,
    now: Time,
) -> Result<Saved<User>, NotSaved> {
    take_address(state, of, &user.email, id, now).await?;
    Ok(documents::put(state, Some(of), id, user, Expected::New).await?)
}

/// Saves somebody over what is known of them.
pub async fn save(
    state: &dyn State,
    of: CompanyNo,
    known: &Saved<User>,
    user: &User,
    now: Time,
) -> Result<Saved<User>, NotSaved> {
    let moves = folded(&known.value.email) != folded(&user.email);
    if moves {
        take_address(state, of, &user.email, &known.id, now).await?;
    }
    let saved = documents::put(state, Some(of), &known.id, user, Expected::Version(known.version)).await?;
    if moves {
        documents::delete::<Address>(state, Some(of), &folded(&known.value.email)).await?;
    }
    Ok(saved)
}

/// Removes somebody; their sessions and links lead nowhere from then on.
pub async fn delete(state: &dyn State, of: CompanyNo, id: &str) -> Result<Option<Saved<User>>, StoreError> {
    let gone = documents::delete::<User>(state, Some(of), id).await?;
    if let Some(gone) = &gone {
        documents::delete::<Address>(state, Some(of), &folded(&gone.value.email)).await?;
        documents::delete::<Presence>(state, Some(of), id).await?;
    }
    Ok(gone)
}

/// Takes an address for somebody. One that was taken for somebody who was never saved, because of a crash in between,
/// is free after [`ADDRESS_HELD`].
async fn take_address(state: &dyn State, of: CompanyNo, email: &str, user: &str, now: Time) -> Result<(), NotSaved> {
    let (id, address) = (folded(email), Address { user: user.to_owned() });
    let expected = match documents::get::<Address>(state, Some(of), &id).await? {
        None => Expected::New,
        Some(known) if known.value.user == user => return Ok(()),
        Some(known) if known.updated_at + ADDRESS_HELD <= now && by_email(state, of, email).await?.is_none() => {
            Expected::Version(known.version)
        }
        Some(_) => return Err(NotSaved::Taken(email.to_owned())),
    };
    match documents::put(state, Some(of), &id, &address, expected).await {
        Ok(_) => Ok(()),
        Err(SaveError::Store(e)) => Err(e.into()),
        // Somebody took it in this moment.
        Err(_) => Err(NotSaved::Taken(email.to_owned())),
    }
}

/// Makes a link with which somebody sets a password; gives its token, which is shown once, and its end.
pub async fn make_link(
    state: &dyn State,
    of: CompanyNo,
    user: &Saved<User>,
    random: [u8; 32],
    now: Time,
) -> Result<(String, Time), SaveError> {
    let (text, id) = token::make(Opens::Password, of, random);
    let link = Link { user: user.id.clone(), generation: user.value.generation, expires_at: now + LINK_LIFE };
    documents::put(state, Some(of), &id, &link, Expected::New).await?;
    Ok((text, link.expires_at))
}

/// Removes sessions and links that have ended.
pub async fn sweep(state: &dyn State, now: Time) -> Result<(), StoreError> {
    for company in state.companies().await? {
        let of = company.no;
        remove_ended::<Session>(state, of, |s| s.expires_at <= now || s.seen_at + crate::access::sessions::IDLE <= now)
            .await?;
        remove_ended::<PortalSession>(state, of, |s| s.expires_at <= now).await?;
        remove_ended::<Link>(state, of, |l| l.expires_at <= now).await?;
        remove_ended::<PortalLink>(state, of, |l| l.expires_at <= now).await?;
    }
    Ok(())
}

async fn remove_ended<T: Kind>(state: &dyn State, of: CompanyNo, ended: impl Fn(&T) -> bool) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let page = documents::list::<T>(state, Some(of), &after, PAGE).await?;
        for old in page.iter().filter(|d| ended(&d.value)) {
            documents::delete::<T>(state, Some(of), &old.id).await?;
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after.clone_from(&last.id),
            _ => return Ok(()),
        }
    }
}

/// What the hub keeps in memory about people.
#[derive(Default)]
pub struct People {
    /// Hashes passwords, a few at a time.
    pub passwords: password::Passwords,
    /// Slows down guessing.
    pub throttle: throttle::Throttle,
    /// Who looked at which payload lately.
    pub views: views::Views,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_two_sides_and_nothing_odd() {
        let longest = format!("a@{}", "b".repeat(MAX_EMAIL - 2));
        for right in ["a@b", "Ada.Lovelace+till@stores.example", "ü@b", longest.as_str()] {
            assert!(is_email(right), "{right}");
        }
        for wrong in ["", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "<a@b>", &format!("{longest}b")] {
            assert!(!is_email(wrong), "{wrong}");
        }
        assert_eq!(folded(" Ada@Stores.Example "), "ada@stores.example");
    }
}
