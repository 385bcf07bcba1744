//! The HTTP server under everything that listens: the hub, `listen`, and the demo's receivers.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tillstream_hub::trace;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower_service::Service;
use tracing::{Instrument, field};

/// Most connections at once; further ones wait in the system's queue.
pub const MAX_CONNECTIONS: usize = 10_000;
/// How long a TLS handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request's head may take to arrive.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest head of an HTTP/1.1 request, in bytes; also the connection's read buffer.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Largest list of headers of an HTTP/2 request, in bytes.
const MAX_H2_HEADER_BYTES: u32 = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const MAX_H2_STREAMS: u32 = 256;
/// How long an HTTP/2 connection may be silent before it is pinged, and how long the answer may take.
const H2_PING: Duration = Duration::from_secs(20);
/// How long requests that are under way may take to end when the server stops.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait after an accept failed, as when the process has no file handles left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on an address.
///
/// # Errors
/// When the system refuses, as for a port in use.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `stop`, then lets requests under way end within [`DRAIN_TIMEOUT`]. HTTP/1.1 and, with prior
/// knowledge, HTTP/2. Handlers find the caller's address as [`ConnectInfo`].
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    serve_with(listener, None, router, stop).await;
}

/// As [`serve`]; with TLS on every connection if there is one to do it, then also HTTP/2 as the two sides agree.
pub async fn serve_with(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, stop: CancellationToken) {
    let builder = builder();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (stream, peer, permit) = accept(&listener, &permits) => {
                let connection = Connection { stream, peer, permit, watcher: graceful.watcher() };
                connections.spawn(connection.run(tls.clone(), builder.clone(), router.clone()));
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections were still busy and are cut");
    }
    connections.shutdown().await;
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING)
        .max_header_list_size(MAX_H2_HEADER_BYTES)
        .max_concurrent_streams(MAX_H2_STREAMS);
    builder
}

async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        // The semaphore is never closed; if it were, nothing more would be accepted.
        let Ok(permit) = permits.clone().acquire_owned().await else { std::future::pending().await };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    watcher: Watcher,
}

impl Connection {
    async fn run(self, tls: Option<TlsAcceptor>, builder: Builder<TokioExecutor>, router: Router) {
        // Answers are small: waiting to fill a packet would cost up to 40 ms.
        if let Err(error) = self.stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let Self { stream, peer, permit, watcher } = self;
        match tls {
            None => talk(stream, peer, watcher, builder, router).await,
            Some(tls) => match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                Ok(Ok(stream)) => talk(stream, peer, watcher, builder, router).await,
                Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
            },
        }
        drop(permit);
    }
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    watcher: Watcher,
    builder: Builder<TokioExecutor>,
    router: Router,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let mut router = router.clone();
        async move { Ok::<_, Infallible>(call(&mut router, request).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%peer, error, "a connection broke");
    }
}

async fn call(router: &mut Router, request: Request<Body>) -> axum::response::Response {
    // Without its query, which may carry what nobody else may read.
    let (method, path) = (request.method().as_str(), request.uri().path());
    let span = tracing::trace_span!(target: "tillstream::traces", "request", method, path,
        traceparent = trace::of(request.headers()).map(field::display), status = field::Empty);
    let answered = router.call(request).instrument(span.clone()).await;
    if let Ok(response) = &answered {
        span.record("status", response.status().as_u16());
    }
    match answered {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    struct Running {
        address: SocketAddr,
        stop: CancellationToken,
        task: JoinSet<()>,
    }

    async fn start(router: Router) -> Running {
        let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (address, stop, mut task) = (listener.local_addr().unwrap(), CancellationToken::new(), JoinSet::new());
        task.spawn(serve(listener, router, stop.clone()));
        Running { address, stop, task }
    }

    async fn talk(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn a_handler_sees_where_the_request_comes_from() {
        let who = get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() });
        let running = start(Router::new().route("/", who)).await;
        let answer = talk(running.address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("127.0.0.1"), "{answer}");
    }

    #[tokio::test]
    async fn a_request_under_way_ends_before_the_server_does() {
        let slow = get(|| async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "late"
        });
        let mut running = start(Router::new().route("/", slow)).await;
        let request = talk(running.address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        let stop = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            running.stop.cancel();
        };
        let (answer, ()) = tokio::join!(request, stop);
        assert!(answer.ends_with("late"), "{answer}");
        running.task.join_next().await;
        assert!(TcpStream::connect(running.address).await.is_err());
    }

    #[tokio::test]
    async fn a_head_beyond_the_limit_is_refused() {
        let running = start(Router::new().route("/", get(|| async { "ok" }))).await;
        let request = |bytes: usize| {
            format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: {}\r\n\r\n", "y".repeat(bytes))
        };
        let fits = talk(running.address, request(MAX_HEAD_BYTES - 200).as_bytes()).await;
        assert!(fits.starts_with("HTTP/1.1 200"), "{fits}");
        let answer = talk(running.address, request(MAX_HEAD_BYTES).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}
