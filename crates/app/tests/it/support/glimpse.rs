//! Looking at an answer that may go on without end.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};

use super::api::{Answer, Api};

impl Api {
    /// What it sends with every request.
    pub fn own_headers(&self) -> Vec<(&'static str, String)> {
        let key = self.key.iter().map(|key| ("authorization", format!("Bearer {key}")));
        let company = self.company.iter().map(|company| ("tillstream-company", company.clone()));
        let person = |cookie: &String| [("cookie", cookie.clone()), ("tillstream-requested-with", "test".to_owned())];
        key.chain(company).chain(self.session.iter().flat_map(person)).collect()
    }

    /// As [`Api::send`], with what has come of a stream's body within this time.
    ///
    /// # Errors
    /// When no answer began.
    pub async fn glimpse(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
        patience: Duration,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in self.own_headers() {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(|e| e.to_string())?;
        let (head, mut body) = self.client.request(request).await.map_err(|e| format!("{e:?}"))?.into_parts();
        let mut came = BytesMut::new();
        let end = Instant::now() + patience;
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(end - Instant::now().min(end), body.frame()).await {
            came.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..]));
        }
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: came.freeze() })
    }
}
