//! Signatures by Standard Webhooks, symmetric `v1`: HMAC-SHA256 over `<id>.<timestamp>.<body>`, in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tillstream_model::Time;
use tillstream_model::integration::Signing;

/// Keys ready to sign with.
pub(crate) struct Signer(Vec<Key>);

struct Key {
    mac: Hmac<Sha256>,
    expires_at: Option<Time>,
}

impl Signer {
    /// From settings; texts that are no keys were refused when they were saved.
    pub(crate) fn new(signing: &Signing) -> Self {
        let key = |bytes: Vec<u8>| Hmac::<Sha256>::new_from_slice(&bytes).ok();
        let keys = signing.secrets.iter();
        Self(keys.filter_map(|s| Some(Key { mac: key(s.key()?)?, expires_at: s.expires_at })).collect())
    }

    /// The value of `webhook-signature`: one signature for each secret that is valid now, newest first. None without.
    pub(crate) fn sign(&self, id: &str, timestamp: &str, body: &[u8], now: Time) -> Option<String> {
        let mut value = String::new();
        for key in self.0.iter().filter(|k| k.expires_at.is_none_or(|t| now < t)) {
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str("v1,");
            STANDARD.encode_string(key.signature(id, timestamp, body), &mut value);
        }
        (!value.is_empty()).then_some(value)
    }
}

impl Key {
    fn signature(&self, id: &str, timestamp: &str, body: &[u8]) -> [u8; 32] {
        let mut mac = self.mac.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tillstream_model::integration::{Secret, SigningSecret};

    /// The example of the Standard Webhooks specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_published_example_is_signed_as_published() {
        let secret = SigningSecret { secret: Secret::new(SECRET), expires_at: None };
        let signer = Signer::new(&Signing { secrets: vec![secret] });
        let value =
            signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b"{\"test\": 2432232314}", Time::default());
        assert_eq!(value.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn during_a_rotation_both_secrets_sign_and_afterwards_one() {
        let old = SigningSecret { expires_at: Some(Time::from_millis(100)), ..SigningSecret::generate([1; 32]) };
        let signer = Signer::new(&Signing { secrets: vec![SigningSecret::generate([2; 32]), old] });
        let count = |ms| signer.sign("id", "1", b"", Time::from_millis(ms)).map_or(0, |v| v.split(' ').count());
        assert_eq!([count(99), count(100)], [2, 1]);
        assert_eq!(Signer::new(&Signing::default()).sign("id", "1", b"", Time::default()), None);
    }
}
