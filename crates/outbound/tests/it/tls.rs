//! TLS, and HTTP/2 over it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};
use tillstream_outbound::{Cause, Client, KEPT_BYTES, MAX_READ_BYTES, Options, Request};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::support::{LONG, SHORT, Server, Turns, client, failing, ok_with, pool, post, resolving};

/// The body that makes a receiver reset the stream.
const RESET: &str = "reset";

/// A receiver under TLS with a certificate of its own making; its answer repeats the request's body.
struct Receiver {
    server: Server,
    certificate: CertificateDer<'static>,
}

impl Receiver {
    async fn start(name: &str, alpn: &[&[u8]]) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = Server::start(move |tcp| serve(acceptor.clone(), tcp)).await;
        Self { server, certificate }
    }

    fn uri(&self, host: &str) -> Uri {
        self.server.uri_with("https", host)
    }

    /// A client that trusts only this receiver; every name is 127.0.0.1.
    fn trusting(&self) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let options = Options { roots: Arc::new(roots), ..everything_is_local() };
        client(&["127.0.0.0/8"], options)
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn everything_is_local() -> Options {
    resolving(Turns::new(&[&["127.0.0.1"]]))
}

fn suspicious() -> Client {
    client(&["127.0.0.0/8"], everything_is_local())
}

async fn serve(acceptor: TlsAcceptor, tcp: TcpStream) {
    let Ok(tls) = acceptor.accept(tcp).await else {
        return;
    };
    let service = service_fn(echo);
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), service).await;
}

async fn echo(request: http::Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    if body == RESET {
        return Err(io::Error::other("asked for"));
    }
    Ok(Response::new(Full::new(body)))
}

#[tokio::test]
async fn http_2_is_spoken_when_the_receiver_chooses_it() {
    let receiver = Receiver::start("receiver.test", &[b"h2", b"http/1.1"]).await;
    let client = receiver.trusting();
    for _ in 0..20 {
        let answer = post(&client, receiver.uri("receiver.test"), LONG).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.version), (200, Version::HTTP_2));
        assert_eq!(answer.body_start, "{}");
    }
    assert_eq!(receiver.server.accepted(), 1);
}

#[tokio::test]
async fn requests_at_once_share_one_http_2_connection() {
    let receiver = Receiver::start("receiver.test", &[b"h2"]).await;
    let pool = pool(&receiver.trusting());
    let request = || Request::post(receiver.uri("receiver.test"), "{}");
    pool.send(request(), LONG).await.unwrap();
    let mut sending = JoinSet::new();
    for _ in 0..32 {
        let (pool, request) = (pool.clone(), request());
        sending.spawn(async move { pool.send(request, LONG).await.unwrap() });
    }
    assert_eq!(sending.join_all().await.len(), 32);
    assert_eq!(receiver.server.accepted(), 1);
}

#[tokio::test]
async fn a_long_http_2_answer_is_given_up_without_harm_to_its_connection() {
    let receiver = Receiver::start("receiver.test", &[b"h2"]).await;
    let pool = pool(&receiver.trusting());
    for bytes in [MAX_READ_BYTES, MAX_READ_BYTES * 20, 10] {
        let request = Request::post(receiver.uri("receiver.test"), vec![b'x'; bytes]);
        let answer = pool.send(request, LONG).await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body_start.len(), bytes.min(KEPT_BYTES));
    }
    assert_eq!(receiver.server.accepted(), 1);
}

#[tokio::test]
async fn a_reset_http_2_stream_is_reset_and_leaves_its_connection_usable() {
    let receiver = Receiver::start("receiver.test", &[b"h2"]).await;
    let pool = pool(&receiver.trusting());
    let request = |body| Request::post(receiver.uri("receiver.test"), body);
    let failure = pool.send(request(RESET), LONG).await.unwrap_err();
    assert_eq!((failure.cause, failure.connected), (Cause::Reset, true));

    pool.send(request("{}"), LONG).await.unwrap();
    assert_eq!(receiver.server.accepted(), 1);
}

#[tokio::test]
async fn http_1_is_spoken_when_the_receiver_knows_nothing_else() {
    for alpn in [&[&b"http/1.1"[..]][..], &[]] {
        let receiver = Receiver::start("receiver.test", alpn).await;
        let answer = post(&receiver.trusting(), receiver.uri("receiver.test"), LONG).await.unwrap();
        assert_eq!(answer.version, Version::HTTP_11);
    }
}

#[tokio::test]
async fn a_certificate_for_an_address_is_accepted_for_that_address() {
    let receiver = Receiver::start("127.0.0.1", &[b"h2"]).await;
    post(&receiver.trusting(), receiver.uri("127.0.0.1"), LONG).await.unwrap();
}

#[tokio::test]
async fn an_untrusted_certificate_is_tls() {
    let receiver = Receiver::start("receiver.test", &[b"h2"]).await;
    let failure = failing(&suspicious(), receiver.uri("receiver.test"), LONG).await;
    assert_eq!((failure.cause, failure.connected), (Cause::Tls, false));
    assert!(failure.detail.contains("receiver.test:"), "{failure}");
    assert!(failure.detail.contains("certificate"), "{failure}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_tls() {
    let receiver = Receiver::start("receiver.test", &[b"h2"]).await;
    let failure = failing(&receiver.trusting(), receiver.uri("other.test"), LONG).await;
    assert_eq!((failure.cause, failure.connected), (Cause::Tls, false));
}

#[tokio::test]
async fn a_receiver_without_tls_is_tls() {
    let server = Server::start(|mut stream| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(&ok_with(b"")).await;
    })
    .await;
    let failure = failing(&suspicious(), server.uri_with("https", "127.0.0.1"), LONG).await;
    assert_eq!((failure.cause, failure.connected), (Cause::Tls, false));
}

#[tokio::test]
async fn a_receiver_that_closes_in_the_handshake_is_tls() {
    let server = Server::start(|stream| async move { drop(stream) }).await;
    let failure = failing(&suspicious(), server.uri_with("https", "127.0.0.1"), LONG).await;
    assert_eq!((failure.cause, failure.connected), (Cause::Tls, false));
}

#[tokio::test]
async fn a_handshake_without_end_is_timeout_without_a_connection() {
    let server = Server::sending_then_silent("").await;
    let uri = server.uri_with("https", "127.0.0.1");
    let options = Options { connect_timeout: SHORT, ..everything_is_local() };
    let impatient = client(&["127.0.0.0/8"], options);
    for (client, deadline) in [(impatient, LONG), (suspicious(), SHORT)] {
        let failure = failing(&client, uri.clone(), deadline).await;
        assert_eq!((failure.cause, failure.connected), (Cause::Timeout, false));
    }
}

#[tokio::test]
async fn clear_text_is_http_1_even_to_a_receiver_that_knows_http_2() {
    let server = Server::start(|tcp| async move {
        let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tcp), service_fn(echo)).await;
    })
    .await;
    let answer = post(&suspicious(), server.uri(), LONG).await.unwrap();
    assert_eq!(answer.version, Version::HTTP_11);
}
