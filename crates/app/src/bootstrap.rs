//! What a hub needs before anybody can use it: a company, a key, and somebody who signs in.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tillstream_hub::access::{self, NewKey};
use tillstream_hub::api::never_stored;
use tillstream_hub::people::{self, NotSaved, User};
use tillstream_model::{CompanyNo, Time};
use tillstream_store::state::{Bound, Company, Key};
use tillstream_store::{Retention, State};

use crate::config;

/// The first company, by its external id and its name.
const FIRST_COMPANY: &str = "default";
/// What the first key is called.
const FIRST_KEY: &str = "first start";
/// Looks for the administrator while another node makes them, and the wait between two.
const ADMINISTRATOR_TRIES: usize = 20;
const ADMINISTRATOR_PAUSE: Duration = Duration::from_millis(100);
/// Mode of the file with the first key: its owner's alone.
const KEY_FILE_MODE: u32 = 0o600;

/// What the first start made.
#[derive(Debug)]
pub struct FirstKey {
    /// The key; it is shown once.
    pub key: String,
    /// Where commands on the same machine find it.
    pub file: PathBuf,
    /// The token with which the administrator sets a password, once.
    pub sign_in: String,
}

/// The administrator that a first start makes, by their address and name.
pub const ADMINISTRATOR: (&str, &str) = ("admin@localhost", "Administrator");

/// Makes the first company, a key for everything in it and an administrator, unless it has a key. A company without any
/// key gets one too: nobody could use it otherwise.
///
/// # Errors
/// When the state or the key file cannot be written.
pub async fn first_start(state: &dyn State, data: &Path, now: Time) -> anyhow::Result<Option<FirstKey>> {
    // The last company is being deleted; who does that has a key.
    if oldest(state).await?.is_none() && !state.leaving().await?.is_empty() {
        return Ok(None);
    }
    let company = first_company(state).await?;
    if !state.keys(Some(company.no)).await?.is_empty() {
        return Ok(None);
    }
    let file = config::admin_key_file(data)?;
    let new = NewKey {
        company: Some(company.no),
        name: FIRST_KEY.to_owned(),
        scopes: vec![access::ALL.to_owned()],
        bound: Bound::default(),
        expires_at: None,
    };
    let (key, stored) = new.make(rand::random(), rand::random(), now);
    write_private(&file, &key).with_context(|| format!("write the first key to {}", file.display()))?;
    let sign_in = administrator(state, company.no, now).await?;
    state.create_key(stored).await?;
    Ok(Some(FirstKey { key, file, sign_in }))
}

/// A link's token for the administrator, who is made if they are not there: a first start that broke off is repeated.
async fn administrator(state: &dyn State, of: CompanyNo, now: Time) -> anyhow::Result<String> {
    let (email, name) = ADMINISTRATOR;
    for _ in 0..ADMINISTRATOR_TRIES {
        let new = User::administrator(email.to_owned(), name.to_owned());
        let user = match people::by_email(state, of, email).await? {
            Some(known) => known,
            None => match people::create(state, of, &people::new_id(rand::random()), &new, now).await {
                Ok(made) => made,
                // Another node makes them in this moment.
                Err(NotSaved::Taken(_)) => {
                    tokio::time::sleep(ADMINISTRATOR_PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            },
        };
        return Ok(people::make_link(state, of, &user, rand::random(), now).await?.0);
    }
    bail!("the administrator {email} is being made by another node that does not finish; start again in a minute")
}

/// Saves a new key; gives its text, which is not kept anywhere, and what is stored of it.
///
/// # Errors
/// When the state cannot be written.
pub async fn make_key(state: &dyn State, new: NewKey, now: Time) -> anyhow::Result<(String, Key)> {
    let (text, key) = new.make(rand::random(), rand::random(), now);
    state.create_key(key.clone()).await?;
    Ok((text, key))
}

/// The first company, made if there is none.
///
/// # Errors
/// When the state cannot be read or written.
pub async fn first_company(state: &dyn State) -> anyhow::Result<Company> {
    if let Some(company) = oldest(state).await? {
        return Ok(company);
    }
    match state.create_company(FIRST_COMPANY, FIRST_COMPANY, Retention::Month, never_stored()).await {
        Ok(company) => Ok(company),
        // Another process made it in this moment.
        Err(tillstream_store::state::CreateError::Taken) => {
            oldest(state).await?.ok_or_else(|| anyhow!("the first company was made and deleted at once; try again"))
        }
        Err(error) => Err(error.into()),
    }
}

async fn oldest(state: &dyn State) -> anyhow::Result<Option<Company>> {
    let number = |company: &Company| -> CompanyNo { company.no };
    Ok(state.companies().await?.into_iter().min_by_key(number))
}

fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let mut out = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(KEY_FILE_MODE).open(file)?;
    // A file that is there already keeps its mode when it is opened.
    out.set_permissions(std::fs::Permissions::from_mode(KEY_FILE_MODE))?;
    writeln!(out, "{text}")?;
    out.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_its_owners_alone_even_when_it_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data.admin-key");
        std::fs::write(&file, "older and longer than the new one").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        write_private(&file, "tsk_x").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "tsk_x\n");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, KEY_FILE_MODE);
    }
}
