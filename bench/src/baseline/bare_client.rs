//! A bare HTTP client (hyper-util's pooled one, multi-threaded tokio) that posts the bodies the hub would
//! deliver: no log, no order, no signature.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;

use crate::child::Measured;
use crate::clock;
use crate::event::{Stamp, delivered_body};

/// Different bodies that are posted in turn.
pub const BODIES: u64 = 1_000;

type Bare = Client<HttpConnector, Full<Bytes>>;

/// Posts to `/ok/bare` at `addr` from `concurrency` tasks for `time`.
pub async fn run(addr: SocketAddr, concurrency: usize, time: Duration) -> Result<Measured> {
    let client = client(concurrency);
    let url: hyper::Uri = format!("http://{addr}/ok/bare").parse()?;
    let bodies: Vec<Bytes> = (0..BODIES).map(|key| body(key).into()).collect();
    let started = clock::now();
    let mut tasks = JoinSet::new();
    for task in 0..concurrency {
        tasks.spawn(post_until(client.clone(), url.clone(), bodies.clone(), task, started + time));
    }
    let mut done = 0;
    while let Some(count) = tasks.join_next().await {
        done += count.context("a task of the client")??;
    }
    Ok(Measured { done, seconds: started.elapsed().as_secs_f64() })
}

fn client(concurrency: usize) -> Bare {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(concurrency).build(connector)
}

fn body(key: u64) -> Vec<u8> {
    delivered_body(Stamp { key, number: 0, sent_us: clock::wall_us() })
}

async fn post_until(client: Bare, url: hyper::Uri, bodies: Vec<Bytes>, first: usize, until: Instant) -> Result<u64> {
    let mut done = 0;
    for body in bodies.iter().cycle().skip(first) {
        if clock::now() >= until {
            break;
        }
        let request = Request::post(url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.clone()))?;
        let answer = client.request(request).await?;
        ensure!(answer.status().is_success(), "the sink answered {}", answer.status());
        answer.into_body().collect().await?;
        done += 1;
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Sink;
    use crate::sink::control::Control;

    #[tokio::test]
    async fn what_the_client_counts_is_what_the_sink_received() {
        let sink = Sink::bind(([127, 0, 0, 1], 0).into()).await.expect("a sink");
        let addr = sink.addr().expect("an address");
        let mut tasks = JoinSet::new();
        tasks.spawn(sink.serve());
        let measured = run(addr, 4, Duration::from_millis(200)).await.expect("a run");
        let stats = Control::new(addr).stats().await.expect("stats");
        assert!(measured.done > 50, "{measured:?}");
        assert_eq!(stats.received, measured.done);
    }
}
