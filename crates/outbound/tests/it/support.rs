//! Receivers, names and clients for the tests.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Uri;
use tillstream_outbound::{Answer, Client, Failure, Lookup, Options, Policy, Pool, PoolKey, Request, Resolve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Far longer than anything here takes.
pub const LONG: Duration = Duration::from_secs(10);
/// Short, for what is expected to run into it.
pub const SHORT: Duration = Duration::from_millis(250);

/// A receiver on loopback that counts the connections it accepted; gone when dropped.
pub struct Server {
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Serves each connection with `handle`, on 127.0.0.1.
    pub async fn start<F, Fut>(handle: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::start_at("127.0.0.1:0".parse().unwrap(), handle).await
    }

    pub async fn start_at<F, Fut>(address: SocketAddr, handle: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                connections.spawn(handle(stream));
            }
        });
        Self { address, accepted, _tasks: tasks }
    }

    /// Answers every request on every connection with the same bytes and keeps the connection.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        Self::answering_at("127.0.0.1:0", answer).await
    }

    pub async fn answering_at(address: &str, answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::start_at(address.parse().unwrap(), move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                while read_request(&mut stream).await.is_some() {
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// Sends these bytes once after a request, then stays silent with the connection open.
    pub async fn sending_then_silent(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::start(move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                let _ = read_request(&mut stream).await;
                let _ = stream.write_all(&answer).await;
                std::future::pending::<()>().await;
            }
        })
        .await
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub fn uri(&self) -> Uri {
        self.uri_of("127.0.0.1")
    }

    /// A URL of this receiver's port under another host.
    pub fn uri_of(&self, host: &str) -> Uri {
        self.uri_with("http", host)
    }

    pub fn uri_with(&self, scheme: &str, host: &str) -> Uri {
        format!("{scheme}://{host}:{}/hook", self.address.port()).parse().unwrap()
    }
}

/// Reads one HTTP/1.1 request with its body; `None` at the end of the connection.
pub async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut got = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = complete(&got) {
            got.truncate(end);
            return Some(got);
        }
        let n = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
        got.extend_from_slice(&chunk[..n]);
    }
}

fn complete(got: &[u8]) -> Option<usize> {
    let head_end = got.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&got[..head_end]).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |value| value.trim().parse().unwrap());
    (got.len() >= head_end + length).then_some(head_end + length)
}

/// A 200 with this body and its length.
pub fn ok_with(body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// A resolver that gives one prepared answer after another to whatever name; the last one stays.
pub struct Turns {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Turns {
    pub fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().unwrap()).collect();
        Arc::new(Self { answers: Mutex::new(answers.iter().map(parse).collect()), asked: AtomicUsize::new(0) })
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn next(&self) -> Vec<IpAddr> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop_front().unwrap(),
        }
    }
}

impl Resolve for Turns {
    fn resolve<'a>(&'a self, _: &'a str) -> Lookup<'a> {
        let answer = self.next();
        Box::pin(async move { Ok(answer) })
    }
}

/// A resolver that fails, or never answers.
pub enum Broken {
    Fails,
    Hangs,
}

impl Resolve for Broken {
    fn resolve<'a>(&'a self, _: &'a str) -> Lookup<'a> {
        match self {
            Self::Fails => Box::pin(async { Err(io::Error::other("no such host")) }),
            Self::Hangs => Box::pin(std::future::pending()),
        }
    }
}

/// A client that may call 127.0.0.0/8.
pub fn local_client() -> Client {
    client(&["127.0.0.0/8"], Options::default())
}

pub fn local_client_with(resolver: Arc<impl Resolve>) -> Client {
    client(&["127.0.0.0/8"], resolving(resolver))
}

pub fn client(opened: &[&str], options: Options) -> Client {
    Client::new(Policy::new(opened).unwrap(), options)
}

pub fn resolving(resolver: Arc<impl Resolve>) -> Options {
    Options { resolver, ..Options::default() }
}

pub fn pool(client: &Client) -> Pool {
    client.pool(PoolKey { company: 1, identity: 0 })
}

/// Posts a small body through a fresh pool handle.
pub async fn post(client: &Client, uri: Uri, deadline: Duration) -> Result<Answer, Failure> {
    pool(client).send(Request::post(uri, "{}"), deadline).await
}

/// Posts and expects a failure.
pub async fn failing(client: &Client, uri: Uri, deadline: Duration) -> Failure {
    post(client, uri, deadline).await.expect_err("no answer was expected")
}
