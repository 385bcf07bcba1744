//! How much of an answer is read and kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderValue, Method, Version};
use tillstream_outbound::{Cause, KEPT_BYTES, MAX_HEAD_BYTES, MAX_READ_BYTES, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{LONG, SHORT, Server, failing, local_client, ok_with, pool, post, read_request};

fn numbered(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| b'a' + (i % 26) as u8).collect()
}

fn chunked(parts: &[&[u8]]) -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for part in parts {
        answer.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        answer.extend_from_slice(part);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

#[tokio::test]
async fn status_headers_and_body_come_back() {
    let server = Server::answering("HTTP/1.1 418 No\r\nx-a: b\r\ncontent-length: 3\r\n\r\npot").await;
    let answer = post(&local_client(), server.uri(), LONG).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.version), (418, Version::HTTP_11));
    assert_eq!(answer.headers["x-a"], "b");
    assert_eq!((&answer.body_start[..], answer.truncated), (&b"pot"[..], false));
    assert!(answer.elapsed < LONG && !answer.elapsed.is_zero());
}

#[tokio::test]
async fn a_request_arrives_as_given_and_only_as_given() {
    let server = Server::start(|mut stream| async move {
        let request = read_request(&mut stream).await.unwrap();
        let _ = stream.write_all(&ok_with(&request)).await;
    })
    .await;
    let mut request = Request::post(server.uri(), "{\"a\":1}");
    request.method = Method::PUT;
    request.headers.insert("webhook-id", HeaderValue::from_static("evt_1"));
    let answer = pool(&local_client()).send(request, LONG).await.unwrap();
    let expected = format!(
        "PUT /hook HTTP/1.1\r\nwebhook-id: evt_1\r\nhost: {}\r\ncontent-length: 7\r\n\r\n{{\"a\":1}}",
        server.address
    );
    assert_eq!(String::from_utf8_lossy(&answer.body_start), expected);
}

#[tokio::test]
async fn a_body_is_kept_up_to_the_limit() {
    let body = numbered(KEPT_BYTES + 1);
    for (bytes, truncated) in [(0, false), (1, false), (KEPT_BYTES, false), (KEPT_BYTES + 1, true)] {
        let server = Server::answering(ok_with(&body[..bytes])).await;
        let answer = post(&local_client(), server.uri(), LONG).await.unwrap();
        assert_eq!(answer.truncated, truncated, "{bytes}");
        assert_eq!(answer.body_start, body[..bytes.min(KEPT_BYTES)], "{bytes}");
    }
}

#[tokio::test]
async fn the_kept_start_is_joined_from_small_pieces() {
    let body = numbered(KEPT_BYTES + 500);
    let parts: Vec<&[u8]> = body.chunks(700).collect();
    let server = Server::answering(chunked(&parts)).await;
    let answer = post(&local_client(), server.uri(), LONG).await.unwrap();
    assert_eq!(answer.body_start, body[..KEPT_BYTES]);
    assert!(answer.truncated);
}

#[tokio::test]
async fn a_body_of_exactly_the_read_limit_keeps_its_connection() {
    let body = numbered(MAX_READ_BYTES);
    for answer in [ok_with(&body), chunked(&[&body])] {
        let server = Server::answering(answer).await;
        let client = local_client();
        for _ in 0..3 {
            let answer = post(&client, server.uri(), LONG).await.unwrap();
            assert_eq!((answer.body_start.len(), answer.truncated), (KEPT_BYTES, true));
        }
        assert_eq!(server.accepted(), 1);
    }
}

/// The head of a long body and this many bytes of it.
fn part_of_a_long_body(bytes: usize) -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".to_vec();
    answer.extend_from_slice(&numbered(bytes));
    answer
}

#[tokio::test]
async fn at_the_read_limit_the_rest_is_waited_for() {
    let server = Server::sending_then_silent(part_of_a_long_body(MAX_READ_BYTES)).await;
    let failure = failing(&local_client(), server.uri(), SHORT * 2).await;
    assert_eq!(failure.cause, Cause::Timeout);
}

#[tokio::test]
async fn past_the_read_limit_the_status_counts_and_nothing_is_waited_for() {
    let server = Server::sending_then_silent(part_of_a_long_body(MAX_READ_BYTES + 1)).await;
    let answer = post(&local_client(), server.uri(), LONG).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body_start, numbered(KEPT_BYTES));
    assert!(answer.truncated);
}

#[tokio::test]
async fn an_endless_body_is_cut_off_at_the_receiver() {
    let sent = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(tokio::sync::Notify::new());
    let (count, done) = (Arc::clone(&sent), Arc::clone(&ended));
    let server = Server::start(move |mut stream| {
        let (count, done) = (Arc::clone(&count), Arc::clone(&done));
        async move {
            let _ = read_request(&mut stream).await;
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head).await;
            let piece = [b"1000\r\n", &[b'x'; 4096][..], b"\r\n"].concat();
            while stream.write_all(&piece).await.is_ok() {
                count.fetch_add(piece.len(), Ordering::SeqCst);
            }
            done.notify_one();
        }
    })
    .await;
    let answer = post(&local_client(), server.uri(), LONG).await.unwrap();
    assert_eq!(answer.status, 200);
    tokio::time::timeout(LONG, ended.notified()).await.expect("the connection is closed");
    // What the system's own buffers took on the way comes on top of what was read.
    assert!(sent.load(Ordering::SeqCst) < 32 * 1024 * 1024);
}

#[tokio::test]
async fn a_head_that_is_not_complete_at_its_limit_is_protocol() {
    let head = |bytes: usize| {
        let start = "HTTP/1.1 200 OK\r\nx-long: ";
        format!("{start}{}", "x".repeat(bytes - start.len()))
    };
    let below = Server::sending_then_silent(head(MAX_HEAD_BYTES - 1)).await;
    let failure = failing(&local_client(), below.uri(), SHORT).await;
    assert_eq!(failure.cause, Cause::Timeout);

    let at = Server::sending_then_silent(head(MAX_HEAD_BYTES)).await;
    let failure = failing(&local_client(), at.uri(), LONG).await;
    assert_eq!(failure.cause, Cause::Protocol);
}

#[tokio::test]
async fn an_answer_before_the_body_was_taken_still_counts() {
    let server = Server::start(|mut stream| async move {
        let _ = stream.read(&mut [0; 512]).await;
        let _ = stream.write_all(b"HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n").await;
        while stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {}
    })
    .await;
    let request = Request::post(server.uri(), vec![b'x'; 1024 * 1024]);
    let answer = pool(&local_client()).send(request, LONG).await.unwrap();
    assert_eq!(answer.status, 413);
}
