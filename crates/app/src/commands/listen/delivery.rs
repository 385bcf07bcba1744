//! One delivery as it is shown.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use tillstream_model::Time;

use crate::output::one_line;
use crate::signature::Finding;

/// A delivery and what became of it.
pub struct Delivery {
    /// When it came.
    pub at: Time,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// What checking its signature found; None: not checked.
    pub signature: Option<Finding>,
    /// The status it was answered with.
    pub answered: u16,
    /// Why it was not passed on, if it should have been.
    pub trouble: Option<String>,
}

impl Delivery {
    /// One line for people, and the body below when it is wanted.
    pub fn text(&self, with_body: bool) -> String {
        let signature = self.signature.map_or_else(|| "signature not checked".to_owned(), |s| s.to_string());
        let trouble = self.trouble.as_deref().map(|t| format!(" ({})", one_line(t))).unwrap_or_default();
        let line = format!(
            "{}  {}  {}  seq {}  attempt {}  {signature}  -> {}{trouble}",
            self.at,
            self.header("tillstream-event"),
            self.header("webhook-id"),
            self.header("tillstream-seq"),
            self.header("tillstream-attempt"),
            self.answered,
        );
        if with_body { format!("{line}\n{}", self.readable_body()) } else { line }
    }

    /// One object for scripts, the body in it when it is wanted.
    pub fn json(&self, with_body: bool) -> Value {
        let mut object = json!({
            "at": self.at,
            "event": self.header("tillstream-event"),
            "id": self.header("webhook-id"),
            "seq": self.header("tillstream-seq"),
            "attempt": self.header("tillstream-attempt").parse::<u32>().ok(),
            "signature_valid": self.signature.map(|s| s == Finding::Valid),
            "answered": self.answered,
            "trouble": self.trouble,
        });
        if with_body {
            let text = || Value::String(String::from_utf8_lossy(&self.body).into_owned());
            object["body"] = serde_json::from_slice(&self.body).unwrap_or_else(|_| text());
        }
        object
    }

    fn header(&self, name: &str) -> String {
        self.headers.get(name).map_or_else(|| "-".to_owned(), |v| one_line(&String::from_utf8_lossy(v.as_bytes())))
    }

    fn readable_body(&self) -> String {
        let parsed: Result<Value, _> = serde_json::from_slice(&self.body);
        match parsed.and_then(|v| serde_json::to_string_pretty(&v)) {
            Ok(pretty) => pretty,
            Err(_) => one_line(&String::from_utf8_lossy(&self.body)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery() -> Delivery {
        let mut headers = HeaderMap::new();
        let pairs = [
            ("tillstream-event", "order.saved"),
            ("webhook-id", "evt_1"),
            ("tillstream-seq", "1-7"),
            ("tillstream-attempt", "2"),
        ];
        for (name, value) in pairs {
            headers.insert(name, value.parse().unwrap());
        }
        let (at, body) = (Time::from_millis(0), Bytes::from_static(b"{\"a\":1}"));
        Delivery { at, headers, body, signature: Some(Finding::Valid), answered: 200, trouble: None }
    }

    #[test]
    fn a_delivery_is_one_line() {
        let line = "1970-01-01T00:00:00.000Z  order.saved  evt_1  seq 1-7  attempt 2  signature valid  -> 200";
        assert_eq!(delivery().text(false), line);
        assert_eq!(delivery().text(true), format!("{line}\n{{\n  \"a\": 1\n}}"));
    }

    #[test]
    fn scripts_get_numbers_as_numbers_and_the_body_as_it_is() {
        let json = delivery().json(true);
        assert_eq!(
            (&json["attempt"], &json["signature_valid"], &json["body"]["a"]),
            (&2.into(), &true.into(), &1.into())
        );
        assert!(delivery().json(false).get("body").is_none());
    }
}
