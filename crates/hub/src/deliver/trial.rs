//! Trying a target out: whether it can be reached, and what it says to an event that is in no log.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Uri};
use tillstream_model::integration::{OAuth2, Settings};
use tillstream_model::{CompanyNo, Event, Time};
use tillstream_outbound::{Answer, Cause, Pool, Request};
use tillstream_store::StoreError;

use super::Deliver;
use super::http::request::Template;
use super::http::send::{Reply, Sender, place};
use super::http::token::Tokens;
use super::render::{RenderedRequest, shown};

/// Longest check of one thing.
const CHECK_DEADLINE: Duration = Duration::from_secs(10);

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// `settings`, `dns`, `connect`, `tls`, `token`.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found, in one line.
    pub detail: String,
}

impl Check {
    /// What was found.
    pub fn new(name: &'static str, ok: bool, detail: impl Into<String>) -> Self {
        Self { name, ok, detail: detail.into() }
    }
}

/// What came of an event that was sent to try a target out.
pub struct Tried {
    /// As it was sent, secrets masked.
    pub request: RenderedRequest,
    /// What came back, or why nothing did.
    pub reply: Result<Answer, Untold>,
}

/// Why no answer came.
#[derive(Debug)]
pub struct Untold {
    /// `token`, `dns`, `refused`, `timeout`, …
    pub cause: &'static str,
    /// In one line.
    pub detail: String,
    /// How long it took.
    pub elapsed: Duration,
}

impl Deliver {
    /// Whether the target can be reached, and gives a token where one is needed. Nothing of the company's is sent to
    /// the receiver.
    pub async fn check_target(&self, company: CompanyNo, settings: &Settings) -> Vec<Check> {
        let Some(http) = settings.target.http() else { return Vec::new() };
        let Ok(uri) = http.url.parse::<Uri>() else { return Vec::new() };
        let pool = self.0.pool(company);
        let mut checks = vec![self.check_name(&uri).await];
        if checks[0].ok {
            checks.extend(reach(&pool, uri).await);
        }
        if let Some(oauth2) = &http.oauth2 {
            checks.push(check_token(&pool, oauth2, (self.0.clock)()).await);
        }
        checks
    }

    async fn check_name(&self, uri: &Uri) -> Check {
        match self.0.outbound.look_up(uri).await {
            Ok(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
                Check::new("dns", true, addresses.join(", "))
            }
            Err(failure) => Check::new("dns", false, failure.detail),
        }
    }

    /// Sends an event to a target right now; nothing is counted or kept. None: nothing is sent to a target like this.
    pub async fn try_out(
        &self,
        company: CompanyNo,
        settings: Arc<Settings>,
        event: &Event,
    ) -> Result<Option<Tried>, StoreError> {
        let Some(http) = settings.target.http() else { return Ok(None) };
        let tokens = http.oauth2.clone().map(|oauth2| Arc::new(Tokens::new(oauth2)));
        let name = self.0.name(company).await?;
        let epoch = self.0.stores.epochs.current();
        let template =
            Template::new(settings, &name, epoch).map_err(|e| StoreError::new("prepare a request", e.to_string()))?;
        let sender = Sender { template, pool: self.0.pool(company), tokens };
        let now = (self.0.clock)();
        let request = sender.template.request(event, 1, None, now);
        let rendered = shown(request.uri.to_string(), &request.headers, request.body.clone());
        let reply = match sender.exchange(request, now).await {
            Reply::Answer(answer) => Ok(answer),
            Reply::Failed(f) => Err(Untold { cause: f.cause.as_str(), detail: f.detail, elapsed: f.elapsed }),
            Reply::NoToken(r) => Err(Untold { cause: "token", detail: r.detail, elapsed: r.elapsed }),
        };
        Ok(Some(Tried { request: rendered, reply }))
    }
}

/// Any answer will do: many receivers know no `OPTIONS`.
async fn reach(pool: &Pool, uri: Uri) -> Vec<Check> {
    let encrypted = uri.scheme_str() == Some("https");
    let to = place(&uri);
    let request = Request { method: Method::OPTIONS, ..Request::get(uri) };
    let (connect, tls) = match pool.send(request, CHECK_DEADLINE).await {
        Ok(answer) => {
            let told = format!("{to} answered {} to OPTIONS after {} ms", answer.status, answer.elapsed.as_millis());
            (Check::new("connect", true, told), Some(Check::new("tls", true, "the certificate is trusted")))
        }
        Err(failure) if failure.cause == Cause::Tls => {
            let connect = Check::new("connect", true, format!("somebody listens at {to}"));
            (connect, Some(Check::new("tls", false, failure.detail)))
        }
        Err(failure) => (Check::new("connect", false, failure.detail), None),
    };
    [Some(connect), tls.filter(|_| encrypted)].into_iter().flatten().collect()
}

async fn check_token(pool: &Pool, oauth2: &OAuth2, now: Time) -> Check {
    match Tokens::new(oauth2.clone()).get(pool, CHECK_DEADLINE, now, None).await {
        Ok(_) => Check::new("token", true, "a token was given"),
        Err(refused) => Check::new("token", false, refused.detail),
    }
}
