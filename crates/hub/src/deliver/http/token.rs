//! Access tokens for client credentials (RFC 6749, section 4.4): fetched when they are needed, kept while they are good.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Uri};
use serde::Deserialize;
use tillstream_model::integration::{OAuth2, Settings};
use tillstream_model::{IntegrationNo, Time};
use tillstream_outbound::{Answer, MAX_READ_BYTES, Pool, Request};

use super::send::place;

/// A token is replaced after this part of its life, in percent.
const REFRESH_AT_PERCENT: u64 = 80;
/// How long a token is taken to be good when the answer does not say.
const LIFE_UNSAID: Duration = Duration::from_secs(300);
/// A token whose replacement failed is used on, and this much later its replacement is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Longest error code of a token server that is passed on.
const MAX_ERROR: usize = 64;

/// A token, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// The whole header value.
    pub(crate) value: HeaderValue,
    /// Tells tokens of one integration apart.
    pub(crate) number: u64,
    refresh_at: Time,
    ends_at: Time,
}

/// Why there is no token.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// In one line, without anything secret.
    pub(crate) detail: String,
    /// How long the exchange took.
    pub(crate) elapsed: Duration,
}

type Fetching = Shared<BoxFuture<'static, Result<Token, Refused>>>;

/// The tokens of one version of an integration.
pub(crate) struct Tokens {
    oauth2: OAuth2,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// However many wait for a token, one request is under way.
    fetching: Option<Fetching>,
    fetched: u64,
}

impl Tokens {
    /// None yet.
    pub(crate) fn new(oauth2: OAuth2) -> Self {
        Self { oauth2, state: Mutex::default() }
    }

    /// A token that is good at `now`, and not the one that a receiver did not take.
    pub(crate) async fn get(
        &self,
        pool: &Pool,
        deadline: Duration,
        now: Time,
        not: Option<u64>,
    ) -> Result<Token, Refused> {
        let fetching = {
            let mut state = self.lock();
            let good = |token: &&Token| now < token.refresh_at && not != Some(token.number);
            if let Some(token) = state.token.as_ref().filter(good) {
                return Ok(token.clone());
            }
            match &state.fetching {
                Some(fetching) => fetching.clone(),
                None => {
                    state.fetched += 1;
                    let fetch = fetch(self.oauth2.clone(), pool.clone(), deadline, now, state.fetched);
                    let fetching = fetch.boxed().shared();
                    state.fetching = Some(fetching.clone());
                    fetching
                }
            }
        };
        let fetched = fetching.clone().await;
        self.settle(&fetching, fetched, now, not)
    }

    fn settle(
        &self,
        fetching: &Fetching,
        fetched: Result<Token, Refused>,
        now: Time,
        not: Option<u64>,
    ) -> Result<Token, Refused> {
        let mut state = self.lock();
        let first = state.fetching.as_ref().is_some_and(|current| current.ptr_eq(fetching));
        if first {
            state.fetching = None;
        }
        match fetched {
            Ok(token) => {
                if first {
                    state.token = Some(token.clone());
                }
                Ok(token)
            }
            Err(refused) => {
                let old = state.token.as_mut().filter(|old| now < old.ends_at && not != Some(old.number));
                let Some(old) = old else { return Err(refused) };
                tracing::warn!(detail = refused.detail, "an access token could not be replaced; it is used on");
                old.refresh_at = (now + ASK_AGAIN).min(old.ends_at);
                Ok(old.clone())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tokens outlive the tasks of lanes, which sleep; by integration, with the version of the settings that they belong to.
#[derive(Default)]
pub(crate) struct TokenCache(Mutex<HashMap<IntegrationNo, (u32, Arc<Tokens>)>>);

impl TokenCache {
    /// Those of an integration, if it needs any. A new version begins anew.
    pub(crate) fn of(&self, no: IntegrationNo, version: u32, settings: &Settings) -> Option<Arc<Tokens>> {
        let oauth2 = settings.target.http()?.oauth2.as_ref()?;
        let mut kept = self.lock();
        match kept.get(&no) {
            Some((of, tokens)) if *of == version => Some(tokens.clone()),
            _ => {
                let tokens = Arc::new(Tokens::new(oauth2.clone()));
                kept.insert(no, (version, tokens.clone()));
                Some(tokens)
            }
        }
    }

    /// The integration does not run here any more.
    pub(crate) fn forget(&self, no: IntegrationNo) {
        self.lock().remove(&no);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IntegrationNo, (u32, Arc<Tokens>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(oauth2: OAuth2, pool: Pool, deadline: Duration, now: Time, number: u64) -> Result<Token, Refused> {
    let to = oauth2.token_url.parse::<Uri>().map_err(|e| refused(&e.to_string(), Duration::ZERO))?;
    let request = request(&oauth2, to.clone());
    let answer = pool.send(request, deadline).await.map_err(|e| refused(&e.detail, e.elapsed))?;
    token(&to, &answer, now, number).map_err(|why| refused(&why, answer.elapsed))
}

fn refused(why: &str, elapsed: Duration) -> Refused {
    Refused { detail: format!("no access token: {why}"), elapsed }
}

/// The id and the secret go into the header as RFC 6749, section 2.3.1, has them: form-encoded first.
fn request(oauth2: &OAuth2, to: Uri) -> Request {
    let mut body = "grant_type=client_credentials".to_owned();
    if let Some(scope) = oauth2.scope.as_deref().filter(|scope| !scope.is_empty()) {
        body.push_str("&scope=");
        body.push_str(&form_encoded(scope));
    }
    let client = format!("{}:{}", form_encoded(&oauth2.client_id), form_encoded(oauth2.client_secret.reveal()));
    let mut request = Request::post(to, body);
    request.keep = MAX_READ_BYTES;
    let headers = &mut request.headers;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Ok(mut value) = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(client))) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    request
}

fn form_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(char::from(b)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: Option<String>,
    /// Some servers write the number as a text.
    expires_in: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Denied {
    error: String,
}

/// Reads a token server's answer; why it grants nothing when it does not. Nothing of its body but the error code is
/// passed on.
fn token(to: &Uri, answer: &Answer, now: Time, number: u64) -> Result<Token, String> {
    let place = place(to);
    if !answer.status.is_success() {
        let code = serde_json::from_slice::<Denied>(&answer.body_start).map(|d| format!(" ({})", code(&d.error)));
        return Err(format!("{place} answered {}{}", answer.status, code.unwrap_or_default()));
    }
    let granted: Granted =
        serde_json::from_slice(&answer.body_start).map_err(|_| format!("{place} answered without an access token"))?;
    if let Some(other) = granted.token_type.filter(|t| !t.eq_ignore_ascii_case("bearer")) {
        return Err(format!("{place} gave a token of the type {}; only Bearer can be sent", code(&other)));
    }
    let mut value = HeaderValue::try_from(format!("Bearer {}", granted.access_token))
        .map_err(|_| format!("{place} gave a token that is no header value"))?;
    value.set_sensitive(true);
    let life = granted.expires_in.as_ref().and_then(seconds).map_or(LIFE_UNSAID, Duration::from_secs);
    let refresh = Duration::from_millis(life.as_secs().saturating_mul(1_000 * REFRESH_AT_PERCENT / 100));
    Ok(Token { value, number, refresh_at: now + refresh, ends_at: now + life })
}

fn seconds(written: &serde_json::Value) -> Option<u64> {
    written.as_u64().or_else(|| written.as_str()?.parse().ok())
}

fn code(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic()).take(MAX_ERROR).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tillstream_model::integration::Secret;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: status.try_into().unwrap(),
            version: http::Version::HTTP_11,
            headers: http::HeaderMap::new(),
            body_start: body.to_owned().into(),
            truncated: false,
            elapsed: Duration::ZERO,
        }
    }

    fn read(status: u16, body: &str) -> Result<Token, String> {
        token(&Uri::from_static("https://id.example/token?tenant=7"), &answer(status, body), Time::default(), 1)
    }

    #[test]
    fn a_token_is_replaced_after_four_fifths_of_its_life() {
        for body in [r#"{"access_token":"t","expires_in":100}"#, r#"{"access_token":"t","expires_in":"100"}"#] {
            let token = read(200, body).unwrap();
            assert_eq!((token.refresh_at, token.ends_at), (Time::from_millis(80_000), Time::from_millis(100_000)));
            assert!(token.value.is_sensitive() && token.value == "Bearer t");
        }
        assert_eq!(
            read(200, r#"{"access_token":"t","token_type":"bearer"}"#).unwrap().ends_at,
            Time::from_millis(300_000)
        );
    }

    #[test]
    fn a_refusal_is_told_by_its_code_and_nothing_else_of_the_answer() {
        let told = read(401, r#"{"error":"invalid_client","error_description":"s3cret is wrong"}"#).unwrap_err();
        assert_eq!(told, "https://id.example/token answered 401 Unauthorized (invalid_client)");
        assert!(read(200, "<html>").unwrap_err().contains("without an access token"));
        assert!(read(200, r#"{"access_token":"t","token_type":"mac"}"#).unwrap_err().contains("mac"));
        assert!(read(200, r#"{"access_token":"a\nb"}"#).unwrap_err().contains("no header value"));
    }

    #[test]
    fn credentials_are_form_encoded_before_they_are_a_header() {
        let oauth2 = OAuth2 {
            token_url: "https://id.example/token".into(),
            client_id: "my app".into(),
            client_secret: Secret::new("a:b/ü"),
            scope: Some("events read".into()),
        };
        let request = request(&oauth2, Uri::from_static("https://id.example/token"));
        assert_eq!(request.body, "grant_type=client_credentials&scope=events+read");
        let header = request.headers[AUTHORIZATION].to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(STANDARD.decode(header).unwrap(), b"my+app:a%3Ab%2F%C3%BC");
        assert!(request.headers[AUTHORIZATION].is_sensitive());
    }
}
