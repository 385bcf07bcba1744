//! Messages as requests, signed by Standard Webhooks, through the guarded connector as everything that leaves.

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue, Uri};
use tillstream_model::CompanyNo;
use tillstream_model::integration::{Signing, SigningSecret};
use tillstream_outbound::{PoolKey, Request};

use super::letter::Letter;
use super::post::DEADLINE;
use crate::Hub;
use crate::deliver::signing::Signer;

const AGENT: &str = concat!("Tillstream/", env!("CARGO_PKG_VERSION"));

/// Sends it; why not, in one line.
pub(super) async fn send(
    hub: &Hub,
    company: Option<CompanyNo>,
    url: &str,
    signing: Option<SigningSecret>,
    letter: &Letter<'_>,
) -> Result<(), String> {
    let request = request(url, signing, letter)?;
    let pool = hub.outbound().pool(PoolKey { company: company.map_or(0, |c| c.0), identity: 0 });
    let answer = pool.send(request, DEADLINE).await.map_err(|e| e.detail)?;
    if answer.status.is_success() { Ok(()) } else { Err(format!("the contact's webhook answered {}", answer.status)) }
}

fn request(url: &str, signing: Option<SigningSecret>, letter: &Letter<'_>) -> Result<Request, String> {
    let uri: Uri = url.parse().map_err(|e| format!("the contact's URL: {e}"))?;
    let mut request = Request::post(uri, letter.json());
    let (id, timestamp) = (letter.id(), (letter.now.millis() / 1_000).to_string());
    let signer = Signer::new(&Signing { secrets: signing.into_iter().collect() });
    let signature = signer.sign(&id, &timestamp, &request.body, letter.now);
    let headers = [("webhook-id", Some(id)), ("webhook-timestamp", Some(timestamp)), ("webhook-signature", signature)];
    for (name, value) in headers {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            request.headers.insert(HeaderName::from_static(name), value);
        }
    }
    request.headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(request)
}
