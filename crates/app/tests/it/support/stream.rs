//! Reading Server-Sent Events as they come.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;

use super::api::Api;

/// A block of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    pub id: String,
    pub event: String,
    pub data: Value,
    pub comment: bool,
}

/// An open stream.
pub struct Stream {
    body: Incoming,
    text: String,
}

impl Stream {
    /// Opens one; it must be answered with 200.
    pub async fn open(api: &Api, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = Request::get(format!("{}{path}", api.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let key = api.key.as_deref().expect("a key");
        let request = request.header("authorization", format!("Bearer {key}")).body(Full::<Bytes>::default());
        let answer = api.client.request(request.expect("a request")).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { body: answer.into_body(), text: String::new() }
    }

    /// The next block, comments included; None when the stream has ended.
    pub async fn block(&mut self, deadline: Duration) -> Option<Block> {
        tokio::time::timeout(deadline, self.read()).await.expect("a block in time")
    }

    /// The next event.
    pub async fn event(&mut self, deadline: Duration) -> Block {
        loop {
            let block = self.block(deadline).await.expect("an event before the end");
            if !block.event.is_empty() {
                return block;
            }
        }
    }

    /// Waits until the stream has ended; the events that came before.
    pub async fn rest(&mut self, deadline: Duration) -> Vec<Block> {
        let mut events = Vec::new();
        while let Some(block) = self.block(deadline).await {
            events.extend(Some(block).filter(|b| !b.event.is_empty()));
        }
        events
    }

    async fn read(&mut self) -> Option<Block> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (parse(block), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let frame = self.body.frame().await?.expect("a whole stream");
            let bytes = frame.into_data().expect("no trailers");
            self.text.push_str(std::str::from_utf8(&bytes).expect("text"));
        }
    }
}

fn parse(text: &str) -> Block {
    let mut block = Block::default();
    for line in text.lines() {
        match line.split_once(':') {
            Some(("", _)) => block.comment = true,
            Some(("id", id)) => block.id = id.trim().to_owned(),
            Some(("event", event)) => block.event = event.trim().to_owned(),
            Some(("data", data)) => block.data = serde_json::from_str(data).expect("JSON"),
            Some(("retry", _)) => {}
            _ => panic!("no line of a stream: {line}"),
        }
    }
    block
}
