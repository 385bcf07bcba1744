//! Where a lane's events go: one variant and one folder for each kind of target.

use std::sync::Arc;

use tillstream_model::integration::{self, Settings};
use tillstream_model::{Event, Time, Trace};
use tillstream_outbound::Pool;

use super::exchange::Exchange;
use super::http::request::{Template, Unusable};
use super::http::send::Sender;
use super::http::token::Tokens;
use super::inbox;

/// A target, ready for attempts with one version of the settings.
#[allow(clippy::large_enum_variant, reason = "one for each lane that is awake")]
pub(super) enum Target {
    Http(Sender),
    Inbox,
}

impl Target {
    /// From settings that were checked when they were saved.
    pub(super) fn new(
        settings: Arc<Settings>,
        company: &str,
        epoch: u32,
        pool: Pool,
        tokens: Option<Arc<Tokens>>,
    ) -> Result<Self, Unusable> {
        match &settings.target {
            integration::Target::Http(_) => {
                Ok(Self::Http(Sender { template: Template::new(settings, company, epoch)?, pool, tokens }))
            }
            integration::Target::Inbox => Ok(Self::Inbox),
            integration::Target::Feed => Err(Unusable("a feed's consumer asks for its events".to_owned())),
        }
    }

    /// The trace that an attempt goes on with, when it goes anywhere.
    pub(super) fn trace(&self, event: &Event, attempt: u32, at: Time) -> Option<Trace> {
        match self {
            Self::Http(sender) => Some(sender.template.trace(event, attempt, at)),
            Self::Inbox => None,
        }
    }

    /// Makes an attempt; always ends within the deadline of the settings.
    pub(super) async fn send(&self, event: &Event, attempt: u32, replay: Option<&str>, now: Time) -> Exchange {
        match self {
            Self::Http(sender) => sender.send(event, attempt, replay, now).await,
            Self::Inbox => inbox::send::send(),
        }
    }
}

/// Whether a lane sends an integration's events, and nobody asks for them.
pub(super) fn has_lane(settings: &Settings) -> bool {
    settings.target != integration::Target::Feed
}
