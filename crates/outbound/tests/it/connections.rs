//! Connections are kept, and kept apart.

use std::sync::Arc;
use std::time::Duration;

use tillstream_outbound::{Options, PoolKey, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::support::{LONG, Server, client, local_client, ok_with, pool, post, read_request};

#[tokio::test]
async fn many_requests_in_a_row_use_one_connection() {
    let server = Server::answering(ok_with(b"ok")).await;
    let pool = pool(&local_client());
    for _ in 0..500 {
        let request = Request::post(server.uri(), "{}");
        assert_eq!(pool.send(request, LONG).await.unwrap().status, 200);
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn requests_at_once_open_no_more_connections_than_they_are() {
    let server = Server::answering(ok_with(b"ok")).await;
    let pool = pool(&local_client());
    let mut lanes = JoinSet::new();
    for _ in 0..8 {
        let (pool, uri) = (pool.clone(), server.uri());
        lanes.spawn(async move {
            for _ in 0..50 {
                pool.send(Request::post(uri.clone(), "{}"), LONG).await.unwrap();
            }
        });
    }
    lanes.join_all().await;
    assert!(server.accepted() <= 16, "{} connections", server.accepted());
}

#[tokio::test]
async fn companies_and_identities_never_share_a_connection() {
    let server = Server::answering(ok_with(b"")).await;
    let client = local_client();
    let keys = [(1, 0), (2, 0), (1, 7), (2, 7)];
    for _ in 0..3 {
        for (company, identity) in keys {
            let pool = client.pool(PoolKey { company, identity });
            pool.send(Request::get(server.uri()), LONG).await.unwrap();
        }
    }
    assert_eq!(server.accepted(), keys.len());
}

#[tokio::test]
async fn a_kept_connection_that_the_receiver_closed_is_replaced() {
    let server = Server::start(|mut stream| async move {
        let _ = read_request(&mut stream).await;
        let _ = stream.write_all(&ok_with(b"")).await;
    })
    .await;
    let client = local_client();
    for _ in 0..5 {
        post(&client, server.uri(), LONG).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.accepted(), 5);
}

#[tokio::test]
async fn an_unused_connection_is_closed_after_the_idle_timeout() {
    let closed = Arc::new(Notify::new());
    let told = Arc::clone(&closed);
    let server = Server::start(move |mut stream| {
        let told = Arc::clone(&told);
        async move {
            let _ = read_request(&mut stream).await;
            let _ = stream.write_all(&ok_with(b"")).await;
            let end = stream.read(&mut [0; 16]).await;
            assert_eq!(end.unwrap(), 0);
            told.notify_one();
        }
    })
    .await;
    let options = Options { idle_timeout: Duration::from_millis(100), ..Options::default() };
    let client = client(&["127.0.0.0/8"], options);
    post(&client, server.uri(), LONG).await.unwrap();
    tokio::time::timeout(LONG, closed.notified()).await.expect("closed when idle");
}

#[tokio::test]
async fn a_pool_dropped_at_the_limit_closes_its_connections_and_comes_back_empty() {
    let server = Server::answering(ok_with(b"")).await;
    let options = Options { max_pools: 1, ..Options::default() };
    let client = client(&["127.0.0.0/8"], options);
    for company in [1, 1, 2, 1] {
        let pool = client.pool(PoolKey { company, identity: 0 });
        pool.send(Request::get(server.uri()), LONG).await.unwrap();
    }
    assert_eq!(server.accepted(), 3);
}
