//! Passing a delivery on.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};

use crate::http::{Http, NoAnswer};

/// Headers that belong to one connection (RFC 9110, section 7.6.1) or are made anew for the next.
const NOT_PASSED_ON: [http::HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Passes deliveries on to one URL.
#[derive(Clone)]
pub struct Forward {
    http: Http,
    to: Uri,
}

impl Forward {
    /// To this URL.
    pub fn new(to: Uri) -> Self {
        Self { http: Http::new(), to }
    }

    /// Sends it as it came and gives the answer's status.
    ///
    /// # Errors
    /// [`NoAnswer`] when none came.
    pub async fn send(&self, method: Method, headers: &HeaderMap, body: Bytes) -> Result<StatusCode, NoAnswer> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.to.clone();
        *request.headers_mut() = passed_on(headers);
        self.http.send(request).await.map(|answer| answer.status)
    }
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in NOT_PASSED_ON {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_connection_stays_and_the_signature_goes_on() {
        let mut headers = HeaderMap::new();
        for name in ["host", "content-length", "connection", "webhook-signature", "authorization", "content-type"] {
            headers.insert(http::HeaderName::from_static(name), http::HeaderValue::from_static("x"));
        }
        let mut names: Vec<String> = passed_on(&headers).keys().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, ["authorization", "content-type", "webhook-signature"]);
    }
}
