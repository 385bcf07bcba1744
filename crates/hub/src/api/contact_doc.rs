//! Contacts as they are written and shown.

use serde::{Deserialize, Serialize};
use tillstream_model::integration::{Secret, SigningSecret, Wrong as WrongValue};
use tillstream_model::operational::NAMES;
use tillstream_model::{CompanyNo, Time};
use tillstream_outbound::check_url;
use utoipa::ToSchema;

use crate::Hub;
use crate::documents::Saved;
use crate::notify::contacts::{Channel, Contact};
use crate::notify::{self, is_address};
use crate::problem::{Problem, Result};

/// Longest name, in characters.
pub const MAX_NAME: usize = 200;
/// Most addresses of a contact.
pub const MAX_ADDRESSES: usize = 20;
/// Most integrations that a contact names.
pub const MAX_NAMED: usize = 100;

/// A contact to be saved; what is left out takes its default.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "On call", "channel": {"kind": "email", "to": ["oncall@example.com"]}}))]
pub struct ContactWritten {
    /// What people call it.
    #[schema(max_length = 200)]
    pub name: String,
    /// On which way it is told.
    pub channel: ChannelWritten,
    /// The events it is told of, such as `integration.stopped`; all problems when empty.
    #[serde(default)]
    pub on: Vec<String>,
    /// Of events about integrations only those about these; about all when empty.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub integrations: Vec<String>,
    /// Whether it is told anything.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

/// A way to reach somebody.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ChannelWritten {
    /// A signed request.
    Webhook {
        /// Where to.
        #[schema(example = "https://ops.example/tillstream")]
        url: String,
        /// The key that signs, `whsec_` and the base64 of 24 to 64 bytes; made when left out, unchanged when masked.
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        secret: Option<Secret>,
    },
    /// An e-mail, if the hub has an SMTP server.
    Email {
        /// Whom to.
        #[schema(min_items = 1, max_items = 20)]
        to: Vec<String>,
    },
}

/// A contact.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Contact)]
pub struct ContactView {
    /// Its id.
    #[schema(example = "con_9f86d081884c7d65")]
    pub id: String,
    /// What people call it.
    pub name: String,
    /// On which way it is told.
    pub channel: ChannelView,
    /// The events it is told of; all problems when empty.
    pub on: Vec<String>,
    /// Of events about integrations only those about these; about all when empty.
    pub integrations: Vec<String>,
    /// Whether it is told anything.
    pub enabled: bool,
    /// Events that it is still to be told of.
    pub waiting: u64,
    /// Why the last attempt to tell it failed; null when it did not.
    #[schema(required = true)]
    pub last_error: Option<String>,
    /// When the next attempt is made after one that failed.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub next_try_at: Option<Time>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub created_at: Time,
    /// When it was last saved.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub updated_at: Time,
}

/// A way to reach somebody.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Channel)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ChannelView {
    /// A signed request.
    Webhook {
        /// Where to.
        url: String,
        /// The key that signs, masked; in full only in the answer to the call that set it.
        #[schema(required = true)]
        secret: Option<String>,
    },
    /// An e-mail.
    Email {
        /// Whom to.
        to: Vec<String>,
    },
}

/// How a test went.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContactTest {
    /// Whether the message was taken.
    pub delivered: bool,
    /// Why not.
    #[schema(required = true)]
    pub detail: Option<String>,
}

/// Names everything that is wrong with a contact.
pub fn check(hub: &Hub, written: &ContactWritten) -> Result<()> {
    let mut wrong = Vec::new();
    let mut say = |path: String, message: String| wrong.push(WrongValue::new(path, message));
    if written.name.trim().is_empty() || written.name.chars().count() > MAX_NAME {
        say("name".into(), format!("1 to {MAX_NAME} characters"));
    }
    for (n, name) in written.on.iter().enumerate().filter(|(_, name)| !NAMES.contains(&name.as_str())) {
        say(format!("on[{n}]"), format!("\"{name}\" is none of {}", NAMES.join(", ")));
    }
    if written.integrations.len() > MAX_NAMED {
        say("integrations".into(), format!("at most {MAX_NAMED}"));
    }
    match &written.channel {
        ChannelWritten::Webhook { url, secret } => {
            if let Err(e) = check_url(url) {
                say("channel.url".into(), e.to_string());
            }
            let new = secret.clone().filter(|s| !s.looks_masked());
            if new.is_some_and(|secret| (SigningSecret { secret, expires_at: None }).key().is_none()) {
                say("channel.secret".into(), "whsec_ and the base64 of 24 to 64 bytes".into());
            }
        }
        ChannelWritten::Email { to } => {
            if hub.config().notify.smtp.is_none() {
                say("channel.kind".into(), "the hub has no SMTP server; its operator sets smtp_host".into());
            }
            if !(1..=MAX_ADDRESSES).contains(&to.len()) {
                say("channel.to".into(), format!("1 to {MAX_ADDRESSES} addresses"));
            }
            for (n, address) in to.iter().enumerate().filter(|(_, address)| !is_address(address)) {
                say(format!("channel.to[{n}]"), format!("\"{address}\" is no e-mail address"));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Problem::invalid(wrong)) }
}

/// A contact as it is shown, its key masked unless `in_full`.
pub async fn view(hub: &Hub, of: Option<CompanyNo>, contact: Saved<Contact>, in_full: bool) -> Result<ContactView> {
    let mailbox = notify::mailbox(hub, of, &contact.id).await?;
    let secret = contact.value.signing(hub.state(), of, &contact.id)?.map(|signing| match in_full {
        true => signing.secret.reveal().to_owned(),
        false => signing.secret.masked(),
    });
    let Saved { id, value: Contact { name, channel, on, integrations, enabled, .. }, created_at, updated_at, .. } =
        contact;
    let channel = match channel {
        Channel::Webhook { url } => ChannelView::Webhook { url, secret },
        Channel::Email { to } => ChannelView::Email { to },
    };
    let (waiting, last_error, next_try_at) = (mailbox.waiting(), mailbox.last_error, mailbox.next_try);
    Ok(ContactView {
        id,
        name,
        channel,
        on,
        integrations,
        enabled,
        waiting,
        last_error,
        next_try_at,
        created_at,
        updated_at,
    })
}
