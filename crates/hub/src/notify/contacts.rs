//! Contacts: who is told, of what, and on which way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tillstream_model::CompanyNo;
use tillstream_model::integration::{Secret, SigningSecret};
use tillstream_model::mailbox::Notice;
use tillstream_model::operational::PROBLEMS;
use tillstream_store::{State, StoreError};

use crate::documents::Kind;

/// Most contacts of a company, and of the instance.
pub const MAX_CONTACTS: usize = 50;
/// Where a contact's signing key is sealed.
const SIGNING: &str = "channel.secret";

/// Somebody who is told what happens. Its secrets are sealed: this is what is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contact {
    /// What people call it.
    pub name: String,
    /// On which way.
    pub channel: Channel,
    /// Of which events; of all problems when empty.
    pub on: Vec<String>,
    /// Of events about integrations only those about these; about all when empty.
    pub integrations: Vec<String>,
    /// Whether it is told anything.
    pub enabled: bool,
    /// Its secrets, sealed, by their place.
    pub secrets: BTreeMap<String, String>,
}

impl Kind for Contact {
    const KIND: &'static str = "contact";
}

/// A way to reach somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Channel {
    /// A signed request.
    Webhook {
        /// Where to.
        url: String,
    },
    /// An e-mail.
    Email {
        /// Whom to.
        to: Vec<String>,
    },
}

impl Default for Channel {
    fn default() -> Self {
        Channel::Email { to: Vec::new() }
    }
}

impl Contact {
    /// Whether it is to be told of this.
    pub fn wants(&self, notice: &Notice) -> bool {
        let named = match self.on.as_slice() {
            [] => PROBLEMS.contains(&notice.name.as_str()),
            on => on.contains(&notice.name),
        };
        let about = self.integrations.is_empty()
            || !notice.name.starts_with("integration.")
            || self.integrations.contains(&notice.subject);
        self.enabled && named && about
    }

    /// Seals the key that signs its messages.
    pub async fn seal(
        &mut self,
        state: &dyn State,
        of: Option<CompanyNo>,
        id: &str,
        secret: &Secret,
    ) -> Result<(), StoreError> {
        let sealed = state.seal(of, &place(id), secret.reveal()).await?;
        self.secrets.insert(SIGNING.to_owned(), sealed);
        Ok(())
    }

    /// The key that signs its messages.
    pub fn signing(
        &self,
        state: &dyn State,
        of: Option<CompanyNo>,
        id: &str,
    ) -> Result<Option<SigningSecret>, StoreError> {
        let Some(sealed) = self.secrets.get(SIGNING) else { return Ok(None) };
        let secret = Secret::new(state.unseal(of, &place(id), sealed)?);
        Ok(Some(SigningSecret { secret, expires_at: None }))
    }
}

/// A sealed secret opens only in its own document: `<kind>/<id>/<place>`.
fn place(id: &str) -> String {
    format!("{}/{id}/{SIGNING}", Contact::KIND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tillstream_model::Time;

    fn wants(contact: &Contact, name: &str, subject: &str) -> bool {
        let (id, at) = ("n".to_owned(), Time::default());
        contact.wants(&Notice { id, name: name.into(), subject: subject.into(), at, data: serde_json::Value::Null })
    }

    #[test]
    fn a_contact_is_told_of_problems_unless_it_names_what_it_wants() {
        let all = Contact { enabled: true, ..Contact::default() };
        assert!(wants(&all, "integration.failing", "erp") && wants(&all, "site.silent", "175"));
        assert!(!wants(&all, "audit.recorded", "site 175"));
        let named = Contact { on: vec!["audit.recorded".into()], ..all.clone() };
        assert!(wants(&named, "audit.recorded", "site 175") && !wants(&named, "integration.failing", "erp"));
        let one = Contact { integrations: vec!["erp".into()], ..all.clone() };
        assert!(wants(&one, "integration.failing", "erp") && wants(&one, "site.silent", "175"));
        assert!(!wants(&one, "integration.failing", "crm"));
        assert!(!wants(&Contact { enabled: false, ..all }, "integration.failing", "erp"));
    }
}
