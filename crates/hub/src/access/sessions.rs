//! Sessions of people and of the portal inside other pages: made, looked up, ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tillstream_model::{CompanyNo, Time};
use tillstream_store::state::{Bound, Expected, SaveError};
use tillstream_store::{State, StoreError};

use super::holder::{Holder, Who, still_valid};
use super::token::{self, Opens};
use super::{Access, Powers, Privilege, hash_of};
use crate::documents::{self, Kind, Saved};
use crate::people::{User, UserStatus};

/// A session ends when nothing was asked with it for so long (`contracts/hub-api.md`, "Who may do what").
pub const IDLE: Duration = Duration::from_secs(12 * 3_600);
/// A session ends so long after it began, whatever is done with it.
pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Most sessions of one person; a further one ends the oldest.
pub const MAX_SESSIONS: usize = 20;
/// How old the note of a session's last use may become.
const NOTE_AFTER: Duration = Duration::from_secs(60);
/// Tries to note a session beside other sign-ins of the same person.
const PRESENCE_TRIES: usize = 10;

/// A person's session. Its id is the hash of its token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Whose.
    pub user: String,
    /// The person's generation when it began; another one ends it.
    pub generation: u32,
    /// When it was last used, to about a minute.
    pub seen_at: Time,
    /// When it ends at the latest.
    pub expires_at: Time,
}

impl Kind for Session {
    const KIND: &'static str = "session";
}

impl Session {
    /// When it ends if nothing more is asked.
    fn ends_at(&self) -> Time {
        self.expires_at.min(self.seen_at + IDLE)
    }
}

/// A session of the portal inside somebody's page. Its id is the hash of its token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PortalSession {
    /// What may be done in it.
    pub capabilities: Vec<Privilege>,
    /// Only with these integrations; with all when empty.
    pub integrations: Vec<String>,
    /// When it ends.
    pub expires_at: Time,
}

impl Kind for PortalSession {
    const KIND: &'static str = "portal_session";
}

/// When a person signed in last, and the sessions since.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Presence {
    /// When.
    pub signed_in_at: Time,
    /// Ids of the sessions, oldest first.
    pub sessions: Vec<String>,
}

impl Kind for Presence {
    const KIND: &'static str = "user_presence";
}

impl Access {
    /// Begins a session for a person; gives the token, which is shown once.
    pub async fn begin(
        &self,
        of: CompanyNo,
        user: &Saved<User>,
        random: [u8; 32],
        now: Time,
    ) -> Result<String, SaveError> {
        let (text, id) = token::make(Opens::Person, of, random);
        let session = Session {
            user: user.id.clone(),
            generation: user.value.generation,
            seen_at: now,
            expires_at: now + LONGEST,
        };
        documents::put(&*self.state, Some(of), &id, &session, Expected::New).await?;
        for ended in note_presence(&*self.state, of, &user.id, id, now).await? {
            documents::delete::<Session>(&*self.state, Some(of), &ended).await?;
            self.sessions.forget_session(&ended);
        }
        Ok(text)
    }

    /// The person behind a session's token; None when it has ended or the person is not what they were.
    pub async fn person(&self, text: &str, now: Time) -> Result<Option<Arc<Holder>>, StoreError> {
        let Some((of, id)) = token::read(Opens::Person, text) else { return Ok(None) };
        let hash = hash_of(text);
        if let Some(holder) = self.sessions.get(&hash, now) {
            return Ok(still_valid(holder, now));
        }
        let Some(session) = documents::get::<Session>(&*self.state, Some(of), &id).await? else { return Ok(None) };
        let found = documents::get::<User>(&*self.state, Some(of), &session.value.user).await?;
        let current =
            |u: &Saved<User>| u.value.status == UserStatus::Active && u.value.generation == session.value.generation;
        let Some(user) = found.filter(current).filter(|_| now < session.value.ends_at()) else { return Ok(None) };
        let Some(company) = self.find_company(now, |c| c.no == of).await? else { return Ok(None) };
        let session = self.seen(of, session, now).await?;
        let powers = Powers::of(&user.value.privileges);
        let holder = Arc::new(Holder {
            who: Who::Person,
            key_id: user.id,
            scopes: powers.scopes,
            sites: powers.sites,
            bound: Bound::default(),
            company: Some(company),
            session: Some(id),
            expires_at: Some(session.ends_at()),
        });
        self.sessions.keep(hash, holder.clone(), now);
        Ok(Some(holder))
    }

    /// A session was used; that is written down about once a minute.
    async fn seen(&self, of: CompanyNo, session: Saved<Session>, now: Time) -> Result<Session, StoreError> {
        let Saved { id, value, version, .. } = session;
        if now < value.seen_at + NOTE_AFTER {
            return Ok(value);
        }
        let noted = Session { seen_at: now, ..value };
        match documents::put(&*self.state, Some(of), &id, &noted, Expected::Version(version)).await {
            // Changed: another request noted it in this moment. Unknown: it ended in this moment.
            Ok(_) | Err(SaveError::Changed(_) | SaveError::Unknown) => Ok(noted),
            Err(SaveError::Store(e)) => Err(e),
        }
    }

    /// Begins a session of the portal inside somebody's page; gives the token, which is shown once.
    pub async fn begin_portal(
        &self,
        of: CompanyNo,
        session: &PortalSession,
        random: [u8; 32],
    ) -> Result<String, SaveError> {
        let (text, id) = token::make(Opens::Portal, of, random);
        documents::put(&*self.state, Some(of), &id, session, Expected::New).await?;
        Ok(text)
    }

    /// Who has a token of the portal inside somebody's page.
    pub(super) async fn portal(&self, text: &str, now: Time) -> Result<Option<Arc<Holder>>, StoreError> {
        let Some((of, id)) = token::read(Opens::Portal, text) else { return Ok(None) };
        let hash = hash_of(text);
        if let Some(holder) = self.sessions.get(&hash, now) {
            return Ok(still_valid(holder, now));
        }
        let found = documents::get::<PortalSession>(&*self.state, Some(of), &id).await?;
        let Some(session) = found.map(|s| s.value).filter(|s| now < s.expires_at) else { return Ok(None) };
        let Some(company) = self.find_company(now, |c| c.no == of).await? else { return Ok(None) };
        let holder = Arc::new(Holder {
            who: Who::Portal,
            // Enough of it to tell sessions apart, and of no use to anybody.
            key_id: id[..16].to_owned(),
            scopes: Powers::within(&session.capabilities, &session.integrations).scopes,
            sites: BTreeMap::new(),
            bound: Bound { integrations: session.integrations, ..Bound::default() },
            company: Some(company),
            session: Some(id),
            expires_at: Some(session.expires_at),
        });
        self.sessions.keep(hash, holder.clone(), now);
        Ok(Some(holder))
    }

    /// Ends a session; it stops working at once.
    pub async fn end(&self, holder: &Holder) -> Result<(), StoreError> {
        let (Some(company), Some(id)) = (&holder.company, &holder.session) else { return Ok(()) };
        match holder.who {
            Who::Person => drop(documents::delete::<Session>(&*self.state, Some(company.no), id).await?),
            _ => drop(documents::delete::<PortalSession>(&*self.state, Some(company.no), id).await?),
        }
        self.sessions.forget_session(id);
        Ok(())
    }

    /// A person was changed or deleted in this process: their sessions are looked at again at once.
    pub fn person_changed(&self, user: &str) {
        self.sessions.forget(user);
    }
}

/// Notes a sign-in; gives the sessions that are too many.
async fn note_presence(
    state: &dyn State,
    of: CompanyNo,
    user: &str,
    session: String,
    now: Time,
) -> Result<Vec<String>, SaveError> {
    let mut last = SaveError::Unknown;
    for _ in 0..PRESENCE_TRIES {
        let known = documents::get::<Presence>(state, Some(of), user).await?;
        let expected = known.as_ref().map_or(Expected::New, |k| Expected::Version(k.version));
        let mut sessions = known.map(|k| k.value.sessions).unwrap_or_default();
        sessions.push(session.clone());
        let ended = sessions.drain(..sessions.len().saturating_sub(MAX_SESSIONS)).collect();
        match documents::put(state, Some(of), user, &Presence { signed_in_at: now, sessions }, expected).await {
            Ok(_) => return Ok(ended),
            Err(SaveError::Store(e)) => return Err(e.into()),
            // Another sign-in of the same person in this moment.
            Err(changed) => last = changed,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_idle_and_at_the_latest_after_a_week() {
        let start = Time::from_millis(1_000);
        let session =
            |seen: Time| Session { user: "u".into(), generation: 1, seen_at: seen, expires_at: start + LONGEST };
        assert_eq!(session(start).ends_at(), start + IDLE);
        let late = start + (LONGEST - Duration::from_secs(60));
        assert_eq!(session(late).ends_at(), start + LONGEST);
    }
}
