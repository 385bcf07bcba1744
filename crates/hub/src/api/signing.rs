//! `POST …/signing/rotate` and `…/signing/reveal`: the keys that sign deliveries.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tillstream_model::Time;
use tillstream_model::integration::{Secret, Signing, SigningSecret, Wrong as WrongValue};
use utoipa::ToSchema;

use super::audit::{self, Change};
use super::credentials::Way;
use super::docs::{Denied, Guarded, Guessed, Missing, OfIntegration, Stale, Wrong};
use super::etag::IfMatch;
use super::extract::{Caller, MaybeDoc, Place};
use super::integration_view::{Show, SigningView};
use super::integrations::{Edit, find, object};
use super::passwords::reauthenticate;
use crate::Hub;
use crate::access::Scope;
use crate::problem::{Problem, Result};

/// How long the older keys go on signing when nothing is said.
pub const DEFAULT_OVERLAP_SECONDS: u32 = 24 * 3_600;
/// Longest overlap that may be asked for: 30 days.
pub const MAX_OVERLAP_SECONDS: u32 = 30 * 24 * 3_600;

/// How to rotate.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// How long the older keys go on signing.
    #[serde(default)]
    #[schema(maximum = 2_592_000, default = 86_400)]
    pub overlap_seconds: Option<u32>,
    /// The new key, `whsec_` and the base64 of 24 to 64 bytes; made when left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub secret: Option<Secret>,
}

/// The new key.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rotated {
    /// In full; shown here and by `reveal` only.
    #[schema(example = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")]
    pub secret: String,
    /// All keys that sign now, masked.
    pub signing: SigningView,
}

/// Rotate the signing key
///
/// The new key signs at once, the older ones go on beside it for the overlap.
#[utoipa::path(
    post, path = "/v1/integrations/{id}/signing/rotate", tag = "integrations",
    request_body = Option<Rotation>,
    params(OfIntegration, Guarded),
    responses((status = 200, description = "The new key", body = Rotated), Denied, Missing, Stale, Wrong)
)]
pub async fn rotate_signing(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    if_match: IfMatch,
    MaybeDoc(rotation): MaybeDoc<Rotation>,
) -> Result<Json<Rotated>> {
    let company = caller.company(Scope::IntegrationsWrite)?;
    let overlap = overlap(rotation.overlap_seconds)?;
    let new = new_secret(rotation.secret, rand::random())?;
    let now = hub.now();
    let edit = Edit { hub: &hub, caller: &caller, company, id: &id, if_match };
    let make = |saved: &tillstream_store::state::Integration| {
        let mut settings = (*saved.settings).clone();
        settings.signing = rotated(&settings.signing, new.clone(), overlap, now)?;
        Ok(settings)
    };
    let saved = edit.save(make, Some("signing key rotated")).await?;
    let signing = SigningView::new(&saved.settings.signing, Show::Masked);
    Ok(Json(Rotated { secret: new.secret.reveal().to_owned(), signing }))
}

/// Who asks again who they are.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reauthentication {
    /// The password of the person who asks; a key needs none.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub password: Option<String>,
}

/// Reveal the signing keys
///
/// In full. A person says their password again. The audit notes who asked.
#[utoipa::path(
    post, path = "/v1/integrations/{id}/signing/reveal", tag = "integrations",
    request_body = Option<Reauthentication>,
    params(OfIntegration),
    responses((status = 200, description = "The keys", body = SigningView), Denied, Missing, Wrong, Guessed)
)]
pub async fn reveal_signing(
    State(hub): State<Hub>,
    caller: Caller,
    Place(id): Place<String>,
    way: Way,
    MaybeDoc(again): MaybeDoc<Reauthentication>,
) -> Result<Json<SigningView>> {
    let company = caller.company(Scope::IntegrationsWrite)?;
    let integration = find(&hub, &caller, company, &id).await?;
    reauthenticate(&hub, &caller, &way, again.password).await?;
    audit::note(&hub, &caller, Some(company.no), Change::of("signing.revealed", object(&id))).await?;
    Ok(Json(SigningView::new(&integration.settings.signing, Show::Full)))
}

fn overlap(seconds: Option<u32>) -> Result<Duration> {
    let seconds = seconds.unwrap_or(DEFAULT_OVERLAP_SECONDS);
    if seconds <= MAX_OVERLAP_SECONDS {
        return Ok(Duration::from_secs(seconds.into()));
    }
    Err(Problem::invalid([WrongValue::new("overlap_seconds", format!("at most {MAX_OVERLAP_SECONDS}"))]))
}

fn new_secret(written: Option<Secret>, random: [u8; 32]) -> Result<SigningSecret> {
    let Some(secret) = written else { return Ok(SigningSecret::generate(random)) };
    let new = SigningSecret { secret, expires_at: None };
    match new.key() {
        Some(_) => Ok(new),
        None => Err(Problem::invalid([WrongValue::new("secret", "whsec_ and the base64 of 24 to 64 bytes")])),
    }
}

/// The new key in front; the others end after the overlap, or earlier if they would have; ended ones go.
fn rotated(signing: &Signing, new: SigningSecret, overlap: Duration, now: Time) -> Result<Signing> {
    let end = now + overlap;
    let older = signing
        .active(now)
        .cloned()
        .map(|old| SigningSecret { expires_at: Some(old.expires_at.map_or(end, |t| t.min(end))), ..old });
    let mut secrets = vec![new];
    secrets.extend(older.filter(|old| old.expires_at.is_some_and(|t| now < t)));
    if secrets.len() <= Signing::MAX_SECRETS {
        return Ok(Signing { secrets });
    }
    let most = Signing::MAX_SECRETS;
    Err(Problem::invalid([WrongValue::new(
        "signing.secrets",
        format!("{most} keys sign already; wait until one ends, or rotate with a shorter overlap"),
    )]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> SigningSecret {
        SigningSecret::generate([n; 32])
    }

    #[test]
    fn the_new_key_is_in_front_and_the_old_one_ends_after_the_overlap() {
        let now = Time::from_millis(1_000);
        let hour = Duration::from_secs(3_600);
        let once = rotated(&Signing { secrets: vec![key(1)] }, key(2), hour, now).unwrap();
        assert_eq!(once.secrets, [key(2), SigningSecret { expires_at: Some(now + hour), ..key(1) }]);
        let later = now + Duration::from_secs(60);
        let twice = rotated(&once, key(3), hour, later).unwrap();
        let ends: Vec<_> = twice.secrets.iter().map(|s| s.expires_at).collect();
        assert_eq!(ends, [None, Some(later + hour), Some(now + hour)]);
    }

    #[test]
    fn without_an_overlap_the_old_keys_end_at_once() {
        let now = Time::from_millis(1_000);
        let new = rotated(&Signing { secrets: vec![key(1)] }, key(2), Duration::ZERO, now).unwrap();
        assert_eq!(new.secrets, [key(2)]);
    }

    #[test]
    fn more_keys_than_may_sign_at_once_are_refused_instead_of_dropped() {
        let now = Time::from_millis(1_000);
        let mut signing = Signing { secrets: vec![key(0)] };
        for n in 1..Signing::MAX_SECRETS as u8 {
            signing = rotated(&signing, key(n), Duration::from_secs(60), now).unwrap();
        }
        assert_eq!(signing.secrets.len(), Signing::MAX_SECRETS);
        assert!(rotated(&signing, key(9), Duration::from_secs(60), now).is_err());
        let later = now + Duration::from_secs(60);
        assert_eq!(rotated(&signing, key(9), Duration::from_secs(60), later).unwrap().secrets.len(), 2);
    }

    #[test]
    fn an_overlap_has_at_most_30_days_and_an_own_key_has_to_be_one() {
        assert!(overlap(Some(MAX_OVERLAP_SECONDS)).is_ok() && overlap(Some(MAX_OVERLAP_SECONDS + 1)).is_err());
        assert!(new_secret(Some(Secret::new("whsec_x")), [0; 32]).is_err());
        assert_eq!(new_secret(Some(key(4).secret), [0; 32]).unwrap(), key(4));
    }
}
