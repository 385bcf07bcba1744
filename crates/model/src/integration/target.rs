//! Where an integration's events go.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::written::{Wrong, check_len};
use super::{PerSite, Secret};
use crate::Time;

/// Longest URL, in bytes.
pub const MAX_URL: usize = 2_048;
/// Longest header value, `Authorization` included, in bytes.
pub const MAX_HEADER_VALUE: usize = 8 * 1024;
/// Longest client id, client secret and scope of a token request, in bytes.
pub const MAX_CREDENTIAL: usize = 2_048;

/// Header names that belong to the connection, to the hub or to signing.
const RESERVED_HEADERS: [&str; 13] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "tillstream-", "traceparent"];

/// Where events go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "one for each integration, and nearly all are of the large kind")]
pub enum Target {
    /// One `POST` per event.
    Http(HttpTarget),
    /// A consumer asks for them.
    Feed,
    /// Nowhere: the last ones are kept to look at.
    Inbox,
}

/// An HTTP receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpTarget {
    /// Absolute, `http` or `https`.
    pub url: String,
    /// Value of the `Authorization` header, as it is; None: no such header.
    pub authorization: Authorization,
    /// Where the `Authorization` header's token comes from, in place of `authorization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// More request headers. Their values are secrets: many receivers take keys that way.
    pub headers: BTreeMap<String, Secret>,
}

/// Client credentials for an access token (RFC 6749, section 4.4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    /// Absolute, `http` or `https`.
    pub token_url: String,
    /// Who asks.
    pub client_id: String,
    /// What proves it.
    pub client_secret: Secret,
    /// What the token is asked for.
    #[serde(default)]
    pub scope: Option<String>,
}

/// Header values by site, and those that take over at some time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Authorization {
    /// Until then.
    #[serde(flatten)]
    pub value: PerSite<Option<Secret>>,
    /// From then on, in place of all of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
}

/// Header values that take over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// By site.
    pub value: PerSite<Option<Secret>>,
    /// When they do.
    pub from: Time,
}

impl From<PerSite<Option<Secret>>> for Authorization {
    fn from(value: PerSite<Option<Secret>>) -> Self {
        Self { value, next: None }
    }
}

impl Authorization {
    /// The value for a site at a time.
    pub fn of(&self, site: Option<&str>, now: Time) -> Option<&Secret> {
        let next = self.next.as_ref().filter(|next| next.from <= now);
        next.map_or(&self.value, |next| &next.value).of(site).as_ref()
    }

    /// As it is once what is next has taken over; None while that has not come.
    pub fn taken_over(&self, now: Time) -> Option<Self> {
        let next = self.next.as_ref().filter(|next| next.from <= now)?;
        Some(next.value.clone().into())
    }

    fn is_empty(&self) -> bool {
        self.next.is_none() && self.value.default.is_none() && self.value.sites.is_empty()
    }
}

impl<'de> Deserialize<'de> for Authorization {
    /// A bare value, or `{default, sites, next}`.
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Object {
            #[serde(default)]
            default: Option<Secret>,
            #[serde(default)]
            sites: BTreeMap<String, Option<Secret>>,
            #[serde(default)]
            next: Option<Next>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Object(Object),
            Bare(Option<Secret>),
        }
        match Spelling::deserialize(d) {
            Ok(Spelling::Object(o)) => Ok(Self { value: PerSite { default: o.default, sites: o.sites }, next: o.next }),
            Ok(Spelling::Bare(default)) => Ok(PerSite::all(default).into()),
            Err(_) => Err(serde::de::Error::custom(
                "write one value, or {\"default\": value, \"sites\": {\"175\": value}, \
                 \"next\": {\"value\": value, \"from\": time}}",
            )),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "it lives for one call")]
pub(super) enum WrittenTarget {
    Http {
        url: String,
        #[serde(default)]
        authorization: Option<Authorization>,
        #[serde(default)]
        oauth2: Option<OAuth2>,
        #[serde(default)]
        headers: Option<BTreeMap<String, Secret>>,
    },
    Feed {},
    Inbox {},
}

impl WrittenTarget {
    pub(super) fn complete(self) -> Target {
        match self {
            WrittenTarget::Http { url, authorization, oauth2, headers } => Target::Http(HttpTarget {
                url,
                authorization: authorization.unwrap_or_default(),
                oauth2,
                headers: headers.unwrap_or_default(),
            }),
            WrittenTarget::Feed {} => Target::Feed,
            WrittenTarget::Inbox {} => Target::Inbox,
        }
    }
}

impl Target {
    /// As `kind` says it.
    pub fn kind(&self) -> &'static str {
        match self {
            Target::Http(_) => "http",
            Target::Feed => "feed",
            Target::Inbox => "inbox",
        }
    }

    /// The HTTP receiver, if it is one.
    pub fn http(&self) -> Option<&HttpTarget> {
        match self {
            Target::Http(http) => Some(http),
            Target::Feed | Target::Inbox => None,
        }
    }

    /// Every secret with its path.
    pub(super) fn secrets_mut(&mut self) -> Vec<(String, &mut Secret)> {
        let Target::Http(http) = self else { return Vec::new() };
        let mut list = Vec::new();
        let Authorization { value, next } = &mut http.authorization;
        add_secrets("target.authorization", value, &mut list);
        if let Some(next) = next {
            add_secrets("target.authorization.next.value", &mut next.value, &mut list);
        }
        if let Some(oauth2) = &mut http.oauth2 {
            list.push(("target.oauth2.client_secret".to_owned(), &mut oauth2.client_secret));
        }
        for (name, value) in &mut http.headers {
            list.push((format!("target.headers.{name}"), value));
        }
        list
    }
}

fn add_secrets<'a>(path: &str, of: &'a mut PerSite<Option<Secret>>, list: &mut Vec<(String, &'a mut Secret)>) {
    list.extend(of.default.as_mut().map(|secret| (path.to_owned(), secret)));
    let sites = of.sites.iter_mut().filter_map(|(site, value)| Some((site, value.as_mut()?)));
    list.extend(sites.map(|(site, secret)| (format!("{path}.sites.{site}"), secret)));
}

/// What is wrong with a target.
pub(super) fn check(target: &Target, wrong: &mut Vec<Wrong>) {
    let Target::Http(http) = target else { return };
    check_url("target.url", &http.url, wrong);
    check_values("target.authorization", &http.authorization.value, wrong);
    if let Some(next) = &http.authorization.next {
        check_values("target.authorization.next.value", &next.value, wrong);
    }
    if let Some(oauth2) = &http.oauth2 {
        check_oauth2(oauth2, wrong);
        if !http.authorization.is_empty() {
            wrong.push(Wrong::new("target.oauth2", "either authorization or oauth2, not both"));
        }
    }
    check_len("target.headers", http.headers.len(), wrong);
    for (name, value) in &http.headers {
        let path = format!("target.headers.{name}");
        check_header_name(&path, name, wrong);
        check_header_value(&path, Some(value), wrong);
    }
}

fn check_url(path: &str, url: &str, wrong: &mut Vec<Wrong>) {
    let scheme_ok = ["http://", "https://"].iter().any(|s| url.len() > s.len() && url.starts_with(s));
    if !scheme_ok || url.len() > MAX_URL || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        let message = format!("an absolute http or https URL without white space, at most {MAX_URL} bytes");
        wrong.push(Wrong::new(path, message));
    }
}

fn check_values(path: &str, values: &PerSite<Option<Secret>>, wrong: &mut Vec<Wrong>) {
    check_header_value(path, values.default.as_ref(), wrong);
    for (site, value) in &values.sites {
        check_header_value(&format!("{path}.sites.{site}"), value.as_ref(), wrong);
    }
    check_len(&format!("{path}.sites"), values.sites.len(), wrong);
}

/// What a client id, a client secret and a scope are made of: RFC 6749, appendix A.
fn check_oauth2(oauth2: &OAuth2, wrong: &mut Vec<Wrong>) {
    check_url("target.oauth2.token_url", &oauth2.token_url, wrong);
    // A mask that stands for a saved value is replaced before use.
    let secret = oauth2.client_secret.reveal();
    let secret = secret.strip_prefix('…').unwrap_or(secret);
    let texts = [
        ("client_id", oauth2.client_id.as_str(), 1),
        ("client_secret", secret, usize::from(!oauth2.client_secret.looks_masked())),
        ("scope", oauth2.scope.as_deref().unwrap_or_default(), 0),
    ];
    for (name, text, least) in texts {
        let legal = text.bytes().all(|b| (0x20..0x7f).contains(&b));
        if !legal || !(least..=MAX_CREDENTIAL).contains(&text.len()) {
            let message = format!("visible ASCII characters and spaces, at most {MAX_CREDENTIAL} bytes");
            wrong.push(Wrong::new(format!("target.oauth2.{name}"), message));
        }
    }
}

fn check_header_name(path: &str, name: &str, wrong: &mut Vec<Wrong>) {
    let lower = name.to_ascii_lowercase();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || name.len() > 256 || !name.bytes().all(token) {
        wrong.push(Wrong::new(path, "not a legal header name"));
    } else if RESERVED_HEADERS.contains(&lower.as_str()) || RESERVED_PREFIXES.iter().any(|p| lower.starts_with(p)) {
        wrong.push(Wrong::new(path, "this header is set by the hub or belongs to the connection"));
    }
}

fn check_header_value(path: &str, value: Option<&Secret>, wrong: &mut Vec<Wrong>) {
    let Some(value) = value.map(Secret::reveal) else { return };
    // A mask that stands for a saved value is not a legal header value itself; it is replaced before use.
    let body = value.strip_prefix('…').unwrap_or(value);
    if value.is_empty()
        || value.len() > MAX_HEADER_VALUE
        || !body.bytes().all(|b| b == b'\t' || (0x20..0x7f).contains(&b))
    {
        wrong.push(Wrong::new(
            path,
            format!("a legal header value: visible ASCII characters and spaces, at most {MAX_HEADER_VALUE} bytes"),
        ));
    } else if body.trim() != body {
        wrong.push(Wrong::new(path, "white space at the start or end would be lost on the way"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Authorization {
        serde_json::from_str(json).unwrap()
    }

    fn at(ms: i64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn the_next_value_takes_over_at_its_time_for_every_site() {
        let a =
            read(r#"{"default":"old","sites":{"175":"old-175"},"next":{"value":"new","from":"1970-01-01T00:00:01Z"}}"#);
        let of = |site: &str, ms| a.of(Some(site), at(ms)).map(Secret::reveal);
        assert_eq!([of("175", 999), of("9", 999)], [Some("old-175"), Some("old")]);
        assert_eq!([of("175", 1_000), of("9", 1_000)], [Some("new"), Some("new")]);
        assert_eq!(a.taken_over(at(999)), None);
        assert_eq!(a.taken_over(at(1_000)), Some(read("\"new\"")));
    }

    #[test]
    fn every_spelling_of_an_authorization_reads_back() {
        for json in ["null", "\"Bearer x\"", r#"{"default":null}"#, r#"{"sites":{"1":null}}"#] {
            let object = serde_json::to_string(&read(json)).unwrap();
            assert!(object.starts_with(r#"{"default":"#) && object.contains("sites"), "{object}");
            assert_eq!(serde_json::to_string(&read(&object)).unwrap(), object);
        }
        assert!(serde_json::from_str::<Authorization>(r#"{"later":1}"#).is_err());
    }

    #[test]
    fn a_feed_has_no_parameters() {
        assert!(serde_json::from_str::<WrittenTarget>(r#"{"kind":"feed"}"#).is_ok());
        assert!(serde_json::from_str::<WrittenTarget>(r#"{"kind":"feed","url":"https://x.example"}"#).is_err());
        assert_eq!(serde_json::to_string(&Target::Inbox).unwrap(), r#"{"kind":"inbox"}"#);
    }
}
