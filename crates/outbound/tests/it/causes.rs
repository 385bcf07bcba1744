//! What went wrong is told apart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Uri;
use tillstream_outbound::{Cause, Failure, Options, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{
    Broken, LONG, SHORT, Server, Turns, client, failing, local_client, local_client_with, ok_with, pool, read_request,
    resolving,
};

/// The causes of a failure as (slug, whether a connection was made).
fn seen(failure: &Failure) -> (&'static str, bool) {
    (failure.cause.as_str(), failure.connected)
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn nobody_listening_is_refused() {
    let port = free_port().await;
    let uri: Uri = format!("http://127.0.0.1:{port}/secret?token=1").parse().unwrap();
    let failure = failing(&local_client(), uri, LONG).await;
    assert_eq!(seen(&failure), ("refused", false));
    assert!(failure.detail.contains(&format!("127.0.0.1:{port}")), "{failure}");
    assert!(!failure.detail.contains("secret") && !failure.detail.contains("token"));
}

#[tokio::test]
async fn an_address_without_a_route_is_unreachable() {
    // No TCP connection leads to a multicast group, on any machine.
    let open = client(&["224.0.0.0/4"], Options::default());
    let failure = failing(&open, "http://224.0.0.1/".parse().unwrap(), LONG).await;
    assert_eq!(seen(&failure), ("unreachable", false));
    assert!(failure.detail.contains("224.0.0.1:80"), "{failure}");
}

#[tokio::test]
async fn a_connection_dropped_before_the_request_is_read_is_reset() {
    let server = Server::start(|stream| async move { drop(stream) }).await;
    let failure = failing(&local_client(), server.uri(), LONG).await;
    assert_eq!(seen(&failure), ("reset", true));
    assert!(failure.detail.contains(&server.address.to_string()), "{failure}");
}

#[tokio::test]
async fn a_connection_closed_instead_of_an_answer_is_reset() {
    let server = Server::start(|mut stream| async move {
        let _ = read_request(&mut stream).await;
    })
    .await;
    let failure = failing(&local_client(), server.uri(), LONG).await;
    assert_eq!(seen(&failure), ("reset", true));
}

#[tokio::test]
async fn a_body_cut_short_is_reset() {
    for half in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let server = Server::start(move |mut stream| async move {
            let _ = read_request(&mut stream).await;
            let _ = stream.write_all(half).await;
        })
        .await;
        let failure = failing(&local_client(), server.uri(), LONG).await;
        assert_eq!(seen(&failure), ("reset", true));
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_dns() {
    let uri: Uri = "http://nowhere.test/".parse().unwrap();
    let failed = local_client_with(Arc::new(Broken::Fails));
    let empty = local_client_with(Turns::new(&[&[]]));
    for client in [failed, empty] {
        let failure = failing(&client, uri.clone(), LONG).await;
        assert_eq!(seen(&failure), ("dns", false));
        assert!(failure.detail.contains("nowhere.test"), "{failure}");
    }
}

#[tokio::test]
async fn a_lookup_without_end_is_dns_after_the_connect_timeout_and_timeout_at_the_deadline() {
    let uri: Uri = "http://slow.test/".parse().unwrap();
    let options = Options { connect_timeout: SHORT, ..resolving(Arc::new(Broken::Hangs)) };
    let client = client(&[], options);
    assert_eq!(seen(&failing(&client, uri.clone(), LONG).await), ("dns", false));
    assert_eq!(seen(&failing(&client, uri, SHORT / 2).await), ("timeout", false));
}

/// An address whose queue of unaccepted connections is full: a further connection gets no answer.
async fn full_listener() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(open) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        waiting.push(open.unwrap());
    }
    (listener, waiting)
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_timeout_without_a_connection() {
    let (listener, _waiting) = full_listener().await;
    let uri: Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let options = Options { address_timeout: SHORT, ..Options::default() };
    let impatient = client(&["127.0.0.0/8"], options);

    let failure = failing(&impatient, uri.clone(), LONG).await;
    assert_eq!(seen(&failure), ("timeout", false));
    assert!(failure.elapsed < LONG / 2);
    assert_eq!(seen(&failing(&local_client(), uri, SHORT).await), ("timeout", false));
}

#[tokio::test]
async fn a_dead_first_address_leaves_time_for_the_next() {
    let (listener, _waiting) = full_listener().await;
    let port = listener.local_addr().unwrap().port();
    let server = Server::answering_at(&format!("127.0.0.2:{port}"), ok_with(b"")).await;
    let options = Options { address_timeout: SHORT, ..resolving(Turns::new(&[&["127.0.0.1", "127.0.0.2"]])) };
    let client = client(&["127.0.0.0/8"], options);
    let request = Request::get(server.uri_of("two.test"));
    assert!(pool(&client).send(request, LONG).await.is_ok());
}

#[tokio::test]
async fn silence_after_the_request_is_timeout_with_a_connection() {
    let silent = Server::sending_then_silent("").await;
    let failure = failing(&local_client(), silent.uri(), SHORT).await;
    assert_eq!(seen(&failure), ("timeout", true));
    assert!(failure.detail.starts_with("no answer from 127.0.0.1:"), "{failure}");

    let get = pool(&local_client()).send(Request::get(silent.uri()), SHORT).await;
    assert_eq!(seen(&get.unwrap_err()), ("timeout", true));

    let half_a_head = Server::sending_then_silent("HTTP/1.1 200 OK\r\nx: ").await;
    let failure = failing(&local_client(), half_a_head.uri(), SHORT).await;
    assert_eq!(seen(&failure), ("timeout", true));
}

#[tokio::test]
async fn silence_within_the_body_is_timeout() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let server = Server::sending_then_silent(head).await;
    let failure = failing(&local_client(), server.uri(), SHORT).await;
    assert_eq!(seen(&failure), ("timeout", true));
    assert!(failure.detail.contains("was not complete"), "{failure}");
}

#[tokio::test]
async fn the_deadline_covers_a_receiver_that_drips_bytes() {
    let server = Server::start(|mut stream| async move {
        let _ = read_request(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n";
        let _ = stream.write_all(head).await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let started = Instant::now();
    let failure = failing(&local_client(), server.uri(), SHORT).await;
    assert_eq!(seen(&failure), ("timeout", true));
    assert!(failure.elapsed >= SHORT && started.elapsed() < SHORT * 8);
}

#[tokio::test]
async fn the_deadline_covers_a_receiver_that_does_not_take_the_body() {
    let server = Server::start(|mut stream| async move {
        let _ = stream.read(&mut [0; 16]).await;
        std::future::pending::<()>().await;
    })
    .await;
    let request = Request::post(server.uri(), vec![b'x'; 32 * 1024 * 1024]);
    let failure = pool(&local_client()).send(request, SHORT).await.unwrap_err();
    assert_eq!(seen(&failure), ("timeout", true));
}

#[tokio::test]
async fn what_is_not_http_is_protocol() {
    for answer in ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 two OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"]
    {
        let server = Server::answering(answer).await;
        let failure = failing(&local_client(), server.uri(), LONG).await;
        assert_eq!(seen(&failure), ("protocol", true), "{answer}");
    }
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    let server = Server::answering(chunks).await;
    let failure = failing(&local_client(), server.uri(), LONG).await;
    assert_eq!(seen(&failure), ("protocol", true));
}

#[tokio::test]
async fn a_url_that_cannot_be_called_is_invalid_url() {
    for text in ["/only/a/path", "ftp://a.example/", "http://me@a.example/", "http://a..example/", "http://[fe80::x]/"]
    {
        let Ok(uri) = text.parse::<Uri>() else {
            continue;
        };
        let failure = failing(&local_client(), uri, LONG).await;
        assert_eq!(seen(&failure), ("invalid_url", false), "{text}");
    }
}

#[test]
fn every_cause_has_a_word_of_its_own() {
    let mut words: Vec<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Cause::ALL.len());
}
