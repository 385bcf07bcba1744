//! Passwords in requests: checked against guessing, asked for again, and set.

use std::sync::Arc;

use tillstream_model::CompanyNo;
use tillstream_model::integration::{Secret, Wrong as WrongValue};
use tillstream_store::state::Company;

use super::credentials::{Way, unauthenticated};
use super::extract::Caller;
use super::users::not_saved;
use crate::Hub;
use crate::access::Who;
use crate::documents::{self, Saved};
use crate::people::password::{self, Busy};
use crate::people::throttle::peer_name;
use crate::people::{self, User, folded};
use crate::problem::{Kind, Problem, Result};

/// `Retry-After` while too many passwords are being checked.
const BUSY_RETRY_SECONDS: u32 = 2;
/// Tries to save a new password beside other changes of the same person.
const SAVE_TRIES: usize = 10;

/// Has a person say their password again before something that is worth it. A key is asked for nothing; a session
/// inside somebody's page has no password, and so none of it.
pub async fn reauthenticate(hub: &Hub, caller: &Caller, way: &Way, password: Option<String>) -> Result<()> {
    if caller.holder().who == Who::Key {
        return Ok(());
    }
    let (company, user) = person(hub, caller).await?;
    let Some(password) = password else {
        return Err(Problem::invalid([WrongValue::new("password", "people say their password again here")]));
    };
    check_again(hub, way, company, &user, &password).await
}

/// The person who asks.
pub async fn person<'a>(hub: &Hub, caller: &'a Caller) -> Result<(&'a Arc<Company>, Saved<User>)> {
    let refused = || Problem::new(Kind::Forbidden, "only a person who signed in can do this");
    let company = caller.named_company().filter(|_| caller.holder().who == Who::Person).ok_or_else(refused)?;
    let user = documents::get::<User>(hub.state(), Some(company.no), &caller.holder().key_id).await?;
    user.map(|user| (company, user)).ok_or_else(|| unauthenticated("the session has ended; sign in again"))
}

/// Answers 403 unless this is the password of the person who asks.
pub async fn check_again(hub: &Hub, way: &Way, company: &Company, user: &Saved<User>, password: &str) -> Result<()> {
    let known = (company.external_id.as_str(), user.value.email.as_str());
    match guess(hub, way, known, password, user.value.password.clone()).await? {
        true => Ok(()),
        false => Err(wrong_password()),
    }
}

fn wrong_password() -> Problem {
    Problem::new(Kind::Forbidden, "the password is wrong").at("password", "is wrong")
}

/// Whether this is the password of whoever has a company's address; 429 after too many wrong ones. The address is
/// counted whether somebody has it or not.
pub async fn guess(
    hub: &Hub,
    way: &Way,
    (company, email): (&str, &str),
    password: &str,
    stored: Option<String>,
) -> Result<bool> {
    let mut names = vec![format!("email {company}/{}", folded(email))];
    names.extend(way.peer.map(peer_name));
    let throttle = &hub.people().throttle;
    let guess = throttle.begin(names, hub.now()).map_err(|wait| {
        let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX);
        Problem::new(Kind::TooManyAttempts, "too many failures; try again later").retry_after(seconds)
    })?;
    if password.chars().count() > password::MAX_CHARS {
        return Ok(false);
    }
    let checked = hub.people().passwords.check(password.to_owned(), stored).await;
    if checked != Ok(false) {
        throttle.succeeded(&guess);
    }
    checked.map_err(busy)
}

/// The hash of a new password.
pub async fn hash(hub: &Hub, password: &Secret) -> Result<String> {
    hub.people().passwords.hash(password.reveal().to_owned(), rand::random()).await.map_err(busy)
}

/// Saves a password, which ends every session and link of the person.
pub async fn set_password(hub: &Hub, of: CompanyNo, user: Saved<User>, hash: String) -> Result<Saved<User>> {
    let (mut known, mut tries) = (user, 0);
    loop {
        let generation = known.value.generation + 1;
        let new = User { password: Some(hash.clone()), generation, ..known.value.clone() };
        let error = match people::save(hub.state(), of, &known, &new, hub.now()).await {
            Ok(saved) => {
                hub.access().person_changed(&saved.id);
                return Ok(saved);
            }
            Err(e) => e,
        };
        tries += 1;
        let again = documents::get::<User>(hub.state(), Some(of), &known.id).await?;
        match again.filter(|u| u.version != known.version && u.value.generation == known.value.generation) {
            Some(newer) if tries < SAVE_TRIES => known = newer,
            _ => return Err(not_saved(error)),
        }
    }
}

fn busy(e: Busy) -> Problem {
    Problem::new(Kind::Unavailable, e.to_string()).retry_after(BUSY_RETRY_SECONDS)
}

/// Answers 422 unless a new password is long enough and not too long.
pub fn check_new(path: &str, new: &Secret) -> Result<()> {
    if password::is_acceptable(new.reveal()) {
        return Ok(());
    }
    let (least, most) = (password::MIN_CHARS, password::MAX_CHARS);
    Err(Problem::invalid([WrongValue::new(path, format!("{least} to {most} characters"))]))
}
