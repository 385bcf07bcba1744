//! The hub's HTTP server stack (axum over hyper, multi-threaded tokio) with a handler that reads the body,
//! throws it away and answers 202 with a small JSON, as large as the hub's answer to one event.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use tokio::net::TcpListener;

use crate::child;
use crate::request::EVENTS_PATH;
use crate::wire::MAX_BODY_BYTES;

const ANSWER: &str = r#"{"accepted":[{"index":0,"id":"evt_01jd7m3c5v8e2q9r4t6w1x3y5z","seq":"1-1234567","duplicate":false}],"rejected":[]}"#;

/// Serves on `addr`, printing the address first, until the parent is gone (if `watch`).
pub async fn run(addr: SocketAddr, watch: bool) -> Result<()> {
    let listener = TcpListener::bind(addr).await.with_context(|| format!("listening on {addr}"))?;
    child::announce(listener.local_addr()?);
    tokio::select! {
        served = serve(listener) => served,
        () = child::parent_gone(watch) => Ok(()),
    }
}

/// Serves on `listener` until dropped.
pub async fn serve(listener: TcpListener) -> Result<()> {
    let router =
        Router::new().route(EVENTS_PATH, post(accept)).layer(axum::extract::DefaultBodyLimit::max(MAX_BODY_BYTES));
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| _ = stream.set_nodelay(true));
    Ok(axum::serve(listener, router).await?)
}

async fn accept(body: Bytes) -> impl IntoResponse {
    drop(body);
    (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], ANSWER)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::{Closed, Load, Open};

    async fn against(run: impl AsyncFnOnce(Load)) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let load = Load {
            addr,
            token: String::new(),
            names: vec!["order.completed".to_owned()],
            connections: 8,
            batch: 1,
            entities: 1_000,
            generation: 0,
        };
        tokio::select! {
            served = serve(listener) => served.expect("a server"),
            () = run(load) => {}
        }
    }

    #[tokio::test]
    async fn a_closed_loop_counts_exactly_what_it_was_told_to_send() {
        against(async |load| {
            let stop = Closed { requests: Some(5_000), warm_up: Duration::ZERO, measure: Duration::from_secs(30) };
            let outcome = load.closed(stop).await.expect("a run");
            assert_eq!((outcome.accepted, outcome.latency.len(), outcome.errors), (5_000, 5_000, 0));
            assert!(outcome.rate().expect("a rate") > 500.0, "{}", outcome.seconds);
        })
        .await;
    }

    #[tokio::test]
    async fn an_open_loop_keeps_its_rate() {
        against(async |load| {
            let beat = Open { rate: 500.0, duration: Duration::from_secs(1) };
            let outcome = load.open(beat).await.expect("a run");
            assert_eq!(outcome.accepted, 500);
            assert_eq!(outcome.rate().expect("a rate"), 500.0);
        })
        .await;
    }

    #[tokio::test]
    async fn the_warm_up_is_not_counted() {
        against(async |load| {
            let (warm_up, measure) = (Duration::from_millis(300), Duration::from_millis(300));
            let outcome = load.closed(Closed { requests: None, warm_up, measure }).await.expect("a run");
            assert_eq!(outcome.seconds, 0.3);
            assert_eq!(outcome.accepted, outcome.latency.len());
        })
        .await;
    }
}
