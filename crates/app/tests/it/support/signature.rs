//! Standard Webhooks signatures, written from their specification and not from the hub's code.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::Delivery;

/// The secret in full in the answer to a creation or a rotation, newest first.
#[track_caller]
pub fn secret_in(answer: &Value) -> String {
    let text = answer.to_string();
    let start = text.find("whsec_").unwrap_or_else(|| panic!("no signing secret in full in {text}"));
    text[start..].split('"').next().expect("a text before the quote").to_owned()
}

/// How many of a delivery's signatures fit a secret.
#[track_caller]
pub fn matching(delivery: &Delivery, secret: &str) -> usize {
    let expected = signature(secret, delivery.id(), delivery.header("webhook-timestamp"), &delivery.body);
    signatures(delivery).iter().filter(|s| **s == format!("v1,{expected}")).count()
}

/// All signatures of a delivery.
#[track_caller]
pub fn signatures(delivery: &Delivery) -> Vec<&str> {
    delivery.header("webhook-signature").split(' ').collect()
}

fn signature(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("the prefix")).expect("base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}
