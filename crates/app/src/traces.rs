//! Traces by OTLP (HTTP, protobuf): the spans `request`, `append` and `attempt` of the hub, when a collector is configured.
//!
//! Spans go through a queue of bounded length to a thread of their own, which sends them in batches; what does not fit
//! is dropped. Nothing waits for a collector. Spans go on with the trace that a request names, and a trace that its caller
//! does not record is not recorded here either.

mod continued;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider, Tracer};
use tokio::runtime::Handle;

use crate::http::Http;

use continued::Ids;

pub use continued::Continued;

/// The target of the spans that are sent. They are of the lowest level, so that they cost nothing and stand in no log
/// line unless somebody asks for them.
pub const TARGET: &str = "tillstream::traces";
/// What the hub is called in traces.
const SERVICE: &str = "tillstream";
/// Where a collector takes traces, below its address (OTLP/HTTP).
const PATH: &str = "/v1/traces";
/// How long the end of the process waits for the last batch.
const LAST_BATCH: Duration = Duration::from_secs(3);

/// Traces on their way to a collector.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins; opens nothing yet. Must be called in the runtime that is to send.
    ///
    /// # Errors
    /// When the address is none.
    pub fn start(endpoint: &str) -> anyhow::Result<Self> {
        let sender = Sender { http: Http::new(), runtime: Handle::current(), failing: AtomicBool::new(false) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(sender)
            .with_endpoint(format!("{}{PATH}", endpoint.trim_end_matches('/')))
            .build()
            .with_context(|| format!("otlp_endpoint \"{endpoint}\""))?;
        let resource = Resource::builder().with_service_name(SERVICE).build();
        let batches = BatchSpanProcessor::builder(exporter).build();
        Ok(Self(
            SdkTracerProvider::builder()
                .with_resource(resource)
                .with_id_generator(Ids::default())
                .with_span_processor(batches)
                .build(),
        ))
    }

    /// What makes spans.
    pub fn tracer(&self) -> Tracer {
        self.0.tracer(SERVICE)
    }

    /// Sends what is left, if that does not take long.
    pub async fn end(self) {
        // It waits for a thread that waits for this runtime.
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_BATCH)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::debug!("the last traces were not taken");
        }
    }
}

/// Sends batches over the commands' client. The thread that exports is no part of the runtime, so sending is.
struct Sender {
    http: Http,
    runtime: Handle,
    failing: AtomicBool,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move { http.send(request).await }).await?;
        let answer = sent.map_err(HttpError::from).and_then(|answer| match answer.status.is_success() {
            true => Ok(answer),
            false => Err(format!("the collector answered {}", answer.status).into()),
        });
        let failed = answer.is_err();
        if failed != self.failing.swap(failed, Ordering::Relaxed) {
            match &answer {
                Err(error) => tracing::warn!(%error, "traces are lost until the collector takes them again"),
                Ok(_) => tracing::info!("the collector takes traces again"),
            }
        }
        let answer = answer?;
        let mut response = Response::new(answer.body);
        *response.status_mut() = answer.status;
        Ok(response)
    }
}
