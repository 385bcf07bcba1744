//! Steering a sink: `/_stats`, `/_reset` and `/_switch/<behaviour>`, and the caller's side of them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::{sleep, timeout};

use super::behaviour::Behaviour;
use super::book::Stats;
use super::server::State;
use crate::clock;
use crate::wire::{Connection, request};

/// Paths with this beginning are for control.
pub const PREFIX: &[u8] = b"/_";

const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// A handle on a sink in any process.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    addr: SocketAddr,
}

impl Control {
    /// The sink at `addr`.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr }
    }

    /// What it has seen since the last reset.
    pub async fn stats(&self) -> Result<Stats> {
        Ok(serde_json::from_slice(&self.call("/_stats").await?)?)
    }

    /// Starts counting anew.
    pub async fn reset(&self) -> Result<()> {
        self.call("/_reset").await.map(drop)
    }

    /// Sets what paths under `/switch` do: `ok`, `hang`, `status/N`, `delay/MS`.
    pub async fn switch(&self, behaviour: &str) -> Result<()> {
        self.call(&format!("/_switch/{behaviour}")).await.map(drop)
    }

    /// Waits until `count` deliveries were received or `limit` has passed; gives the stats then.
    pub async fn wait_for(&self, count: u64, limit: Duration) -> Result<Stats> {
        let until = clock::now() + limit;
        loop {
            let stats = self.stats().await?;
            if stats.received >= count || clock::now() >= until {
                return Ok(stats);
            }
            sleep(POLL).await;
        }
    }

    async fn call(&self, path: &str) -> Result<Vec<u8>> {
        let exchange = async {
            let mut connection = Connection::open(self.addr).await?;
            let bytes = request("POST", path, "", b"");
            let answer = connection.exchange(&bytes).await?;
            ensure!(answer.status == 200, "the sink answered {} to {path}", answer.status);
            Ok(answer.body.to_vec())
        };
        timeout(ANSWER_LIMIT, exchange).await.context("the sink does not answer")?
    }
}

/// The sink's answer to a control path, as bytes to send.
pub(super) fn answer(state: &State, path: &[u8]) -> Vec<u8> {
    match act(state, path) {
        Ok(body) => reply("200 OK", &body),
        Err(error) => reply("400 Bad Request", format!("{error}\n").as_bytes()),
    }
}

fn act(state: &State, path: &[u8]) -> Result<Vec<u8>> {
    match path {
        b"/_stats" => return Ok(serde_json::to_vec(&state.book().stats())?),
        b"/_reset" => state.book().reset(),
        _ => state.switch(Behaviour::parse(std::str::from_utf8(path)?.trim_start_matches("/_switch/"))?),
    }
    Ok(Vec::new())
}

fn reply(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
