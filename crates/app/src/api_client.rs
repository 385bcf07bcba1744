//! The hub's API as commands use it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use serde_json::Value;

use crate::config;
use crate::http::{Answer, Http, NoAnswer};

/// Where a hub is when nobody says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8080";
/// Rows of a list that are asked for at once: the API's largest page (`contracts/hub-api.md`).
const PAGE: usize = 500;
/// By this header an operator's key names the company.
const COMPANY: HeaderName = HeaderName::from_static("tillstream-company");
/// Longest piece of an answer that is no problem document in an error message, in characters.
const MAX_QUOTED_CHARS: usize = 200;

/// Which hub, and with which key.
#[derive(Args, Clone, Debug)]
pub struct HubArgs {
    /// Where the hub is
    #[arg(long, value_name = "URL", env = "TILLSTREAM_URL", default_value = DEFAULT_URL, hide_env_values = true)]
    pub url: String,

    /// API key; on the hub's own machine the one of its first start is found by itself
    #[arg(long, value_name = "KEY", env = "TILLSTREAM_KEY", hide_env_values = true)]
    pub key: Option<String>,

    /// Data folder of a hub on this machine, to find its first key in <DIR>.admin-key
    #[arg(long, value_name = "DIR", env = "TILLSTREAM_DATA", default_value = config::DEFAULT_DATA, hide_env_values = true)]
    pub data: PathBuf,
}

/// The options by which commands find this hub, when they would not by themselves. Never the key.
pub fn options_for(url: &str, data: &Path) -> String {
    let url = if url == DEFAULT_URL { String::new() } else { format!(" --url {url}") };
    let is_default = data.as_os_str() == config::DEFAULT_DATA;
    let data = if is_default { String::new() } else { format!(" --data {}", data.display()) };
    url + &data
}

/// Calls one hub with one key. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    http: Http,
    base: String,
    key: String,
    company: Option<String>,
}

/// Something as it is, with the tag by which a change says what it was made from.
#[derive(Clone, Debug)]
pub struct Tagged {
    /// What it is.
    pub value: Value,
    /// The tag; None where there is none.
    pub tag: Option<HeaderValue>,
}

/// The hub answered, and not as it was asked to.
#[derive(Debug)]
pub struct Refused {
    /// Its status.
    pub status: StatusCode,
    text: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refused {}

impl HubArgs {
    /// A client for the hub that is meant.
    ///
    /// # Errors
    /// When no key can be found, or the URL or the key is none.
    pub fn api(&self) -> anyhow::Result<Api> {
        let key = match &self.key {
            Some(key) => key.clone(),
            None => self.key_of_first_start()?,
        };
        Api::new(&self.url, &key)
    }

    fn key_of_first_start(&self) -> anyhow::Result<String> {
        let file = config::admin_key_file(&self.data)?;
        let key = std::fs::read_to_string(&file).with_context(|| {
            format!(
                "no key: give --key or set TILLSTREAM_KEY, or name the hub's data folder with --data (looked for {})",
                file.display()
            )
        })?;
        Ok(key.trim().to_owned())
    }
}

impl Api {
    /// A client; nothing is connected yet.
    ///
    /// # Errors
    /// When the URL is none, or the key could not stand in a header.
    pub fn new(url: &str, key: &str) -> anyhow::Result<Self> {
        let uri: http::Uri = url.parse().with_context(|| format!("\"{url}\" is not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            bail!("\"{url}\" is not the URL of a hub, such as http://127.0.0.1:8080");
        }
        HeaderValue::from_str(key).map_err(|_| anyhow!("the key has characters that no key has"))?;
        let base = url.trim_end_matches('/').to_owned();
        Ok(Self { http: Http::new(), base, key: key.to_owned(), company: None })
    }

    /// The same hub and key, in the company that an operator names.
    pub fn in_company(&self, id: &str) -> Self {
        Self { company: Some(id.to_owned()), ..self.clone() }
    }

    /// `GET` of a path under `/v1`.
    ///
    /// # Errors
    /// When no answer came or it is a refusal, in words.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// `POST` of a path under `/v1`; without a body the request has none.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn post(&self, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.call(Method::POST, path, body).await
    }

    /// `PATCH` of a path under `/v1`.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// `DELETE` of a path under `/v1`.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::DELETE, path, None).await
    }

    /// `GET` of one thing; None when there is no such thing.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn find(&self, path: &str) -> anyhow::Result<Option<Tagged>> {
        let answer = self.answer(self.request(Method::GET, path, Bytes::new())).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let tag = answer.headers.get(http::header::ETAG).cloned();
        self.value(&answer).map(|value| Some(Tagged { value, tag }))
    }

    /// A call that changes something, only if it is still what has this tag.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        tag: Option<&HeaderValue>,
    ) -> anyhow::Result<Value> {
        let body = body.map_or_else(Bytes::new, |b| b.to_string().into());
        let mut request = self.request(method, path, body);
        if let Some(tag) = tag {
            request.headers_mut().insert(http::header::IF_MATCH, tag.clone());
        }
        self.value(&self.answer(request).await?)
    }

    /// The first `most` rows of a list, page after page.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn list(&self, path: &str, most: usize) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut after = String::new();
        while items.len() < most {
            let limit = PAGE.min(most - items.len());
            let separator = if path.contains('?') { '&' } else { '?' };
            let mut page = self.get(&format!("{path}{separator}limit={limit}{after}")).await?;
            if let Some(rows) = page["items"].as_array_mut() {
                items.append(rows);
            }
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={}", query_escape(next));
        }
        Ok(items)
    }

    /// Posts events and gives the answer as it is, for a caller that looks at its status.
    ///
    /// # Errors
    /// [`NoAnswer`] when none came.
    pub async fn post_events(&self, body: Bytes) -> Result<Answer, NoAnswer> {
        self.http.send(self.request(Method::POST, "/events", body)).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.change(method, path, body, None).await
    }

    async fn answer(&self, request: Request<Bytes>) -> anyhow::Result<Answer> {
        self.http.send(request).await.map_err(|e| self.explained(e))
    }

    fn value(&self, answer: &Answer) -> anyhow::Result<Value> {
        if !answer.status.is_success() {
            return Err(Refused { status: answer.status, text: refusal(answer) }.into());
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body)
            .with_context(|| format!("{} did not answer with JSON: is it a hub?", self.base))
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Bytes> {
        let has_body = !body.is_empty();
        let mut request = Request::new(body);
        *request.method_mut() = method;
        // The base was checked when the client was made and paths are escaped, so this parses.
        *request.uri_mut() = format!("{}/v1{path}", self.base).parse().unwrap_or_default();
        let headers = request.headers_mut();
        if let Ok(bearer) = format!("Bearer {}", self.key).parse() {
            headers.insert(http::header::AUTHORIZATION, bearer);
        }
        if let Some(Ok(company)) = self.company.as_deref().map(HeaderValue::from_str) {
            headers.insert(COMPANY, company);
        }
        if has_body {
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        request
    }

    /// Says what to do when no answer came.
    pub fn explained(&self, error: NoAnswer) -> anyhow::Error {
        if error.no_connection {
            anyhow!(
                "no hub answers at {} ({error}): start one with `tillstream serve`, or name it with --url",
                self.base
            )
        } else {
            anyhow!("the hub at {} did not answer: {error}", self.base)
        }
    }
}

/// What `Retry-After` asks for, in seconds; dates are not sent by hubs.
pub fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer.headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A refusal in one sentence, with what to do where that is known.
pub fn refusal(answer: &Answer) -> String {
    let said = serde_json::from_slice(&answer.body).map_or_else(|_| quoted(&answer.body), |p: Value| problem(&p));
    let hint = match answer.status {
        StatusCode::UNAUTHORIZED => "; give a valid key with --key or TILLSTREAM_KEY",
        _ => "",
    };
    format!("the hub refused ({}): {said}{hint}", answer.status.as_u16())
}

/// A problem document (RFC 9457) in words.
pub fn problem(problem: &Value) -> String {
    let text = |key: &str| problem[key].as_str().filter(|s| !s.is_empty());
    let main = text("detail").or_else(|| text("title")).unwrap_or("no reason given");
    let errors = problem["errors"].as_array().into_iter().flatten();
    let said = errors.map(|e| (e["path"].as_str().unwrap_or("?"), e["message"].as_str().unwrap_or("?")));
    // With one place that is wrong, the detail has its message already.
    let places =
        said.filter(|(_, message)| !main.contains(message)).map(|(path, message)| format!("{path}: {message}"));
    std::iter::once(main.to_owned()).chain(places).collect::<Vec<_>>().join("; ")
}

/// One segment of a path, escaped.
pub fn segment(text: &str) -> String {
    query_escape(text)
}

fn query_escape(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn quoted(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let start: String = text.chars().take(MAX_QUOTED_CHARS).collect();
    if start.trim().is_empty() { "no reason given".to_owned() } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_names_every_place_that_is_wrong() {
        let body = json!({"title":"Invalid", "detail":"2 fields are wrong", "errors":[{"path":"id","message":"too long"},{"path":"target.url","message":"no URL"}]});
        let answer = Answer {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            headers: Default::default(),
            body: body.to_string().into(),
        };
        assert_eq!(refusal(&answer), "the hub refused (422): 2 fields are wrong; id: too long; target.url: no URL");
        let one = json!({"detail":"id: too long", "errors":[{"path":"id","message":"too long"}]});
        assert_eq!(problem(&one), "id: too long");
        let html = Answer { status: StatusCode::BAD_GATEWAY, headers: Default::default(), body: "<html>".into() };
        assert_eq!(refusal(&html), "the hub refused (502): <html>");
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        assert_eq!(segment("../keys?a=b"), "..%2Fkeys%3Fa%3Db");
        assert_eq!(segment("erp-orders"), "erp-orders");
    }

    #[test]
    fn a_hub_where_commands_look_by_themselves_needs_no_options() {
        assert_eq!(options_for(DEFAULT_URL, Path::new(config::DEFAULT_DATA)), "");
        assert_eq!(options_for("http://h:1", Path::new("d")), " --url http://h:1 --data d");
    }

    #[test]
    fn only_a_url_of_http_or_https_is_a_hub() {
        for wrong in ["", "127.0.0.1:8080", "ftp://hub", "http://", "/v1"] {
            assert!(Api::new(wrong, "tsk_x").is_err(), "{wrong}");
        }
        assert_eq!(Api::new("https://hub.example/", "tsk_x").unwrap().base, "https://hub.example");
        assert!(Api::new("http://hub", "a\nb").is_err());
    }
}
