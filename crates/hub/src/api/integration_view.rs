//! An integration as it is shown.

use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tillstream_model::integration::{
    Delivery, Events, Format, PerSite, Settings, Signing, SigningSecret, Status, Target, Type,
};
use tillstream_model::path::Path;
use tillstream_model::{Seq, Time};
use tillstream_store::state::Integration;
use utoipa::ToSchema;

use super::lane_view::{CursorView, standing};
use super::{etag, schema};
use crate::Hub;
use crate::problem::Result;

/// An integration with where it stands. Secrets are masked.
#[derive(Serialize, ToSchema)]
#[schema(as = Integration)]
pub struct IntegrationView<'a> {
    /// Chosen by people; immutable.
    #[schema(example = "erp-orders")]
    pub id: &'a str,
    /// What people call it.
    pub name: &'a str,
    /// Free text.
    pub description: &'a str,
    /// How long it lives.
    #[schema(value_type = schema::LifeTime)]
    pub r#type: Type,
    /// Deliver what was accepted from here on; null: from its creation on.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub starts_at: Option<Time>,
    /// When it ends by itself; always null for a permanent one.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub ends_at: Option<Time>,
    /// Whether it works.
    #[schema(value_type = schema::Status)]
    pub status: Status,
    /// Why it has this status.
    #[schema(required = true)]
    pub status_reason: Option<&'a str>,
    /// Counts the saves of the settings, from 1.
    pub version: u32,
    /// When it was made.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub created_at: Time,
    /// When its settings or status last changed.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub updated_at: Time,
    /// How an event is written.
    #[schema(value_type = schema::Format)]
    pub format: Format,
    /// Where events go.
    #[schema(value_type = schema::Target)]
    pub target: &'a Target,
    /// Whether a site's events are wanted.
    #[schema(value_type = schema::PerSiteSwitch)]
    pub availability: &'a PerSite<bool>,
    /// Which events are wanted.
    #[schema(value_type = schema::EventChoice)]
    pub events: &'a Events,
    /// How events are delivered.
    #[schema(value_type = schema::Delivery)]
    pub delivery: &'a Delivery,
    /// Paths inside `data` that are removed before formatting.
    #[schema(value_type = Vec<String>)]
    pub redaction: &'a [Path],
    /// Keys that sign, newest first.
    pub signing: SigningView,
    /// Where it stands in the log.
    pub cursor: CursorView,
}

/// Keys that sign, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Signing)]
pub struct SigningView {
    /// At most five.
    pub secrets: Vec<SigningSecretView>,
}

/// A key that signs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SigningSecret)]
pub struct SigningSecretView {
    /// `whsec_` and base64; masked unless the call is one that shows it.
    #[schema(example = "…1234")]
    pub secret: String,
    /// It signs until then; missing: until it is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Time>,
}

/// Whether signing keys are shown in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// By their last four characters.
    Masked,
    /// In full: only by the calls that make or reveal them.
    Full,
}

impl SigningView {
    /// The keys as they are shown.
    pub fn new(signing: &Signing, show: Show) -> Self {
        SigningView { secrets: signing.secrets.iter().map(|s| secret_view(s, show)).collect() }
    }
}

fn secret_view(signing: &SigningSecret, show: Show) -> SigningSecretView {
    let secret = match show {
        Show::Masked => signing.secret.masked(),
        Show::Full => signing.secret.reveal().to_owned(),
    };
    SigningSecretView { secret, expires_at: signing.expires_at }
}

/// An integration as it is shown now. `head` is the company's last position.
pub async fn view<'a>(hub: &Hub, integration: &'a Integration, head: Seq, show: Show) -> Result<IntegrationView<'a>> {
    let cursor = standing(hub, integration, head).await?.view(hub.now());
    Ok(put_together(integration, cursor, show))
}

/// The answer with an integration and its tag.
pub async fn answer(hub: &Hub, integration: &Integration, status: StatusCode, show: Show) -> Result<Response> {
    let head = hub.log().head(integration.company).await?;
    Ok(etag::answer(status, etag::of(integration), view(hub, integration, head, show).await?))
}

fn put_together(integration: &Integration, cursor: CursorView, show: Show) -> IntegrationView<'_> {
    let settings: &Settings = &integration.settings;
    IntegrationView {
        id: &settings.id,
        name: &settings.name,
        description: &settings.description,
        r#type: settings.r#type,
        starts_at: settings.starts_at,
        ends_at: None,
        status: integration.status,
        status_reason: integration.status_reason.as_deref(),
        version: integration.version,
        created_at: integration.created_at,
        updated_at: integration.updated_at,
        format: settings.format,
        target: &settings.target,
        availability: &settings.availability,
        events: &settings.events,
        delivery: &settings.delivery,
        redaction: &settings.redaction,
        signing: SigningView::new(&settings.signing, show),
        cursor,
    }
}
