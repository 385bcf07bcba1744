//! Takes a delivery, shows it and answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};

use super::Args;
use super::delivery::Delivery;
use super::forward::Forward;
use crate::signature::SigningKey;
use crate::{output, wire};

/// Largest body that is taken, in bytes: more than the hub lets an event have.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// What every delivery goes through.
pub struct Receiver {
    signing: Option<SigningKey>,
    forward: Option<Forward>,
    status: StatusCode,
    delay: Duration,
    payload: bool,
    json: bool,
}

impl Receiver {
    /// As asked for.
    pub fn new(args: &Args, signing: Option<SigningKey>) -> Self {
        Self {
            signing,
            forward: args.forward_to.clone().map(Forward::new),
            status: StatusCode::from_u16(args.status).unwrap_or_default(),
            delay: Duration::from_millis(args.delay),
            payload: args.payload,
            json: args.json,
        }
    }

    /// Every path and method.
    pub fn router(self) -> Router {
        Router::new().fallback(receive).with_state(Arc::new(self))
    }

    async fn answer(&self, method: Method, headers: &HeaderMap, body: &Bytes) -> (StatusCode, Option<String>) {
        tokio::time::sleep(self.delay).await;
        let Some(forward) = &self.forward else { return (self.status, None) };
        match forward.send(method, headers, body.clone()).await {
            Ok(status) => (status, None),
            Err(error) => (StatusCode::BAD_GATEWAY, Some(format!("not passed on: {error}"))),
        }
    }

    fn show(&self, delivery: &Delivery) -> anyhow::Result<()> {
        if self.json { output::line(delivery.json(self.payload)) } else { output::line(delivery.text(self.payload)) }
    }
}

async fn receive(State(receiver): State<Arc<Receiver>>, request: Request<Body>) -> Response {
    let at = wire::now();
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let signature = receiver.signing.as_ref().map(|key| key.check(&head.headers, &body, at));
    let (status, trouble) = receiver.answer(head.method, &head.headers, &body).await;
    let delivery = Delivery { at, headers: head.headers, body, signature, answered: status.as_u16(), trouble };
    match receiver.show(&delivery) {
        Ok(()) => status.into_response(),
        // What could not be shown must come again.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
