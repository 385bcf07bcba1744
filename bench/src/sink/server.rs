//! The sink's server: reads whole requests, writes prebuilt answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::behaviour::Behaviour;
use super::book::Book;
use super::control;
use crate::clock;
use crate::wire;

/// The most connections at once; those beyond are closed at once.
pub const MAX_CONNECTIONS: usize = 60_000;

const FIRST_BUFFER_BYTES: usize = 8 * 1024;
/// Pause after a failed accept, which is nearly always a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A sink that listens.
pub struct Sink {
    listener: TcpListener,
    state: Arc<State>,
}

/// What all connections share.
pub(super) struct State {
    book: Mutex<Book>,
    switched: Mutex<Behaviour>,
}

impl State {
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn switch(&self, behaviour: Behaviour) {
        *self.switched.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    fn switched(&self) -> Behaviour {
        *self.switched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Listens on `addr`.
    pub async fn bind(addr: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(addr).await.with_context(|| format!("listening on {addr}"))?;
        let state = State { book: Mutex::new(Book::new()?), switched: Mutex::new(Behaviour::Ok) };
        Ok(Self { listener, state: Arc::new(state) })
    }

    /// Where it listens.
    pub fn addr(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until dropped.
    pub async fn serve(self) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                        let state = Arc::clone(&self.state);
                        connections.spawn(async move { _ = connection(stream, &state).await });
                    }
                    Ok(_) => {}
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn connection(mut stream: TcpStream, state: &State) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(FIRST_BUFFER_BYTES);
    loop {
        while let Some(head) = wire::request_head(&buffer)? {
            let whole = head.body_at + head.body_bytes;
            if buffer.len() < whole {
                buffer.reserve(whole - buffer.len());
                break;
            }
            let (path, body) = (&buffer[head.path.clone()], &buffer[head.body_at..whole]);
            answer(&mut stream, state, path, body).await?;
            buffer.advance(whole);
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

async fn answer(stream: &mut TcpStream, state: &State, path: &[u8], body: &[u8]) -> Result<()> {
    if path.starts_with(control::PREFIX) {
        return Ok(stream.write_all(&control::answer(state, path)).await?);
    }
    match Behaviour::of_path(path, state.switched()) {
        Behaviour::Ok => receive(stream, state, path, body).await,
        Behaviour::Delay(pause) => {
            sleep(pause).await;
            receive(stream, state, path, body).await
        }
        Behaviour::Status(code) => {
            state.book().refused();
            let answer = format!("HTTP/1.1 {code} Told\r\ncontent-length: 0\r\n\r\n");
            Ok(stream.write_all(answer.as_bytes()).await?)
        }
        Behaviour::Hang => {
            state.book().refused();
            hang(stream).await
        }
    }
}

async fn receive(stream: &mut TcpStream, state: &State, path: &[u8], body: &[u8]) -> Result<()> {
    state.book().received(path, body, clock::wall_us());
    Ok(stream.write_all(OK).await?)
}

/// Reads until the other side gives up; then the error ends the connection.
async fn hang(stream: &mut TcpStream) -> Result<()> {
    let mut nowhere = [0; 1_024];
    while stream.read(&mut nowhere).await? > 0 {}
    anyhow::bail!("the sender gave up")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::event::{Stamp, delivered_body};
    use crate::sink::control::Control;
    use crate::wire::{Connection, request};

    async fn sink() -> (SocketAddr, JoinSet<()>) {
        let sink = Sink::bind(([127, 0, 0, 1], 0).into()).await.expect("a sink");
        let addr = sink.addr().expect("an address");
        let mut tasks = JoinSet::new();
        tasks.spawn(sink.serve());
        (addr, tasks)
    }

    async fn post(addr: SocketAddr, path: &str, number: u64) -> Option<u16> {
        let body = delivered_body(Stamp { key: 1, number, sent_us: clock::wall_us() });
        let mut connection = Connection::open(addr).await.expect("a connection");
        let bytes = request("POST", path, "", &body);
        let answer = timeout(Duration::from_millis(200), connection.exchange(&bytes)).await;
        answer.ok().map(|answer| answer.expect("an answer").status)
    }

    #[tokio::test]
    async fn every_behaviour_answers_as_its_path_says() {
        let (addr, _tasks) = sink().await;
        assert_eq!(post(addr, "/ok/a", 1).await, Some(200));
        assert_eq!(post(addr, "/status/503", 2).await, Some(503));
        assert_eq!(post(addr, "/delay/20", 3).await, Some(200));
        assert_eq!(post(addr, "/hang", 4).await, None);
        let stats = Control::new(addr).stats().await.expect("stats");
        assert_eq!((stats.received, stats.refused), (2, 2));
        assert!(stats.from_sent.max_ms >= 20.0, "{stats:?}");
    }

    #[tokio::test]
    async fn a_swapped_pair_shows_in_the_stats() {
        let (addr, _tasks) = sink().await;
        for number in [1, 3, 2] {
            post(addr, "/ok/a", number).await;
        }
        assert_eq!(Control::new(addr).stats().await.expect("stats").backwards, 1);
    }

    #[tokio::test]
    async fn the_switch_changes_answers_at_run_time() {
        let (addr, _tasks) = sink().await;
        let control = Control::new(addr);
        control.switch("status/500").await.expect("a switch");
        assert_eq!(post(addr, "/switch/a", 1).await, Some(500));
        control.switch("ok").await.expect("a switch");
        assert_eq!(post(addr, "/switch/a", 1).await, Some(200));
        assert!(control.switch("nonsense").await.is_err());
        control.reset().await.expect("a reset");
        assert_eq!(control.stats().await.expect("stats").received, 0);
    }

    #[tokio::test]
    async fn a_request_in_pieces_and_two_in_one_piece_are_both_read() {
        let (addr, _tasks) = sink().await;
        let one = request("POST", "/ok", "", &delivered_body(Stamp { key: 9, number: 1, sent_us: 1 }));
        let mut stream = TcpStream::connect(addr).await.expect("a connection");
        let (start, rest) = one.split_at(90);
        for piece in [start, rest, &[one.as_slice(), one.as_slice()].concat()] {
            stream.write_all(piece).await.expect("sent");
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(Control::new(addr).stats().await.expect("stats").received, 3);
    }
}
