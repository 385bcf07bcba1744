//! TLS on the hub's own listener.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::hub::tillstream;
use crate::support::people::PASSWORD;
use crate::support::{SOON, cli, database, eventually};

/// The hub's deadline for a handshake, and as much again for a busy machine.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(20);

/// A hub that does TLS, and its certificate.
struct Secured {
    folder: tempfile::TempDir,
    child: Child,
    address: SocketAddr,
    cert: CertificateDer<'static>,
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Secured {
    async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tillstream-test-").tempdir().expect("a folder");
        database::make(folder.path()).await;
        let cert = write_certificate(folder.path());
        let mut command = tillstream(folder.path());
        command.args(["serve", "--data", "data", "--listen", "0.0.0.0:0"]);
        command.args(["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
        let file = |name: &str| File::create(folder.path().join(name)).expect("a file");
        let (told, log) = (file("told.txt"), file("hub.log"));
        let child = command.stdin(Stdio::null()).stdout(told).stderr(log).spawn().expect("the hub starts");
        let port = eventually("the hub says where it is", SOON, async || port_in(&said(folder.path()))).await;
        Self { folder, child, address: ([127, 0, 0, 1], port).into(), cert }
    }

    /// A connection on which these protocols were offered.
    async fn connect(&self, protocols: &[&str]) -> TlsStream<TcpStream> {
        self.try_connect(&self.cert, protocols).await.expect("a handshake")
    }

    /// A connection with a hub that shows this certificate.
    async fn try_connect(
        &self,
        shown: &CertificateDer<'static>,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(shown.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Sends a request over HTTP/2.
    async fn ask(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let stream = self.connect(&["h2", "http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.expect("HTTP/2");
        let mut connections = tokio::task::JoinSet::new();
        connections.spawn(connection);
        let (head, body) = sender.send_request(request).await.expect("an answer").into_parts();
        Response::from_parts(head, body.collect().await.expect("its body").to_bytes())
    }
}

/// Writes a new certificate and its key.
fn write_certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).expect("written");
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    made.cert.der().clone()
}

fn said(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("told.txt")).unwrap_or_default()
}

fn port_in(text: &str) -> Option<u16> {
    let rest = text.split_once("https://127.0.0.1:")?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_of_http_are_served_over_tls_and_sessions_are_for_https_only() {
    let hub = Secured::start().await;
    let mut stream = hub.connect(&["http/1.1"]).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    // A peer that closes without a word at the end of an answer with a length is no truncation.
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let told = said(hub.folder.path());
    let token = told.split_once("/sign-in#token=").expect("a link").1.split_whitespace().next().unwrap();
    let body = json!({"token": token, "password": PASSWORD}).to_string();
    let request = Request::post(format!("https://localhost:{}/v1/sessions/links", hub.address.port()));
    let answer = hub.ask(request.header("content-type", "application/json").body(body.into()).unwrap()).await;
    assert_eq!(answer.status(), 201, "{answer:?}");
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.ends_with("; Secure"), "{cookie}");
    let session = cookie.split(';').next().unwrap();
    let own = format!("https://localhost:{}", hub.address.port());
    let put = |origin: &str| {
        let request = Request::put(format!("{own}/v1/sites/175")).header("cookie", session);
        let request = request.header("content-type", "application/json").header("origin", origin);
        request.body(Full::from("{}")).unwrap()
    };
    assert_eq!(hub.ask(put("https://evil.example")).await.status(), 403);
    assert_eq!(hub.ask(put(&own)).await.status(), 201, "the first administrator may do everything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_speak_tls_is_not_answered_and_does_not_stay() {
    let hub = Secured::start().await;
    let mut silent = TcpStream::connect(hub.address).await.unwrap();
    let started = Instant::now();
    let mut plain = TcpStream::connect(hub.address).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"), "clear text is not answered");
    let ended = tokio::time::timeout(HANDSHAKE_PATIENCE, silent.read(&mut [0; 16])).await;
    assert!(matches!(ended, Ok(Ok(0) | Err(_))), "the connection is closed: {ended:?}");
    assert!(started.elapsed() > Duration::from_secs(5), "not before the deadline");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_changes_on_disk_is_shown_without_a_restart() {
    let hub = Secured::start().await;
    hub.connect(&["h2"]).await;
    let new = write_certificate(hub.folder.path());
    eventually("the new certificate is shown", SOON, async || hub.try_connect(&new, &["h2"]).await.ok()).await;
    hub.try_connect(&hub.cert, &["h2"]).await.expect_err("the one before it is shown no more");
}

#[test]
fn files_that_do_not_belong_together_are_refused_before_anything_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let made = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("cert.pem"), made().cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), made().signing_key.serialize_pem()).unwrap();
    let serve = |key: &str| {
        let options =
            ["serve", "--data", "data", "--listen", "127.0.0.1:0", "--tls-cert", "cert.pem", "--tls-key", key];
        cli::run_alone(folder.path(), &options, &[])
    };
    let refused = serve("key.pem");
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("is not the certificate's"), "{}", refused.stderr);
    assert!(serve("missing.pem").stderr.contains("missing.pem"));
}
