//! Checking a delivery's signature as a receiver does, in the terms of Standard Webhooks: `v1`, HMAC-SHA-256 over
//! `<webhook-id>.<webhook-timestamp>.<body>`, base64; several signatures stand side by side during a rotation.

use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;
use tillstream_model::Time;

/// How far a delivery's time may be from the receiver's (Standard Webhooks): older ones may be replays.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// What signing secrets start with.
const PREFIX: &str = "whsec_";
/// What signatures of the one scheme we know start with.
const SCHEME: &str = "v1,";

/// A secret that deliveries are signed with.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Signed with this secret, just now.
    Valid,
    /// This header is missing or unreadable.
    Missing(&'static str),
    /// Signed more than [`TOLERANCE`] ago, or as far in the future.
    OutOfTime,
    /// No signature is by this secret over this body.
    Wrong,
}

impl SigningKey {
    /// Reads `whsec_` and base64.
    ///
    /// # Errors
    /// When the text is something else.
    pub fn parse(secret: &str) -> anyhow::Result<Self> {
        let Some(encoded) = secret.strip_prefix(PREFIX) else { bail!("a signing secret starts with {PREFIX}") };
        let bytes = STANDARD.decode(encoded).with_context(|| format!("after {PREFIX} comes base64"))?;
        if bytes.is_empty() {
            bail!("after {PREFIX} comes base64, and there is none");
        }
        Ok(Self(Hmac::new_from_slice(&bytes)?))
    }

    /// Checks a delivery received at `now`. Signatures are compared in constant time.
    pub fn check(&self, headers: &HeaderMap, body: &[u8], now: Time) -> Finding {
        let text = |name: &'static str| headers.get(name).and_then(|v| v.to_str().ok()).ok_or(Finding::Missing(name));
        let (id, timestamp, signatures) =
            match (text("webhook-id"), text("webhook-timestamp"), text("webhook-signature")) {
                (Ok(id), Ok(timestamp), Ok(signatures)) => (id, timestamp, signatures),
                (Err(missing), ..) | (_, Err(missing), _) | (.., Err(missing)) => return missing,
            };
        let Ok(seconds) = timestamp.parse::<i64>() else { return Finding::Missing("webhook-timestamp") };
        if !in_time(seconds, now) {
            return Finding::OutOfTime;
        }
        let mut signed = self.0.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            signed.update(part);
        }
        let by_us = |signature: &str| {
            let given = signature.strip_prefix(SCHEME).and_then(|s| STANDARD.decode(s).ok());
            given.is_some_and(|given| signed.clone().verify_slice(&given).is_ok())
        };
        if signatures.split(' ').any(by_us) { Finding::Valid } else { Finding::Wrong }
    }
}

fn in_time(seconds: i64, now: Time) -> bool {
    let sent = Time::from_millis(seconds.saturating_mul(1_000));
    now.since(sent) <= TOLERANCE && sent.since(now) <= TOLERANCE
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Finding::Valid => f.write_str("signature valid"),
            Finding::Missing(header) => write!(f, "NO {header}"),
            Finding::OutOfTime => f.write_str("signature OUT OF TIME"),
            Finding::Wrong => f.write_str("signature WRONG"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the Standard Webhooks libraries' own tests.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn headers(signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", ID.parse().unwrap());
        headers.insert("webhook-timestamp", AT.to_string().parse().unwrap());
        headers.insert("webhook-signature", signature.parse().unwrap());
        headers
    }

    fn check(headers: &HeaderMap, body: &[u8], late_ms: i64) -> Finding {
        SigningKey::parse(SECRET).unwrap().check(headers, body, Time::from_millis(AT * 1_000 + late_ms))
    }

    #[test]
    fn the_published_example_is_valid() {
        assert_eq!(check(&headers(SIGNATURE), BODY, 0), Finding::Valid);
    }

    #[test]
    fn one_of_several_signatures_is_enough() {
        let rotating = format!("v1,{} v1a,abc {SIGNATURE}", STANDARD.encode([0; 32]));
        assert_eq!(check(&headers(&rotating), BODY, 0), Finding::Valid);
    }

    #[test]
    fn another_body_another_id_or_half_a_signature_is_wrong() {
        assert_eq!(check(&headers(SIGNATURE), b"{}", 0), Finding::Wrong);
        assert_eq!(check(&headers("v1,g0hM9SsE"), BODY, 0), Finding::Wrong);
        assert_eq!(check(&headers(SIGNATURE.trim_start_matches("v1,")), BODY, 0), Finding::Wrong);
        let mut other = headers(SIGNATURE);
        other.insert("webhook-id", "msg_other".parse().unwrap());
        assert_eq!(check(&other, BODY, 0), Finding::Wrong);
    }

    #[test]
    fn five_minutes_are_tolerated_and_no_millisecond_more() {
        let tolerance = TOLERANCE.as_millis() as i64;
        for (late_ms, finding) in [
            (tolerance, Finding::Valid),
            (tolerance + 1, Finding::OutOfTime),
            (-tolerance, Finding::Valid),
            (-tolerance - 1, Finding::OutOfTime),
        ] {
            assert_eq!(check(&headers(SIGNATURE), BODY, late_ms), finding, "{late_ms}");
        }
    }

    #[test]
    fn a_missing_header_is_named() {
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut without = headers(SIGNATURE);
            without.remove(name);
            assert_eq!(check(&without, BODY, 0), Finding::Missing(name));
        }
        let mut unreadable = headers(SIGNATURE);
        unreadable.insert("webhook-timestamp", "noon".parse().unwrap());
        assert_eq!(check(&unreadable, BODY, 0), Finding::Missing("webhook-timestamp"));
    }

    #[test]
    fn a_secret_that_is_none_is_refused() {
        for wrong in ["", "whsec_", "whsec_***", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(SigningKey::parse(wrong).is_err(), "{wrong}");
        }
    }
}
